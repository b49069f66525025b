"""Real pools of many kinds on a local chain: tokens of many decimals, fee tiers, gaps, a fork with another fee."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import combinations
from math import isqrt

from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.devnet.abi import Interface
from keeper.devnet.builder import Builder, Contract
from keeper.devnet.npm import load_npm
from keeper.devnet.pricing import MAX_TICK, MIN_TICK, TICK_SPACING, tick_near
from keeper.devnet.tokens import TOKEN, deploy_own
from keeper.devnet.world import World
from keeper.domain.chain import AccountOverride, Head, SimulatedCall, SimulatedOutcome
from keeper.domain.units import MAX_UINT256, Address, to_address
from keeper.venues.book import VenueBook
from keeper.venues.pools import VenueConfig
from keeper.venues.view import BookView

TRADER = to_address("0x" + "7a" * 20)
FORK_FEE_PIPS = 2000
_FUNDS_RAW = 10**42
_KINDS = ((6, 1_000_000), (8, 40_000_000_000), (18, 2_000_000_000), (18, 3_000_000), (2, 100_000_000), (24, 10_000))
"""Decimals and price in millionths of a dollar."""

_TIMES_FEE = "60{:02x}63ffffffff"
"""In the pair's compiled invariant, the fee in thousandths, about to be multiplied with what came in."""

