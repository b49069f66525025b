"""What each shape of run costs in gas: a coarse guess at first, then what was last simulated."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from keeper.domain.fixed_point import mul_div_up
from keeper.domain.plans import Funding
from keeper.domain.swaps import Hop, VenueKind
from keeper.domain.units import WAD

_LIQUIDATION_GAS: Final = 300_000
_FLASH_LOAN_GAS: Final = 70_000
_DEFICIT_GAS: Final = 60_000
_HOP_GAS: Final[dict[VenueKind, int]] = {"uniswap-v2": 50_000, "uniswap-v3": 70_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What decides the gas of a run, apart from the odd tick crossed."""

    hops: tuple[VenueKind, ...]
    funding: Funding
    deficits: int = 0


def shape_of(hops: Iterable[Hop], funding: Funding, deficits: int) -> Shape:
    """Return the shape of a run; an empty route is the sale of nothing (same asset on both sides)."""
    return Shape(hops=tuple(hop.venue for hop in hops), funding=funding, deficits=deficits)


class GasMemory:
    """The gas of each shape as last simulated.

    Before a shape was simulated the guess is on the low side, so that a plan is rejected for its
    gas only when that is certain; the simulation then decides, and is remembered.
    """

    def __init__(self) -> None:
        self._known: dict[Shape, int] = {}

    def is_known(self, shape: Shape) -> bool:
        """Whether this shape was simulated before."""
        return shape in self._known

    def learn(self, shape: Shape, gas_units: int) -> None:
        """Remember what a run of this shape used."""
        self._known[shape] = gas_units

    def guess(self, shape: Shape) -> int:
        """Return the gas a run of this shape is expected to use."""
        known = self._known.get(shape)
        if known is not None:
            return known
        flash = _FLASH_LOAN_GAS if shape.funding == "aave-flash-loan" else 0
        hops = sum(_HOP_GAS[kind] for kind in shape.hops)
        return _LIQUIDATION_GAS + flash + hops + shape.deficits * _DEFICIT_GAS


@dataclass(frozen=True, slots=True, kw_only=True)
class GasPrice:
    """What gas costs in a market's base currency. `native_price_base` is of 1e18 wei."""

    wei_per_gas: int
    native_price_base: int

    def cost_base(self, gas_units: int) -> int:
        """Return the cost of `gas_units` in base units, rounded up."""
        return mul_div_up(gas_units * self.wei_per_gas, self.native_price_base, WAD)
