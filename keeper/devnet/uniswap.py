"""The real Uniswap V2 and V3 from their npm packages, and constant-product pools of our own."""

from collections.abc import Sequence

from keeper.devnet.abi import Interface
from keeper.devnet.builder import Builder, Contract
from keeper.devnet.layout import Asset, Market, Pool, Venue, feed_answer
from keeper.devnet.npm import deploy_npm
from keeper.devnet.pricing import MAX_TICK, MIN_TICK, TICK_SPACING, raw_for_usd, sqrt_price_x96, tick_near
from keeper.devnet.tokens import approve_all, deploy_own, mint, token_of
from keeper.domain.units import ZERO_ADDRESS, Address

V2_FEE_PIPS = 3_000
_V2_CORE = "@uniswap/v2-core/build"
_V2_PERIPHERY = "@uniswap/v2-periphery/build"
_V3_CORE = "@uniswap/v3-core/artifacts/contracts"
_V3_PERIPHERY = "@uniswap/v3-periphery/artifacts/contracts"
# Ranges of liquidity around the price: ticks to either side (None is everything) and the share of the depth in percent.
_V3_RANGES: tuple[tuple[int | None, int], ...] = ((None, 40), (2_400, 35), (480, 25))

V2_FACTORY = Interface.of("createPair(address,address) (address)", "getPair(address,address) (address)")
V2_PAIR = Interface.of(
    "mint(address) (uint256)",
    "swap(uint256,uint256,address,bytes)",
    "getReserves() (uint112,uint112,uint32)",
    "token0() (address)",
)
_V3_POOL = Interface.of("slot0() (uint160,int24,uint16,uint16,uint16,uint8,bool)")
_V3_ROUTER = Interface.of(
    "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160)) (uint256)"
)

Pairs = Sequence[tuple[Asset, Asset, int]]  # two assets, and the pool's fee in millionths


async def deploy_own_v2(builder: Builder, market: Market, pairs: Pairs, depth_usd: int) -> Venue:
    """Deploy our constant-product pools, each side of each pool worth `depth_usd`."""
    return await _fill_v2(builder, market, deploy_own(builder, "SwapFactory"), None, pairs, depth_usd)


async def deploy_uniswap_v2(builder: Builder, market: Market, pairs: Pairs, depth_usd: int) -> Venue:
    """Deploy Uniswap V2 with its router, each side of each pool worth `depth_usd`."""
    factory = deploy_npm(builder, f"{_V2_CORE}/UniswapV2Factory.json", builder.deployer)
    native = _wrapped_native(market)
    router = deploy_npm(builder, f"{_V2_PERIPHERY}/UniswapV2Router02.json", factory.address, native)
    return await _fill_v2(builder, market, factory, router, pairs, depth_usd)


async def _fill_v2(
    builder: Builder, market: Market, made: Contract, router: Contract | None, pairs: Pairs, depth_usd: int
) -> Venue:
    factory = Contract(address=made.address, interface=V2_FACTORY)
    unique = {frozenset((one.token, other.token)): (one, other) for one, other, _ in pairs}
    for one, other in unique.values():
        builder.send(factory, "createPair", one.token, other.token, gas_units=5_000_000)
    await builder.flush()
    pools = []
    for one, other in unique.values():
        pair = Contract(address=await builder.read(factory, "getPair", one.token, other.token), interface=V2_PAIR)
        for asset in (one, other):
            mint(builder, market, asset, raw_for_usd(asset, depth_usd))
            builder.send(token_of(asset), "transfer", pair.address, raw_for_usd(asset, depth_usd))
        builder.send(pair, "mint", builder.deployer)
        first, second = sorted((one, other), key=_order)
        pools.append(Pool(address=pair.address, token0=first.token, token1=second.token, fee_pips=V2_FEE_PIPS))
    await builder.flush()
    return Venue(
        protocol="uniswap-v2",
        factory=factory.address,
        router=router.address if router else None,
        pools=tuple(pools),
    )


