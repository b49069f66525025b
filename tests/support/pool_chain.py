"""A chain that holds nothing but pools, answering their views from memory, and pools to put on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from support.lending import address

from keeper.domain.chain import Call, CallResult, Head, Log
from keeper.domain.units import ZERO_ADDRESS, Address, to_address
from keeper.venues import uniswap_v2, v3_reader
from keeper.venues.abi import int_at, int_word
from keeper.venues.tick_math import sqrt_ratio_at
from keeper.venues.uniswap_v2 import V2Pool
from keeper.venues.uniswap_v3 import V3Pool

V2_FACTORY = address(0x8002)
V3_FACTORY = address(0x8003)


def head(number: int = 1) -> Head:
    """A header that says nothing but its height."""
    return Head(
        number=number,
        hash=f"0x{number:064x}",
        parent_hash=f"0x{number - 1:064x}",
        timestamp_s=1_700_000_000 + 12 * number,
        base_fee_wei=10**9,
        gas_used=15_000_000,
        gas_limit=30_000_000,
    )


def v2_pool(number: int, token0: Address, token1: Address, reserve0: int, reserve1: int, fee: int = 3000) -> V2Pool:
    """A constant-product pool at an address that shows `number`."""
    return V2Pool(
        factory=V2_FACTORY,
        address=address(0x7000 + number),
        token0=token0,
        token1=token1,
        fee_pips=fee,
        reserve0=reserve0,
        reserve1=reserve1,
    )


def v3_pool(
    number: int,
    tokens: tuple[Address, Address],
    *,
    tick: int,
    positions: Iterable[tuple[int, int, int]],
    fee: int = 3000,
    spacing: int = 60,
    sqrt_price_x96: int | None = None,
) -> V3Pool:
    """A concentrated pool with these (lower tick, upper tick, liquidity) positions."""
    nets: dict[int, int] = {}
    liquidity = 0
    for low, high, amount in positions:
        nets[low] = nets.get(low, 0) + amount
        nets[high] = nets.get(high, 0) - amount
        liquidity += amount if low <= tick < high else 0
    ticks = tuple(sorted(nets))
    return V3Pool(
        factory=V3_FACTORY,
        address=address(0x7000 + number),
        token0=tokens[0],
        token1=tokens[1],
        fee_pips=fee,
        tick_spacing=spacing,
        sqrt_price_x96=sqrt_price_x96 or sqrt_ratio_at(tick),
        tick=tick,
        liquidity=liquidity,
        ticks=ticks,
        nets=tuple(nets[each] for each in ticks),
    )


class PoolChain:
    """Answers `code` and `read` as factories and pools would; counts what it was asked."""

    def __init__(self, pools: Iterable[V2Pool | V3Pool]) -> None:
        self.pools = {pool.address: pool for pool in pools}
        self.reads = 0
        self.calls: list[Call] = []
        self.fails = False

    def put(self, pool: V2Pool | V3Pool) -> None:
        self.pools[pool.address] = pool

    async def code(self, address: Address) -> bytes:
        return b"\x01" if address in (V2_FACTORY, V3_FACTORY) else b""

    async def read(self, calls: Sequence[Call], at: Head) -> list[CallResult]:
        self.reads += 1
        self.calls += calls
        return [self._answer(call) for call in calls]

    def _answer(self, call: Call) -> CallResult:
        if self.fails:
            return CallResult(ok=False, data=b"")
        pool = self.pools.get(call.to)
        words = self._factory(call) if pool is None else _pool_words(pool, call)
        return CallResult(ok=bool(words), data=b"".join(int_word(word) for word in words))

    def _factory(self, call: Call) -> list[int]:
        if call.to not in (V2_FACTORY, V3_FACTORY):
            return []
        wanted = {to_address(call.data[4:36]), to_address(call.data[36:68])}
        fee = int_at(call.data[4:], 2) if call.data[:4] == v3_reader.GET_POOL else None
        for pool in self.pools.values():
            same = {pool.token0, pool.token1} == wanted and pool.factory == call.to
            if same and fee in (None, pool.fee_pips):
                return [int(pool.address, 16)]
        return [int(ZERO_ADDRESS, 16)]


def _pool_words(pool: V2Pool | V3Pool, call: Call) -> list[int]:
    name = call.data[:4]
    if isinstance(pool, V2Pool):
        return [pool.reserve0, pool.reserve1, 0] if name == uniswap_v2.GET_RESERVES else []
    nets = dict(zip(pool.ticks, pool.nets, strict=True))
    if name == v3_reader.TICK_BITMAP:
        word = int_at(call.data[4:], 0)
        places = (tick // pool.tick_spacing for tick in nets)
        return [sum(1 << (place & 255) for place in places if place >> 8 == word)]
    if name == v3_reader.TICKS:
        net = nets.get(int_at(call.data[4:], 0), 0)
        return [abs(net), net, 0, 0, 0, 0, 0, 1]
    answers = {
        v3_reader.SLOT0: [pool.sqrt_price_x96, pool.tick, 0, 0, 0, 0, 1],
        v3_reader.LIQUIDITY: [pool.liquidity],
        v3_reader.TICK_SPACING: [pool.tick_spacing],
    }
    return answers.get(name, [])


def pool_log(pool: Address, *topics: bytes, number: int = 2) -> Log:
    """An event of a pool or factory."""
    return Log(
        address=pool,
        topics=topics,
        data=b"",
        block_number=number,
        block_hash=head(number).hash,
        transaction_hash="0x" + "22" * 32,
        log_index=0,
    )
