"""What scripts rely on: the documents' fields and forms, and every key of the configuration doing what it says."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from keeper.devnet.accounts import OPERATOR, STRANGER, TREASURY
from keeper.devnet.settings import SettingsOptions
from keeper.devnet.world import World, WorldOptions, build_world, open_world
from tests.support import documents
from tests.support.cli import Keeper, reasons
from tests.support.stage import Stage, open_stage, treasury

pytestmark = pytest.mark.anvil

FALL = {"WETH": -12, "WBTC": -12, "LINK": -12}


@pytest.fixture(scope="module")
async def stage(bundled_state: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A market with some unhealthy accounts, for tests that change nothing on the chain."""
    async with open_stage(bundled_state, tmp_path_factory.mktemp("stage")) as opened:
        await opened.world.shock(FALL)
        yield opened


def with_settings(stage: Stage, folder: Path, *tables: str, chain: str = "", policy: str = "", cut: str = "") -> Keeper:
    """Return a keeper with keys added to `[chain]` and `[policy]`, tables added, and lines that match `cut` removed."""
    assert stage.keeper.config is not None
    toml = stage.keeper.config.read_text()
    if cut:
        toml = re.sub(cut, "", toml, flags=re.MULTILINE)
    if policy:
        toml = re.sub(r"^\[policy\]\n(?:\w+ = .*\n)*", f"[policy]\n{policy}\n", toml, flags=re.MULTILINE)
    toml = toml.replace("[chain]\n", f"[chain]\n{chain}\n")
    return Keeper.at(folder, "\n".join((toml, *tables)))


# --- documents --------------------------------------------------------------------------------------------------------


async def test_the_documents_have_the_promised_fields(bundled_state: Path, tmp_path: Path) -> None:
    async with open_stage(bundled_state, tmp_path) as stage:
        await stage.world.shock(FALL)
        documents.check_scan(scan := await stage.keeper.json("scan"))
        documents.check_estimate(estimate := await stage.keeper.json("estimate"))
        documents.check_run(await stage.keeper.json("run", "--once"))
        documents.check_run(done := await stage.keeper.json("run", "--live", "--once"))
        documents.check_pnl(pnl := await stage.keeper.json("pnl"))
        assert scan["chain_id"] == estimate["chain_id"] == 31337
        assert scan["block"] == estimate["block"]
        assert scan["markets"][0]["accounts"] == 30
        assert {plan["account"] for plan in estimate["plans"]} <= {each["account"] for each in scan["liquidatable"]}
        assert len(done["entries"]) == len(done["attempts"]) >= len(estimate["plans"])
        assert {entry["status"] for entry in pnl["entries"]} == {"dry-run", "success"}
        deployed = await stage.keeper.json("deploy", "executor", "--treasury", TREASURY, "--owner", STRANGER.address)
        documents.check(deployed, documents.DEPLOYED)
        assert (deployed["owner"], deployed["operator"]) == (STRANGER.address, OPERATOR.address)
        (deployment,) = [e for e in (await stage.keeper.json("pnl"))["entries"] if e["market"] is None]
        documents.check(deployment, documents.ENTRY)
        assert deployment["transaction"] == deployed["transaction"]


async def test_people_get_a_table_and_logs_stay_on_standard_error(stage: Stage) -> None:
    for command in (("scan",), ("estimate",), ("run", "--once"), ("pnl",)):
        ended = await stage.keeper.run(*command)
        assert (ended.code, ended.out.strip() != "") == (0, True)
        assert '"event"' not in ended.out


async def test_one_account(stage: Stage) -> None:
    plans = (await stage.keeper.json("estimate"))["plans"]
    one = await stage.keeper.json("estimate", "--account", plans[0]["account"].lower())
    assert one["plans"] == plans[:1]
    assert one["rejected"] == []
    nobody = await stage.keeper.json("estimate", "--account", STRANGER.address)
    assert nobody["plans"] == []
    assert [each["account"] for each in nobody["rejected"]] == [STRANGER.address]


async def test_an_earlier_block(stage: Stage) -> None:
    head = (await stage.keeper.json("scan"))["block"]["number"]
    at_head = await stage.keeper.json("scan", "--block", str(head))
    assert at_head == await stage.keeper.json("scan")


async def test_help_costs_nothing(stage: Stage) -> None:
    for command in ((), ("scan",), ("estimate",), ("run",), ("deploy",), ("deploy", "executor"), ("pnl",), ("demo",)):
        ended = await Keeper(folder=stage.keeper.folder).run(*command, "--help")
        assert (ended.code, "Usage" in ended.out) == (0, True)


# --- where the configuration is ---------------------------------------------------------------------------------------