async def deploy_uniswap_v3(builder: Builder, market: Market, pairs: Pairs, depth_usd: int) -> Venue:
    """Deploy Uniswap V3 with position manager, router and quoter; liquidity in several ranges around the price."""
    native = _wrapped_native(market)
    factory = deploy_npm(builder, f"{_V3_CORE}/UniswapV3Factory.sol/UniswapV3Factory.json")
    manager = deploy_npm(
        builder,
        f"{_V3_PERIPHERY}/NonfungiblePositionManager.sol/NonfungiblePositionManager.json",
        factory.address,
        native,
        ZERO_ADDRESS,
    )
    router = deploy_npm(builder, f"{_V3_PERIPHERY}/SwapRouter.sol/SwapRouter.json", factory.address, native)
    quoter = deploy_npm(builder, f"{_V3_PERIPHERY}/lens/QuoterV2.sol/QuoterV2.json", factory.address, native)
    approve_all(builder, market.assets, manager.address)
    approve_all(builder, market.assets, router.address)
    for one, other, fee_pips in pairs:
        _fill_v3(builder, market, manager, (one, other), fee_pips, depth_usd)
    await builder.flush()
    pools = [await _v3_pool(builder, factory, *entry) for entry in pairs]
    return Venue(
        protocol="uniswap-v3",
        factory=factory.address,
        router=router.address,
        quoter=quoter.address,
        position_manager=manager.address,
        fee_tiers=tuple(sorted({fee_pips for _, _, fee_pips in pairs})),
        pools=tuple(pools),
    )


def _fill_v3(
    builder: Builder, market: Market, manager: Contract, pair: tuple[Asset, Asset], fee_pips: int, depth_usd: int
) -> None:
    first, second = sorted(pair, key=_order)
    price = sqrt_price_x96(
        feed_answer(first.spec.price_usd),
        first.spec.decimals,
        feed_answer(second.spec.price_usd),
        second.spec.decimals,
    )
    tokens = (first.token, second.token)
    builder.send(manager, "createAndInitializePoolIfNecessary", *tokens, fee_pips, price, gas_units=7_000_000)
    for asset in pair:
        mint(builder, market, asset, 2 * raw_for_usd(asset, depth_usd))
    for reach, percent in _V3_RANGES:
        amounts = [raw_for_usd(asset, depth_usd) * percent // 100 for asset in (first, second)]
        low, high = _ticks(price, reach, TICK_SPACING[fee_pips])
        position = (*tokens, fee_pips, low, high, *amounts, 0, 0, builder.deployer, 2**64)
        builder.send(manager, "mint", position)


async def _v3_pool(builder: Builder, factory: Contract, one: Asset, other: Asset, fee_pips: int) -> Pool:
    first, second = sorted((one, other), key=_order)
    address = await builder.read(factory, "getPool", first.token, second.token, fee_pips)
    return Pool(address=address, token0=first.token, token1=second.token, fee_pips=fee_pips)


async def v3_pool_price(builder: Builder, pool: Pool) -> int:
    """Return the pool's square-root price with 96 binary places."""
    answer = await builder.read(Contract(address=pool.address, interface=_V3_POOL), "slot0")
    return int(answer[0])


def v3_swap_to_price(
    builder: Builder, router: Address, pool: Pool, token_in: Address, most_in: int, limit: int
) -> None:
    """Queue a swap that stops when the pool's square-root price reaches `limit`; takes at most `most_in`."""
    token_out = pool.token1 if token_in == pool.token0 else pool.token0
    order = (token_in, token_out, pool.fee_pips, builder.deployer, 2**64, most_in, 0, limit)
    contract = Contract(address=router, interface=_V3_ROUTER)
    builder.send(contract, "exactInputSingle", order)


def _ticks(sqrt_price: int, reach: int | None, spacing: int) -> tuple[int, int]:
    if reach is None:
        return -(-MIN_TICK // spacing) * spacing, MAX_TICK // spacing * spacing
    middle = tick_near(sqrt_price) // spacing * spacing
    width = max(reach // spacing * spacing, spacing)
    return middle - width, middle + width


def _wrapped_native(market: Market) -> Address:
    return next(asset.token for asset in market.assets if asset.spec.wrapped_native)


def _order(asset: Asset) -> int:
    return int(asset.token, 16)
