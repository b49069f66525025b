"""The reader on a moving chain: reorganisations, history, restarts, wrong addresses, and what a block costs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from decimal import Decimal

import pytest

from keeper.chain.backfill import backfill
from keeper.chain.client import RpcChain
from keeper.devnet.abi import Interface
from keeper.devnet.builder import Contract
from keeper.devnet.world import World, WorldOptions, open_world
from keeper.domain.chain import Call, CallResult, Head
from keeper.domain.errors import ConfigError, Transient
from keeper.domain.units import Address
from keeper.lending.aave_v3.reader import AaveV3Market
from keeper.lending.registry import market_maker
from tests.chain.conftest import MemoryDiscoveries, Watched, watch
from tests.chain.test_liquidation_truth import check_health, fall
from tests.chain.test_market_states import Hands, someone


@pytest.fixture
async def fresh() -> AsyncIterator[Watched]:
    """A bundled market whose anvil has seen every block itself, so that it answers for past ones."""
    async with open_world(WorldOptions(borrowers=12, seed=5)) as world, watch(world) as watched:
        yield watched


def reader(
    chain: RpcChain,
    world: World,
    kept: MemoryDiscoveries,
    provider: Address | None = None,
    start_block: int | None = None,
) -> AaveV3Market:
    return AaveV3Market(
        chain,
        kept,
        name="again",
        addresses_provider=provider or world.market.addresses_provider,
        start_block=world.market.start_block if start_block is None else start_block,
        backfill=backfill,
    )


async def test_a_view_of_the_past_is_what_the_past_saw(fresh: Watched) -> None:
    before = await fresh.view()
    await fall(fresh, -20)
    now = await fresh.view()
    market = reader(fresh.chain, fresh.world, MemoryDiscoveries())
    past_head = await fresh.chain.block(before.head.number)
    await market.start(past_head)
    past = await market.advance(past_head, None)
    assert dict(past.positions) == dict(before.positions)
    assert dict(past.reserves) == dict(before.reserves)
    assert past.unhealthy(past.head.timestamp_s) == []
    assert now.unhealthy(now.head.timestamp_s) != []
    await check_health(fresh, past)


async def test_a_restart_reads_only_the_logs_it_missed(fresh: Watched) -> None:
    view = await fresh.view()
    scope, (accounts, last_block, _) = next(iter(fresh.discoveries.kept.items()))
    assert scope == f"{fresh.world.layout.chain_id}:{view.pool}"
    assert accounts >= set(view.accounts())
    kept = MemoryDiscoveries()
    kept.kept = dict(fresh.discoveries.kept)
    await fresh.world.borrowers(2, seed=77)
    asked: list[tuple[int, int]] = []

    async def counted(
        chain: RpcChain, addresses: Sequence[Address], topics: Sequence[bytes], first: int, last: int, **rest: object
    ) -> None:
        asked.append((first, last))
        await backfill(chain, addresses, topics, first, last, **rest)  # type: ignore[arg-type]

    market = reader(fresh.chain, fresh.world, kept)
    market._backfill = counted  # type: ignore[assignment]
    at = await fresh.chain.head()
    await market.start(at)
    again = await market.advance(at, None)
    assert asked == [(last_block + 1, at.number)]
    assert dict(again.positions) == dict((await fresh.view()).positions)


async def test_a_cursor_of_another_chain_starts_over(fresh: Watched) -> None:
    view = await fresh.view()
    kept = MemoryDiscoveries()
    kept.kept = {
        scope: (frozenset[Address](), block, "0x" + "ab" * 32)
        for scope, (_, block, _) in fresh.discoveries.kept.items()
    }
    market = reader(fresh.chain, fresh.world, kept)
    await market.start(view.head)
    again = await market.advance(view.head, None)
    assert dict(again.positions) == dict(view.positions)


async def test_a_reorganisation_is_read_anew(fresh: Watched) -> None:
    world, hands = fresh.world, Hands(fresh)
    base = await fresh.view()
    await hands.open_position(someone(1), {"WETH": Decimal(2)}, {"USDC": Decimal(1_000)})
    await fall(fresh, -20)
    lost = await fresh.view()
    assert someone(1) in lost.accounts()
    await world.anvil.rpc.call("anvil_rollback", lost.head.number - base.head.number)
    await hands.open_position(someone(2), {"WETH": Decimal(3)}, {"USDC": Decimal(1_500)})
    at = await fresh.chain.head()
    view = await fresh.market.advance(at, None)
    fresh.last_block = at.number
    assert someone(1) not in view.accounts()
    assert someone(2) in view.accounts()
    await check_health(fresh, view)
    scratch = reader(fresh.chain, world, MemoryDiscoveries())
    await scratch.start(at)
    rebuilt = await scratch.advance(at, None)
    assert dict(view.positions) == dict(rebuilt.positions)
    assert dict(view.reserves) == dict(rebuilt.reserves)


class CountingChain:
    """Passes reads on and counts them."""

    def __init__(self, chain: RpcChain) -> None:
        self._chain = chain
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._chain, name)

    async def read(self, calls: Sequence[Call], at: Head) -> list[CallResult]:
        self.sizes.append(len(calls))
        return await self._chain.read(calls, at)


async def test_a_quiet_block_costs_one_question(aave: Watched) -> None:
    view = await aave.view()
    counting = CountingChain(aave.chain)
    aave.market._chain = counting  # type: ignore[assignment]
    await aave.world.anvil.mine()
    later = await aave.view()
    assert later.head.number == view.head.number + 1
    assert dict(later.positions) == dict(view.positions)
    assert len(counting.sizes) == 1
    counting.sizes.clear()
    await fall(aave, -5)
    assert len(counting.sizes) == 1


async def test_a_switched_policy_is_a_new_revision(bundled: Watched) -> None:
    for policy, name in enumerate(("binary", "fixed-share", "tiered", "dynamic")):
        await bundled.world.set_policy(policy)
        view = await bundled.view()
        assert (view.revision, view.policy) == (1000 + policy, name)


async def test_a_changed_oracle_is_followed(bundled: Watched) -> None:
    world = bundled.world
    provider = Contract(address=world.market.addresses_provider, interface=Interface.of("setPriceOracle(address)"))
    async with world.transactions() as builder:
        builder.send(provider, "setPriceOracle", someone(7))
        await builder.flush()
    silent = await bundled.view()
    assert {silent.price_base(token) for token in silent.tokens} == {None}
    assert {silent.health(account, silent.head.timestamp_s) for account in silent.accounts()} == {None}
    async with world.transactions() as builder:
        builder.send(provider, "setPriceOracle", world.market.oracle)
        await builder.flush()
    await check_health(bundled, await bundled.view())


async def test_an_oracle_that_reverts_leaves_a_market_without_prices(bundled: Watched) -> None:
    await bundled.world.anvil.rpc.call("anvil_setCode", bundled.world.market.oracle, "0x5f5ffd")
    market = reader(bundled.chain, bundled.world, MemoryDiscoveries())
    at = await bundled.chain.head()
    await market.start(at)
    view = await market.advance(at, None)
    assert len(view.accounts()) == 30
    assert view.unhealthy(at.timestamp_s) == []
    assert view.health(view.accounts()[0], at.timestamp_s) is None


@pytest.mark.parametrize("wrong", ["nobody", "token"])
async def test_a_wrong_provider_is_a_configuration_error(bundled: Watched, wrong: str) -> None:
    world = bundled.world
    provider = someone(8) if wrong == "nobody" else world.market.assets[0].token
    market = reader(bundled.chain, world, MemoryDiscoveries(), provider)
    with pytest.raises(ConfigError) as caught:
        await market.start(await bundled.chain.head())
    assert "\n" not in str(caught.value)
    assert provider in str(caught.value)
    assert ("address without code" in str(caught.value)) == (wrong == "nobody")


async def test_a_part_that_cannot_be_read_is_an_error_and_nothing_is_lost(aave: Watched) -> None:
    view = await aave.view()
    weth = aave.world.market.asset("WETH")
    code = await aave.chain.code(view._reserve(weth.token).variable_debt_token)
    token = view._reserve(weth.token).variable_debt_token
    borrower = next(
        one for one in view.accounts() if any(id_ == view.ids[weth.token] for id_, _ in view.positions[one].debts)
    )
    await aave.world.anvil.rpc.call("anvil_setCode", token, "0x5f5ffd")
    at = await aave.chain.head()
    with pytest.raises(Transient, match="a debt balance could not be read"):
        await aave.market.advance(at, None)
    await aave.world.anvil.rpc.call("anvil_setCode", token, "0x" + code.hex())
    again = await aave.market.advance(at, [])
    assert again.positions[borrower] == view.positions[borrower]
    assert dict(again.positions) == dict(view.positions)


def test_an_unknown_protocol_is_a_configuration_error() -> None:
    assert market_maker("aave-v3") is AaveV3Market
    with pytest.raises(ConfigError, match="'aave-v9' is not known; known: aave-v3"):
        market_maker("aave-v9")
