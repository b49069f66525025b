"""The real Aave V3 (3.0.2) from its npm package, on feeds of our own."""

from collections.abc import Mapping, Sequence

from keeper.devnet.builder import Builder, Contract
from keeper.devnet.layout import Asset, AssetSpec, EModeSpec, Extras, Market
from keeper.devnet.npm import deploy_npm
from keeper.devnet.tokens import deploy_asset, deploy_sequencer
from keeper.domain.units import RAY, ZERO_ADDRESS, Address, to_address

_ROOT = "@aave/core-v3/artifacts/contracts"
_BASE_UNIT = 10**8  # the oracle counts in USD with 8 decimals
_FLASH_PREMIUM_BPS = 9
_FLASH_TO_PROTOCOL_BPS = 3_000
_TREASURY = to_address("0x" + "7e" * 20)  # the protocol's own; nobody holds it here


def _path(folder: str, name: str) -> str:
    return f"{_ROOT}/{folder}/{name}.sol/{name}.json"


class _Libraries:
    """Deploys each linked library once, when it is first asked for."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._known: dict[str, Address] = {}

    def __call__(self, name: str) -> Address:
        if name not in self._known:
            path = _path("protocol/libraries/logic", name)
            self._known[name] = deploy_npm(self._builder, path, library=self).address
        return self._known[name]


async def deploy_aave_v3(builder: Builder, specs: Sequence[AssetSpec], extras: Extras) -> Market:
    """Deploy the protocol with one reserve per spec: borrowing and flash loans on, protocol fee set."""
    start_block = await builder.anvil.block_number() + 1
    provider = deploy_npm(
        builder, _path("protocol/configuration", "PoolAddressesProvider"), "keeper devnet", builder.deployer
    )
    builder.send(provider, "setACLAdmin", builder.deployer)
    acl = deploy_npm(builder, _path("protocol/configuration", "ACLManager"), provider.address)
    builder.send(provider, "setACLManager", acl.address)
    for role in ("addPoolAdmin", "addAssetListingAdmin", "addRiskAdmin", "addEmergencyAdmin"):
        builder.send(acl, role, builder.deployer)
    libraries = _Libraries(builder)
    pool_code = deploy_npm(builder, _path("protocol/pool", "Pool"), provider.address, library=libraries)
    configurator_code = deploy_npm(builder, _path("protocol/pool", "PoolConfigurator"), library=libraries)
    builder.send(provider, "setPoolImpl", pool_code.address, gas_units=3_000_000)
    builder.send(provider, "setPoolConfiguratorImpl", configurator_code.address, gas_units=3_000_000)
    data_provider = deploy_npm(builder, _path("misc", "AaveProtocolDataProvider"), provider.address)
    builder.send(provider, "setPoolDataProvider", data_provider.address)
    await builder.flush()

    pool = Contract(address=await builder.read(provider, "getPool"), interface=pool_code.interface)
    configurator = Contract(
        address=await builder.read(provider, "getPoolConfigurator"), interface=configurator_code.interface
    )
    assets = tuple(deploy_asset(builder, spec, real_weth=True) for spec in specs)
    oracle = _deploy_oracle(builder, provider, assets)
    _list_reserves(builder, provider, pool, configurator, assets)
    for emode in extras.emodes:
        _add_emode(builder, configurator, {asset.symbol: asset for asset in assets}, emode)
    sequencer = _guard(builder, provider, extras.sentinel_grace_s)
    await builder.flush()
    return Market(
        kind="aave-v3",
        addresses_provider=provider.address,
        pool=pool.address,
        oracle=oracle.address,
        configurator=configurator.address,
        data_provider=data_provider.address,
        start_block=start_block,
        assets=assets,
        emodes=extras.emodes,
        sequencer=sequencer,
    )


def _add_emode(builder: Builder, configurator: Contract, assets: Mapping[str, Asset], emode: EModeSpec) -> None:
    terms = (emode.ltv_bps, emode.threshold_bps, emode.bonus_bps)
    source = assets[emode.price_of].token if emode.price_of else ZERO_ADDRESS
    builder.send(configurator, "setEModeCategory", emode.id, *terms, source, emode.label)
    for symbol in emode.symbols:
        builder.send(configurator, "setAssetEModeCategory", assets[symbol].token, emode.id)


def _guard(builder: Builder, provider: Contract, grace_s: int | None) -> Address | None:
    """Queue a sentinel that asks a sequencer feed of ours; return the feed."""
    if grace_s is None:
        return None
    sequencer = deploy_sequencer(builder)
    sentinel = deploy_npm(
        builder, _path("protocol/configuration", "PriceOracleSentinel"), provider.address, sequencer, grace_s
    )
    builder.send(provider, "setPriceOracleSentinel", sentinel.address)
    return sequencer


def _deploy_oracle(builder: Builder, provider: Contract, assets: tuple[Asset, ...]) -> Contract:
    oracle = deploy_npm(
        builder,
        _path("misc", "AaveOracle"),
        provider.address,
        [asset.token for asset in assets],
        [asset.feed for asset in assets],
        ZERO_ADDRESS,
        ZERO_ADDRESS,
        _BASE_UNIT,
    )
    builder.send(provider, "setPriceOracle", oracle.address)
    return oracle


def _deploy_rates(builder: Builder, provider: Contract, *, volatile: bool) -> Contract:
    """Deploy a rate curve: kink at 45 % for volatile reserves, at 80 % for the others."""
    percent = RAY // 100
    kink = 45 if volatile else 80
    curve = (kink * percent, 0, 4 * percent, 80 * percent)
    stable_part = (4 * percent, 80 * percent, 2 * percent, 5 * percent, 20 * percent)  # required, never used
    path = _path("protocol/pool", "DefaultReserveInterestRateStrategy")
    return deploy_npm(builder, path, provider.address, *curve, *stable_part)


def _list_reserves(
    builder: Builder, provider: Contract, pool: Contract, configurator: Contract, assets: tuple[Asset, ...]
) -> None:
    codes = [
        deploy_npm(builder, _path("protocol/tokenization", name), pool.address).address
        for name in ("AToken", "StableDebtToken", "VariableDebtToken")
    ]
    rates = {volatile: _deploy_rates(builder, provider, volatile=volatile).address for volatile in (True, False)}
    for asset in assets:
        entry = _reserve_input(asset, codes, rates[asset.spec.volatile])
        builder.send(configurator, "initReserves", [entry], gas_units=8_000_000)
        spec = asset.spec
        terms = (spec.ltv_bps, spec.threshold_bps, spec.bonus_bps)
        builder.send(configurator, "configureReserveAsCollateral", asset.token, *terms)
        builder.send(configurator, "setReserveBorrowing", asset.token, True)
        builder.send(configurator, "setReserveFlashLoaning", asset.token, True)
        builder.send(configurator, "setReserveFactor", asset.token, spec.reserve_factor_bps)
        builder.send(configurator, "setLiquidationProtocolFee", asset.token, spec.protocol_fee_bps)
    builder.send(configurator, "updateFlashloanPremiumTotal", _FLASH_PREMIUM_BPS)
    builder.send(configurator, "updateFlashloanPremiumToProtocol", _FLASH_TO_PROTOCOL_BPS)


def _reserve_input(asset: Asset, codes: Sequence[Address], rates: Address) -> tuple[object, ...]:
    a_token, stable_debt, variable_debt = codes
    symbol = asset.symbol
    return (
        a_token,
        stable_debt,
        variable_debt,
        asset.spec.decimals,
        rates,
        asset.token,
        _TREASURY,
        ZERO_ADDRESS,
        f"Aave devnet {symbol}",
        f"a{symbol}",
        f"Aave devnet variable debt {symbol}",
        f"variableDebt{symbol}",
        f"Aave devnet stable debt {symbol}",
        f"stableDebt{symbol}",
        b"",
    )
