"""`keeper scan --shock --horizon` says what `scan` says once the same prices are on the chain at that time."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from conftest import TestSize

from keeper import app
from keeper.devnet.layout import MarketKind
from keeper.devnet.settings import SettingsOptions
from keeper.devnet.world import World, WorldOptions, open_world
from keeper.domain.errors import UsageError
from keeper.watch.forecast import Question, parse_question
from tests.support.cli import Keeper

DAY_S = 86_400


def compared(report: dict[str, Any], *, with_age: bool) -> dict[str, Any]:
    """What must be equal: everything but the block and what the forecast repeats.

    A forecast does not age the feeds, so `stale` is compared only while no feed can have become so.
    """
    accounts = [
        {key: item for key, item in each.items() if with_age or key != "stale"} for each in report["liquidatable"]
    ]
    markets = [{key: item for key, item in each.items() if with_age or key != "feeds"} for each in report["markets"]]
    return {"liquidatable": accounts, "markets": markets, "tokens": report["tokens"]}


def random_shocks(dice: random.Random, symbols: list[str]) -> dict[str, Decimal]:
    chosen = dice.sample(symbols, dice.randint(1, 3))
    return {symbol: Decimal(dice.randrange(-4_500, 2_000)) / dice.choice((100, 100, 97)) for symbol in chosen}


async def write_on_chain(world: World, shocks: dict[str, Decimal], later_s: int) -> None:
    await world.anvil.rpc.call("evm_increaseTime", later_s)
    await world.shock(shocks, pools_follow=False)


@pytest.mark.parametrize("kind", ["aave-v3", "bundled"])
async def test_a_forecast_is_what_then_happens(kind: MarketKind, tmp_path: Path, size: TestSize) -> None:
    dice = random.Random(f"20261120 {kind}")
    seen: Counter[str] = Counter()
    async with open_world(WorldOptions(kind=kind, borrowers=60, seed=11)) as world:
        config = tmp_path / "keeper.toml"
        config.write_text(world.config_toml(SettingsOptions()), encoding="utf-8")
        symbols = [asset.symbol for asset in world.market.assets]
        for _ in range(size.pick(quick=6, prove=50)):
            before = await world.anvil.block_number()
            saved = await world.anvil.snapshot()
            shocks = {
                symbol: change.quantize(Decimal("0.001")) for symbol, change in random_shocks(dice, symbols).items()
            }
            later_s = dice.choice((0, 600, 3_600, 7 * DAY_S))
            await write_on_chain(world, shocks, later_s)
            happened = await app.scan(config, None)
            horizon_s = happened["block"]["timestamp"] - await world.anvil.timestamp(before)
            texts = [f"{symbol}={change}%" for symbol, change in shocks.items()]
            question = parse_question(texts, f"{horizon_s}s")
            forecast = await app.scan(config, before, question)
            with_age = horizon_s < DAY_S
            assert compared(forecast, with_age=with_age) == compared(happened, with_age=with_age), texts
            assert forecast["forecast"]["horizon_s"] == horizon_s
            tokens = {world.tokens[symbol]: change for symbol, change in shocks.items()}
            assert {token: Decimal(text) for token, text in forecast["forecast"]["shocks"].items()} == tokens
            seen["shocks"] += 1
            seen["liquidatable"] += len(happened["liquidatable"])
            seen["pairs"] += sum(len(each["pairs"]) for each in happened["liquidatable"])
            await world.anvil.revert(saved)
    print(kind, dict(seen))
    assert seen["liquidatable"] >= size.pick(quick=20, prove=200)


async def test_the_command_line(bundled_world: World, tmp_path: Path) -> None:
    config = tmp_path / "keeper.toml"
    config.write_text(bundled_world.config_toml(SettingsOptions()), encoding="utf-8")
    keeper = Keeper(config=config, folder=tmp_path)
    weth = bundled_world.tokens["WETH"]
    ended = await keeper.run("scan", "--json", "--shock", f"{weth}=-30%", "--shock", "wbtc=-30.50%", "--horizon", "7d")
    assert ended.code == 0, ended.err
    document = ended.document
    wbtc = bundled_world.tokens["WBTC"]
    assert document["forecast"] == {"shocks": {weth: "-30", wbtc: "-30.5"}, "horizon_s": 7 * DAY_S}
    assert document["liquidatable"]
    for bad, words in (
        (("--shock", "WETH-10"), "write it as WETH=-10%"),
        (("--shock", "NOPE=-10%"), "no reserve is called NOPE; there are DAI, LINK, USDC, WBTC, WETH"),
        (("--shock", "WETH=-100%"), "less than 100 %"),
        (("--shock", "WETH=-1%", "--shock", "weth=-2%"), "twice"),
        (("--horizon", "7 weeks"), "write it as 90s, 30m, 12h or 7d"),
    ):
        refused = await keeper.run("scan", "--json", *bad)
        assert refused.code == 2, refused.err
        assert words in refused.last_line


def test_nothing_asked_is_no_question() -> None:
    assert parse_question([], None) is None
    assert parse_question([], "2h") == Question(horizon_s=7_200)
    assert parse_question([" WETH = +10.5 % "], None) == Question(shocks={"WETH": Decimal("10.5")})
    with pytest.raises(UsageError, match="hundred years"):
        parse_question([], "40000d")
