"""Our pools against the deployed contracts: quoted by QuoterV2, and swapped for real."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
from eth_abi.abi import decode, encode
from eth_utils import keccak
from support.desk import Desk, open_desk

from keeper.devnet.abi import Interface
from keeper.devnet.builder import Contract
from keeper.devnet.tokens import approve_all, mint, token_of
from keeper.devnet.world import World
from keeper.domain.chain import Call
from keeper.domain.units import Address
from keeper.venues.pools import Pool
from keeper.venues.tick_math import MAX_SQRT_RATIO, MIN_SQRT_RATIO
from keeper.venues.uniswap_v3 import V3Pool
from tests.conftest import TestSize

SINGLE = "(address,address,uint256,uint24,uint160)"
QUOTE = bytes(keccak(text=f"quoteExactInputSingle({SINGLE})")[:4])
V3_ROUTER = Interface.of("exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160)) (uint256)")
V2_ROUTER = Interface.of("swapExactTokensForTokens(uint256,uint256,address[],address,uint256)")
V3_MANAGER = Interface.of(
    "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))",
)


@pytest.fixture
async def desk(aave_world: World) -> AsyncIterator[Desk]:
    async with open_desk(aave_world) as opened:
        yield opened


async def pools(desk: Desk) -> dict[Address, Pool]:
    head = await desk.chain.head()
    return dict((await desk.venues.advance(head, None)).pools)


def amount(dice: random.Random) -> int:
    return int(10 ** dice.uniform(0, 30))


async def test_v3_quotes_equal_quoter_v2_in_output_and_in_final_price(desk: Desk, size: TestSize) -> None:
    dice = random.Random(11)
    quoter = next(venue.quoter for venue in desk.world.venues if venue.quoter)
    concentrated = [pool for pool in (await pools(desk)).values() if isinstance(pool, V3Pool)]
    cases = [
        (pool, *dice.choice([(pool.token0, pool.token1), (pool.token1, pool.token0)]), amount(dice))
        for _ in range(size.pick(quick=600, prove=10_000) // len(concentrated))
        for pool in concentrated
    ]
    words = [encode([SINGLE], [(one, other, value, pool.fee_pips, 0)]) for pool, one, other, value in cases]
    answers = await desk.chain.read([Call(to=quoter, data=QUOTE + each) for each in words], await desk.chain.head())
    crossed = 0
    for (pool, token_in, _, value), answer in zip(cases, answers, strict=True):
        assert answer.ok
        out, sqrt_after, ticks_crossed, _ = decode(["uint256", "uint160", "uint32", "uint256"], answer.data)
        if pool.quote(token_in, value) is None:
            # out of liquidity: QuoterV2 answers for the part that was taken, up to the last price
            assert sqrt_after in (MIN_SQRT_RATIO + 1, MAX_SQRT_RATIO - 1)
            continue
        assert pool.quote(token_in, value) == out
        assert pool.after(token_in, value).sqrt_price_x96 == sqrt_after
        crossed += ticks_crossed > 0
    assert crossed > len(cases) // 20


async def test_swaps_leave_every_pool_as_we_said(desk: Desk) -> None:
    """Random real swaps, one after another; the mirror follows by logs alone."""
    dice = random.Random(12)
    world = desk.world
    routers = {venue.factory: venue.router for venue in world.venues}
    start = await desk.chain.head()
    await desk.venues.advance(start, None)
    expected = await pools(desk)
    for _ in range(4):
        async with world.transactions() as builder:
            await world.anvil.set_balance(builder.deployer, 10**33)  # native money to wrap
            for asset in world.market.assets:
                mint(builder, world.market, asset, 10**30)
            for router in routers.values():
                approve_all(builder, world.market.assets, router or world.market.pool)
            for address in dice.sample(sorted(expected), 6):
                pool = expected[address]
                token_in, token_out = dice.choice([(pool.token0, pool.token1), (pool.token1, pool.token0)])
                value = int(10 ** dice.uniform(4, 24))
                if pool.quote(token_in, value) is None:
                    continue
                router = routers[pool.factory]
                assert router is not None
                if pool.venue == "uniswap-v3":
                    order = (token_in, token_out, pool.fee_pips, builder.deployer, 2**64, value, 0, 0)
                    builder.send(Contract(address=router, interface=V3_ROUTER), "exactInputSingle", order)
                else:
                    path = [token_in, token_out]
                    contract = Contract(address=router, interface=V2_ROUTER)
                    builder.send(contract, "swapExactTokensForTokens", value, 0, path, builder.deployer, 2**64)
                expected[address] = pool.after(token_in, value)
            await builder.flush()
    head = await desk.chain.head()
    logs = await desk.chain.logs(
        addresses=desk.venues.log_addresses, topics=(), first=start.number + 1, last=head.number
    )
    assert logs
    followed = await desk.venues.advance(head, logs)
    assert dict(followed.pools) == expected
    assert dict((await desk.venues.advance(head, None)).pools) == expected


async def test_new_positions_are_followed_by_their_logs(desk: Desk) -> None:
    world = desk.world
    start = await desk.chain.head()
    before = await pools(desk)
    pool = next(each for each in before.values() if isinstance(each, V3Pool))
    venue = next(venue for venue in world.venues if venue.protocol == "uniswap-v3")
    manager = Contract(address=venue.position_manager or pool.address, interface=V3_MANAGER)
    step = pool.tick_spacing
    middle = pool.tick // step * step
    async with world.transactions() as builder:
        await world.anvil.set_balance(builder.deployer, 10**33)
        for asset in world.market.assets:
            mint(builder, world.market, asset, 10**30)
            builder.send(token_of(asset), "approve", manager.address, 2**256 - 1)
        for reach in (step, 7 * step, 300 * step):
            # order: tokens, fee, range, wanted amounts, least amounts, recipient, deadline
            position = (
                pool.token0,
                pool.token1,
                pool.fee_pips,
                middle - reach,
                middle + reach,
                10**8,
                10**8,
                0,
                0,
                builder.deployer,
                2**64,
            )
            builder.send(manager, "mint", position)
        await builder.flush()
    head = await desk.chain.head()
    logs = await desk.chain.logs(
        addresses=desk.venues.log_addresses, topics=(), first=start.number + 1, last=head.number
    )
    followed = dict((await desk.venues.advance(head, logs)).pools)
    read = dict((await desk.venues.advance(head, None)).pools)
    assert followed == read
    changed = followed[pool.address]
    assert isinstance(changed, V3Pool)
    assert len(changed.ticks) > len(pool.ticks)
