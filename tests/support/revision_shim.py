"""A pool that claims another revision than it has: everything else is answered by the real code behind it."""

from __future__ import annotations

from keeper.devnet.world import World
from keeper.domain.units import Address, address_bytes, to_address

_REAL = to_address("0x" + "5e" * 20)
_POOL_REVISION = bytes.fromhex("0148170e")
# EIP-1967: where a proxy keeps the address of its implementation.
_IMPLEMENTATION_SLOT = "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc"


async def claim_revision(world: World, number: int) -> None:
    """Make the pool of `world` answer POOL_REVISION() with `number` (below 256)."""
    rpc = world.anvil.rpc
    word = await rpc.call("eth_getStorageAt", world.market.pool, _IMPLEMENTATION_SLOT, "latest")
    implementation = Address("0x" + word[-40:])
    code = await rpc.call("eth_getCode", implementation, "latest")
    await rpc.call("anvil_setCode", _REAL, code)
    await world.anvil.set_code(implementation, _shim(number))


def _shim(number: int) -> bytes:
    """Return code that answers one selector and delegates every other call to the real code."""
    dispatch = bytes.fromhex("5f3560e01c63") + _POOL_REVISION + bytes.fromhex("1460")
    forward = (
        bytes.fromhex("365f5f375f5f365f73")  # copy the calldata; lengths of what comes back are not known yet
        + address_bytes(_REAL)
        + bytes.fromhex("5af43d5f5f3e60")  # delegate, copy what came back
    )
    end = bytes.fromhex("573d5ffd5b3d5ff3")  # revert with it, or return it
    start = len(dispatch) + 2
    succeeded = start + len(forward) + 1 + 4
    answer = succeeded + 4
    body = dispatch + bytes([answer]) + b"\x57" + forward + bytes([succeeded]) + end
    return body + bytes.fromhex("5b60") + bytes([number]) + bytes.fromhex("5f5260205ff3")
