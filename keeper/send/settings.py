"""Limits of sending, handed in by the composition root."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keeper.send.guards import NO_GUARDS, Guards


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSettings:
    """What the sender may do. Block counts are differences of head numbers.

    `confirmations` counts the including block. A transaction that is not mined is handed out again every
    `resend_after_blocks`; a nonce used by none of ours is foreign once the receipts have been missing for
    `foreign_after_blocks`. Blocks are watched for reorgs `watched_blocks` deep. An intent that failed `most_failures`
    times is left alone until its position changes. A plan that is not mined is offered at a higher price every
    `bump_after_blocks`. While `halt_file` exists everything is halted. With a `lock_folder` no two processes
    that share it send with one signer, whatever their state files.
    """

    confirmations: int = 1
    max_gas_price_wei: int | None = None
    most_in_flight: int = 64
    most_failures: int = 3
    resend_after_blocks: int = 2
    foreign_after_blocks: int = 3
    watched_blocks: int = 128
    bump_after_blocks: int = 3
    guards: Guards = NO_GUARDS
    halt_file: Path | None = None
    lock_folder: Path | None = None