async def test_the_environment_names_the_configuration(stage: Stage, tmp_path: Path) -> None:
    assert stage.keeper.config is not None
    elsewhere = Keeper(folder=tmp_path)
    ended = await elsewhere.run("scan", "--json", environment={"KEEPER_CONFIG": str(stage.keeper.config)})
    assert ended.code == 0
    assert ended.document == await stage.keeper.json("scan")
    (tmp_path / "near.toml").write_text(stage.keeper.config.read_text())
    elsewhere.config = Path("near.toml")
    assert await elsewhere.json("scan") == ended.document


async def test_paths_in_the_configuration_start_at_its_folder(stage: Stage, tmp_path: Path) -> None:
    keeper = with_settings(stage, tmp_path / "config", '[state]\npath = "../state/here"')
    (tmp_path / "cwd").mkdir()
    keeper.folder = tmp_path / "cwd"
    await keeper.json("run", "--once")
    assert (tmp_path / "state" / "here" / "keeper.sqlite").exists()
    assert list((tmp_path / "cwd").glob("*.sqlite*")) == []


# --- policy -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["0", '"0"', "0.5", '"0.5"', "25", '"1000000000"'])
async def test_the_least_profit_may_be_a_number_or_text(stage: Stage, tmp_path: Path, value: str) -> None:
    document = await with_settings(stage, tmp_path, policy=f"min_profit_usd = {value}").json("estimate")
    documents.check_estimate(document)
    least_usd = Decimal(value.strip('"'))
    assert all(Decimal(plan["net_profit_usd"]) >= least_usd for plan in document["plans"])
    assert bool(document["plans"]) == (least_usd < 10**6)
    assert set(reasons(document)) <= {"profit_too_small", "below_min_profit", "unprofitable"}


async def test_sizing(stage: Stage, tmp_path: Path) -> None:
    found = {}
    for sizing in ("max-profit", "max", "target-health"):
        policy = f'min_profit_usd = 0\nsizing = "{sizing}"\ntarget_health = 1.02'
        document = await with_settings(stage, tmp_path / sizing, policy=policy).json("estimate")
        documents.check_estimate(document)
        found[sizing] = {plan["account"]: plan for plan in document["plans"]}
        assert found[sizing], sizing
    for account, best in found["max-profit"].items():
        for sizing in ("max", "target-health"):
            other = found[sizing].get(account)
            assert other is None or Decimal(other["net_profit_usd"]) <= Decimal(best["net_profit_usd"]), sizing
    largest = found["max"]
    assert any(plan["repay_raw"] != largest[name]["repay_raw"] for name, plan in found["target-health"].items())


async def test_hub_tokens_bound_the_routes(stage: Stage, tmp_path: Path) -> None:
    weth = stage.world.tokens["WETH"]
    policy = f'min_profit_usd = 0\nhub_tokens = ["{weth}"]'
    document = await with_settings(stage, tmp_path, policy=policy).json("estimate")
    documents.check_estimate(document)
    assert document["plans"]
    for leg in (leg for plan in document["plans"] for leg in plan["legs"]):
        assert len(leg["route"]) <= 2
        assert all(hop["token_out"] == weth for hop in leg["route"][:-1])
    none = await with_settings(stage, tmp_path, policy="min_profit_usd = 0\nhub_tokens = []").json("estimate")
    assert none["plans"]
    assert all(len(leg["route"]) == 1 for plan in none["plans"] for leg in plan["legs"])


async def test_a_bound_on_the_gas_price_that_is_too_low(stage: Stage, tmp_path: Path) -> None:
    keeper = with_settings(stage, tmp_path, policy="min_profit_usd = 0\nmax_gas_price_gwei = 0.000001")
    document = await keeper.json("estimate")
    documents.check_estimate(document)
    assert (document["plans"], reasons(document)) == ([], ["gas_price_above_cap"])
    done = await keeper.json("run", "--live", "--once")
    assert (done["attempts"], done["entries"]) == ([], [])


async def test_a_bound_on_the_gas_price_bounds_the_fee_cap(bundled_state: Path, tmp_path: Path) -> None:
    async with open_stage(bundled_state, tmp_path) as stage:
        await stage.world.shock(FALL)
        keeper = with_settings(stage, tmp_path, policy="min_profit_usd = 0\nmax_gas_price_gwei = 12")
        done = await keeper.json("run", "--live", "--once")
        assert done["attempts"]
        for attempt in done["attempts"]:
            transaction = await stage.world.anvil.rpc.call("eth_getTransactionByHash", attempt["transaction"])
            assert int(transaction["maxFeePerGas"], 16) <= 12 * 10**9


# --- what gas and prices rest on --------------------------------------------------------------------------------------


async def test_gas_is_valued_by_the_market_or_by_a_feed_or_not_at_all(stage: Stage, tmp_path: Path) -> None:
    normal = await stage.keeper.json("estimate")
    feed = f'native_feed = "{stage.world.feeds["WETH"]}"'
    by_feed = await with_settings(stage, tmp_path / "feed", chain=feed, cut=r"^wrapped_native = .*\n").json("estimate")
    assert by_feed["plans"] == normal["plans"]
    nothing = await with_settings(stage, tmp_path / "nothing", cut=r"^wrapped_native = .*\n").json("estimate")
    assert (nothing["plans"], reasons(nothing)) == ([], ["no_native_price"])
    documents.check_estimate(nothing)


