"""Whole sales executed on real pools: every hop pays what we said, and the pools are left as we said."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest
from eth_abi.abi import decode
from support.pool_zoo import V2_PAIR, V3_ROUTER, Cage, open_cage

from keeper.devnet.builder import Builder, Contract
from keeper.devnet.tokens import TOKEN
from keeper.devnet.world import World
from keeper.domain.chain import Log
from keeper.domain.swaps import HopQuote, Route, Sale
from keeper.domain.units import MAX_UINT256
from keeper.venues.abi import topic
from keeper.venues.view import BookView
from tests.conftest import TestSize

V2_SWAP = topic("Swap(address,uint256,uint256,uint256,uint256,address)")
V3_SWAP = topic("Swap(address,address,int256,int256,uint160,uint128,int24)")


@pytest.fixture
async def cage(aave_world: World) -> AsyncIterator[Cage]:
    async with open_cage(aave_world, 31) as opened:
        yield opened


def drawn_sale(cage: Cage, view: BookView, dice: random.Random) -> Sale | None:
    """A sale of about what moves the prices by a few in a hundred, gas from nothing to something."""
    one, other = dice.sample(cage.zoo.coins, 2)
    fair = other.worth(10**9) * dice.randint(90, 99)
    gas_raw = other.worth(10) * dice.randint(0, 3)

    def cost_raw(route: Route) -> int:
        return gas_raw * len(route)

    peaks = view.peaks(one.token, other.token, fair, one.worth(10**9) * 100, cost_raw)
    return view.sell(one.token, other.token, peaks[0] if peaks else one.worth(1000), cost_raw)


def send(builder: Builder, cage: Cage, quote: HopQuote) -> None:
    hop = quote.hop
    if hop.venue == "uniswap-v3":
        order = (hop.token_in, hop.token_out, hop.fee_pips, builder.deployer, 2**64, quote.amount_in_raw, 0, 0)
        builder.send(Contract(address=cage.zoo.v3_router, interface=V3_ROUTER), "exactInputSingle", order)
        return
    builder.send(Contract(address=hop.token_in, interface=TOKEN), "transfer", hop.pool, quote.amount_in_raw)
    outs = (0, quote.amount_out_raw) if int(hop.token_in, 16) < int(hop.token_out, 16) else (quote.amount_out_raw, 0)
    builder.send(Contract(address=hop.pool, interface=V2_PAIR), "swap", *outs, builder.deployer, b"")


def paid(log: Log) -> int:
    """What a pool's Swap event says it paid."""
    if log.topics[0] == V3_SWAP:
        return -min(decode(["int256", "int256"], log.data[:64]))
    return max(decode(["uint256"] * 4, log.data)[2:])


async def test_a_sale_does_to_the_pools_what_we_said(cage: Cage, size: TestSize) -> None:
    dice = random.Random(32)
    view, head, seen = cage.view, cage.head, Counter[str]()
    for _ in range(size.pick(quick=12, prove=200)):
        sale = drawn_sale(cage, view, dice)
        if not sale:
            continue
        quotes = [quote for leg in sale for quote in leg.quotes]
        async with cage.world.transactions() as builder:
            for coin in cage.zoo.coins:
                token = Contract(address=coin.token, interface=TOKEN)
                builder.send(token, "approve", cage.zoo.v3_router, MAX_UINT256)
            for quote in quotes:
                send(builder, cage, quote)
            await builder.flush()
        start, head = head, await cage.chain.head()
        logs = await cage.chain.logs(
            addresses=cage.book.log_addresses, topics=(), first=start.number + 1, last=head.number
        )
        assert [paid(log) for log in logs if log.topics[0] in (V2_SWAP, V3_SWAP)] == [q.amount_out_raw for q in quotes]
        expected = view.after(quotes)
        view = await cage.book.advance(head, logs)
        assert dict(view.pools) == dict(expected.pools)
        seen.update(kinds_of(sale, quotes))
    print(dict(seen))
    assert all(seen[name] for name in ("sales", "several legs", "several hops", "a shared pool"))


def kinds_of(sale: Sale, quotes: Sequence[HopQuote]) -> list[str]:
    pools = [quote.hop.pool for quote in quotes]
    return [
        "sales",
        *(["several legs"] if len(sale) > 1 else []),
        *(["several hops"] if len(quotes) > len(sale) else []),
        *(["a shared pool"] if len(set(pools)) < len(pools) else []),
        *(["three hops"] if any(len(leg.quotes) == 3 for leg in sale) else []),
    ]
