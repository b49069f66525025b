"""The bundled lending market: our own contracts, from the artifacts that travel with the package."""

from collections.abc import Sequence

from keeper.devnet.builder import Builder, Contract
from keeper.devnet.layout import Asset, AssetSpec, Market
from keeper.devnet.tokens import deploy_asset, deploy_own, own_interface
from keeper.domain.units import RAY, to_address

_TREASURY = to_address("0x" + "7e" * 20)  # the protocol's own; nobody holds it here
_BORROW_RATE_RAY = {True: 3 * RAY // 100, False: 5 * RAY // 100}  # per year; volatile assets and stable ones
TIERED = 2


async def deploy_bundled(builder: Builder, specs: Sequence[AssetSpec]) -> Market:
    """Deploy the bundled market with one reserve per spec, under the tiered close-factor policy."""
    start_block = await builder.anvil.block_number() + 1
    provider = deploy_own(builder, "AddressesProvider", "keeper devnet", builder.deployer)
    pool = deploy_own(builder, "LendingPool", provider.address, builder.deployer)
    oracle = deploy_own(builder, "PriceOracle", builder.deployer)
    builder.send(provider, "setPool", pool.address)
    builder.send(provider, "setPriceOracle", oracle.address)
    assets = tuple(deploy_asset(builder, spec, real_weth=False) for spec in specs)
    tokens, feeds = [asset.token for asset in assets], [asset.feed for asset in assets]
    builder.send(oracle, "setAssetSources", tokens, feeds)
    await builder.flush()  # the tokens must stand before their shares read the decimals
    for asset in assets:
        _list_reserve(builder, pool, asset)
    builder.send(pool, "setCloseFactorPolicy", TIERED)
    await builder.flush()
    return Market(
        kind="bundled",
        addresses_provider=provider.address,
        pool=pool.address,
        oracle=oracle.address,
        configurator=pool.address,
        data_provider=None,
        start_block=start_block,
        assets=assets,
    )


def _list_reserve(builder: Builder, pool: Contract, asset: Asset) -> None:
    symbol, spec = asset.symbol, asset.spec
    a_token = deploy_own(builder, "AToken", pool.address, asset.token, _TREASURY, f"Deposit {symbol}", f"a{symbol}")
    debt_token = deploy_own(builder, "DebtToken", pool.address, asset.token, f"Debt {symbol}", f"debt{symbol}")
    settings = (
        spec.ltv_bps,
        spec.threshold_bps,
        spec.bonus_bps,
        spec.reserve_factor_bps,
        spec.protocol_fee_bps,
        _BORROW_RATE_RAY[spec.volatile],
        True,
        True,
    )
    builder.send(pool, "initReserve", asset.token, a_token.address, debt_token.address, settings)


def queue_policy(builder: Builder, market: Market, policy: int) -> None:
    """Queue a switch of the close-factor policy: 0 binary, 1 fixed share, 2 tiered, 3 dynamic."""
    pool = Contract(address=market.pool, interface=own_interface("LendingPool"))
    builder.send(pool, "setCloseFactorPolicy", policy)
