"""Each source of funds and each kind of venue, on the real contracts, and runs that fail at each of their steps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.lending import address
from support.real_runs import HEALTHY, Holding, RealRuns, open_runs

from keeper.devnet.accounts import TREASURY
from keeper.devnet.world import WorldOptions, load_world, open_world
from keeper.domain.chain import Receipt
from keeper.domain.lending import Outcome, Receive
from keeper.domain.plans import Fund, Funding, Plan
from keeper.domain.swaps import Hop, Leg
from keeper.estimate.executor import Liquidated, decode_liquidated, realised_raw

USDC, DAI, WETH = 10**6, 10**18, 10**18
COVER = 10_000 * USDC
FOR_THE_SWAP = 485 * WETH // 100  # brings a little more than the cover; the rest of the collateral is sold apart
OWN = {"USDC": 30_000 * USDC, "DAI": 9_000 * DAI, "WETH": 2 * WETH}
SOURCES: tuple[Funding, ...] = ("own", "aave-flash-loan", "uniswap-v3-flash", "morpho-flash")
VENUES = ("v2", "v3", "both")


@pytest.fixture(scope="module")
async def funded_state(compiled_fixtures: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real Aave 3.0.2, Uniswap V2 and V3, and Morpho."""
    folder = tmp_path_factory.mktemp("funded")
    async with open_world(WorldOptions(kind="aave-v3", morpho_usd=1_000_000)) as world:
        await world.save(folder)
    return folder


@pytest.fixture
async def runs(funded_state: Path) -> AsyncIterator[RealRuns]:
    async with load_world(funded_state) as world, open_runs(world) as opened:
        yield opened


