"""Amounts, tokens and health factors as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from keeper.domain.units import MAX_UINT256, WAD

_FINE_HEALTH: Final = 100 * WAD
_TELLING_DIGITS: Final = 4

Tokens = Mapping[str, Mapping[str, Any]]
"""What a report says about tokens: symbol and decimals by address; may lack any of them."""


def short(text: str, *, digits: int = 4) -> str:
    """Return the first and last digits of an address or a hash."""
    return text if len(text) <= 2 * digits + 3 else f"{text[: digits + 2]}…{text[-digits:]}"


def symbol(token: str, tokens: Tokens) -> str:
    """Return the token's symbol, or its short address when the report does not know it.

    Where the report has several tokens of that symbol (a bridged and a native one, say), the address's end follows it.
    """
    if token not in tokens:
        return short(token)
    name = str(tokens[token]["symbol"])
    is_shared = sum(str(each["symbol"]) == name for each in tokens.values()) > 1
    return f"{name}…{token[-_TELLING_DIGITS:]}" if is_shared else name


def whole(raw: str, token: str, tokens: Tokens) -> str:
    """Return a raw amount in whole tokens, cut to what a person compares; raw when decimals are unknown."""
    if token not in tokens:
        return f"{int(raw)} raw"
    value = Decimal(raw).scaleb(-tokens[token]["decimals"])
    size = abs(value)
    places = 2 if size >= 1000 else 4 if size >= 1 else 6
    return f"{value:,.{places}f}"


def amount(raw: str, token: str, tokens: Tokens) -> str:
    """Return a raw amount in whole tokens with the symbol."""
    return f"{whole(raw, token, tokens)} {symbol(token, tokens)}"


def health_text(health_factor_wad: int, *, places: int = 4) -> str:
    """Return a health factor, cut (never rounded up to 1) to `places` decimals.

    A few wei of debt left make a health of millions, which is said as "> 100".
    """
    if health_factor_wad == MAX_UINT256:
        return "no debt"
    if health_factor_wad >= _FINE_HEALTH:
        return "> 100"
    unit = 10**places
    return f"{Decimal(health_factor_wad * unit // WAD) / unit:.{places}f}"


def ether_text(wei: int) -> str:
    """Return an amount of native currency in whole units."""
    return f"{Decimal(wei) / WAD:.6f}"
