"""The kinds of exchange there are. A new one is a file beside this and a line below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from keeper.domain.swaps import VenueKind
from keeper.venues.pools import Venue
from keeper.venues.uniswap_v2 import UniswapV2
from keeper.venues.v3_reader import UniswapV3

VENUES: Final[Mapping[VenueKind, Venue[Any]]] = {
    "uniswap-v2": UniswapV2(),
    "uniswap-v3": UniswapV3(),
}
