"""A pool revision whose rules were never compared with a contract is looked at, but not sent to without leave."""

from __future__ import annotations

from pathlib import Path

from keeper.devnet.world import WorldOptions, open_world
from tests.support.cli import Keeper
from tests.support.revision_shim import claim_revision

LEAVE = "allow_unverified_revision = true"


async def test_live_needs_leave_for_an_unverified_revision(compiled_fixtures: None, tmp_path: Path) -> None:
    async with open_world(WorldOptions(kind="aave-v3.6", borrowers=8, seed=3)) as world:
        await world.deploy_executor()
        await world.shock({"WETH": -10, "WBTC": -10, "LINK": -10})
        toml = world.config_toml()
        keeper = Keeper.at(tmp_path / "plain", toml)
        assert (await keeper.json("scan"))["markets"][0]["revision"] == 10
        await claim_revision(world, 5)
        scan = await keeper.json("scan")
        assert scan["markets"][0]["revision"] == 5
        assert scan["liquidatable"]
        await keeper.json("estimate")
        await keeper.json("run", "--once")
        refused = await keeper.run("run", "--live", "--once")
        assert refused.code == 3, refused.err
        assert "never compared with a compiled contract" in refused.err
        assert LEAVE in refused.err
        before = await world.anvil.block_number()
        allowed = Keeper.at(tmp_path / "allowed", toml.replace("[[markets]]\n", f"[[markets]]\n{LEAVE}\n"))
        document = await allowed.json("run", "--live", "--once")
        assert document["attempts"]
        assert await world.anvil.block_number() > before


async def test_an_unknown_revision_is_refused(compiled_fixtures: None, tmp_path: Path) -> None:
    async with open_world(WorldOptions(kind="aave-v3.6", seed=3)) as world:
        await claim_revision(world, 12)
        refused = await Keeper.at(tmp_path, world.config_toml()).run("scan")
        assert refused.code == 3, refused.err
        assert "pool revision 12 is not known" in refused.err
