"""Types of single settings, and the base of every table."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from keeper.domain.units import Address, typed_address

_PUSHING = ("ws://", "wss://", "ipc:", "/", "./", "~/")
_ASKED = ("http://", "https://")


def _as_address(value: Any) -> Any:
    return typed_address(value.strip() if isinstance(value, str) else "")


def _as_decimal(value: Any) -> Any:
    return Decimal(str(value)) if isinstance(value, (int, float)) and value is not True else value


def _url_of(starts: tuple[str, ...], words: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not value.startswith(starts):
            raise ValueError(words)
        return value

    return check


def _as_path(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be a path, in quotes")
    if not value:
        raise ValueError("must not be empty")
    return value


AddressField = Annotated[Address, BeforeValidator(_as_address)]
DecimalField = Annotated[Decimal, BeforeValidator(_as_decimal), Field(allow_inf_nan=False)]
PathField = Annotated[Path, BeforeValidator(_as_path)]
Url = Annotated[
    str,
    AfterValidator(
        _url_of(
            (*_ASKED, *_PUSHING),
            "must start with http://, https://, ws:// or wss://, or be the path of a node's unix socket",
        )
    ),
]
PushUrl = Annotated[
    str,
    AfterValidator(_url_of(_PUSHING, "must start with ws:// or wss://, or be the path of a node's unix socket")),
]
HttpUrl = Annotated[str, AfterValidator(_url_of(_ASKED, "must start with http:// or https://"))]


class Section(BaseModel):
    """Base of every table: nothing unknown, nothing changed after loading, no values in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _check_truth(cls, value: Any, info: ValidationInfo) -> Any:
        """Keep `true` from being taken for the number 1."""
        field = cls.model_fields[str(info.field_name)]
        found = value if isinstance(value, list) else [value]
        if any(isinstance(each, bool) for each in found) and field.annotation is not bool:
            raise ValueError("must not be true or false")
        return value
