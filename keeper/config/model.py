"""The settings, frozen and typed. Field names are the keys of the TOML file."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from keeper.config.fields import AddressField, DecimalField, PathField, PushUrl, Section, Url
from keeper.config.guards import GuardSettings, SendingSettings
from keeper.domain.swaps import VenueKind


class ChainSettings(Section):
    """`[chain]`: which chain, and how it is reached."""

    id: int = Field(gt=0)
    rpc_urls: Annotated[tuple[Url, ...], Field(min_length=1)]
    ws_url: PushUrl | None = None
    confirmations: int = Field(default=1, ge=1, le=1000)
    wrapped_native: AddressField | None = None
    native_feed: AddressField | None = None
    requests_per_second: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    quorum: int | None = Field(default=None, ge=1)
    sequencer_feed: AddressField | None = None
    sequencer_grace_s: int = Field(default=3_600, ge=0)
    l1_fee: Literal["none", "op-stack", "arbitrum"] | None = None


def _as_name(value: str) -> str:
    if not value or set(value) & set("/\\\x00"):
        raise ValueError("must be the name of a keystore, not its path; for a path there is `keystore`")
    return value


class SignerSettings(Section):
    """`[signer]`: where the key comes from. `account` names a keystore in Foundry's folder."""

    account: Annotated[str, AfterValidator(_as_name)] | None = None
    keystore: PathField | None = None
    password_file: PathField | None = None
    allow_env_key: bool = False


class ExecutorSettings(Section):
    """`[executor]`: the deployed KeeperExecutor."""

    address: AddressField


class FundingSettings(Section):
    """`[funding]`: who lends beside the executor's own balance and the markets. `morpho` lends for nothing."""

    morpho: AddressField | None = None


class MarketSettings(Section):
    """`[[markets]]`: one lending deployment to watch.

    One that is not `armed` is watched, and nothing is sent to it. `allow_unverified_revision` lets `--live` send to a
    pool whose rules were never compared with a compiled contract. `audit_accounts` are compared with the chain when the
    market's book was built from logs; of more, so many at random.
    """

    name: str = Field(min_length=1)
    protocol: Literal["aave-v3"]
    addresses_provider: AddressField
    start_block: int = Field(default=0, ge=0)
    armed: bool = True
    allow_unverified_revision: bool = False
    audit_accounts: int = Field(default=2_000, ge=0)


class VenueSettings(Section):
    """`[[venues]]`: one exchange to sell into. `fee_tiers` are in 1e-6 (3000 = 0.3 %)."""

    protocol: VenueKind
    factory: AddressField
    router: AddressField | None = None
    quoter: AddressField | None = None
    fee_tiers: Annotated[tuple[Annotated[int, Field(ge=0, lt=1_000_000)], ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _check_fees(self) -> Self:
        if self.protocol == "uniswap-v2" and len(self.fee_tiers or ()) > 1:
            raise ValueError("fee_tiers has one fee where all pools of a factory take the same, as uniswap-v2's do")
        return self


class FeedSettings(Section):
    """`[[feeds]]`: what is demanded of the feed that prices `token`; bounds in the feed's currency."""

    token: AddressField
    heartbeat_s: int = Field(default=90_000, gt=0)
    min: DecimalField | None = None
    max: DecimalField | None = None
    max_jump_bps: int | None = Field(default=None, gt=0)
    second_source: AddressField | None = None
    jump_blocks: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _check_jump(self) -> Self:
        if self.max_jump_bps is None and (self.second_source is not None or self.jump_blocks is not None):
            raise ValueError("second_source and jump_blocks need max_jump_bps")
        if self.max_jump_bps is not None and self.second_source is None and self.jump_blocks is None:
            raise ValueError("max_jump_bps needs second_source, or jump_blocks")
        return self


class PolicySettings(Section):
    """`[policy]`: what is worth doing."""

    min_profit_usd: Annotated[DecimalField, Field(ge=0)] = Decimal(1)
    sizing: Literal["max-profit", "max", "target-health"] = "max-profit"
    target_health: Annotated[DecimalField, Field(ge=1, le=10)] = Decimal("1.05")
    hub_tokens: tuple[AddressField, ...] | None = None
    max_gas_price_gwei: Annotated[DecimalField, Field(gt=0)] | None = None
    tip_profit_share: Annotated[DecimalField, Field(ge=0, le=Decimal("0.9"))] = Decimal(0)
    tip_percentile: int = Field(default=50, ge=1, le=99)
    min_tip_gwei: Annotated[DecimalField, Field(ge=0)] = Decimal(0)
    max_tip_gwei: Annotated[DecimalField, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _check_tips(self) -> Self:
        if self.max_tip_gwei is not None and self.max_tip_gwei < self.min_tip_gwei:
            raise ValueError("max_tip_gwei is below min_tip_gwei")
        return self


class StateSettings(Section):
    """`[state]`: where the journal lives; a folder, or a file ending in .sqlite, .sqlite3 or .db."""

    path: PathField


class Settings(Section):
    """The whole configuration file."""

    chain: ChainSettings
    signer: SignerSettings | None = None
    executor: ExecutorSettings | None = None
    funding: FundingSettings = FundingSettings()
    markets: Annotated[tuple[MarketSettings, ...], Field(min_length=1)]
    venues: tuple[VenueSettings, ...] = ()
    feeds: tuple[FeedSettings, ...] = ()
    policy: PolicySettings = PolicySettings()
    send: SendingSettings = SendingSettings()
    guards: GuardSettings = GuardSettings()
    state: StateSettings | None = None
