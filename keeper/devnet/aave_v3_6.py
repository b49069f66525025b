"""The real Aave V3.6, compiled from its published sources, on feeds of our own."""

from collections.abc import Mapping, Sequence

import eth_abi

from keeper.devnet.builder import Builder, Contract
from keeper.devnet.layout import Asset, AssetSpec, EModeSpec, Extras, Market
from keeper.devnet.npm import deploy_fixture
from keeper.devnet.tokens import deploy_asset, deploy_sequencer
from keeper.domain.units import ZERO_ADDRESS, Address, to_address

_FIXTURE = "aave-v3.6"
_BASE_UNIT = 10**8  # the oracle counts in USD with 8 decimals
_FLASH_PREMIUM_BPS = 5
_TREASURY = to_address("0x" + "7e" * 20)  # the protocol's own; nobody holds it here


class _Libraries:
    """Deploys each linked library once, when it is first asked for."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._known: dict[str, Address] = {}

    def __call__(self, name: str) -> Address:
        if name not in self._known:
            self._known[name] = deploy_fixture(self._builder, f"{_FIXTURE}/{name}", library=self).address
        return self._known[name]


async def deploy_aave_v3_6(builder: Builder, specs: Sequence[AssetSpec], extras: Extras) -> Market:
    """Deploy the protocol with one reserve per spec: borrowing and flash loans on, protocol fee set, no caps.

    Raises Failed when the contracts have not been compiled yet.
    """
    start_block = await builder.anvil.block_number() + 1
    provider = _deploy_provider(builder)
    rates = _deploy(builder, "DefaultReserveInterestRateStrategyV2", provider.address)
    libraries = _Libraries(builder)
    pool_code = deploy_fixture(builder, f"{_FIXTURE}/PoolInstance", provider.address, rates.address, library=libraries)
    configurator_code = deploy_fixture(builder, f"{_FIXTURE}/PoolConfiguratorInstance", library=libraries)
    builder.send(provider, "setPoolImpl", pool_code.address, gas_units=3_000_000)
    builder.send(provider, "setPoolConfiguratorImpl", configurator_code.address, gas_units=3_000_000)
    data_provider = _deploy(builder, "AaveProtocolDataProvider", provider.address)
    builder.send(provider, "setPoolDataProvider", data_provider.address)
    await builder.flush()

    pool = Contract(address=await builder.read(provider, "getPool"), interface=pool_code.interface)
    configurator = Contract(
        address=await builder.read(provider, "getPoolConfigurator"), interface=configurator_code.interface
    )
    assets = tuple(deploy_asset(builder, spec, real_weth=True) for spec in specs)
    oracle = _deploy_oracle(builder, provider, assets)
    await builder.flush()  # a reserve asks its token for the decimals
    _list_reserves(builder, pool, configurator, assets)
    for emode in extras.emodes:
        _add_emode(builder, configurator, {asset.symbol: asset for asset in assets}, emode)
    sequencer = _guard(builder, provider, extras.sentinel_grace_s)
    await builder.flush()
    return Market(
        kind="aave-v3.6",
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


def _deploy(builder: Builder, name: str, *arguments: object) -> Contract:
    return deploy_fixture(builder, f"{_FIXTURE}/{name}", *arguments)


def _deploy_provider(builder: Builder) -> Contract:
    """Queue the addresses provider and the access list, on which the deployer may do everything."""
    provider = _deploy(builder, "PoolAddressesProvider", "keeper devnet", builder.deployer)
    builder.send(provider, "setACLAdmin", builder.deployer)
    acl = _deploy(builder, "ACLManager", provider.address)
    builder.send(provider, "setACLManager", acl.address)
    for role in ("addPoolAdmin", "addAssetListingAdmin", "addRiskAdmin", "addEmergencyAdmin"):
        builder.send(acl, role, builder.deployer)
    return provider


def _deploy_oracle(builder: Builder, provider: Contract, assets: tuple[Asset, ...]) -> Contract:
    tokens, feeds = [asset.token for asset in assets], [asset.feed for asset in assets]
    quoted = (ZERO_ADDRESS, ZERO_ADDRESS, _BASE_UNIT)
    oracle = _deploy(builder, "AaveOracle", provider.address, tokens, feeds, *quoted)
    builder.send(provider, "setPriceOracle", oracle.address)
    return oracle


def _list_reserves(builder: Builder, pool: Contract, configurator: Contract, assets: tuple[Asset, ...]) -> None:
    a_token = _deploy(builder, "ATokenInstance", pool.address, ZERO_ADDRESS, _TREASURY).address
    debt_token = _deploy(builder, "VariableDebtTokenInstance", pool.address, ZERO_ADDRESS).address
    for asset in assets:
        entry = _reserve_input(asset, a_token, debt_token)
        builder.send(configurator, "initReserves", [entry], gas_units=8_000_000)
        spec = asset.spec
        if spec.threshold_bps:  # else it is collateral in efficiency modes only
            terms = (spec.ltv_bps, spec.threshold_bps, spec.bonus_bps)
            builder.send(configurator, "configureReserveAsCollateral", asset.token, *terms)
        builder.send(configurator, "setReserveBorrowing", asset.token, True)
        builder.send(configurator, "setReserveFlashLoaning", asset.token, True)
        builder.send(configurator, "setReserveFactor", asset.token, spec.reserve_factor_bps)
        builder.send(configurator, "setLiquidationProtocolFee", asset.token, spec.protocol_fee_bps)
    builder.send(configurator, "updateFlashloanPremium", _FLASH_PREMIUM_BPS)


def _reserve_input(asset: Asset, a_token: Address, debt_token: Address) -> tuple[object, ...]:
    """Return what a reserve is made of; its rate curve has a kink at 45 % when it is volatile, else at 80 %."""
    symbol = asset.symbol
    kink_bps = 4_500 if asset.spec.volatile else 8_000
    curve = eth_abi.encode(["(uint16,uint32,uint32,uint32)"], [(kink_bps, 0, 400, 8_000)])
    return (
        a_token,
        debt_token,
        asset.token,
        f"Aave devnet {symbol}",
        f"a{symbol}",
        f"Aave devnet variable debt {symbol}",
        f"variableDebt{symbol}",
        b"",
        curve,
    )


def _add_emode(builder: Builder, configurator: Contract, assets: Mapping[str, Asset], emode: EModeSpec) -> None:
    terms = (emode.ltv_bps, emode.threshold_bps, emode.bonus_bps)
    builder.send(configurator, "setEModeCategory", emode.id, *terms, emode.label)
    for symbol in emode.symbols:
        builder.send(configurator, "setAssetCollateralInEMode", assets[symbol].token, emode.id, True)
        builder.send(configurator, "setAssetBorrowableInEMode", assets[symbol].token, emode.id, True)


def _guard(builder: Builder, provider: Contract, grace_s: int | None) -> Address | None:
    """Queue a sentinel that asks a sequencer feed of ours; return the feed."""
    if grace_s is None:
        return None
    sequencer = deploy_sequencer(builder)
    sentinel = _deploy(builder, "PriceOracleSentinel", provider.address, sequencer, grace_s)
    builder.send(provider, "setPriceOracleSentinel", sentinel.address)
    return sequencer
