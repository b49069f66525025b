"""What a transaction costs at a head: tip and L1 fee, each asked for once. Part of the composition root."""

from __future__ import annotations

from contextlib import suppress
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from keeper.chain.client import RpcChain
from keeper.chain.l1_fee import find_l1_fees
from keeper.config.model import Settings
from keeper.domain.chain import Head
from keeper.domain.errors import RpcError, Transient
from keeper.domain.l1_fee import NO_L1_FEE, L1Fee
from keeper.domain.units import Address, to_address
from keeper.estimate.fees import bound_tip_wei
from keeper.ports import L1Fees

_GWEI = 10**9

# Stand for a run until one was encoded: about as long, and as hard to compress.
_SOMEBODY: Final = to_address(bytes(range(1, 21)))
_USUAL_CALLDATA: Final = bytes(range(1, 201)) * 2


class Costs:
    """The prices of one chain, as one configuration bounds them."""

    def __init__(self, chain: RpcChain, settings: Settings) -> None:
        self._chain = chain
        self._kind = settings.chain.l1_fee
        policy = settings.policy
        self._percentile = policy.tip_percentile
        self._least_wei = int((policy.min_tip_gwei * _GWEI).to_integral_value(rounding=ROUND_CEILING))
        self._most_wei = _floor_wei(policy.max_tip_gwei)
        self.max_gas_price_wei = _floor_wei(policy.max_gas_price_gwei)
        self._tip: tuple[str, int] | None = None
        self._l1_fees: L1Fees | None = None
        self._is_known = False
        self._usual = _SOMEBODY, _USUAL_CALLDATA

    async def tip_wei(self, head: Head) -> int:
        """Return the tip per gas to offer above the base fee; where blocks have none, the whole gas price.

        Asked for once a head. The operator's bounds are on tips alone.
        """
        if self._tip is None or self._tip[0] != head.hash:
            self._tip = head.hash, await self._read_tip_wei(head)
        return self._tip[1]

    async def prepare(self) -> None:
        """Find out how data is charged before the first plan waits for it; what fails now is asked for again then."""
        with suppress(Transient, RpcError):
            await self._find()

    async def fee(self, to: Address, data: bytes, at: Head) -> L1Fee:
        """Return the fee of a transaction's data, as the port L1Fees promises it; nothing where gas is all."""
        await self._find()
        if self._l1_fees is None:
            return NO_L1_FEE
        self._usual = to, data
        return await self._l1_fees.fee(to, data, at)

    async def usual_fee(self, at: Head) -> L1Fee:
        """Return the fee of data like the last that was asked about."""
        return await self.fee(*self._usual, at)

    async def _find(self) -> None:
        if not self._is_known:
            self._l1_fees = await find_l1_fees(self._chain, self._kind)
            self._is_known = True

    async def _read_tip_wei(self, head: Head) -> int:
        if head.base_fee_wei == 0:
            return await self._chain.gas_price_wei()
        suggested_wei = await self._chain.suggested_tip_wei(self._percentile)
        return bound_tip_wei(suggested_wei, least_wei=self._least_wei, most_wei=self._most_wei)


def _floor_wei(gwei: Decimal | None) -> int | None:
    return None if gwei is None else int((gwei * _GWEI).to_integral_value(rounding=ROUND_FLOOR))
