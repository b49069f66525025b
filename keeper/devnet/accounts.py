"""The well-known accounts every local chain of this kind starts with. Worthless anywhere else."""

from dataclasses import dataclass, field
from typing import Final

from keeper.domain.units import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class DevAccount:
    """An account whose key the whole world knows."""

    address: Address
    private_key: str = field(repr=False)


# From the mnemonic "test test test test test test test test test test test junk"; number 0 builds the worlds.
OPERATOR: Final = DevAccount(
    address=Address("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
    private_key="0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
)
STRANGER: Final = DevAccount(
    address=Address("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
    private_key="0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
)
TREASURY: Final = Address("0x90F79bf6EB2c4f870365E785982E1f101E93b906")