V2_FACTORY = Interface.of("createPair(address,address) (address)", "getPair(address,address) (address)")
V2_PAIR = Interface.of("mint(address) (uint256)", "swap(uint256,uint256,address,bytes)", "skim(address)")
V3_FACTORY = Interface.of("enableFeeAmount(uint24,int24)")
V3_MANAGER = Interface.of(
    "createAndInitializePoolIfNecessary(address,address,uint24,uint160) (address)",
    "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))",
)
V3_ROUTER = Interface.of("exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160)) (uint256)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Coin:
    """A test token. `price` is in millionths of a dollar per whole token."""

    token: Address
    decimals: int
    price: int

    def worth(self, usd: int) -> int:
        """Return the raw amount worth so many dollars."""
        return int(usd * 10 ** (6 + self.decimals) // self.price)


@dataclass(frozen=True, slots=True, kw_only=True)
class Zoo:
    """Tokens, the venues that trade them, and the router of the concentrated ones."""

    coins: tuple[Coin, ...]
    venues: tuple[VenueConfig, ...]
    v3_router: Address


async def fill_zoo(world: World, dice: random.Random) -> Zoo:
    """Deploy tokens and pools of each kind between each two of them, with positions by chance."""
    v3 = next(venue for venue in world.venues if venue.protocol == "uniswap-v3")
    assert v3.position_manager is not None
    assert v3.router is not None
    manager = Contract(address=v3.position_manager, interface=V3_MANAGER)
    async with world.transactions() as builder:
        coins = _deploy_coins(builder)
        spot_factories = [_deploy_v2(builder, fee_thousandths=3), _deploy_v2(builder, fee_thousandths=2)]
        for coin in coins:
            builder.send(_token(coin.token), "mint", builder.deployer, _FUNDS_RAW)
            builder.send(_token(coin.token), "approve", manager.address, MAX_UINT256)
        builder.send(Contract(address=v3.factory, interface=V3_FACTORY), "enableFeeAmount", 100, 1)
        await builder.flush()
        for one, other in combinations(sorted(coins, key=lambda coin: int(coin.token, 16)), 2):
            for fee_pips in dice.sample(sorted(TICK_SPACING), 2):
                _fill_v3(builder, manager, (one, other), fee_pips, dice)
            for factory in spot_factories:
                await _fill_v2(builder, factory, (one, other), dice)
        await builder.flush()
    return Zoo(
        coins=coins,
        venues=(
            VenueConfig(protocol="uniswap-v3", factory=v3.factory, fee_tiers=tuple(TICK_SPACING)),
            VenueConfig(protocol="uniswap-v2", factory=spot_factories[0].address),
            VenueConfig(protocol="uniswap-v2", factory=spot_factories[1].address, fee_tiers=(FORK_FEE_PIPS,)),
        ),
        v3_router=v3.router,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cage:
    """The zoo, mirrored."""

    world: World
    chain: RpcChain
    zoo: Zoo
    book: VenueBook
    head: Head
    view: BookView


@asynccontextmanager
async def open_cage(world: World, seed: int) -> AsyncIterator[Cage]:
    """Fill a zoo on the chain of `world` and read it; every token is a hub."""
    zoo = await fill_zoo(world, random.Random(seed))
    async with await connect([world.anvil.http_url], chain_id=world.layout.chain_id) as chain:
        book = VenueBook(chain, zoo.venues)
        head = await chain.head()
        await book.start([coin.token for coin in zoo.coins], head)
        yield Cage(world=world, chain=chain, zoo=zoo, book=book, head=head, view=await book.advance(head, []))


async def simulate(
    chain: RpcChain, zoo: Zoo, calls: Sequence[SimulatedCall], at: Head, spenders: Sequence[Address]
) -> list[SimulatedOutcome]:
    """Execute `calls` of a trader who has plenty of everything and has approved `spenders`."""
    before = [
        call(coin.token, TOKEN.encode(name, *arguments))
        for coin in zoo.coins
        for name, arguments in (
            ("mint", (TRADER, _FUNDS_RAW)),
            *(("approve", (spender, MAX_UINT256)) for spender in spenders),
        )
    ]
    overrides = {TRADER: AccountOverride(balance_wei=10**30)}
    outcomes = await chain.simulate([*before, *calls], at=at, overrides=overrides)
    assert all(outcome.ok for outcome in outcomes[: len(before)])
    return outcomes[len(before) :]


def call(to: Address, data: bytes) -> SimulatedCall:
    """A transaction of the trader."""
    return SimulatedCall(sender=TRADER, to=to, data=data)


def _token(address: Address) -> Contract:
    return Contract(address=address, interface=TOKEN)


def _deploy_coins(builder: Builder) -> tuple[Coin, ...]:
    return tuple(
        Coin(
            token=deploy_own(builder, "TestToken", f"Coin {number}", f"C{number}", decimals).address,
            decimals=decimals,
            price=price,
        )
        for number, (decimals, price) in enumerate(_KINDS)
    )


def _deploy_v2(builder: Builder, *, fee_thousandths: int) -> Contract:
    """Deploy the real factory; a fork's fee is patched into the two places of the pair's invariant."""
    artifact = load_npm("@uniswap/v2-core/build/UniswapV2Factory.json")
    code = artifact["bytecode"].removeprefix("0x")
    assert code.count(_TIMES_FEE.format(3)) == 2
    code = code.replace(_TIMES_FEE.format(3), _TIMES_FEE.format(fee_thousandths))
    made = builder.deploy(artifact["abi"], bytes.fromhex(code), builder.deployer, label="UniswapV2Factory")
    return Contract(address=made.address, interface=V2_FACTORY)


async def _fill_v2(builder: Builder, factory: Contract, pair: tuple[Coin, Coin], dice: random.Random) -> None:
    builder.send(factory, "createPair", pair[0].token, pair[1].token, gas_units=5_000_000)
    await builder.flush()
    address = await builder.read(factory, "getPair", pair[0].token, pair[1].token)
    usd = int(10 ** dice.uniform(3, 7))
    for coin in pair:
        builder.send(_token(coin.token), "transfer", address, coin.worth(usd))
    builder.send(Contract(address=address, interface=V2_PAIR), "mint", builder.deployer)


def _fill_v3(builder: Builder, manager: Contract, pair: tuple[Coin, Coin], fee_pips: int, dice: random.Random) -> None:
    """Fill one pool: sometimes the whole range, always some narrow ones, some of them far from the price."""
    price = isqrt((pair[1].worth(10**9) << 192) // pair[0].worth(10**9))
    tokens = (pair[0].token, pair[1].token)
    builder.send(manager, "createAndInitializePoolIfNecessary", *tokens, fee_pips, price, gas_units=7_000_000)
    spacing, middle = TICK_SPACING[fee_pips], tick_near(price)
    ranges = [(-(-MIN_TICK // spacing) * spacing, MAX_TICK // spacing * spacing)] if dice.random() < 0.6 else []
    for _ in range(dice.randint(2, 6)):
        near = (middle + dice.randint(-3000, 3000)) // spacing * spacing
        low = max(near - spacing * dice.randint(0, 3000 // spacing + 1), MIN_TICK // spacing * spacing + spacing)
        high = min(near + spacing * dice.randint(1, 3000 // spacing + 2), MAX_TICK // spacing * spacing)
        ranges.append((low, high))
    ranges.append(((middle // spacing - 2) * spacing, (middle // spacing + 3) * spacing))
    for low, high in ranges:
        amounts = [coin.worth(int(10 ** dice.uniform(4, 7))) for coin in pair]
        builder.send(manager, "mint", (*tokens, fee_pips, low, high, *amounts, 0, 0, builder.deployer, 2**64))
