"""Runs in outline: exact liquidations, and from the pools' curves alone what their sale brings at most.

An outline costs microseconds, and what it says is never less than what the run then nets, but for
roundings: so outlines are ranked first, and only those that may be best are worked out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import permutations
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

    `gross` is before gas, `net` after the least gas. Where it `is_loose`, what several debts share is valued
    by a few ways to sell it alone: about the most they can bring.
    """

    market: MarketView
    steps: tuple[Outcome, ...] = ()
    totals: Totals = field(default_factory=dict)
    gross: int = 0
    net: int = 0
    is_loose: bool = False

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
        self._gas_values: dict[int, int] = {}

    def add(self, before: Outline, outcome: Outcome, market: MarketView) -> Outline:
        """Return `before` with one step more, which leaves `market`."""
        pair = (outcome.call.debt, outcome.call.collateral)
        repaid_raw, received_raw = before.totals.get(pair, (0, 0))
        total = (repaid_raw + outcome.repaid_raw, received_raw + outcome.received_raw)
        totals = {**before.totals, pair: total}
        steps = (*before.steps, outcome)
        is_mixed = len({debt for debt, _ in totals}) > 1
        gross, legs = self._loose(totals) if is_mixed else self._plain(totals)
        net = gross - legs - self.gas_value(len(steps))
        return Outline(market=market, steps=steps, totals=totals, gross=gross, net=net, is_loose=is_mixed)

    def tighten(self, outline: Outline) -> Outline:
        """Return the same run with what is seized divided between its debts."""
        if not outline.is_loose:
            return outline
        gross, legs = self._mixed(outline.totals)
        net = gross - legs - self.gas_value(len(outline.steps))
        return replace(outline, gross=gross, net=net, is_loose=False)

    def _plain(self, totals: Totals) -> tuple[int, int]:
        """Return the most that steps of one debt can bring together, and what the gas of their legs costs at least.

        A pool that takes one of the collaterals may lend the debt for nothing where it brings all that is repaid.
        """
        (debt, _), *_ = totals
        repaid_raw = sum(repaid for repaid, _ in totals.values())
        brought = {pair: self._brought_raw(pair, received_raw) for pair, (_, received_raw) in totals.items()}
        lent_raw = max((raw for (_, collateral), raw in brought.items() if collateral != debt), default=0)
        premium_raw = self._premium_raw(debt, repaid_raw) if lent_raw < repaid_raw else 0
        gross = self._scene.value_of(debt, sum(brought.values()) - repaid_raw - premium_raw)
        return gross, sum(self._scene.least_leg_value(pair) for pair in totals)

    def _brought_raw(self, pair: Pair, received_raw: int) -> int:
        debt, collateral = pair
        return self._scene.venues.promise(collateral, debt, received_raw) + _ROUNDINGS_RAW

    def _loose(self, totals: Totals) -> tuple[int, int]:
        """Return about the most that steps of several debts can bring, far cheaper than `_mixed` tells it.

        Each collateral is sold as if its own pools were all there is: for one debt, for those it was seized for,
        or in quarters for two.
        """
        scene, (owed, seized) = self._scene, self._sums(totals)
        gross = sum(scene.value_of(debt, _ROUNDINGS_RAW - raw) for debt, raw in owed.items())
        for collateral, raw in seized.items():
            quarters = [{one: raw - part, other: part} for one, other in permutations(owed, 2) for part in _parts(raw)]
            own = {debt: got_raw for (debt, sold), (_, got_raw) in totals.items() if sold == collateral}
            gross += max(self._brings(collateral, split) for split in (own, *quarters))
        legs = sum(min(scene.least_leg_value((debt, collateral)) for debt in owed) for collateral in seized)
        return gross, legs

    def _brings(self, collateral: Address, split: Mapping[Address, int]) -> int:
        scene = self._scene
        return sum(
            scene.value_of(debt, scene.venues.promise(collateral, debt, raw)) for debt, raw in split.items() if raw
        )

    def _sums(self, totals: Totals) -> tuple[dict[Address, int], dict[Address, int]]:
        """Return what has to be paid back of each debt, and what is received of each collateral."""
        owed: dict[Address, int] = {}
        seized: dict[Address, int] = {}
        for (debt, collateral), (repaid_raw, received_raw) in totals.items():
            owed[debt] = owed.get(debt, 0) + repaid_raw + self._premium_raw(debt, repaid_raw)
            seized[collateral] = seized.get(collateral, 0) + received_raw
        return owed, seized

    def _mixed(self, totals: Totals) -> tuple[int, int]:
        """Return the same for steps of several debts; what is seized may be sold for either."""
        owed, seized = self._sums(totals)
        division = best_division(self._scene, seized, owed)
        if division is None:
            return NO_WAY, 0
        return division.value, division.value - division.net

    def gain(self, pair: Pair, repaid_raw: int, received_raw: int) -> int:
        """Return the most a pair can bring by these amounts without a premium, less the gas of the cheapest leg."""
        gross = self._scene.value_of(pair[0], self._brought_raw(pair, received_raw) - repaid_raw)
        return gross - self._scene.least_leg_value(pair)

    def _premium_raw(self, debt: Address, repaid_raw: int) -> int:
        """Return what borrowing the debt costs where nobody lends it for nothing."""
        if any(held.get(debt, 0) >= repaid_raw for held in (self._scene.balances, self._scene.lendable)):
            return 0
        return mul_div_down(repaid_raw, self._premiums_bps.get(debt, 0), BPS)

    def gas_value(self, steps: int) -> int:
        """Return what the gas of so many calls costs at least."""
        value = self._gas_values.get(steps)
        if value is None:
            gas_units = self._scene.memory.guess(Shape(steps=steps, legs=(), funding=()))
            value = self._gas_values[steps] = self._scene.gas_value(gas_units)
        return value


def _parts(raw: int) -> tuple[int, int, int]:
    """Return nothing, a quarter and a half."""
    return 0, raw >> 2, raw >> 1


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
