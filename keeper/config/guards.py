"""`[guards]` and `[send]`: what may be lost, and how transactions leave."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from keeper.config.fields import AddressField, DecimalField, HttpUrl, PathField, Section

Amount = Annotated[DecimalField, Field(ge=0)]


class CapSettings(Section):
    """Bounds of one scope; what is absent is not bounded. `gas_native` is in whole units of the native currency."""

    notional_usd: Amount | None = None
    gas_native: Amount | None = None
    loss_usd: Amount | None = None


class GuardSettings(Section):
    """`[guards]`: limits decided before anything is signed. Nothing is limited by default."""

    transaction: CapSettings = CapSettings()
    account: CapSettings = CapSettings()
    market: CapSettings = CapSettings()
    hour: CapSettings = CapSettings()
    day: CapSettings = CapSettings()
    max_consecutive_reverts: Annotated[int, Field(ge=1)] | None = None
    max_drawdown_usd: Annotated[DecimalField, Field(gt=0)] | None = None
    balance_floor_native: Amount = Decimal(0)
    halt_file: PathField | None = None
    allow_markets: tuple[str, ...] | None = None
    deny_markets: tuple[str, ...] = ()
    allow_tokens: tuple[AddressField, ...] | None = None
    deny_tokens: tuple[AddressField, ...] = ()
    allow_accounts: tuple[AddressField, ...] | None = None
    deny_accounts: tuple[AddressField, ...] = ()


class SendingSettings(Section):
    """`[send]`: the public mempool, or a private address first."""

    bump_after_blocks: int = Field(default=3, ge=1, le=1000)
    private_url: HttpUrl | None = None
    private_method: Literal["eth_sendRawTransaction", "eth_sendPrivateTransaction"] = "eth_sendRawTransaction"
    public_fallback: Literal["never", "after_blocks"] = "never"
    fallback_blocks: int | None = Field(default=None, ge=1, le=1000)

    @model_validator(mode="after")
    def _check_fallback(self) -> Self:
        if (self.public_fallback == "after_blocks") != (self.fallback_blocks is not None):
            raise ValueError('fallback_blocks goes with public_fallback = "after_blocks"; set both or neither')
        return self
