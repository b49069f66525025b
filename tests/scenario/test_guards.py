"""The brake, the guards and the audit, through the command line and on a chain."""

from __future__ import annotations

from pathlib import Path

from support.stage import Stage, open_stage

FALL = {"WETH": -18, "WBTC": -16, "LINK": -20}


async def live(stage: Stage, code: int = 0) -> dict[str, object]:
    ended = await stage.keeper.run("run", "--live", "--once", "--json", "--timeout", "20")
    assert ended.code == code, ended.err[-3000:]
    return ended.document


def add(stage: Stage, text: str) -> None:
    config = stage.keeper.config
    assert config is not None
    config.write_text(config.read_text(encoding="utf-8") + text, encoding="utf-8")


async def test_halt_resume_caps_and_audit(bundled_state: Path, tmp_path: Path) -> None:
    async with open_stage(bundled_state, tmp_path) as stage:
        await stage.world.shock(FALL)
        assert (await stage.keeper.json("estimate"))["plans"]

        halted = await stage.keeper.json("halt", "--reason", "a test")
        assert halted == {"mode": "halted", "reason": "a test", "in_flight": 0}
        assert (await live(stage))["attempts"] == []
        assert await stage.sent() == 0
        assert (await stage.keeper.json("halt", "--drain"))["mode"] == "halted"

        assert (await stage.keeper.json("resume"))["mode"] == "active"
        add(stage, '\n[guards]\nday = {gas_native = "0.000000001"}\n')
        assert (await live(stage))["attempts"] == []

        config = stage.keeper.config
        assert config is not None
        config.write_text(config.read_text(encoding="utf-8").replace("0.000000001", "100"), encoding="utf-8")
        done = await live(stage)
        assert done["entries"]
        assert await stage.sent() == len(done["entries"])  # type: ignore[arg-type]

        report = await stage.keeper.json("journal", "audit")
        assert (report["findings"], report["slots"]) == ([], await stage.sent())