@pytest.fixture(params=["funded_state", "aave_36_state"])
def real_state(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


def route(runs: RealRuns, venue: str) -> list[Hop]:
    """From ether to dollars, never over the pool that lends."""
    routes = {
        "v2": [runs.hop("WETH", "USDC", "uniswap-v2")],
        "v3": [runs.hop("WETH", "USDC", "uniswap-v3")],
        "both": [runs.hop("WETH", "DAI", "uniswap-v2"), runs.hop("DAI", "USDC", "uniswap-v3", 500)],
    }
    return routes[venue]


async def lent_by_swap(runs: RealRuns) -> Leg:
    return await runs.leg(FOR_THE_SWAP, runs.hop("WETH", "USDC", "uniswap-v3", 500))


def done(runs: RealRuns, receipt: Receipt) -> list[Liquidated]:
    assert receipt.ok
    events = (decode_liquidated(log) for log in receipt.logs if log.address == runs.executor)
    return [event for event in events if event is not None]


async def treasury_raw(runs: RealRuns, symbol: str) -> int:
    return (await runs.holdings())["balanceOf", runs.token(symbol), TREASURY]


# ---------------------------------------------------------------------- what works


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("source", SOURCES)
async def test_each_source_and_each_venue(runs: RealRuns, source: Funding, venue: str) -> None:
    """The profit is what the venues' own contracts quote for what was seized, less repaid and premium, to the unit."""
    own = OWN if source == "own" else {}
    for symbol, raw in own.items():
        await runs.give(symbol, raw)
    fund = runs.fund(source, "USDC", COVER)
    first = [await lent_by_swap(runs)] if source == "uniswap-v3-flash" else []
    made = await runs.plan([runs.step("USDC", COVER)], [*first, await runs.leg(WETH, *route(runs, venue))], [fund])
    expected = await runs.ask(made)
    (step,) = expected.steps
    assert step.repaid_raw == COVER
    rest = await runs.leg(step.received_raw - sum(leg.amount_in_raw for leg in first), *route(runs, venue))
    proceeds_raw = rest.amount_out_raw + sum(leg.amount_out_raw for leg in first)

    receipt = await runs.send(made)
    (event,) = done(runs, receipt)
    assert (event.repaid_raw, event.received_raw) == (COVER, step.received_raw)
    assert expected.proceeds_raw == proceeds_raw
    assert realised_raw(receipt, runs.executor) == proceeds_raw - COVER - fund.premium_raw > 0
    assert await treasury_raw(runs, "USDC") == proceeds_raw - COVER - fund.premium_raw
    await runs.check_rest(own)


async def test_three_hops_and_a_split_sale(runs: RealRuns) -> None:
    """Two legs of exact amounts and the rest over three hops; the second leg uses the pools the first one moved."""
    v2 = runs.hop("WETH", "DAI", "uniswap-v2")
    over = [
        runs.hop("WETH", "LINK", "uniswap-v2"),
        runs.hop("LINK", "USDC", "uniswap-v3"),
        runs.hop("USDC", "DAI", "uniswap-v3", 500),
    ]
    legs = [
        await runs.leg(WETH, v2),
        await runs.leg(WETH // 2, runs.hop("WETH", "DAI", "uniswap-v3")),
        await runs.leg(WETH, *over),
    ]
    cover_raw = 5_000 * DAI
    made = await runs.plan([runs.step("DAI", cover_raw)], legs, [runs.fund("morpho-flash", "DAI", cover_raw)])
    made = replace(made, profit_token=runs.token("DAI"))
    asked = await runs.ask(made)
    rest = await runs.leg(asked.steps[0].received_raw - WETH - WETH // 2, *over)
    brought_raw = legs[0].amount_out_raw + legs[1].amount_out_raw + rest.amount_out_raw
    receipt = await runs.send(made)
    assert realised_raw(receipt, runs.executor) == brought_raw - cover_raw == asked.profit_raw
    await runs.check_rest()


async def test_a_flash_swap_pays_with_what_an_earlier_hop_brings(runs: RealRuns) -> None:
    """Dollars are lent by the pool of dollars and Dai; the Dai to pay it come out of the collateral."""
    over = await runs.leg(480 * WETH // 100, *route(runs, "both"))
    legs = [over, await runs.leg(WETH, *route(runs, "v3"))]
    fund = runs.fund("uniswap-v3-flash", "USDC", COVER)
    made = await runs.plan([runs.step("USDC", COVER)], legs, [fund])
    asked = await runs.ask(made)
    rest = await runs.leg(asked.steps[0].received_raw - over.amount_in_raw, *route(runs, "v3"))
    receipt = await runs.send(made)
    assert realised_raw(receipt, runs.executor) == over.amount_out_raw + rest.amount_out_raw - COVER
    await runs.check_rest()


@pytest.mark.parametrize("source", SOURCES)
async def test_the_whole_debt_may_be_asked_for(runs: RealRuns, source: Funding) -> None:
    """What is funded beyond what the pool takes goes back to where it came from."""
    if source == "own":
        await runs.give("USDC", OWN["USDC"])
    first = [await runs.leg(59 * WETH // 10, *route(runs, "v3"))] if source == "uniswap-v3-flash" else []
    legs = [*first, await runs.leg(WETH, *route(runs, "v2"))]
    fund = runs.fund(source, "USDC", 12_010 * USDC)
    made = await runs.plan([runs.step("USDC", 2**256 - 1)], legs, [fund])
    receipt = await runs.send(made)
    (event,) = done(runs, receipt)
    assert 12_000 * USDC <= event.repaid_raw < 12_001 * USDC
    assert await treasury_raw(runs, "USDC") == realised_raw(receipt, runs.executor) > 0
    await runs.check_rest({"USDC": OWN["USDC"]} if source == "own" else None)


async def test_deposit_tokens_are_redeemed(runs: RealRuns) -> None:
    legs = [await runs.leg(WETH, *route(runs, "v3"))]
    fund = runs.fund("aave-flash-loan", "USDC", COVER)
    made = await runs.plan([runs.step("USDC", COVER, "atoken")], legs, [fund])
    asked = await runs.ask(made)
    rest = await runs.leg(asked.steps[0].received_raw, *route(runs, "v3"))
    receipt = await runs.send(made)
    assert realised_raw(receipt, runs.executor) == rest.amount_out_raw - COVER - fund.premium_raw
    await runs.check_rest()


@pytest.mark.parametrize("given_raw", [1, 2, 10**9 + 7, WETH // 3])
async def test_given_deposit_tokens_stay(real_state: Path, given_raw: int) -> None:
    """Whoever gives us some neither stops a run that redeems nor loses them to it, however the market rounds."""
    async with load_world(real_state) as world, open_runs(world) as runs:
        claim = await runs.give_claims("WETH", given_raw)
        legs = [await runs.leg(WETH, *route(runs, "v3"))]
        fund = runs.fund("aave-flash-loan", "USDC", COVER)
        receipt = await runs.send(await runs.plan([runs.step("USDC", COVER, "atoken")], legs, [fund]))
        assert realised_raw(receipt, runs.executor) > 0
        most_raw = given_raw + given_raw // 10**9 + 30  # interest, and what rounding left
        assert given_raw - 1 <= await runs.held(claim) <= most_raw
        for symbol in world.tokens:
            assert await runs.held(world.tokens[symbol]) == 0


async def two_debts(runs: RealRuns, first: Funding, second: Funding) -> Plan:
    """Half of the dollars and then all of the Dai, paid out as deposit tokens the first time; three legs."""
    steps = [runs.step("USDC", 6_000 * USDC, "atoken"), runs.step("DAI", 5_000 * DAI)]
    for_dai = await runs.leg(240 * WETH // 100, runs.hop("WETH", "DAI", "uniswap-v2"))
    legs = [for_dai, await runs.leg(WETH, *route(runs, "v3")), await runs.leg(WETH, *route(runs, "v2"))]
    funds = [runs.fund(first, "USDC", 6_000 * USDC), runs.fund(second, "DAI", 5_000 * DAI)]
    return await runs.plan(steps, legs, funds)


@pytest.mark.parametrize("second", ["own", "aave-flash-loan", "morpho-flash"])
@pytest.mark.parametrize("first", ["own", "aave-flash-loan", "morpho-flash"])
async def test_two_debts_in_two_steps(runs: RealRuns, first: Funding, second: Funding) -> None:
    for symbol, raw in OWN.items():
        await runs.give(symbol, raw)
    made = await two_debts(runs, first, second)
    before = await runs.holdings()
    receipt = await runs.send(made)
    dollars, dai = done(runs, receipt)
    assert (dollars.repaid_raw, dai.repaid_raw) == (6_000 * USDC, 5_000 * DAI)
    gained = await treasury_raw(runs, "USDC") - before["balanceOf", runs.token("USDC"), TREASURY]
    assert gained == realised_raw(receipt, runs.executor) > 0
    premium_raw = made.funds[1].premium_raw
    left_raw = made.legs[0].amount_out_raw - 5_000 * DAI - premium_raw
    assert await treasury_raw(runs, "DAI") - before["balanceOf", runs.token("DAI"), TREASURY] == left_raw
    await runs.check_rest(OWN)


@pytest.mark.parametrize("receive", ["underlying", "atoken"])
@pytest.mark.parametrize("source", ["own", "aave-flash-loan", "uniswap-v3-flash"])
async def test_on_the_newer_market(aave_36_state: Path, source: Funding, receive: Receive) -> None:
    async with load_world(aave_36_state) as world, open_runs(world) as runs:
        own = {"USDC": OWN["USDC"]} if source == "own" else {}
        for symbol, raw in own.items():
            await runs.give(symbol, raw)
        fund = runs.fund(source, "USDC", COVER)
        first = [await lent_by_swap(runs)] if source == "uniswap-v3-flash" else []
        legs = [*first, await runs.leg(WETH, *route(runs, "v2"))]
        made = await runs.plan([runs.step("USDC", COVER, receive)], legs, [fund])
        asked = await runs.ask(made)
        rest = await runs.leg(asked.steps[0].received_raw - sum(leg.amount_in_raw for leg in first), *route(runs, "v2"))
        proceeds_raw = rest.amount_out_raw + sum(leg.amount_out_raw for leg in first)
        assert asked.proceeds_raw == proceeds_raw
        assert realised_raw(await runs.send(made), runs.executor) == proceeds_raw - COVER - fund.premium_raw
        await runs.check_rest(own)


async def test_one_debt_in_three_steps(runs: RealRuns) -> None:
    steps = [runs.step("USDC", amount * USDC) for amount in (4_000, 3_000, 2_500)]
    fund = runs.fund("morpho-flash", "USDC", COVER)
    made = await runs.plan(steps, [await runs.leg(WETH, *route(runs, "v3"))], [fund])
    asked = await runs.ask(made)
    assert [step.repaid_raw for step in asked.steps] == [4_000 * USDC, 3_000 * USDC, 2_500 * USDC]
    rest = await runs.leg(sum(step.received_raw for step in asked.steps), *route(runs, "v3"))
    assert realised_raw(await runs.send(made), runs.executor) == rest.amount_out_raw - 9_500 * USDC
    await runs.check_rest()


# ---------------------------------------------------------------------- what fails, and leaves nothing behind


def moved(before: dict[Holding, int], after: dict[Holding, int]) -> dict[Holding, tuple[int, int]]:
    """What is no longer as it was, with what it was and is."""
    return {key: (raw, after[key]) for key, raw in before.items() if after[key] != raw}


def on_nobody(step: Outcome) -> Outcome:
    return replace(step, call=replace(step.call, account=HEALTHY))


def without_pool(leg: Leg, position: int = -1) -> Leg:
    quotes = list(leg.quotes)
    quotes[position] = replace(quotes[position], hop=replace(quotes[position].hop, fee_pips=100))
    return Leg(quotes=tuple(quotes))


def unlisted(fund: Fund) -> Fund:
    return replace(fund, lender=address(0xBAD))


def too_large(fund: Fund) -> Fund:
    return replace(fund, amount_raw=10**9 * fund.amount_raw)


def broken(made: Plan) -> list[tuple[str, Plan]]:
    """The plan with one of its steps made to fail, for each step, and the reason it must give."""
    (loan, other), (first, second), (one, two, three) = made.funds, made.steps, made.legs
    dear = replace(loan, premium_raw=loan.premium_raw - 1)
    short = replace(other, amount_raw=other.amount_raw - 1)
    return [
        ("deadline_passed", replace(made, deadline_block=1)),
        ("pool_not_allowed", replace(made, funds=(unlisted(loan), other))),
        ("flash_lender_not_allowed", replace(made, funds=(loan, unlisted(other)))),
        ("ARITHMETIC_OVERFLOW", replace(made, funds=(too_large(loan), other))),
        ("REVERTED", replace(made, funds=(loan, too_large(other)))),
        ("premium_too_high", replace(made, funds=(dear, other))),
        ("ARITHMETIC_OVERFLOW", replace(made, funds=(loan, short))),
        ("HEALTH_FACTOR_NOT_BELOW_THRESHOLD", replace(made, steps=(on_nobody(first), second))),
        ("HEALTH_FACTOR_NOT_BELOW_THRESHOLD", replace(made, steps=(first, on_nobody(second)))),
        ("balance_fell", replace(made, legs=(leg_of(one, 1), two, three))),
        ("no_pool", replace(made, legs=(one, without_pool(two), three))),
        ("factory_not_allowed", replace(made, legs=(one, two, unknown_factory(three)))),
        ("profit_too_low", replace(made, min_profit_raw=10**12)),
    ]


def leg_of(leg: Leg, amount_raw: int) -> Leg:
    return Leg(quotes=(replace(leg.quotes[0], amount_in_raw=amount_raw), *leg.quotes[1:]))


def unknown_factory(leg: Leg) -> Leg:
    (quote,) = leg.quotes
    return Leg(quotes=(replace(quote, hop=replace(quote.hop, factory=address(0xBAD))),))


async def test_a_run_that_fails_anywhere_leaves_everything_as_it_was(runs: RealRuns) -> None:
    """Balances of everybody concerned and all our allowances; then the same plan, unbroken, goes through."""
    for symbol, raw in OWN.items():
        await runs.give(symbol, raw)
    made = await two_debts(runs, "aave-flash-loan", "morpho-flash")
    made = replace(made, deadline_block=made.deadline_block + 50)
    before = await runs.holdings()
    for code, plan in broken(made):
        assert await runs.refusal(plan) == code
        receipt = await runs.send(plan)
        assert not receipt.ok
        assert moved(before, await runs.holdings()) == {}, code
    assert len(done(runs, await runs.send(made))) == 2
    await runs.check_rest(OWN)


@pytest.mark.parametrize("source", SOURCES)
async def test_a_run_that_fails_at_its_end_gives_the_funds_back(runs: RealRuns, source: Funding) -> None:
    for symbol, raw in OWN.items():
        await runs.give(symbol, raw)
    fund = runs.fund(source, "USDC", COVER)
    first = [await lent_by_swap(runs)] if source == "uniswap-v3-flash" else []
    made = await runs.plan([runs.step("USDC", COVER)], [*first, await runs.leg(WETH, *route(runs, "v2"))], [fund])
    before = await runs.holdings()
    for plan in (replace(made, min_profit_raw=10**12), replace(made, legs=(*first, without_pool(made.legs[-1], 0)))):
        receipt = await runs.send(plan)
        assert not receipt.ok
        assert moved(before, await runs.holdings()) == {}
    await runs.check_rest(OWN)


async def test_deposit_tokens_that_cannot_be_redeemed_stop_the_run(runs: RealRuns) -> None:
    """Somebody has borrowed all the ether there is: it can be seized as deposit tokens, but not taken out."""
    made = await runs.plan(
        [runs.step("USDC", COVER, "atoken")],
        [await runs.leg(WETH, *route(runs, "v3"))],
        [runs.fund("morpho-flash", "USDC", COVER)],
    )
    await runs.borrow_all("WETH")
    before = await runs.holdings()
    receipt = await runs.send(made)
    assert not receipt.ok
    assert moved(before, await runs.holdings()) == {}
