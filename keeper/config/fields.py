"""Types of single settings, and the base of every table."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

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
    if not value.startswith(("http://", "https://", "ws://", "wss://", "ipc:", "/", "./", "~/")):
        raise ValueError("must start with http://, https://, ws:// or wss://, or be the path of a node's unix socket")
    return value


AddressField = Annotated[Address, BeforeValidator(_as_address)]
DecimalField = Annotated[Decimal, BeforeValidator(_as_decimal), Field(allow_inf_nan=False)]
Url = Annotated[str, AfterValidator(_as_url)]


class Section(BaseModel):
    """Base of every table: nothing unknown, nothing changed after loading, no values in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
