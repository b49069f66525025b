"""What each shape of run costs in gas: a coarse guess at first, then what was last simulated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.lending import Outcome
from keeper.domain.plans import Funding, Plan
from keeper.domain.swaps import Route, VenueKind
from keeper.domain.units import WAD

# measured on Aave 3.0.2 and 3.6 with real Uniswap pools; the lower of both
_FIRST_STEP_GAS: Final = 430_000
_NEXT_STEP_GAS: Final = 160_000
_NEXT_COLLATERAL_GAS: Final = 75_000
_DEFICIT_GAS: Final = 20_000
_REDEEM_GAS: Final = 90_000
_FUND_GAS: Final[dict[Funding, int]] = {
    "own": 0,
    "aave-flash-loan": 55_000,
    "uniswap-v3-flash": 5_000,
    "morpho-flash": 25_000,
}
_HOP_GAS: Final[dict[VenueKind, int]] = {"uniswap-v2": 60_000, "uniswap-v3": 70_000}
REPEAT_REBATE_GAS: Final = 20_000
"""The storage of a pool that was used before is warm."""
_WHOLE_BPS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What decides the gas of a run, apart from the odd tick crossed: how many steps, which legs, whose funds.

    `repeats` counts the hops into pools that an earlier hop went into.
    """

    steps: int
    legs: tuple[tuple[VenueKind, ...], ...]
    funding: tuple[Funding, ...]
    collaterals: int = 1
    deficits: int = 0
    redeemed: int = 0
    repeats: int = 0


def shape_of(steps: Sequence[Outcome], routes: Iterable[Route], funding: Iterable[Funding]) -> Shape:
    """Return the shape of a run; without routes nothing is sold (same asset on both sides)."""
    chosen = tuple(routes)
    pools = [hop.pool for route in chosen for hop in route]
    return Shape(
        steps=len(steps),
        legs=tuple(tuple(hop.venue for hop in route) for route in chosen),
        funding=tuple(funding),
        collaterals=len({step.call.collateral for step in steps}),
        deficits=sum(len(step.deficits) for step in steps),
        redeemed=sum(step.call.receive == "atoken" for step in steps),
        repeats=len(pools) - len(set(pools)),
    )


def shape_of_plan(plan: Plan) -> Shape:
    """Return the shape of a plan's run."""
    return shape_of(plan.steps, (leg.route for leg in plan.legs), (fund.source for fund in plan.funds))


def leg_gas(route: Route) -> int:
    """Return about how much gas selling along one more route costs."""
    return sum(_HOP_GAS[hop.venue] for hop in route)


class GasMemory:
    """The gas of each shape as last simulated.

    Before a shape was simulated the guess is on the low side, so that a plan is rejected for its
    gas only when that is certain: the sum of its parts, scaled by the least that any shape's
    measured gas came to in proportion. The simulation then decides, and is remembered.
    """

    def __init__(self) -> None:
        self._known: dict[Shape, int] = {}
        self._guesses: dict[Shape, int] = {}
        self._least_bps: int | None = None

    def is_known(self, shape: Shape) -> bool:
        """Whether this shape was simulated before."""
        return shape in self._known

    def learn(self, shape: Shape, gas_units: int) -> None:
        """Remember what a run of this shape used."""
        self._known[shape] = gas_units
        self._guesses.clear()
        proportion_bps = mul_div_down(gas_units, _WHOLE_BPS, _sum_up(shape))
        self._least_bps = proportion_bps if self._least_bps is None else min(self._least_bps, proportion_bps)

    def guess(self, shape: Shape) -> int:
        """Return the gas a run of this shape is expected to use."""
        guess = self._guesses.get(shape)
        if guess is None:
            guess = self._known.get(shape)
            if guess is None:
                guess = mul_div_down(_sum_up(shape), self._least_bps or _WHOLE_BPS, _WHOLE_BPS)
            self._guesses[shape] = guess
        return guess


def _sum_up(shape: Shape) -> int:
    return (
        _FIRST_STEP_GAS
        + (shape.steps - 1) * _NEXT_STEP_GAS
        + (shape.collaterals - 1) * _NEXT_COLLATERAL_GAS
        + shape.deficits * _DEFICIT_GAS
        + shape.redeemed * _REDEEM_GAS
        + sum(_FUND_GAS[source] for source in shape.funding)
        + sum(_HOP_GAS[kind] for leg in shape.legs for kind in leg)
        - shape.repeats * REPEAT_REBATE_GAS
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GasPrice:
    """What gas costs in a market's base currency. `native_price_base` is of 1e18 wei.

    `l1_fee_wei` is what the data of a usual run costs on a rollup, whatever the run does.
    """

    wei_per_gas: int
    native_price_base: int
    l1_fee_wei: int = 0

    def cost_wei(self, gas_units: int) -> int:
        """Return what a run of `gas_units` pays for gas and data."""
        return gas_units * self.wei_per_gas + self.l1_fee_wei

    def cost_base(self, gas_units: int) -> int:
        """Return the cost of a run of `gas_units`, its data included, in base units, rounded up."""
        return self.base_of(self.cost_wei(gas_units))

    def base_of(self, wei: int) -> int:
        """Return what `wei` is worth in base units, rounded up."""
        return mul_div_up(wei, self.native_price_base, WAD)
