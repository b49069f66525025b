"""Which protocols there are, by the name used in the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from keeper.domain.errors import ConfigError
from keeper.domain.units import Address
from keeper.lending.aave_v3.discovery import Backfill, OnProgress
from keeper.lending.aave_v3.reader import AaveV3Market
from keeper.ports import Chain, Discoveries, LendingMarket


class MarketMaker(Protocol):
    """Makes a market's reader; nothing is read until it is started."""

    def __call__(
        self,
        chain: Chain,
        discoveries: Discoveries,
        *,
        name: str,
        addresses_provider: Address,
        start_block: int,
        backfill: Backfill,
        on_progress: OnProgress | None = None,
    ) -> LendingMarket:
        """Return the reader of one deployment; `backfill` fetches logs of a range page by page."""


PROTOCOLS: Final[Mapping[str, MarketMaker]] = {AaveV3Market.protocol: AaveV3Market}


def market_maker(protocol: str) -> MarketMaker:
    """Return the maker for `protocol`. Raises ConfigError, naming what there is."""
    maker = PROTOCOLS.get(protocol)
    if maker is None:
        raise ConfigError(f"protocol {protocol!r} is not known; known: {', '.join(sorted(PROTOCOLS))}")
    return maker
