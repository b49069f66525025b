"""Every kind of exchange is registered, and nothing else in the room knows one by name."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from support.lending import address

import keeper.venues
from keeper.domain.swaps import VenueKind
from keeper.venues.registry import VENUES

ROOM = Path(keeper.venues.__file__).parent
OWN_FILES = {"registry.py", "uniswap_v2.py", "uniswap_v3.py", "v3_reader.py"}


def test_every_kind_is_registered() -> None:
    assert set(VENUES) == set(get_args(VenueKind))


@pytest.mark.parametrize("kind", get_args(VenueKind))
def test_a_blank_pool_is_of_its_kind_and_empty(kind: VenueKind) -> None:
    venue = VENUES[kind]
    pool = venue.blank(
        factory=address(9), address=address(8), token0=address(1), token1=address(2), fee_pips=venue.fees(())[0]
    )
    assert (pool.venue, pool.is_empty, pool.factory, pool.address) == (kind, True, address(9), address(8))
    assert venue.fees((700,)) == (700,)


def test_no_other_file_names_a_kind() -> None:
    for file in sorted(ROOM.glob("*.py")):
        if file.name not in OWN_FILES:
            text = file.read_text(encoding="utf-8")
            assert not [kind for kind in get_args(VenueKind) if f'"{kind}"' in text], file.name
            assert "isinstance(pool" not in text, file.name
