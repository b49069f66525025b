"""Where the debt tokens come from for the length of one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from keeper.domain.fixed_point import mul_div_up
from keeper.domain.lending import Outcome, Refused
from keeper.domain.plans import Fund
from keeper.domain.swaps import Route, Sale
from keeper.domain.units import MAX_UINT256, WAD, ZERO_ADDRESS, Address
from keeper.estimate.gas import GasMemory, GasPrice, shape_of
from keeper.ports import MarketView

_INTEREST_ROOM: Final = 20_000
"""One part in this many is borrowed beyond the expected repay where the pool decides the amount:
more than the interest of fifteen minutes at a yearly 100 %. What is not taken is returned."""
_LATE_S: Final = 120
_ROOM_SHARE: Final = 1_000_000
"""What a plan may be late by, about: its deadline in blocks of twelve seconds; and the least room as a share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Who could lend, for runs in a block of time `at_s`. `view` is the market before the run.

    `balances` is what the executor itself holds, `lendable` what `flash_lender` holds; raw units by token.
    """

    view: MarketView
    at_s: int
    gas: GasPrice
    memory: GasMemory
    balances: Mapping[Address, int]
    flash_lender: Address | None = None
    lendable: Mapping[Address, int] = field(default_factory=dict)


def needed_raw(outcome: Outcome) -> int:
    """Return what must be at hand for the call: the explicit cover, or the expected repay and a margin."""
    if outcome.call.cover_raw == MAX_UINT256:
        return outcome.repaid_raw + mul_div_up(outcome.repaid_raw, 1, _INTEREST_ROOM) + 1
    return max(outcome.call.cover_raw, outcome.repaid_raw)


def late_room_raw(view: MarketView, step: Outcome, at_s: int) -> int:
    """Return how much more than its repay is to be bought of a step's debt, so that a late run does not fall short.

    A millionth, as runs ahead of this one sell a hair more when they are late and rates move with
    every loan; a debt that is asked for whole grows by its interest until the run is at its latest.
    """
    call = step.call
    least_raw = mul_div_up(step.repaid_raw, 1, _ROOM_SHARE)
    if call.cover_raw != MAX_UINT256:
        return least_raw
    now, later = (view.pair(call.account, call.debt, call.collateral, each) for each in (at_s, at_s + _LATE_S))
    if isinstance(now, Refused) or isinstance(later, Refused):
        return least_raw
    return max(later.owed_raw - now.owed_raw, least_raw)


def needs_of(steps: Iterable[Outcome]) -> dict[Address, int]:
    """Return how much of each debt token must be at hand for all steps together, in the order of first use."""
    needs: dict[Address, int] = {}
    for step in steps:
        needs[step.call.debt] = needs.get(step.call.debt, 0) + needed_raw(step)
    return needs


def choose_funds(sources: Sources, steps: Sequence[Outcome], legs: Sale) -> tuple[Fund, ...] | None:
    """Return the cheapest funds of a run, one for each debt token in the order of its first step.

    The cost of a source is its premium and the gas of the run with it; of equals the one named
    first counts: own balance, flash swap, free flash loan, loan of the market. None when a token
    cannot be had. A pool that `legs` sell into lends nothing but the flash swap, in which the sale
    itself is the loan; the market does not lend what its own reserve then lacks to pay out.
    """
    needs = needs_of(steps)
    per_token = [list(_offers(sources, token, raw, legs, alone=len(needs) == 1)) for token, raw in needs.items()]
    if not all(per_token):
        return None
    if all(len(offers) == 1 for offers in per_token):
        only = tuple(offers[0] for offers in per_token)
        return only if _can_pay_out(sources, steps, only) else None
    routes = tuple(leg.route for leg in legs)
    ranked = sorted(product(*per_token), key=lambda funds: _cost(sources, steps, routes, funds))
    return next((funds for funds in ranked if _can_pay_out(sources, steps, funds)), None)


def _offers(sources: Sources, token: Address, amount_raw: int, legs: Sale, *, alone: bool) -> Iterator[Fund]:
    """Yield what could fund `amount_raw` of `token`; one's own balance ends the search, nothing is cheaper."""
    if sources.balances.get(token, 0) >= amount_raw:
        yield Fund(source="own", lender=ZERO_ADDRESS, token=token, amount_raw=amount_raw, premium_raw=0)
        return
    lender = _flash_swap_pool(token, amount_raw, legs) if alone else None
    if lender is not None:
        brought_raw = legs[0].amount_out_raw
        yield Fund(source="uniswap-v3-flash", lender=lender, token=token, amount_raw=brought_raw, premium_raw=0)
    if sources.flash_lender is not None and sources.lendable.get(token, 0) >= amount_raw:
        lender = sources.flash_lender
        yield Fund(source="morpho-flash", lender=lender, token=token, amount_raw=amount_raw, premium_raw=0)
    premium_raw = sources.view.flash_fee_raw(token, amount_raw)
    if premium_raw is not None:
        lender = sources.view.pool
        yield Fund(source="aave-flash-loan", lender=lender, token=token, amount_raw=amount_raw, premium_raw=premium_raw)


def _flash_swap_pool(token: Address, amount_raw: int, legs: Sale) -> Address | None:
    """Return the pool that pays the first leg's proceeds before it is paid, where they alone are enough.

    It is locked until the end of the run, so no other hop may use it.
    """
    if not legs:
        return None
    last = legs[0].quotes[-1]
    if last.hop.venue != "uniswap-v3" or last.hop.token_out != token or last.amount_out_raw < amount_raw:
        return None
    uses = sum(quote.hop.pool == last.hop.pool for leg in legs for quote in leg.quotes)
    return last.hop.pool if uses == 1 else None


def _cost(sources: Sources, steps: Sequence[Outcome], routes: Sequence[Route], funds: Sequence[Fund]) -> int:
    """Return what premiums and gas come to, in base units times 1e18."""
    gas_units = sources.memory.guess(shape_of(steps, routes, (fund.source for fund in funds)))
    return sources.gas.cost_wei(gas_units) * sources.gas.native_price_base + sum(
        mul_div_up(
            fund.premium_raw, (sources.view.price_base(fund.token) or 0) * WAD, 10 ** sources.view.decimals(fund.token)
        )
        for fund in funds
        if fund.premium_raw
    )


def _can_pay_out(sources: Sources, steps: Sequence[Outcome], funds: Sequence[Fund]) -> bool:
    """Whether every step does the same while the market's loans are out: they are missing from its reserves."""
    lent = {fund.token: fund.amount_raw for fund in funds if fund.source == "aave-flash-loan"}
    if not any(step.call.collateral in lent and step.call.receive == "underlying" for step in steps):
        return True
    view = sources.view
    for token, amount_raw in lent.items():
        view = view.during_flash_loan(token, amount_raw)
    for step in steps:
        if isinstance(view.outcome(step.call, sources.at_s), Refused):
            return False
        view = view.after(step.call, sources.at_s)
    return True