@pytest.mark.parametrize(
    ("bound", "is_usable"), [("min = 100\nmax = 10000", True), ("min = 5000", False), ("max = 9.5", False)]
)
async def test_a_price_out_of_bounds_stops_what_it_prices(
    stage: Stage, tmp_path: Path, bound: str, is_usable: bool
) -> None:
    keeper = with_settings(stage, tmp_path, f'[[feeds]]\ntoken = "{stage.world.tokens["WETH"]}"\n{bound}')
    document = await keeper.json("estimate")
    documents.check_estimate(document)
    assert bool(document["plans"]) == is_usable  # gas is paid in it, so nothing goes without
    assert is_usable or document["rejected"]
    scan = await keeper.json("scan")
    assert scan["liquidatable"] == (await stage.keeper.json("scan"))["liquidatable"]


# --- more than one of everything --------------------------------------------------------------------------------------


async def test_two_markets_of_one_chain(tmp_path: Path) -> None:
    async with open_world(WorldOptions(borrowers=20, seed=1)) as first:
        second = await build_world(first.anvil, WorldOptions(borrowers=20, seed=2))
        toml = first.config_toml() + "\n" + _market_and_venues(second, name="another")
        toml = toml.replace("[chain]\n", f'[chain]\nnative_feed = "{first.feeds["WETH"]}"\n')
        keeper = Keeper.at(tmp_path, toml)
        deployed = await keeper.json("deploy", "executor", "--treasury", TREASURY)
        keeper = Keeper.at(tmp_path, f'{toml}\n[executor]\naddress = "{deployed["address"]}"\n')
        await first.shock(FALL)
        await second.shock(FALL)
        before = await treasury(first) | await treasury(second)
        documents.check_scan(scan := await keeper.json("scan"))
        assert [market["name"] for market in scan["markets"]] == ["another", "bundled"]
        documents.check_estimate(estimate := await keeper.json("estimate"))
        assert {plan["market"] for plan in estimate["plans"]} == {"another", "bundled"}
        done = await keeper.json("run", "--live", "--once")
        assert {entry["market"] for entry in done["entries"]} == {"another", "bundled"}
        assert {entry["status"] for entry in done["entries"]} == {"success"}
        assert (await keeper.json("estimate"))["plans"] == []
        after = await treasury(first) | await treasury(second)
        gained = {token: after[token] - before[token] for token in after if after[token] != before[token]}
        assert documents.received(done["entries"]) == gained


def _market_and_venues(world: World, *, name: str) -> str:
    """Return the tables of a world that stand beside another's."""
    tables = re.split(r"^(?=\[)", world.config_toml(), flags=re.MULTILINE)
    wanted = [table for table in tables if table.startswith(("[[markets]]", "[[venues]]"))]
    return "".join(wanted).replace('name = "bundled"', f'name = "{name}"')


async def test_one_market_named_twice_is_liquidated_once(bundled_state: Path, tmp_path: Path) -> None:
    async with open_stage(bundled_state, tmp_path) as stage:
        await stage.world.shock(FALL)
        tables = re.split(r"^(?=\[)", stage.world.config_toml(SettingsOptions()), flags=re.MULTILINE)
        (market,) = [table for table in tables if table.startswith("[[markets]]")]
        keeper = with_settings(stage, tmp_path, market.replace('"bundled"', '"once-more"'))
        stage.keeper = keeper
        await keeper.json("run", "--live", "--once")
        entries = await stage.check_ledger()
        assert len(entries) >= 3
        assert (await keeper.json("estimate"))["plans"] == []


@pytest.mark.node
async def test_collateral_is_sold_on_both_kinds_of_exchange(aave_state: Path, tmp_path: Path) -> None:
    async with open_stage(aave_state, tmp_path) as stage:
        await stage.world.shock({"WETH": -15, "WBTC": -15, "LINK": -15})
        documents.check_estimate(estimate := await stage.keeper.json("estimate"))
        assert {hop["venue"] for plan in estimate["plans"] for hop in plan["route"]} == {"uniswap-v2", "uniswap-v3"}
        for kind in ("uniswap-v2", "uniswap-v3"):
            cut = rf'^\[\[venues\]\]\nprotocol = "{kind}"\n(?:\w+ = .*\n)*'
            one = await with_settings(stage, tmp_path / kind, cut=cut).json("estimate")
            documents.check_estimate(one)
            assert {hop["venue"] for plan in one["plans"] for hop in plan["route"]} == {"uniswap-v2", "uniswap-v3"} - {
                kind
            }
        bare = with_settings(stage, tmp_path / "bare", cut=r"^(router|quoter) = .*\n")
        assert (await bare.json("estimate"))["plans"]  # the executor swaps on the pools themselves
