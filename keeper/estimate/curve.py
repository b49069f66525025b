"""The profit of liquidating one pair of one account, as a function of the repay amount."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keeper.domain.fixed_point import mul_div_down
from keeper.domain.lending import LiquidationCall, Outcome, Refused, RepayRange
from keeper.domain.swaps import HopQuote, Route
from keeper.domain.units import MAX_UINT256, WAD, Address
from keeper.estimate.funding import Fund, choose_fund, needed_raw
from keeper.estimate.gas import GasMemory, GasPrice, shape_of
from keeper.ports import MarketView, VenueView

_MODEL_SLACK_RAW = 4
"""Rounding may move what is received off a straight line by this much before the line is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to liquidate: exact amounts, and what is left of them after gas.

    `profit_raw` is in the debt token before gas; `_base` figures are the market's base currency,
    profit rounded down and cost up. `rank` is the net in base units times 1e18, for comparisons
    finer than the base currency; `repaid_value` is the repay in the same unit.
    """

    outcome: Outcome
    quotes: tuple[HopQuote, ...]
    fund: Fund
    proceeds_raw: int
    profit_raw: int
    gas_units: int
    repaid_value: int
    profit_base: int
    gas_cost_base: int
    rank: int

    @property
    def net_base(self) -> int:
        """Profit less gas, in base units; negative for a loss."""
        return self.profit_base - self.gas_cost_base


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything a size is judged by: markets and pools at one instant, and what gas costs."""

    view: MarketView
    venues: VenueView
    at_s: int
    balances: Mapping[Address, int]
    gas: GasPrice
    memory: GasMemory


class PairCurve:
    """One (debt, collateral) pair of one account; outcomes are remembered while it lives."""

    def __init__(self, scene: Scene, account: Address, debt: Address, collateral: Address) -> None:
        self.scene = scene
        self.account = account
        self.debt = debt
        self.collateral = collateral
        self._price_base = scene.view.price_base(debt) or 0
        self._unit = 10 ** scene.view.decimals(debt)
        self._outcomes: dict[int, Outcome | None] = {}

    def ranges(self) -> list[RepayRange]:
        """Return all repay amounts the pool accepts, lowest first."""
        return self.scene.view.ranges(self.account, self.debt, self.collateral, self.scene.at_s)

    def routes(self) -> tuple[Route, ...]:
        """Return the known ways to sell the collateral for the debt token."""
        return tuple(self.scene.venues.routes(self.collateral, self.debt))

    def outcome(self, cover_raw: int) -> Outcome | None:
        """Return exactly what the pool would do, None where it would refuse."""
        if cover_raw not in self._outcomes:
            call = LiquidationCall(
                account=self.account, debt=self.debt, collateral=self.collateral, cover_raw=cover_raw
            )
            answer = self.scene.view.outcome(call, self.scene.at_s)
            self._outcomes[cover_raw] = None if isinstance(answer, Refused) else answer
        return self._outcomes[cover_raw]

    def choice(self, route: Route, cover_raw: int) -> Choice | None:
        """Return the exact result of one amount on one route; None when any part of it is impossible."""
        outcome = self.outcome(cover_raw)
        if outcome is None:
            return None
        quotes = self.scene.venues.quote(route, outcome.received_raw)
        fund = choose_fund(self.scene.view, self.debt, needed_raw(outcome), self.scene.balances)
        if quotes is None or fund is None:
            return None
        proceeds_raw = quotes[-1].amount_out_raw if quotes else outcome.received_raw
        profit_raw = proceeds_raw - outcome.repaid_raw - fund.premium_raw
        gas_units = self.scene.memory.guess(shape_of(route, fund.source, len(outcome.deficits)))
        return Choice(
            outcome=outcome,
            quotes=quotes,
            fund=fund,
            proceeds_raw=proceeds_raw,
            profit_raw=profit_raw,
            gas_units=gas_units,
            repaid_value=self.rank_of(outcome.repaid_raw, 0),
            profit_base=mul_div_down(profit_raw, self._price_base, self._unit),
            gas_cost_base=self.scene.gas.cost_base(gas_units),
            rank=self.rank_of(profit_raw, gas_units),
        )

    def rank_of(self, profit_raw: int, gas_units: int) -> int:
        """Return what is left of a profit after gas, in base units times 1e18."""
        gas = gas_units * self.scene.gas.wei_per_gas * self.scene.gas.native_price_base
        return mul_div_down(profit_raw, self._price_base * WAD, self._unit) - gas


class SmoothRange:
    """One range of explicit amounts, with what is received in it as a straight line.

    The pool's own arithmetic is linear inside a range but for rounding, so that a search need not
    ask it at every step; where the line does not hold, every step asks.
    """

    def __init__(self, curve: PairCurve, repay: RepayRange) -> None:
        self.low, self.high = repay.low_raw, repay.high_raw
        self._curve = curve
        self._low_out = self._received(self.low)
        self._high_out = self._received(self.high)
        self._is_line = self._fits((self.low + self.high) >> 1) and self._fits((self.low + 3 * self.high) >> 2)

    def received_raw(self, cover_raw: int) -> int | None:
        """Return the collateral received for `cover_raw`, to a few units; None where it is unknown."""
        if not self._is_line:
            return self._received(cover_raw)
        return self._line(cover_raw)

    def debt_per_unit_raw(self) -> int:
        """Return about how much repay brings one more unit of collateral, rounded up."""
        gained = (self._high_out or 0) - (self._low_out or 0)
        return mul_div_down(self.high - self.low, 1, gained) + 1 if gained > 0 else 0

    def _received(self, cover_raw: int) -> int | None:
        outcome = self._curve.outcome(cover_raw)
        return None if outcome is None or outcome.repaid_raw != cover_raw else outcome.received_raw

    def _line(self, cover_raw: int) -> int | None:
        if self._low_out is None or self._high_out is None:
            return None
        if self.high == self.low:
            return self._low_out
        rise = mul_div_down(cover_raw - self.low, self._high_out - self._low_out, self.high - self.low)
        return self._low_out + rise

    def _fits(self, cover_raw: int) -> bool:
        exact, line = self._received(cover_raw), self._line(cover_raw)
        return exact is not None and line is not None and abs(exact - line) <= _MODEL_SLACK_RAW


def cover_of(repay: RepayRange) -> int:
    """Return the argument that reaches the top of a range."""
    return MAX_UINT256 if repay.cover_max else repay.high_raw
