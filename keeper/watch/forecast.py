"""What if: other prices, or a later time. The rules stay the protocol's own, exact to the last unit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from keeper.domain.errors import UsageError
from keeper.domain.fixed_point import mul_div_down
from keeper.domain.units import Address, typed_address
from keeper.ports import MarketView
from keeper.watch.snapshot import Snapshot

_SHOCK: Final = re.compile(r"\s*([^=\s]+)\s*=\s*([+-]?\d+(?:\.\d+)?)\s*%\s*", re.ASCII)
_HORIZON: Final = re.compile(r"\s*(\d+)\s*([smhd])\s*", re.ASCII)
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_LONGEST_S: Final = 100 * 365 * 86_400
_LARGEST: Final = Decimal(10) ** 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the user asks: price changes in percent by symbol or address, and how much later."""

    shocks: Mapping[str, Decimal] = field(default_factory=dict)
    horizon_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A question whose tokens are found."""

    shocks: Mapping[Address, Decimal]
    horizon_s: int

    def report(self) -> dict[str, Any]:
        """Return the forecast as JSON: changes in percent as decimal text."""
        return {
            "shocks": {token: _text(percent) for token, percent in sorted(self.shocks.items())},
            "horizon_s": self.horizon_s,
        }


def parse_question(shocks: Sequence[str], horizon: str | None) -> Question | None:
    """Return what `--shock` and `--horizon` ask, None when they ask nothing. Raises UsageError."""
    if not shocks and horizon is None:
        return None
    wanted: dict[str, Decimal] = {}
    for text in shocks:
        name, percent = _parse_shock(text)
        if name in wanted:
            raise UsageError(f"--shock names {name} twice; give one change per token")
        wanted[name] = percent
    return Question(shocks=wanted, horizon_s=0 if horizon is None else _parse_horizon(horizon))


def find_tokens(question: Question, snapshot: Snapshot, names: Mapping[str, Mapping[str, Any]]) -> Forecast:
    """Return the question with its tokens found among the reserves; `names` tell their symbols. Raises UsageError."""
    reserves = {token for view in snapshot.markets.values() for token in view.tokens}
    shocks: dict[Address, Decimal] = {}
    for name, percent in question.shocks.items():
        token = _find(name, reserves, names)
        if token in shocks:
            raise UsageError(f"--shock names {token} twice; give one change per token")
        shocks[token] = percent
    return Forecast(shocks=shocks, horizon_s=question.horizon_s)


def with_forecast(snapshot: Snapshot, forecast: Forecast) -> Snapshot:
    """Return the snapshot with its prices changed, each rounded down as a feed reports it.

    Raises UsageError for a change that leaves no price, or of a token that has none.
    """
    markets = {name: _shocked(view, forecast.shocks) for name, view in snapshot.markets.items()}
    return replace(snapshot, markets=markets)


def _shocked(view: MarketView, shocks: Mapping[Address, Decimal]) -> MarketView:
    tokens = set(view.tokens)
    prices = {token: _changed(view, token, percent) for token, percent in shocks.items() if token in tokens}
    return view.with_prices(prices) if prices else view


def _changed(view: MarketView, token: Address, percent: Decimal) -> int:
    price_base = view.price_base(token)
    if price_base is None:
        raise UsageError(f"--shock: {token} has no price in market {view.name!r} that could change")
    up, down = (100 + percent).as_integer_ratio()
    changed_base = mul_div_down(price_base, up, 100 * down)
    if changed_base <= 0:
        raise UsageError(f"--shock: a change by {_text(percent)} % leaves {token} without a price")
    return changed_base


def _parse_shock(text: str) -> tuple[str, Decimal]:
    found = _SHOCK.fullmatch(text)
    if found is None:
        raise UsageError(f"--shock {text!r}: write it as WETH=-10%, with a symbol or a token's address")
    try:
        percent = Decimal(found[2])
    except InvalidOperation:
        raise UsageError(f"--shock {text!r}: the change is no number") from None
    if not -100 < percent < _LARGEST:
        raise UsageError(f"--shock {text!r}: a price can fall by less than 100 % and rise by less than a billion")
    return found[1], percent


def _parse_horizon(text: str) -> int:
    found = _HORIZON.fullmatch(text)
    if found is None:
        raise UsageError(f"--horizon {text!r}: write it as 90s, 30m, 12h or 7d")
    horizon_s = int(found[1]) * _UNITS_S[found[2]]
    if horizon_s > _LONGEST_S:
        raise UsageError(f"--horizon {text!r}: that is more than a hundred years")
    return horizon_s


def _find(name: str, reserves: set[Address], names: Mapping[str, Mapping[str, Any]]) -> Address:
    if name.startswith(("0x", "0X")):
        try:
            token = typed_address(name)
        except ValueError as error:
            raise UsageError(f"--shock: {name} {error}") from None
        if token not in reserves:
            raise UsageError(f"--shock: no configured market has a reserve of {token}")
        return token
    matching = sorted(token for token in reserves if names.get(token, {}).get("symbol", "").lower() == name.lower())
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise UsageError(f"--shock: several reserves are called {name}; give one's address: {', '.join(matching)}")
    known = sorted({str(names[token]["symbol"]) for token in reserves if token in names})
    raise UsageError(f"--shock: no reserve is called {name}; there are {', '.join(known)}")


def _text(percent: Decimal) -> str:
    return f"{percent.normalize():f}"
