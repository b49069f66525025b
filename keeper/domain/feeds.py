"""Price feeds and whether their answers may be used."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from keeper.domain.units import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRule:
    """What the operator demands of the feed that prices `token`; bounds are in feed units (USD)."""

    token: Address
    heartbeat_s: int
    min_answer: Decimal | None = None
    max_answer: Decimal | None = None
    explicit: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatus:
    """One feed's answer at one block; `reason` says why it is unusable, None when it is usable.

    `stale` is true when the age in block time exceeds the heartbeat; `decimals` are the answer's,
    None when the feed does not tell.
    """

    token: Address
    source: Address
    answer: int | None
    updated_at_s: int | None
    stale: bool
    reason: str | None
    detail: str = ""
    decimals: int | None = None

    @property
    def usable(self) -> bool:
        """Whether decisions may rest on this answer."""
        return self.reason is None
