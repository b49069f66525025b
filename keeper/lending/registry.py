"""Which protocols there are, by the name used in the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from keeper.domain.errors import ConfigError
from keeper.domain.units import Address
from keeper.lending.aave_v3.mirror import Backfill, OnProgress
from keeper.lending.aave_v3.reader import AaveV3Market
from keeper.ports import Chain, LendingMarket


class MarketMaker(Protocol):
    """Makes a market's reader; nothing is read until it is started."""

    def __call__(
        self,
        chain: Chain,
        *,
        name: str,
        addresses_provider: Address,
        start_block: int,
        backfill: Backfill,
        book_path: Path | None = None,
        audit_accounts: int = ...,
        on_progress: OnProgress | None = None,
        allow_unverified: bool = True,
    ) -> LendingMarket:
        """Return the reader of one deployment; `backfill` fetches logs of a range page by page.

        The book is kept at `book_path`, if given; `audit_accounts` are compared with the chain at the start.
        Without `allow_unverified` the reader raises ConfigError where rules were never compared with a contract.
        """


PROTOCOLS: Final[Mapping[str, MarketMaker]] = {AaveV3Market.protocol: AaveV3Market}


def market_maker(protocol: str) -> MarketMaker:
    """Return the maker for `protocol`. Raises ConfigError, naming what there is."""
    maker = PROTOCOLS.get(protocol)
    if maker is None:
        raise ConfigError(f"protocol {protocol!r} is not known; known: {', '.join(sorted(PROTOCOLS))}")
    return maker
