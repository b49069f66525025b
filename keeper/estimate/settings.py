"""What the operator decided about profit, size and cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_CEILING, Decimal
from typing import Final, Literal

from keeper.domain.units import WAD, Address

Sizing = Literal["max-profit", "max", "target-health"]

DEFAULT_DEADLINE_BLOCKS: Final = 10
"""A plan may still settle ten blocks on: long enough for the base fee to rise threefold and for
one replacement, short enough that prices have hardly moved. The minimum profit guards the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateSettings:
    """Policy, frozen for the life of the process. `min_profit_usd` counts after gas.

    `tip_profit_bps` is the share of the profit after gas that may be added to the tip.
    """

    chain_id: int
    min_profit_usd: Decimal = Decimal(0)
    sizing: Sizing = "max-profit"
    target_health_wad: int = WAD
    max_gas_price_wei: int | None = None
    tip_profit_bps: int = 0
    wrapped_native: Address | None = None
    deadline_blocks: int = DEFAULT_DEADLINE_BLOCKS
    denied_accounts: frozenset[Address] = field(default_factory=frozenset)

    def min_profit_base(self, base_unit: int) -> int:
        """Return the least net profit in a market's base currency, rounded up."""
        return int((self.min_profit_usd * base_unit).to_integral_value(rounding=ROUND_CEILING))
