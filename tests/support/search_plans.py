"""Runs found by the searches as plans, their neighbours, and their execution by the deployed executor."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from support.search_one import Found, ask, value
from support.search_pools import Route
from support.search_runs import Design, realise
from support.search_sale import Case

from keeper.chain.client import RpcChain
from keeper.devnet.accounts import OPERATOR
from keeper.domain.chain import Head, SimulatedCall
from keeper.domain.plans import Fund, Plan
from keeper.domain.swaps import HopQuote, Leg
from keeper.domain.units import MAX_UINT256, ZERO_ADDRESS, Address
from keeper.estimate.executor import decode_run, encode_run

_DEADLINE_BLOCKS = 10


def as_plan(case: Case, found: Found) -> Plan:
    """The plan that runs `found`, with no minimum of profit."""
    legs = tuple(
        Leg(
            quotes=tuple(
                HopQuote(hop=hop, amount_in_raw=leg.amounts[n], amount_out_raw=leg.amounts[n + 1])
                for n, hop in enumerate(leg.route)
            )
        )
        for leg in found.sold
    )
    health = case.view.health(case.account, case.at_s)
    assert health is not None
    repaid = sum(step.repaid_raw for step in found.steps if step.call.debt == found.profit_token)
    premium = sum(fund[3] for fund in found.paid.funds if fund[0] == found.profit_token)
    return Plan(
        chain_id=31337,
        market=case.view.name,
        pool=case.view.pool,
        epoch=case.view.epoch(case.account),
        steps=found.steps,
        legs=legs,
        funds=tuple(_fund(case, legs, *fund) for fund in found.paid.funds),
        profit_token=found.profit_token,
        proceeds_raw=found.profit_raw + repaid + premium,
        profit_raw=found.profit_raw,
        min_profit_raw=0,
        deadline_block=case.view.head.number + _DEADLINE_BLOCKS,
        head=case.view.head,
        inclusion_s=case.at_s,
        health_before_wad=health.health_factor_wad,
    )


def _fund(case: Case, legs: tuple[Leg, ...], token: Address, source: str, amount: int, premium: int) -> Fund:
    lenders = {"own": ZERO_ADDRESS, "aave-flash-loan": case.view.pool, "morpho-flash": case.lender}
    lender = legs[0].quotes[-1].hop.pool if source == "uniswap-v3-flash" else lenders[source]
    brought = legs[0].amount_out_raw if source == "uniswap-v3-flash" else amount
    assert lender is not None
    return Fund(source=source, lender=lender, token=token, amount_raw=brought, premium_raw=premium)  # type: ignore[arg-type]


def neighbours(case: Case, best: Found, rng: random.Random) -> Iterator[tuple[str, Found]]:
    """A single liquidation and others close to it: other amounts, another split, another route."""
    yield "best", best
    step = best.steps[0]
    call = step.call
    repaid = step.repaid_raw
    amounts = {
        "one unit less": repaid - 1,
        "one unit more": repaid + 1,
        "1 % less": repaid * 99 // 100,
        "1 % more": repaid * 101 // 100,
        "10 % less": repaid * 9 // 10,
        "10 % more": repaid * 11 // 10,
        "everything": MAX_UINT256,
    }
    for name, cover in amounts.items():
        other = ask(case, call.debt, call.collateral, cover)
        if other is None or cover not in {MAX_UINT256, other.repaid_raw}:
            continue
        parts = [(route, amount * other.received_raw // step.received_raw) for route, amount in best.parts]
        yield from _named(name, value(case, other, parts))
    if call.debt != call.collateral:
        routes = case.routes(call.collateral, call.debt)
        yield from _named("another route", value(case, step, [(rng.choice(routes), step.received_raw)]))
        mixed = _mixed(best, rng.choice(routes), step.received_raw)
        yield from _named("another split", value(case, step, mixed))


def near_runs(case: Case, start: Design, rng: random.Random) -> Iterator[tuple[str, Found]]:
    """A run of several liquidations and others close to it: one amount changed, or one split."""
    yield from _realised(case, "best", start)
    for name, permille in (("1 % less", 990), ("1 % more", 1_010), ("10 % less", 900), ("10 % more", 1_100)):
        yield from _realised(case, name, _with_cover(start, rng.randrange(len(start.covers)), permille=permille))
    for name, units in (("one unit less", -1), ("one unit more", 1)):
        yield from _realised(case, name, _with_cover(start, rng.randrange(len(start.covers)), units=units))
    for sides in start.splits:
        route = rng.choice(case.routes(*sides))
        weights = tuple((one, weight) for one, weight in start.splits[sides] if one != route)
        other = (*weights, (route, 1 + sum(weight for _, weight in weights) // 5))
        yield from _realised(case, "another split", replace(start, splits={**start.splits, sides: other}))


def _with_cover(start: Design, n: int, *, permille: int = 1_000, units: int = 0) -> Design:
    debt, collateral, cover = start.covers[n]
    other = cover if cover == MAX_UINT256 else cover * permille // 1_000 + units
    return replace(start, covers=(*start.covers[:n], (debt, collateral, other), *start.covers[n + 1 :]))


def _realised(case: Case, name: str, design: Design) -> Iterator[tuple[str, Found]]:
    found = realise(case, design)
    if found is not None:
        yield name, found[0]


def _mixed(best: Found, route: Route, received: int) -> list[tuple[Route, int]]:
    parts = [(one, amount - amount // 7) for one, amount in best.parts if one != route]
    return [*parts, (route, received - sum(amount for _, amount in parts))]


def _named(name: str, found: Found | None) -> Iterator[tuple[str, Found]]:
    if found is not None:
        yield name, found


@dataclass(frozen=True, slots=True)
class Paid:
    """What the contracts did: (repaid, received) of each step, and the treasury's gain; None for a revert."""

    steps: tuple[tuple[int, int], ...]
    profit_raw: int | None


async def execute(chain: RpcChain, executor: Address, plan: Plan, *, at: Head, at_s: int) -> Paid:
    """Run the plan's own calldata as the operator in a simulated block of time `at_s` on top of `at`."""
    call = SimulatedCall(sender=OPERATOR.address, to=executor, data=encode_run(plan))
    (outcome,) = await chain.simulate([call], at=at, timestamp_s=at_s)
    if not outcome.ok:
        return Paid((), None)
    ran = decode_run(outcome.data)
    return Paid(tuple((step.repaid_raw, step.received_raw) for step in ran.steps), ran.profit_raw)
