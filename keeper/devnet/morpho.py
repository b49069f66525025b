"""The real Morpho, compiled from its published sources, with tokens to lend."""

from keeper.devnet.builder import Builder
from keeper.devnet.layout import Market
from keeper.devnet.npm import deploy_fixture
from keeper.devnet.pricing import raw_for_usd
from keeper.devnet.tokens import approve_all, mint
from keeper.domain.units import ZERO_ADDRESS, Address

_NO_LLTV = 0


async def deploy_morpho(builder: Builder, market: Market, depth_usd: int) -> Address:
    """Deploy Morpho and supply `depth_usd` of each of the market's assets, each in a market without borrowers.

    What is supplied is what it has for flash loans. Raises Failed when it has not been compiled yet.
    """
    morpho = deploy_fixture(builder, "morpho-blue/Morpho", builder.deployer)
    builder.send(morpho, "enableIrm", ZERO_ADDRESS)
    builder.send(morpho, "enableLltv", _NO_LLTV)
    approve_all(builder, market.assets, morpho.address)
    for asset in market.assets:
        terms = (asset.token, ZERO_ADDRESS, ZERO_ADDRESS, ZERO_ADDRESS, _NO_LLTV)
        amount = raw_for_usd(asset, depth_usd)
        mint(builder, market, asset, amount)
        builder.send(morpho, "createMarket", terms)
        builder.send(morpho, "supply", terms, amount, 0, builder.deployer, b"")
    await builder.flush()
    return morpho.address
