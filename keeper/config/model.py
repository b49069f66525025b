"""The settings, frozen and typed. Field names are the keys of the TOML file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from keeper.domain.units import Address, to_address


def _as_address(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be an address, 0x and 40 hexadecimal digits")
    try:
        return to_address(value.strip())
    except ValueError:
        raise ValueError("must be an address, 0x and 40 hexadecimal digits") from None


def _as_decimal(value: Any) -> Any:
    return Decimal(str(value)) if isinstance(value, (int, float)) and value is not True else value


def _as_url(value: str) -> str:
    if not value.startswith(("http://", "https://", "ws://", "wss://")):
        raise ValueError("must start with http://, https://, ws:// or wss://")
    return value


AddressField = Annotated[Address, BeforeValidator(_as_address)]
DecimalField = Annotated[Decimal, BeforeValidator(_as_decimal), Field(allow_inf_nan=False)]
Url = Annotated[str, AfterValidator(_as_url)]


class Section(BaseModel):
    """Base of every table: nothing unknown, nothing changed after loading, no values in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class ChainSettings(Section):
    """`[chain]`: which chain, and how it is reached."""

    id: int = Field(gt=0)
    rpc_urls: Annotated[tuple[Url, ...], Field(min_length=1)]
    ws_url: Url | None = None
    confirmations: int = Field(default=1, ge=1, le=1000)
    wrapped_native: AddressField | None = None
    native_feed: AddressField | None = None
    requests_per_second: float | None = Field(default=None, gt=0)


class SignerSettings(Section):
    """`[signer]`: where the key comes from."""

    keystore: Path | None = None
    password_file: Path | None = None
    allow_env_key: bool = False


class ExecutorSettings(Section):
    """`[executor]`: the deployed KeeperExecutor."""

    address: AddressField


class MarketSettings(Section):
    """`[[markets]]`: one lending deployment to watch."""

    name: str = Field(min_length=1)
    protocol: Literal["aave-v3"]
    addresses_provider: AddressField
    start_block: int = Field(default=0, ge=0)


class VenueSettings(Section):
    """`[[venues]]`: one exchange to sell into. `fee_tiers` are in 1e-6 (3000 = 0.3 %)."""

    protocol: Literal["uniswap-v2", "uniswap-v3"]
    factory: AddressField
    router: AddressField | None = None
    quoter: AddressField | None = None
    fee_tiers: tuple[Annotated[int, Field(ge=0, lt=1_000_000)], ...] | None = None


class FeedSettings(Section):
    """`[[feeds]]`: what is demanded of the feed that prices `token`; bounds in the feed's currency."""

    token: AddressField
    heartbeat_s: int = Field(default=90_000, gt=0)
    min: DecimalField | None = None
    max: DecimalField | None = None


class PolicySettings(Section):
    """`[policy]`: what is worth doing."""

    min_profit_usd: Annotated[DecimalField, Field(ge=0)] = Decimal(1)
    sizing: Literal["max-profit", "max", "target-health"] = "max-profit"
    target_health: Annotated[DecimalField, Field(ge=1, le=10)] = Decimal("1.05")
    hub_tokens: tuple[AddressField, ...] | None = None
    max_gas_price_gwei: Annotated[DecimalField, Field(gt=0)] | None = None


class StateSettings(Section):
    """`[state]`: where the journal lives; a folder, or a file ending in .sqlite, .sqlite3 or .db."""

    path: Path


class Settings(Section):
    """The whole configuration file."""

    chain: ChainSettings
    signer: SignerSettings | None = None
    executor: ExecutorSettings | None = None
    markets: Annotated[tuple[MarketSettings, ...], Field(min_length=1)]
    venues: tuple[VenueSettings, ...] = ()
    feeds: tuple[FeedSettings, ...] = ()
    policy: PolicySettings = PolicySettings()
    state: StateSettings | None = None
