"""One price falls and hundreds of accounts with it; what they hold has to be sold into the same few pools."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from support.lending import NOW_S, address, in_book, reserve, view
from support.pool_chain import v2_pool, v3_pool

from keeper.domain.plans import Fees
from keeper.domain.units import Address
from keeper.estimate.gas import GasMemory
from keeper.estimate.planner import Planner
from keeper.estimate.settings import EstimateSettings
from keeper.estimate.situation import Situation
from keeper.lending.aave_v3.state import Position, Reserve
from keeper.lending.aave_v3.view import AaveV3View
from keeper.venues.pools import Pool
from keeper.venues.tick_math import tick_at
from keeper.venues.view import BookView, RouteIndex

WETH, USDC, WBTC, DAI = range(4)
AT_S = NOW_S + 12
WEI_PER_GAS = 20 * 10**9
RESERVES = [
    reserve(WETH, decimals=18, price_base=1600 * 10**8, threshold_bps=8250, bonus_bps=10500),
    reserve(USDC, decimals=6, price_base=10**8, threshold_bps=7800, bonus_bps=10450),
    reserve(WBTC, decimals=8, price_base=30_000 * 10**8, threshold_bps=7800, bonus_bps=10625),
    reserve(DAI, decimals=18, price_base=10**8, threshold_bps=7700, bonus_bps=10400, fee_bps=0),
]
TOKENS = [each.token for each in RESERVES]

Shape = Literal["one-pair", "two-pairs", "through-a-hub"]
SHAPES: tuple[Shape, ...] = ("one-pair", "two-pairs", "through-a-hub")


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """A market after the fall, and all there is to sell into."""

    market: AaveV3View
    pools: tuple[Pool, ...]
    fees: Fees

    @property
    def accounts(self) -> list[Address]:
        return [health.account for health in self.market.unhealthy(AT_S)]

    def venues(self) -> BookView:
        return BookView({pool.address: pool for pool in self.pools}, RouteIndex(self.pools, TOKENS))

    def situation(self) -> Situation:
        return Situation(
            head=self.market.head,
            inclusion_s=AT_S,
            markets={self.market.name: self.market},
            venues=self.venues(),
            feeds={},
            fees=self.fees,
        )

    def planner(self, memory: GasMemory | None = None) -> Planner:
        settings = EstimateSettings(chain_id=31337, wrapped_native=TOKENS[WETH])
        return Planner(self.situation(), settings, memory or GasMemory())


def burst(seed: int, shape: Shape, *, accounts: int = 220, depth_bps: int = 3_000, revision: int = 1) -> Burst:
    """`accounts` under water at once, before pools that can take about `depth_bps` of it all at a profit."""
    dice = random.Random(seed)
    positions: dict[Address, Position] = {}
    seized_usd = 0
    for number in range(accounts):
        worth = min(max(int(dice.lognormvariate(8.3, 1.3)), 300), 400_000)
        positions[address(0xA0000 + number)] = _position(dice, shape, worth)
        seized_usd += worth
    market = in_book(view(revision, RESERVES, positions))
    # a constant-product side of R gives way by 2y/R to a sale of y: 4 % of it are what a bonus of 5 % affords
    depth_usd = seized_usd * depth_bps // 10_000 * 50
    fees = Fees(fee_cap_wei=2 * WEI_PER_GAS, tip_wei=0, expected_wei=WEI_PER_GAS)
    return Burst(market=market, pools=tuple(_pools(dice, shape, depth_usd)), fees=fees)


def also_holding_what_they_owe(seed: int, *, revision: int = 1) -> Burst:
    """A few accounts with a part of their collateral in the very token they owe: it repays without a sale."""
    dice = random.Random(seed)
    positions: dict[Address, Position] = {}
    for number in range(dice.choice((2, 4, 6))):
        worth, part = dice.randrange(20_000, 200_000), dice.randrange(5, 60)
        threshold_bps = (7800 * part + 8250 * (100 - part)) // 100
        owed = worth * threshold_bps // 10_000 * dice.randrange(101, 125) // 100
        held = (WETH, raw_for_usd(WETH, worth * (100 - part) // 100)), (USDC, raw_for_usd(USDC, worth * part // 100))
        positions[address(0xA0000 + number)] = Position(
            emode=0, collaterals=held, debts=((USDC, raw_for_usd(USDC, owed)),)
        )
    return _before_three_pools(dice, positions, dice.choice((200_000, 1_000_000, 5_000_000)), revision)


def a_few_whales(seed: int, *, accounts: int = 8) -> Burst:
    """A few accounts of one pair, each large beside any pool."""
    dice = random.Random(seed)
    positions: dict[Address, Position] = {}
    for number in range(accounts):
        worth = dice.randrange(20_000, 200_000)
        owed = worth * dice.randrange(830, 900) // 1000
        positions[address(0xA0000 + number)] = Position(
            emode=0,
            collaterals=((WETH, raw_for_usd(WETH, worth)),),
            debts=((USDC, raw_for_usd(USDC, owed)),),
        )
    return _before_three_pools(dice, positions, dice.choice((300_000, 1_000_000, 4_000_000)) * accounts // 2, 1)


def _before_three_pools(
    dice: random.Random, positions: dict[Address, Position], depth_usd: int, revision: int
) -> Burst:
    """A market before two pools that can pay before they are paid, and one that cannot."""
    return Burst(
        market=in_book(view(revision, RESERVES, positions)),
        pools=(
            _ranges(dice, 1, WETH, USDC, depth_usd),
            _ranges(dice, 2, WETH, USDC, depth_usd * dice.randrange(50, 100) // 100),
            _product(3, WETH, USDC, depth_usd // 4),
        ),
        fees=Fees(fee_cap_wei=2 * WEI_PER_GAS, tip_wei=0, expected_wei=WEI_PER_GAS),
    )


def raw_for_usd(id_: int, usd: int) -> int:
    return usd * 10 ** (RESERVES[id_].decimals + 8) // (RESERVES[id_].price_base or 1)


def _position(dice: random.Random, shape: Shape, worth: int) -> Position:
    """An account a little or far under water."""
    owed = int(worth * dice.uniform(0.826, 0.93))
    if shape == "one-pair":
        weth, usdc = raw_for_usd(WETH, worth), raw_for_usd(USDC, owed)
        return Position(emode=0, collaterals=((WETH, weth),), debts=((USDC, usdc),))
    part, share = dice.randrange(0, 11), dice.randrange(0, 11)
    if shape == "through-a-hub":
        part = dice.choice((0, 10, part))
    held = [(WETH, worth * part // 10), (WBTC, worth * (10 - part) // 10)]
    debts = [(USDC, owed * share // 10), (DAI, owed * (10 - share) // 10)]
    return Position(
        emode=0,
        collaterals=tuple((id_, raw_for_usd(id_, usd)) for id_, usd in held if usd),
        debts=tuple((id_, raw_for_usd(id_, usd)) for id_, usd in debts if usd),
    )


def _pools(dice: random.Random, shape: Shape, depth_usd: int) -> list[Pool]:
    """Two thin pools that everything has to pass, and deep ones around them where the shape has any."""
    wide = 40 * depth_usd
    match shape:
        case "one-pair":
            return [_product(1, WETH, USDC, depth_usd // 2), _ranges(dice, 2, WETH, USDC, depth_usd // 2)]
        case "two-pairs":
            return [
                _product(1, WETH, USDC, depth_usd // 2),
                _ranges(dice, 2, WBTC, USDC, depth_usd // 2),
                _product(3, USDC, DAI, wide, fee=500),
            ]
        case "through-a-hub":
            return [
                _ranges(dice, 1, WETH, USDC, depth_usd // 2),
                _product(2, WETH, DAI, depth_usd // 2),
                _product(3, WETH, WBTC, wide, fee=500),
            ]


def _sides(one: int, other: int) -> tuple[int, int]:
    low, high = sorted((one, other), key=lambda id_: TOKENS[id_].lower())
    return low, high


def _product(number: int, one: int, other: int, usd: int, fee: int = 3_000) -> Pool:
    low, high = _sides(one, other)
    return v2_pool(number, TOKENS[low], TOKENS[high], raw_for_usd(low, usd), raw_for_usd(high, usd), fee)


def _ranges(dice: random.Random, number: int, one: int, other: int, usd: int) -> Pool:
    """As deep as a constant-product pool of `usd` a side, some of it nearer to the price."""
    low, high = _sides(one, other)
    sides = raw_for_usd(low, usd), raw_for_usd(high, usd)
    price = int((sides[1] / sides[0]) ** 0.5 * dice.uniform(0.999, 1.001) * 2**96)
    tick = tick_at(price)
    near, liquidity = tick // 60 * 60, int((sides[0] * sides[1]) ** 0.5)
    positions = [(near - 6_000, near + 6_000, liquidity * 2 // 3), (near - 240, near + 300, liquidity)]
    return v3_pool(number, (TOKENS[low], TOKENS[high]), tick=tick, positions=positions, sqrt_price_x96=price)


def reserve_of(token: Address) -> Reserve:
    return RESERVES[TOKENS.index(token)]
