"""A node that answers for one block with another's state, and a reserve that is gone with its tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import pytest

from keeper.devnet.abi import Interface
from keeper.devnet.builder import Contract
from keeper.devnet.world import World, WorldOptions, open_world
from keeper.domain.chain import Call, CallResult, Head
from keeper.domain.errors import Stale
from keeper.domain.units import MAX_UINT256
from keeper.observe import metrics
from tests.chain.conftest import Watched, watch

POOL = Interface.of("withdraw(address,uint256,address) (uint256)")
CONFIGURATOR = Interface.of("dropReserve(address)")


def counted() -> float:
    return metrics.BOOK_DIFFERENCES.labels(market="m")._value.get()


@pytest.fixture
async def real() -> AsyncIterator[Watched]:
    async with (
        open_world(WorldOptions(kind="aave-v3", seed=6, venues=False)) as world,
        watch(world) as watched,
    ):
        yield watched


async def empty_and_drop(world: World, symbol: str) -> None:
    token = world.tokens[symbol]
    async with world.transactions() as builder:
        pool = Contract(address=world.market.pool, interface=POOL)
        builder.send(pool, "withdraw", token, MAX_UINT256, builder.deployer)
        await builder.flush()
        configurator = Contract(address=world.market.configurator, interface=CONFIGURATOR)
        builder.send(configurator, "dropReserve", token)
        await builder.flush()


async def test_a_reserve_that_a_reorganisation_takes_back_with_its_tokens(real: Watched) -> None:
    """What the old layout names has no code any more; the market is laid out anew instead of failing for ever."""
    view = await real.view()
    gone = real.world.tokens["LINK"]
    a_token = next(reserve.a_token for reserve in view.reserves.values() if reserve.token == gone)
    await empty_and_drop(real.world, "LINK")
    await real.world.anvil.set_code(a_token, b"")
    later = await real.market.advance(await real.chain.head(), [])
    assert gone not in later.tokens
    assert set(later.tokens) == set(view.tokens) - {gone}


async def test_another_blocks_state_is_no_difference_of_the_book(
    real: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answers about a block come from the block after it: the step is dropped, nothing is reported."""
    await real.view()
    at = await real.chain.head()
    await real.world.borrowers(1, seed=3)
    newer = await real.chain.head()
    right, before, asked = real.chain.read, counted(), 0

    async def hasty(calls: Sequence[Call], head: Head) -> Sequence[CallResult]:
        nonlocal asked
        asked += 1
        return await right(calls, newer if asked == 1 else head)

    monkeypatch.setattr(real.chain, "read", hasty)
    with pytest.raises(Stale, match="another block's state"):
        await real.market.advance(at, [])
    assert counted() == before
    later = await real.market.advance(newer, None)
    assert len(later.accounts()) == 1
    assert counted() == before
