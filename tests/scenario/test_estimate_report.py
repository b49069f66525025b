"""What `keeper estimate` tells people, and what an L1 fee changes. The rollup's contract is a stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from keeper.chain.l1_fee import GAS_PRICE_ORACLE
from keeper.domain.units import WAD
from tests.support import documents
from tests.support.cli import Ended, Keeper
from tests.support.predeploys import answering
from tests.support.stage import Stage, open_stage

pytestmark = pytest.mark.anvil

FALL = {"WETH": -12, "WBTC": -12, "LINK": -12}
GWEI = 10**9
ORACLE = {
    "isFjord()": [1], "isEcotone()": [1], "l1BaseFee()": [40 * GWEI], "blobBaseFee()": [2 * GWEI],
    "baseFeeScalar()": [8_000], "blobBaseFeeScalar()": [900_000],
}  # fmt: skip
COSTS = (
    "planned_l1_fee_wei", "net_profit_base", "profit_base", "gas_cost_base", "l1_fee_base", "premium_base",
    "slippage_base",
)  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
async def stage(bundled_state: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A market with some unhealthy accounts, for tests that change nothing on the chain."""
    async with open_stage(bundled_state, tmp_path_factory.mktemp("stage")) as opened:
        await opened.world.shock(FALL)
        yield opened


def configured(stage: Stage, folder: Path, *, chain: str = "", tables: str = "") -> Keeper:
    """Return a keeper with keys added to `[chain]` and tables at the end."""
    assert stage.keeper.config is not None
    toml = stage.keeper.config.read_text().replace("[chain]\n", f"[chain]\n{chain}\n", 1)
    return Keeper.at(folder, toml + tables)


@pytest.fixture(scope="module")
async def account(stage: Stage) -> str:
    """The account that nets most."""
    plans = (await stage.keeper.json("estimate"))["plans"]
    return str(max(plans, key=lambda plan: Decimal(plan["net_profit_usd"]))["account"])


@pytest.mark.parametrize("width", [80, 120])
async def test_people_see_pairs_curves_choice_and_costs(stage: Stage, width: int) -> None:
    ended = await stage.keeper.run("estimate", environment={"COLUMNS": str(width)})
    assert ended.code == 0, ended.err[-2000:]
    assert max(map(len, ended.out.splitlines())) <= width
    assert "debt for collateral" in ended.out
    assert "█" in ended.out
    assert "▲ chosen" in ended.out
    assert "\nchosen " in ended.out
    assert "USD seized: repaid" in ended.out


async def test_the_picture_shows_what_the_plan_does_and_the_document_stays(
    stage: Stage, account: str, tmp_path: Path
) -> None:
    picture = tmp_path / "curve.svg"
    drawn = await stage.keeper.json("estimate", "--account", account, "--plot", str(picture))
    documents.check_estimate(drawn)
    assert "profiles" not in drawn
    words = [each.text or "" for each in ET.parse(picture).getroot().iter(f"{SVG}text")]  # noqa: S314 - our own
    assert any(account in word for word in words)
    assert any(word.startswith("chosen: repay") for word in words)
    assert "net profit, USD" in words


def refusal(ended: Ended) -> str:
    assert ended.code == 2, ended.err[-2000:]
    assert ended.out == ""
    return ended.last_line


async def test_a_picture_is_of_one_account_and_an_svg(stage: Stage, account: str, tmp_path: Path) -> None:
    many = await stage.keeper.run("estimate", "--plot", str(tmp_path / "all.svg"))
    assert refusal(many) == "keeper: --plot draws one account; name it with --account"
    asked = stage.proxy.count()
    wrong = await stage.keeper.run("estimate", "--plot", "curve.png")
    assert refusal(wrong).endswith("the picture is an SVG; give a name that ends in .svg")
    assert stage.proxy.count() == asked, "a wrong name is refused before anything is asked"
    nowhere = await stage.keeper.run("estimate", "--account", account, "--plot", str(tmp_path / "no" / "curve.svg"))
    assert "cannot be written" in refusal(nowhere)


def by_account(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {plan["account"]: plan for plan in document["plans"]}


async def test_the_data_fee_is_paid_out_of_the_profit(bundled_state: Path, tmp_path: Path) -> None:
    async with open_stage(bundled_state, tmp_path) as stage:
        await stage.world.shock(FALL)
        free = by_account(await stage.keeper.json("estimate"))
        await stage.world.anvil.set_code(GAS_PRICE_ORACLE, answering(ORACLE))
        document = await stage.keeper.json("estimate")
        documents.check_estimate(document)
        charged = by_account(document)
        assert charged
        native_usd = (await stage.world.prices())["WETH"]
        for account, plan in charged.items():
            fee_wei = int(plan["l1_fee_wei"])
            assert fee_wei > 0
            if plan["repay_raw"] == free[account]["repay_raw"]:
                difference = Decimal(free[account]["net_profit_usd"]) - Decimal(plan["net_profit_usd"])
                assert abs(difference - Decimal(fee_wei) * native_usd / WAD) < Decimal("0.0000001")
                assert int(plan["min_profit_raw"]) >= int(free[account]["min_profit_raw"])
        off = by_account(await configured(stage, tmp_path / "off", chain='l1_fee = "none"').json("estimate"))
        assert {plan["l1_fee_wei"] for plan in off.values()} == {"0"}


async def test_caps_count_the_data(bundled_state: Path, tmp_path: Path) -> None:
    async with open_stage(bundled_state, tmp_path) as stage:
        await stage.world.shock(FALL)
        await stage.world.anvil.set_code(GAS_PRICE_ORACLE, answering(ORACLE))
        done = await stage.keeper.json("run", "--live", "--once")
        assert done["entries"]
        worst_wei = {}
        for attempt, entry in zip(done["attempts"], done["entries"], strict=True):
            told = {key: int(entry["detail"][key]) for key in COSTS}
            assert told["planned_l1_fee_wei"] > 0
            assert told["net_profit_base"] == told["profit_base"] - told["gas_cost_base"] - told["l1_fee_base"] > 0
            assert told["premium_base"] >= 0
            gas_wei = attempt["gas_limit"] * int(attempt["fee_cap_wei"])
            worst_wei[entry["account"]] = gas_wei + 2 * int(entry["detail"]["planned_l1_fee_wei"]), gas_wei
        assert all(least < most for most, least in worst_wei.values())
        rivals = [entry["detail"]["runner_up_net_base"] for entry in done["entries"]]
        assert any(rival is not None and int(rival) > 0 for rival in rivals)
        assert (await stage.keeper.json("pnl"))["entries"] == done["entries"]
    async with open_stage(bundled_state, tmp_path / "capped") as stage:
        await stage.world.shock(FALL)
        await stage.world.anvil.set_code(GAS_PRICE_ORACLE, answering(ORACLE))
        least_gas = min(gas_wei for _, gas_wei in worst_wei.values())
        cap = f"\n[guards.transaction]\ngas_native = '{Decimal(least_gas * 101 // 100) / WAD:f}'\n"
        capped = await configured(stage, tmp_path / "guarded", tables=cap).json("run", "--live", "--once")
        assert await stage.sent() == len(capped["entries"]) < len(done["entries"])
