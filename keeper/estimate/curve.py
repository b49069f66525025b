"""The profit of one more liquidation of one pair of an account, as a function of the repay amount."""

from __future__ import annotations

from functools import cached_property
from typing import Final

from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.lending import Outcome, Refused, RepayRange
from keeper.domain.units import BPS, MAX_UINT256, Address
from keeper.estimate.runs import weigh
from keeper.estimate.scene import Choice, Scene
from keeper.estimate.search import first_true
from keeper.ports import MarketView, PairView

_NO_LIMIT_RAW: Final = 1 << 128
"""More than any account owes."""


class PairCurve:
    """One (debt, collateral) pair of one account in `market`: that of the scene, or what earlier steps leave of it.

    What has been worked out is remembered while the curve lives.
    """

    def __init__(
        self,
        scene: Scene,
        account: Address,
        debt: Address,
        collateral: Address,
        *,
        market: MarketView | None = None,
    ) -> None:
        self.scene = scene
        self.account = account
        self.debt = debt
        self.collateral = collateral
        self.market = market or scene.view
        self._choices: dict[int, Choice | None] = {}

    @cached_property
    def pair(self) -> PairView | Refused:
        """The pair as the market has it, or why nothing of it can be liquidated."""
        return self.market.pair(self.account, self.debt, self.collateral, self.scene.at_s)

    @cached_property
    def ranges(self) -> list[RepayRange]:
        """All repay amounts the pool accepts, lowest first."""
        return [] if isinstance(self.pair, Refused) else self.pair.ranges()

    @property
    def owed_raw(self) -> int:
        """All that is owed of the debt."""
        return 0 if isinstance(self.pair, Refused) else self.pair.owed_raw

    @cached_property
    def turns(self) -> list[int]:
        """The repay amounts around which what may be done afterwards changes, ascending."""
        return [] if isinstance(self.pair, Refused) else self.pair.turns()

    @cached_property
    def premiums_bps(self) -> tuple[int, ...]:
        """The rates at which the debt may come to be borrowed."""
        scene = self.scene
        if any(held.get(self.debt, 0) >= self.owed_raw for held in (scene.balances, scene.lendable)):
            return (0,)
        rate_bps = scene.rates_bps.get(self.debt)
        if rate_bps is None:
            rate_bps = scene.rates_bps[self.debt] = scene.view.flash_fee_raw(self.debt, BPS) or 0
        return (rate_bps, 0) if rate_bps else (0,)

    @cached_property
    def limits_raw(self) -> list[int]:
        """How much of the debt each source that lends less than all of it has: the best they can do may lie there."""
        scene, owed_raw = self.scene, self.owed_raw
        has = [held.get(self.debt, 0) for held in (scene.balances, scene.lendable)]
        if scene.view.flash_fee_raw(self.debt, owed_raw) is None:
            has.append(first_true(lambda raw: scene.view.flash_fee_raw(self.debt, raw) is None, 0, owed_raw) - 1)
        return [raw for raw in has if 0 < raw < owed_raw]

    def outcome(self, cover_raw: int) -> Outcome | None:
        """Return exactly what the pool would do, None where it would refuse."""
        answer = self.pair if isinstance(self.pair, Refused) else self.pair.outcome(cover_raw)
        return None if isinstance(answer, Refused) else answer

    def choice(self, cover_raw: int) -> Choice | None:
        """Return exactly what this step alone comes to; None when any part of it is impossible."""
        if cover_raw not in self._choices:
            outcome = self.outcome(cover_raw)
            self._choices[cover_raw] = None if outcome is None else weigh(self.scene, (outcome,))
        return self._choices[cover_raw]

    def peaks_raw(self, premium_bps: int) -> tuple[int, ...]:
        """Return the repay amounts that would net most whatever is accepted, best first: one for each way to sell.

        There the last unit of collateral sells at (1 + premium) / rate.
        """
        if isinstance(self.pair, Refused):
            return ()
        received, repaid = self.pair.rate
        if self.debt == self.collateral:
            return (_NO_LIMIT_RAW,) if received * BPS > repaid * (BPS + premium_bps) else ()
        key = (self.debt, self.collateral, received, repaid, premium_bps)
        sold = self.scene.peaks.get(key)
        if sold is None:
            price = repaid * (BPS + premium_bps), received * BPS
            cost = self.scene.leg_cost_raw(self.debt)
            sold = self.scene.peaks[key] = self.scene.venues.peaks(self.collateral, self.debt, *price, cost)
        return tuple(mul_div_down(each, repaid, received) for each in sold)

    def repay_for(self, received_raw: int) -> int:
        """Return about the repay that brings so much collateral, rounded up."""
        if isinstance(self.pair, Refused):
            return 0
        received, repaid = self.pair.rate
        return mul_div_up(received_raw, repaid, received)


def cover_of(repay: RepayRange) -> int:
    """Return the argument that reaches the top of a range."""
    return MAX_UINT256 if repay.cover_max else repay.high_raw
