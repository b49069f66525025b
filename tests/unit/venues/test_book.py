"""The mirror of pools: what is read when, and that errors lose nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.lending import address
from support.pool_chain import V2_FACTORY, V3_FACTORY, PoolChain, head, pool_log, v2_pool, v3_pool

from keeper.domain.errors import ConfigError
from keeper.venues import uniswap_v2, v3_reader
from keeper.venues.abi import int_word
from keeper.venues.book import VenueBook
from keeper.venues.pools import VenueConfig

A, B, C = address(1), address(2), address(3)
V2 = v2_pool(1, A, B, 10**24, 10**24)
V3 = v3_pool(2, (B, C), tick=10, positions=[(-600, 600, 10**20), (-6000, 6000, 10**19)], fee=500, spacing=10)
EMPTY = v2_pool(3, A, C, 0, 0)
VENUES = (
    VenueConfig(protocol="uniswap-v2", factory=V2_FACTORY),
    VenueConfig(protocol="uniswap-v3", factory=V3_FACTORY, fee_tiers=(500, 3000)),
)


async def started(chain: PoolChain) -> VenueBook:
    book = VenueBook(chain, VENUES)  # type: ignore[arg-type]
    await book.start([A, B, C], head())
    chain.reads, chain.calls = 0, []
    return book


async def test_start_mirrors_every_pool_with_all_its_ticks() -> None:
    book = await started(PoolChain([V2, V3, EMPTY]))
    view = await book.advance(head(2), [])
    assert view.pools == {V2.address: V2, V3.address: V3}
    assert set(book.log_addresses) == {V2_FACTORY, V3_FACTORY, V2.address, V3.address, EMPTY.address}


async def test_a_quiet_block_costs_no_request() -> None:
    chain = PoolChain([V2, V3])
    book = await started(chain)
    view = await book.advance(head(2), [])
    assert await book.advance(head(3), [pool_log(address(99), b"\x01" * 32)]) is view
    assert chain.reads == 0


async def test_a_swap_reads_the_price_and_no_tick() -> None:
    chain = PoolChain([V2, V3])
    book = await started(chain)
    moved = V3.after(B, 10**17)
    chain.put(moved)
    view = await book.advance(head(2), [pool_log(V3.address, b"\x07" * 32)])
    assert view.pools[V3.address] == moved
    assert {call.to for call in chain.calls} == {V3.address}
    assert {call.data[:4] for call in chain.calls} == {v3_reader.SLOT0, v3_reader.LIQUIDITY}


async def test_a_mint_reads_the_two_ticks_it_names() -> None:
    chain = PoolChain([V3])
    book = await started(chain)
    grown = v3_pool(
        2,
        (B, C),
        tick=10,
        positions=[(-600, 600, 10**20), (-6000, 6000, 10**19), (-50, 50, 7)],
        fee=500,
        spacing=10,
    )
    chain.put(grown)
    mint = pool_log(V3.address, v3_reader.MINT, int_word(1), int_word(-50), int_word(50))
    view = await book.advance(head(2), [mint])
    assert view.pools[V3.address] == grown
    assert sum(call.data[:4] == v3_reader.TICKS for call in chain.calls) == 2
    assert not any(call.data[:4] == v3_reader.TICK_BITMAP for call in chain.calls)


async def test_a_burnt_position_takes_its_ticks_away() -> None:
    chain = PoolChain([V3])
    book = await started(chain)
    shrunk = v3_pool(2, (B, C), tick=10, positions=[(-6000, 6000, 10**19)], fee=500, spacing=10)
    chain.put(shrunk)
    burn = pool_log(V3.address, v3_reader.BURN, int_word(1), int_word(-600), int_word(600))
    view = await book.advance(head(2), [burn])
    assert view.pools[V3.address] == shrunk


async def test_a_pool_that_does_not_add_up_is_read_whole() -> None:
    chain = PoolChain([V3])
    book = await started(chain)
    shrunk = v3_pool(2, (B, C), tick=10, positions=[(-6000, 6000, 10**19)], fee=500, spacing=10)
    chain.put(shrunk)
    view = await book.advance(head(2), [pool_log(V3.address, b"\x07" * 32)])  # its Burn log never came
    assert view.pools[V3.address] == shrunk


async def test_a_new_pool_is_found_by_its_factorys_log() -> None:
    chain = PoolChain([V2])
    book = await started(chain)
    chain.put(V3)
    view = await book.advance(head(2), [pool_log(V3_FACTORY, v3_reader.POOL_CREATED)])
    assert view.pools[V3.address] == V3
    assert V3.address in book.log_addresses


async def test_an_empty_pool_appears_when_it_is_filled() -> None:
    chain = PoolChain([EMPTY])
    book = await started(chain)
    assert not (await book.advance(head(2), [])).routes(A, C)
    filled = replace(EMPTY, reserve0=10, reserve1=10)
    chain.put(filled)
    view = await book.advance(head(3), [pool_log(EMPTY.address, b"\x07" * 32, number=3)])
    assert [hop.pool for (hop,) in view.routes(A, C)] == [EMPTY.address]


async def test_without_logs_everything_is_read_again() -> None:
    chain = PoolChain([V2, V3])
    book = await started(chain)
    del chain.pools[V2.address]
    moved = V3.after(B, 10**17)
    chain.put(moved)
    assert (await book.advance(head(2), None)).pools == {V3.address: moved}


async def test_after_a_failed_read_nothing_old_is_believed() -> None:
    chain = PoolChain([V2])
    book = await started(chain)
    moved = V2.after(A, 10**20)
    chain.put(moved)
    chain.fails = True
    with pytest.raises(ConfigError, match="does not answer"):
        await book.advance(head(2), [pool_log(V2.address, b"\x07" * 32)])
    chain.fails = False
    assert (await book.advance(head(3), [])).pools == {V2.address: moved}


async def test_a_factory_without_code_is_a_configuration_error() -> None:
    book = VenueBook(PoolChain([]), [VenueConfig(protocol="uniswap-v2", factory=address(5))])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="without code"):
        await book.start([A, B], head())


def test_default_tiers_and_fees() -> None:
    assert v3_reader.words_of(60) == range(-58, 58)
    assert uniswap_v2.DEFAULT_FEE_PIPS == 3000
