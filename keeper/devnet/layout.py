"""What stands where on a local chain: plain records that can be saved beside the chain's state."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, Self

from keeper.domain.units import BPS, Address

MarketKind = Literal["bundled", "aave-v3", "aave-v3.6"]
FEED_DECIMALS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetSpec:
    """A token and the terms on which a market takes it. Shares are in basis points, the bonus is the whole factor."""

    symbol: str
    decimals: int
    price_usd: Decimal
    ltv_bps: int
    threshold_bps: int
    bonus_bps: int
    protocol_fee_bps: int = 1_000
    reserve_factor_bps: int = 1_000
    volatile: bool = True
    wrapped_native: bool = False


# Loan-to-value stands close below the threshold, so that positions can be opened that fall with the first step.
DEFAULT_ASSETS = (
    AssetSpec(
        symbol="WETH",
        decimals=18,
        price_usd=Decimal(2500),
        ltv_bps=8_050,
        threshold_bps=8_250,
        bonus_bps=10_500,
        wrapped_native=True,
    ),
    AssetSpec(
        symbol="WBTC", decimals=8, price_usd=Decimal(60_000), ltv_bps=7_600, threshold_bps=7_800, bonus_bps=10_625
    ),
    AssetSpec(
        symbol="USDC",
        decimals=6,
        price_usd=Decimal(1),
        ltv_bps=7_800,
        threshold_bps=8_000,
        bonus_bps=10_450,
        volatile=False,
    ),
    AssetSpec(
        symbol="DAI",
        decimals=18,
        price_usd=Decimal(1),
        ltv_bps=7_500,
        threshold_bps=7_700,
        bonus_bps=10_500,
        volatile=False,
    ),
    AssetSpec(symbol="LINK", decimals=18, price_usd=Decimal(15), ltv_bps=6_600, threshold_bps=6_800, bonus_bps=10_750),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EModeSpec:
    """An efficiency mode: its terms, and the symbols of the reserves in it (all can be borrowed in it, too).

    `price_of` names the reserve whose feed prices the whole category, where the protocol can do that (3.0.2).
    """

    id: int
    label: str
    symbols: tuple[str, ...]
    ltv_bps: int
    threshold_bps: int
    bonus_bps: int
    price_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What a real market may have beyond its reserves: efficiency modes, and a sequencer's sentinel."""

    emodes: tuple[EModeSpec, ...] = ()
    sentinel_grace_s: int | None = None  # None: no sentinel


NO_EXTRAS = Extras()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A reserve as deployed: its terms, the token, and the feed (proxy, and the aggregator behind it)."""

    spec: AssetSpec
    token: Address
    feed: Address
    aggregator: Address

    @property
    def symbol(self) -> str:
        """Return the token's symbol."""
        return self.spec.symbol

    def to_raw(self, amount: Decimal) -> int:
        """Return whole tokens as the smallest unit, rounded down."""
        return int(amount * 10**self.spec.decimals)


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """A lending market as deployed. `sequencer` is the feed behind its sentinel, where it has one."""

    kind: MarketKind
    addresses_provider: Address
    pool: Address
    oracle: Address
    configurator: Address
    data_provider: Address | None
    start_block: int
    assets: tuple[Asset, ...]
    emodes: tuple[EModeSpec, ...] = ()
    sequencer: Address | None = None

    def asset(self, symbol: str) -> Asset:
        """Return the reserve with that symbol; raises KeyError."""
        for asset in self.assets:
            if asset.symbol == symbol:
                return asset
        raise KeyError(symbol)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One pool of a venue. `fee_pips` is in millionths; token0 and token1 are ordered as the venue orders them."""

    address: Address
    token0: Address
    token1: Address
    fee_pips: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """A place to sell collateral, with the pools made on it."""

    protocol: Literal["uniswap-v2", "uniswap-v3"]
    factory: Address
    router: Address | None = None
    quoter: Address | None = None
    position_manager: Address | None = None
    fee_tiers: tuple[int, ...] = ()
    pools: tuple[Pool, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A whole world. `executor` is there once the world deployed one, `morpho` where it was asked for."""

    chain_id: int
    deployer: Address
    market: Market
    venues: tuple[Venue, ...]
    borrowers: tuple[Address, ...] = ()
    executor: Address | None = None
    morpho: Address | None = None

    @property
    def flash_lenders(self) -> list[Address]:
        """Who lends for a call beside the market and the swap pools."""
        return [] if self.morpho is None else [self.morpho]

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Self:
        """Rebuild a layout from its own JSON."""
        market = dict(raw["market"])
        market["assets"] = tuple(_asset(item) for item in market["assets"])
        market["emodes"] = tuple(_emode(item) for item in market["emodes"])
        return cls(
            chain_id=raw["chain_id"],
            deployer=raw["deployer"],
            market=Market(**market),
            venues=tuple(_venue(item) for item in raw["venues"]),
            borrowers=tuple(raw["borrowers"]),
            executor=raw["executor"],
            morpho=raw["morpho"],
        )


def _asset(raw: dict[str, Any]) -> Asset:
    spec = {**raw["spec"], "price_usd": Decimal(raw["spec"]["price_usd"])}
    return Asset(**{**raw, "spec": AssetSpec(**spec)})


def _emode(raw: dict[str, Any]) -> EModeSpec:
    return EModeSpec(**{**raw, "symbols": tuple(raw["symbols"])})


def _venue(raw: dict[str, Any]) -> Venue:
    pools = tuple(Pool(**pool) for pool in raw["pools"])
    return Venue(**{**raw, "pools": pools, "fee_tiers": tuple(raw["fee_tiers"])})


def feed_answer(price_usd: Decimal) -> int:
    """Return a price in USD as a feed reports it (8 decimals), rounded down."""
    return int(price_usd * 10**FEED_DECIMALS)


def share(value: int, bps: int) -> int:
    """Return `bps` basis points of `value`, rounded down."""
    return value * bps // BPS
