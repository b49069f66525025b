"""Price feeds and whether their answers may be used."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from keeper.domain.units import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRule:
    """What the operator demands of the feed that prices `token`; bounds are in feed units (USD).

    With `max_jump_bps` an answer further than that from the one of `second_source` (without it: from
    the last answer used) is held, until that one bears it out or it has stood for `jump_blocks` blocks.
    """

    token: Address
    heartbeat_s: int
    min_answer: Decimal | None = None
    max_answer: Decimal | None = None
    explicit: bool = True
    max_jump_bps: int | None = None
    second_source: Address | None = None
    jump_blocks: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatus:
    """One feed's answer at one block; `reason` says why it is unusable, None when it is usable.

    `stale` is true when the age in block time exceeds the heartbeat; `decimals` are the answer's,
    None when the feed does not tell. `aggregator` is the contract behind a proxy that emits its events,
    None where the source names none.
    """

    token: Address
    source: Address
    answer: int | None
    updated_at_s: int | None
    stale: bool
    reason: str | None
    detail: str = ""
    decimals: int | None = None
    round_id: int | None = None
    aggregator: Address | None = None

    @property
    def usable(self) -> bool:
        """Whether decisions may rest on this answer."""
        return self.reason is None


@dataclass(frozen=True, slots=True, kw_only=True)
class SequencerRule:
    """A rollup's uptime feed, and how long after an outage prices are still not used."""

    feed: Address
    grace_s: int
