"""Swaps executed on real pools, one after another: each pays what we quoted and leaves the pool as we said."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest
from eth_abi.abi import decode
from support.pool_zoo import FORK_FEE_PIPS, TRADER, V2_PAIR, V3_ROUTER, Cage, call, open_cage, simulate

from keeper.devnet.tokens import TOKEN
from keeper.devnet.world import World
from keeper.domain.chain import Log, SimulatedCall
from keeper.domain.units import Address
from keeper.venues.abi import topic
from keeper.venues.curve import AMOUNT_BITS
from keeper.venues.pools import Pool
from keeper.venues.uniswap_v2 import MAX_RESERVE, V2Pool
from keeper.venues.uniswap_v3 import V3Pool
from tests.conftest import TestSize

SWAP = topic("Swap(address,address,int256,int256,uint160,uint128,int24)")
SYNC = topic("Sync(uint112,uint112)")


@pytest.fixture
async def cage(aave_world: World) -> AsyncIterator[Cage]:
    async with open_cage(aave_world, 21) as opened:
        yield opened


def amount_in(pool: Pool, token_in: Address, dice: random.Random) -> int:
    """An amount of any size: mostly such that the price moves, sometimes a few units, sometimes far too much."""
    kind = dice.random()
    if kind < 0.15:
        return dice.randint(1, 1000)
    curve = pool.curve(token_in)
    most = max(curve.in_at(curve.start_level * 7 // 10) >> AMOUNT_BITS, 10)
    return int(10 ** (dice.uniform(0, len(str(most))) if kind < 0.9 else dice.uniform(len(str(most)), 36)))


def event(logs: Sequence[Log], pool: Address, name: bytes) -> bytes:
    return next(log.data for log in logs if log.address == pool and log.topics[0] == name)


Step = tuple[Pool, Address, int, int | None]
"""The pool before a swap, the token and the amount that go in, and what we quote."""


def walk(pool: Pool, count: int, dice: random.Random) -> list[Step]:
    """Swaps one after another, in both directions, of all sizes."""
    steps: list[Step] = []
    for _ in range(count):
        token_in = dice.choice([pool.token0, pool.token1])
        amount = amount_in(pool, token_in, dice)
        quoted = pool.quote(token_in, amount)
        steps.append((pool, token_in, amount, quoted))
        pool = pool if quoted is None else pool.after(token_in, amount)
    return steps


async def test_concentrated_pools_swap_as_quoted(cage: Cage, size: TestSize) -> None:
    dice = random.Random(22)
    pools = [pool for pool in cage.view.pools.values() if isinstance(pool, V3Pool)]
    assert {pool.fee_pips for pool in pools} == {100, 500, 3000, 10_000}
    seen: Counter[str] = Counter()
    for start in pools * size.pick(quick=1, prove=30):
        steps = walk(start, 8, dice)
        short = next((index + 1 for index, step in enumerate(steps) if step[-1] is None), len(steps))
        steps = steps[:short]  # the contract takes a part and stands at the end of its prices
        calls = [call(cage.zoo.v3_router, v3_order(pool, token_in, amount)) for pool, token_in, amount, _ in steps]
        outcomes = await simulate(cage.chain, cage.zoo, calls, cage.head, [cage.zoo.v3_router])
        for step, outcome in zip(steps, outcomes, strict=True):
            assert outcome.ok
            seen.update(check_v3(step, event(outcome.logs, start.address, SWAP)))
    print(dict(seen))
    assert seen["swaps"] >= size.pick(quick=5 * len(pools), prove=6000)
    assert all(seen[name] for name in ("out of liquidity", "crossed a tick", "paid nothing", "token 0", "token 1"))


def v3_order(pool: Pool, token_in: Address, amount: int) -> bytes:
    token_out = pool.token1 if token_in == pool.token0 else pool.token0
    return V3_ROUTER.encode("exactInputSingle", (token_in, token_out, pool.fee_pips, TRADER, 2**64, amount, 0, 0))


def check_v3(step: Step, data: bytes) -> list[str]:
    """Compare with the pool's Swap event; return what is to be counted."""
    pool, token_in, amount, quoted = step
    moved0, moved1, *state = decode(["int256", "int256", "uint160", "uint128", "int24"], data)
    is_zero = token_in == pool.token0
    taken, paid = (moved0, -moved1) if is_zero else (moved1, -moved0)
    if quoted is None:
        assert taken < amount
        return ["swaps", "out of liquidity"]
    assert (taken, paid) == (amount, quoted)
    after = pool.after(token_in, amount)
    assert isinstance(pool, V3Pool)
    assert isinstance(after, V3Pool)
    assert [after.sqrt_price_x96, after.liquidity, after.tick] == state
    return [
        "swaps",
        "token 0" if is_zero else "token 1",
        *(["crossed a tick"] if after.liquidity != pool.liquidity else []),
        *(["paid nothing"] if quoted == 0 else []),
    ]


async def test_constant_products_pay_exactly_the_most_they_can(cage: Cage, size: TestSize) -> None:
    """One unit more than the quote is refused, the quote is paid; a swap without a quote is refused."""
    dice = random.Random(23)
    pools = [pool for pool in cage.view.pools.values() if isinstance(pool, V2Pool)]
    assert {pool.fee_pips for pool in pools} == {FORK_FEE_PIPS, 3000}
    seen: Counter[str] = Counter()
    for start in pools:
        steps = walk(start, size.pick(quick=8, prove=150), dice)
        calls = [each for step in steps for each in v2_orders(step)]
        outcomes = await simulate(cage.chain, cage.zoo, calls, cage.head, [])
        for step, sent, more, done in zip(steps, outcomes[::3], outcomes[1::3], outcomes[2::3], strict=True):
            assert sent.ok
            assert done.ok
            assert not more.ok
            seen.update(check_v2(step, done.logs))
    print(dict(seen))
    assert seen["swaps"] == len(pools) * size.pick(quick=8, prove=150)
    assert all(seen[name] for name in ("too much", "paid nothing", "token 0", "token 1"))


def v2_orders(step: Step) -> tuple[SimulatedCall, SimulatedCall, SimulatedCall]:
    """Pay in, ask for a unit too much, then for the quote, or for the money back where there is none."""
    pool, token_in, amount, quoted = step
    places = (lambda out: (0, out)) if token_in == pool.token0 else (lambda out: (out, 0))
    more, exact = (V2_PAIR.encode("swap", *places(out), TRADER, b"") for out in ((quoted or 0) + 1, quoted or 0))
    return (
        call(token_in, TOKEN.encode("transfer", pool.address, amount)),
        call(pool.address, more),
        call(pool.address, V2_PAIR.encode("skim", TRADER) if quoted is None else exact),
    )


def check_v2(step: Step, logs: Sequence[Log]) -> list[str]:
    """Compare with the pair's Sync event; return what is to be counted."""
    pool, token_in, amount, quoted = step
    assert isinstance(pool, V2Pool)
    if quoted is None:
        reserve = pool.reserve0 if token_in == pool.token0 else pool.reserve1
        return ["swaps", "too much" if reserve + amount > MAX_RESERVE else "paid nothing"]
    after = pool.after(token_in, amount)
    reserves = decode(["uint112", "uint112"], event(logs, pool.address, SYNC))
    assert tuple(reserves) == (after.reserve0, after.reserve1)
    return ["swaps", "token 0" if token_in == pool.token0 else "token 1"]
