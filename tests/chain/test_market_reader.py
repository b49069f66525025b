"""The reader on a moving chain: reorganisations, history, restarts, wrong addresses, and what a block costs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path

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
from tests.chain.conftest import Watched, watch
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
    provider: Address | None = None,
    start_block: int | None = None,
    book_path: Path | None = None,
) -> AaveV3Market:
    return AaveV3Market(
        chain,
        name="again",
        addresses_provider=provider or world.market.addresses_provider,
        start_block=world.market.start_block if start_block is None else start_block,
        backfill=backfill,
        book_path=book_path,
    )


async def test_a_view_of_the_past_is_what_the_past_saw(fresh: Watched) -> None:
    before = await fresh.view()
    await fall(fresh, -20)
    now = await fresh.view()
    market = reader(fresh.chain, fresh.world)
    past_head = await fresh.chain.block(before.head.number)
    await market.start(past_head)
    past = await market.advance(past_head, None)
    assert dict(past.positions) == dict(before.positions)
    assert dict(past.reserves) == dict(before.reserves)
    assert past.unhealthy(past.head.timestamp_s) == []
    assert now.unhealthy(now.head.timestamp_s) != []
    await check_health(fresh, past)


async def test_a_restart_reads_only_the_logs_it_missed(fresh: Watched, tmp_path: Path) -> None:
    path = tmp_path / "market.book"
    first = reader(fresh.chain, fresh.world, book_path=path)
    before = await fresh.chain.head()
    await first.start(before)
    await fresh.world.borrowers(2, seed=77)
    asked: list[tuple[int, int]] = []

    async def counted(
        chain: RpcChain, addresses: Sequence[Address], topics: Sequence[bytes], first: int, last: int, **rest: object
    ) -> None:
        asked.append((first, last))
        await backfill(chain, addresses, topics, first, last, **rest)  # type: ignore[arg-type]

    market = reader(fresh.chain, fresh.world, book_path=path)
    market._mirror._backfill = counted  # type: ignore[assignment]
    at = await fresh.chain.head()
    await market.start(at)
    again = await market.advance(at, None)
    assert asked == [(before.number + 1, at.number)]
    assert dict(again.positions) == dict((await fresh.view()).positions)
    assert market._auditor.differences == 0


def sealed(body: bytes) -> bytes:
    return body + hashlib.blake2b(body, digest_size=32).digest()


@pytest.mark.parametrize("how", ["another chain", "damaged", "cut off", "another format"])
async def test_a_saved_book_of_no_use_starts_over(fresh: Watched, tmp_path: Path, how: str) -> None:
    path = tmp_path / "market.book"
    view = await fresh.view()
    await reader(fresh.chain, fresh.world, book_path=path).start(view.head)
    content = path.read_bytes()
    changed = {
        "another chain": sealed(re.sub(rb"0x[0-9a-f]{64}", b"0x" + b"ab" * 32, content[:-32])),
        "damaged": content[:-60] + bytes((content[-60] ^ 1,)) + content[-59:],
        "cut off": content[: len(content) // 2],
        "another format": sealed(b"keeperbook" + b"\xff\xff" + content[12:-32]),
    }[how]
    assert changed != content
    path.write_bytes(changed)
    market = reader(fresh.chain, fresh.world, book_path=path)
    await market.start(view.head)
    again = await market.advance(view.head, None)
    assert dict(again.positions) == dict(view.positions)
    assert not market._mirror.restored


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
    scratch = reader(fresh.chain, world)
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
    for part in (aave.market, aave.market._mirror, aave.market._auditor):
        part._chain = counting  # type: ignore[assignment]
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
    market = reader(bundled.chain, bundled.world)
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
    market = reader(bundled.chain, world, provider)
    with pytest.raises(ConfigError) as caught:
        await market.start(await bundled.chain.head())
    assert "\n" not in str(caught.value)
    assert provider in str(caught.value)
    assert ("address without code" in str(caught.value)) == (wrong == "nobody")


async def test_a_part_that_cannot_be_read_is_an_error_and_nothing_is_lost(aave: Watched) -> None:
    view = await aave.view()
    weth = aave.world.market.asset("WETH")
    token = view._reserve(weth.token).variable_debt_token
    code = await aave.chain.code(token)
    await aave.world.anvil.rpc.call("anvil_setCode", token, "0x5f5ffd")
    at = await aave.chain.head()
    with pytest.raises(Transient, match="a token's total could not be read"):
        await aave.market.advance(at, None)
    await aave.world.anvil.rpc.call("anvil_setCode", token, "0x" + code.hex())
    again = await aave.market.advance(at, [])
    assert dict(again.positions) == dict(view.positions)


def test_an_unknown_protocol_is_a_configuration_error() -> None:
    assert market_maker("aave-v3") is AaveV3Market
    with pytest.raises(ConfigError, match="'aave-v9' is not known; known: aave-v3"):
        market_maker("aave-v9")
