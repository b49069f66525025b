"""What a chain shows: heads, logs, calls, receipts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from keeper.domain.units import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One block header. `hash` and `parent_hash` are 0x-prefixed lower-case text."""

    number: int
    hash: str
    parent_hash: str
    timestamp_s: int
    base_fee_wei: int
    gas_used: int
    gas_limit: int


class Log(NamedTuple):
    """One event log of a mined block. A tuple, because histories have millions: it is made in half the time."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: str
    transaction_hash: str
    log_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One read: `data` sent to `to`."""

    to: Address
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResult:
    """Answer of one read: return data when `ok`, else revert data (empty when there was none)."""

    ok: bool
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A mined transaction. `ok` is the receipt's status.

    `l1_fee_wei` is what a rollup took for the data, beside the gas; 0 where it takes nothing, or takes it as gas.
    """

    transaction_hash: str
    ok: bool
    block_number: int
    block_hash: str
    gas_used: int
    effective_gas_price_wei: int
    contract_address: Address | None
    logs: tuple[Log, ...]
    l1_fee_wei: int = 0

    @property
    def cost_wei(self) -> int:
        """All that was paid for the transaction."""
        return self.gas_used * self.effective_gas_price_wei + self.l1_fee_wei


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCall:
    """A transaction to be executed in a simulated block; `to` None creates a contract."""

    sender: Address
    to: Address | None
    data: bytes
    value_wei: int = 0
    gas_units: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedOutcome:
    """What a simulated transaction did. `data` is return data, or revert data when not `ok`."""

    ok: bool
    data: bytes
    gas_units: int
    logs: tuple[Log, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOverride:
    """Fields of one account replaced for the length of a simulated call."""

    balance_wei: int | None = None
    nonce: int | None = None
    code: bytes | None = None
    storage: dict[int, int] = field(default_factory=dict)
