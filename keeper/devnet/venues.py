"""Which venues a world has, and what can be traded there."""

from keeper.devnet.builder import Builder
from keeper.devnet.layout import Asset, Market, Venue
from keeper.devnet.uniswap import Pairs, deploy_own_v2, deploy_uniswap_v2, deploy_uniswap_v3


async def deploy_venues(builder: Builder, market: Market, depth_usd: int, *, uniswap_v2: bool) -> tuple[Venue, ...]:
    """Deploy the venues that belong to the market's kind, pools `depth_usd` deep per side; none for a depth of 0."""
    if depth_usd == 0:
        return ()
    pairs = _pairs(market)
    if market.kind == "bundled":
        return (await deploy_own_v2(builder, market, pairs, depth_usd),)
    v3 = await deploy_uniswap_v3(builder, market, pairs, depth_usd)
    if not uniswap_v2:
        return (v3,)
    return v3, await deploy_uniswap_v2(builder, market, pairs, depth_usd // 2)


def _pairs(market: Market) -> Pairs:
    """Pair every asset with the wrapped native token, and with the first stable one; stables cost less."""
    native = next(asset for asset in market.assets if asset.spec.wrapped_native)
    stable = next(asset for asset in market.assets if not asset.spec.volatile)
    pairs: list[tuple[Asset, Asset, int]] = []
    for asset in market.assets:
        if asset is not native:
            pairs.append((asset, native, 3_000))
        if asset not in (native, stable):
            pairs.append((asset, stable, 3_000 if asset.spec.volatile else 500))
    pairs.append((native, stable, 500))
    return pairs
