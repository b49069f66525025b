"""What has been promised to the chain, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keeper.domain.units import Address

AttemptState = Literal["reserved", "signed", "sent", "success", "reverted", "given-up"]
"""`sent` covers accepted and ambiguous broadcasts; only evidence on the chain ends an attempt."""

EntryStatus = Literal["success", "reverted", "dry-run", "given-up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One signed transaction (or the nonce reserved for it) and where it stands."""

    intent: str
    kind: Literal["liquidation", "deploy", "fill"]
    market: str | None
    account: Address | None
    nonce: int
    state: AttemptState
    transaction: str | None
    block: int | None
    fee_cap_wei: int
    tip_wei: int
    gas_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Realised:
    """What the treasury received by a run, raw units: the profit, and (token, amount) left over of other tokens."""

    profit_raw: int
    left_over: tuple[tuple[Address, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One line of the ledger. Raw amounts are units of `profit_token`; `gas_cost_wei` is all that was paid, data too.

    `transaction` and `block` are None for a dry run. `expected_raw` is the plan's profit at the
    including block's own time.
    """

    intent: str
    kind: Literal["liquidation", "deploy", "fill"]
    transaction: str | None
    block: int | None
    market: str | None
    account: Address | None
    status: EntryStatus
    profit_token: Address | None
    expected_raw: int
    realised_raw: int
    gas_cost_wei: int
    detail: dict[str, object]
