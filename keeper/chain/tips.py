"""What to offer above the base fee: what the last blocks were paid, else what the node thinks."""

from __future__ import annotations

from typing import Any, Final

from keeper.chain import decode
from keeper.chain.rpc import RpcClient
from keeper.domain.errors import RpcError

DEFAULT_TIP_WEI: Final = 10**9
"""Where neither history nor node says anything."""

_BLOCKS: Final = 20


async def suggest_tip_wei(rpc: RpcClient, percentile: int) -> int:
    """Return the median, over recent blocks that were paid any, of the tip at `percentile` of a block's gas."""
    try:
        tip_wei = await rpc.request("eth_feeHistory", (hex(_BLOCKS), "latest", [percentile]), _median_of_paid)
    except RpcError:
        tip_wei = None
    if tip_wei is not None:
        return tip_wei
    try:
        return await rpc.request("eth_maxPriorityFeePerGas", (), fee)
    except RpcError:
        return DEFAULT_TIP_WEI


def fee(value: Any) -> int:
    """Return a price per gas, in wei."""
    return decode.quantity(value, bits=128)


def _median_of_paid(value: Any) -> int | None:
    rewards = value.get("reward") if isinstance(value, dict) else None
    if rewards is None:  # a chain without tips has none
        return None
    tips = (fee(row[0]) for row in decode.items(rewards) if isinstance(row, list) and row)
    paid = sorted(tip for tip in tips if tip)
    return paid[len(paid) // 2] if paid else None
