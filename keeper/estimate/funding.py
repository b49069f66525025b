"""Where the debt token comes from for the length of one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keeper.domain.fixed_point import mul_div_up
from keeper.domain.lending import Outcome
from keeper.domain.plans import Funding
from keeper.domain.units import MAX_UINT256, Address
from keeper.ports import MarketView

_INTEREST_ROOM = 20_000
"""One part in this many is borrowed beyond the expected repay where the pool decides the amount:
more than the interest of fifteen minutes at a yearly 100 %. What is not taken is returned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fund:
    """Where `amount_raw` of the debt token comes from, and its premium in the same unit."""

    source: Funding
    amount_raw: int
    premium_raw: int


def needed_raw(outcome: Outcome) -> int:
    """Return what must be at hand for the call: the explicit cover, or the expected repay and a margin."""
    if outcome.call.cover_raw == MAX_UINT256:
        return outcome.repaid_raw + mul_div_up(outcome.repaid_raw, 1, _INTEREST_ROOM) + 1
    return max(outcome.call.cover_raw, outcome.repaid_raw)


def choose_fund(view: MarketView, token: Address, amount_raw: int, balances: Mapping[Address, int]) -> Fund | None:
    """Return the cheapest source of `amount_raw`: the executor's own balance, which costs nothing,
    else a flash loan of the same pool; None when neither has it.
    """
    if balances.get(token, 0) >= amount_raw:
        return Fund(source="own", amount_raw=amount_raw, premium_raw=0)
    premium_raw = view.flash_fee_raw(token, amount_raw)
    if premium_raw is None:
        return None
    return Fund(source="aave-flash-loan", amount_raw=amount_raw, premium_raw=premium_raw)
