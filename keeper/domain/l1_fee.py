"""What a rollup charges for putting a transaction's data on the chain it settles on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

L1FeeKind = Literal["none", "op-stack", "arbitrum"]


@dataclass(frozen=True, slots=True, kw_only=True)
class L1Fee:
    """The fee of one transaction's data.

    `gas_units` is the gas the chain counts it as, on top of what execution uses (Arbitrum): it needs room in the gas
    limit. 0 where the fee is taken beside the gas (OP stack), and no fee cap bounds it.
    """

    wei: int
    gas_units: int = 0


NO_L1_FEE: Final = L1Fee(wei=0)
