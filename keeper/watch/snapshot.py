"""Everything a decision rests on, true at one block hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keeper.domain.chain import Head
from keeper.domain.feeds import FeedStatus
from keeper.domain.units import Address
from keeper.ports import MarketView, VenueView


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Markets, pools and feeds at `head`; `inclusion_s` is the block time to plan for.

    `feeds` is keyed by market name, then token. `venues` is None where none are configured.
    """

    head: Head
    inclusion_s: int
    markets: Mapping[str, MarketView]
    venues: VenueView | None
    feeds: Mapping[str, Mapping[Address, FeedStatus]]
