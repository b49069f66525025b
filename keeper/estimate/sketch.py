"""Runs in outline: exact liquidations, and from the pools' curves alone what their sale brings at most.

An outline costs microseconds, and what it says is never less than what the run then nets, but for
roundings: so outlines are ranked first, and only those that may be best are worked out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.lending import Outcome, Refused
from keeper.domain.units import BPS, WAD, Address
from keeper.estimate.curve import PairCurve
from keeper.estimate.flows import best_division
from keeper.estimate.gas import Shape
from keeper.estimate.scene import Scene
from keeper.ports import MarketView

Pair = tuple[Address, Address]
"""(debt, collateral)."""

Totals = Mapping[Pair, tuple[int, int]]
"""What is repaid and received of each pair, raw units."""

NO_WAY: Final = -(1 << 256)
"""The net of an outline that cannot be sold."""

_ROUNDINGS_RAW: Final = 8
_FREE: Final[Mapping[Address, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """Liquidations in order, the market after them, and the most they can bring in base units times 1e18.

    `gross` is before gas, `net` after the least gas.
    """

    market: MarketView
    steps: tuple[Outcome, ...] = ()
    totals: Totals = field(default_factory=dict)
    gross: int = 0
    net: int = 0

    @property
    def is_mixed(self) -> bool:
        """Whether it repays several debts."""
        return len({debt for debt, _ in self.totals}) > 1

    @property
    def leaves_more(self) -> bool:
        """Whether the account is liquidatable after it."""
        return not self.steps or self.steps[-1].health_after_wad < WAD


class Sketcher:
    """Values outlines; `premiums_bps` is what borrowing a debt costs, nothing where it is not named."""

    def __init__(self, scene: Scene, premiums_bps: Mapping[Address, int] = _FREE) -> None:
        self._scene = scene
        self._premiums_bps = premiums_bps

    def add(self, before: Outline, outcome: Outcome, market: MarketView) -> Outline:
        """Return `before` with one step more, which leaves `market`."""
        pair = (outcome.call.debt, outcome.call.collateral)
        repaid_raw, received_raw = before.totals.get(pair, (0, 0))
        total = (repaid_raw + outcome.repaid_raw, received_raw + outcome.received_raw)
        totals = {**before.totals, pair: total}
        steps = (*before.steps, outcome)
        is_mixed = len({debt for debt, _ in totals}) > 1
        gross, legs = self._mixed(totals) if is_mixed else self._plain(totals)
        net = gross - legs - self.gas_value(len(steps))
        return Outline(market=market, steps=steps, totals=totals, gross=gross, net=net)

    def _plain(self, totals: Totals) -> tuple[int, int]:
        """Return the most that steps of one debt can bring together, and what the gas of their legs costs at least."""
        gross = sum(self.gross(pair, *raw) for pair, raw in totals.items())
        return gross, sum(self._scene.least_leg_value(pair) for pair in totals)

    def _mixed(self, totals: Totals) -> tuple[int, int]:
        """Return the same for steps of several debts; what is seized may be sold for either."""
        owed: dict[Address, int] = {}
        seized: dict[Address, int] = {}
        for (debt, collateral), (repaid_raw, received_raw) in totals.items():
            owed[debt] = owed.get(debt, 0) + repaid_raw + self._premium_raw(debt, repaid_raw)
            seized[collateral] = seized.get(collateral, 0) + received_raw
        division = best_division(self._scene, seized, owed)
        if division is None:
            return NO_WAY, 0
        return division.value, division.value - division.net

    def gross(self, pair: Pair, repaid_raw: int, received_raw: int) -> int:
        """Return the most a pair can bring by these amounts, before gas."""
        debt, collateral = pair
        brought_raw = self._scene.venues.promise(collateral, debt, received_raw) + _ROUNDINGS_RAW
        return self._scene.value_of(debt, brought_raw - repaid_raw - self._premium_raw(debt, repaid_raw))

    def gain(self, pair: Pair, repaid_raw: int, received_raw: int) -> int:
        """Return the same less the gas of the cheapest leg."""
        return self.gross(pair, repaid_raw, received_raw) - self._scene.least_leg_value(pair)

    def _premium_raw(self, debt: Address, repaid_raw: int) -> int:
        return mul_div_down(repaid_raw, self._premiums_bps.get(debt, 0), BPS)

    def gas_value(self, steps: int) -> int:
        """Return what the gas of so many calls costs at least."""
        return self._scene.gas_value(self._scene.memory.guess(Shape(steps=steps, legs=(), funding=())))


class Ceilings:
    """The most that all repayments of pairs can bring together, before the gas of their calls.

    Close factor and dust rules are set aside, and each pair has the pools to itself. What is seized for
    one debt may be sold for another: where there are several, a collateral's ceiling is that of all its sales.
    """

    def __init__(self, sketcher: Sketcher, curves: Mapping[Pair, PairCurve]) -> None:
        """Work them out on pairs as they stand."""
        self._is_mixed = len({debt for debt, _ in curves}) > 1
        self._most: dict[Pair, int] = {pair: self._find(sketcher, curve) for pair, curve in curves.items()}
        self._by_collateral: dict[Address, int] = {}
        for (_, collateral), most in self._most.items():
            self._by_collateral[collateral] = self._by_collateral.get(collateral, 0) + most

    def most(self, pairs: Iterable[Pair]) -> int:
        """Return the most that these pairs can bring, base units times 1e18."""
        if self._is_mixed:
            return sum(self._by_collateral[collateral] for collateral in {collateral for _, collateral in pairs})
        return sum(self._most[pair] for pair in set(pairs))

    def _find(self, sketcher: Sketcher, curve: PairCurve) -> int:
        if isinstance(curve.pair, Refused):
            return 0
        received, repaid = curve.pair.rate
        peaks = curve.peaks_raw(0)
        most_raw = mul_div_up(curve.pair.held_raw, repaid, received)
        if not self._is_mixed:
            most_raw = min(most_raw, curve.owed_raw)
        repay_raw = min(max(peaks), most_raw) if peaks else 0
        if not repay_raw:
            return 0
        received_raw = mul_div_up(repay_raw, received, repaid)
        return max(sketcher.gain((curve.debt, curve.collateral), repay_raw, received_raw), 0)
