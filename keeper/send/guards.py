"""Limits on what may be lost. Pure: given the journal's facts, they admit, refuse, or trip.

A cap bounds a sum that counts every slot at the most it can still cost: what is in flight, and what a reorg may still
take back, at its reservation; the rest at what it cost. So a cap holds whatever the chain does next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from keeper.domain.fixed_point import mul_div_up
from keeper.domain.units import WAD, Address
from keeper.store.records import Ended, GateFacts, Spent, Stake, Trip

HOUR_S: Final = 3_600
Measure = Literal["notional", "gas", "loss"]
Scope = Literal["transaction", "account", "market", "hour", "day"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The most of each measure; None is no bound. Dollars are 1e-8 US dollars."""

    notional_usd_e8: int | None = None
    gas_wei: int | None = None
    loss_usd_e8: int | None = None


NO_CAPS: Final = Caps()


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """What the operator allows.

    `account` and `market` bound sums of a rolling day each, `hour` and `day` sums of a rolling hour and day over
    everything. Time is the chain's: the time of the block that was newest when a slot was reserved. Empty allow lists
    (None) allow all; what is denied is denied even when it is allowed too.
    """

    transaction: Caps = NO_CAPS
    account: Caps = NO_CAPS
    market: Caps = NO_CAPS
    hour: Caps = NO_CAPS
    day: Caps = NO_CAPS
    max_consecutive_reverts: int | None = None
    max_drawdown_usd_e8: int | None = None
    balance_floor_wei: int = 0
    allow_markets: frozenset[str] | None = None
    deny_markets: frozenset[str] = field(default_factory=frozenset)
    allow_tokens: frozenset[Address] | None = None
    deny_tokens: frozenset[Address] = field(default_factory=frozenset)
    allow_accounts: frozenset[Address] | None = None
    deny_accounts: frozenset[Address] = field(default_factory=frozenset)
    unarmed_markets: frozenset[str] = field(default_factory=frozenset)


NO_GUARDS: Final = Guards()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one slot would count for. `slot_id` names it when it is in the journal already."""

    market: str | None
    account: Address | None
    notional_usd_e8: int
    gas_wei: int
    loss_usd_e8: int
    slot_id: int | None = None


def claim_of(
    stake: Stake, *, market: str | None, account: Address | None, worst_case_wei: int, slot_id: int | None = None
) -> Claim:
    """Return the claim of a slot whose worst case is that all its gas is burnt for nothing."""
    return Claim(
        market=market,
        account=account,
        notional_usd_e8=stake.notional_usd_e8,
        gas_wei=worst_case_wei,
        loss_usd_e8=mul_div_up(worst_case_wei, stake.native_usd_e8, WAD),
        slot_id=slot_id,
    )


def refuse_name(
    guards: Guards, *, market: str | None, account: Address | None, tokens: Iterable[Address]
) -> str | None:
    """Return why nothing may be sent for this market, account or token, None when it may."""
    if market is not None:
        if market in guards.unarmed_markets:
            return "market_not_armed"
        if _is_barred(market, guards.allow_markets, guards.deny_markets):
            return "market_denied"
    if account is not None and _is_barred(account, guards.allow_accounts, guards.deny_accounts):
        return "account_denied"
    if any(_is_barred(token, guards.allow_tokens, guards.deny_tokens) for token in tokens):
        return "token_denied"
    return None


def refuse_sum(guards: Guards, claim: Claim, facts: GateFacts) -> str | None:
    """Return the code of the first cap `claim` would exceed together with what is spent, None when all hold."""
    others = [each for each in facts.spent if each.slot_id != claim.slot_id]
    for scope, caps, counts in _scopes(guards, claim, facts.now_s):
        counted = [each for each in others if counts(each)]
        for measure, bound, mine, theirs in _sums(caps, claim, counted):
            if bound is not None and mine + theirs > bound:
                return f"cap_{scope}_{measure}"
    return None


def trip_of(guards: Guards, ended: Sequence[Ended]) -> Trip | None:
    """Return why everything has to halt, None when nothing speaks for it."""
    most = guards.max_consecutive_reverts
    reverts = _reverts_in_a_row(ended)
    if most is not None and reverts >= most:
        return Trip(code="breaker_reverts", reason=f"{reverts} transactions in a row reverted")
    deepest = guards.max_drawdown_usd_e8
    lost = _drawdown_usd_e8(ended)
    if deepest is not None and lost >= deepest:
        return Trip(code="breaker_drawdown", reason=f"the result of the last day fell by {lost} e-8 US dollars")
    return None


def _is_barred(name: str, allowed: Collection[str] | None, denied: Collection[str]) -> bool:
    return name in denied or (allowed is not None and name not in allowed)


def _scopes(guards: Guards, claim: Claim, now_s: int) -> Iterator[tuple[Scope, Caps, Callable[[Spent], bool]]]:
    yield "transaction", guards.transaction, lambda _: False
    if claim.account is not None:
        yield "account", guards.account, lambda each: each.account == claim.account and each.market == claim.market
    if claim.market is not None:
        yield "market", guards.market, lambda each: each.market == claim.market
    yield "hour", guards.hour, lambda each: each.open or each.reserved_at_s > now_s - HOUR_S
    yield "day", guards.day, lambda _: True


def _sums(caps: Caps, claim: Claim, counted: Sequence[Spent]) -> Iterator[tuple[Measure, int | None, int, int]]:
    yield (
        "notional",
        caps.notional_usd_e8,
        claim.notional_usd_e8,
        sum(each.notional_usd_e8 for each in counted),
    )
    yield "gas", caps.gas_wei, claim.gas_wei, sum(each.gas_wei for each in counted)
    yield "loss", caps.loss_usd_e8, claim.loss_usd_e8, sum(each.loss_usd_e8 for each in counted)


def _reverts_in_a_row(ended: Sequence[Ended]) -> int:
    """Return how many of the newest reverted; given-up ones neither count nor interrupt."""
    states = [each.state for each in ended if each.state != "given-up"]
    return next((count for count, state in enumerate(reversed(states)) if state != "reverted"), len(states))


def _drawdown_usd_e8(ended: Sequence[Ended]) -> int:
    """Return how far the running result stands below its highest point."""
    total = peak = 0
    for each in ended:
        total += each.result_usd_e8
        peak = max(peak, total)
    return peak - total
