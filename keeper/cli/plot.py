"""The profit curves of one account as an SVG picture: repay on x, net profit on y."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from keeper.cli.words import Tokens, symbol
from keeper.domain.errors import UsageError

_WIDTH, _HEIGHT = 960, 560
_LEFT, _RIGHT, _TOP, _BOTTOM = 96, 24, 96, 72
_COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_INK, _FAINT, _GRID, _GAP = "#222222", "#666666", "#dddddd", "#eeeeee"
_TICKS = 6
_ROW = 18
"""How much the picture begins lower for each further row of its legend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axes:
    """Where amounts lie on the page."""

    x_most: float
    y_least: float
    y_most: float
    top: int

    def x(self, value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / self.x_most

    def y(self, value: float) -> float:
        share = (value - self.y_least) / (self.y_most - self.y_least)
        return _HEIGHT - _BOTTOM - (_HEIGHT - self.top - _BOTTOM) * share


@dataclass(frozen=True, slots=True, kw_only=True)
class _Curve:
    """One pair's curve in the units of the axes; `runs` are stretches of accepted repays, `gaps` what lies between."""

    name: str
    colour: str
    runs: list[list[tuple[float, float]]]
    gaps: list[tuple[float, float]]


def check_ending(path: Path) -> None:
    """Raise UsageError unless the file's name says that it is an SVG."""
    if path.suffix.lower() != ".svg":
        raise UsageError(f"--plot {path}: the picture is an SVG; give a name that ends in .svg")


def write_plot(path: Path, profiles: Sequence[dict[str, Any]], tokens: Tokens) -> None:
    """Write the picture of the one profile there is.

    Raises UsageError where there is none or more than one, or the file cannot be written.
    """
    if len(profiles) > 1:
        raise UsageError("--plot draws one account; name it with --account")
    if not profiles:
        raise UsageError("--plot has nothing to draw: no account is unhealthy, or its prices are unknown")
    try:
        path.write_text(draw(profiles[0], tokens), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--plot {path}: cannot be written: {error.strerror or error}") from None


def draw(profile: dict[str, Any], tokens: Tokens) -> str:
    """Return the picture of one account's profile."""
    unit, scale = _unit_of_x(profile, tokens)
    pairs = [pair for pair in profile["pairs"] if any(point["net_usd"] is not None for point in pair["points"])]
    curves = [
        _curve(pair, _COLOURS[index % len(_COLOURS)], scale[pair["debt"]], tokens) for index, pair in enumerate(pairs)
    ]
    marks = list(_marks(profile, scale, unit))
    shaded = _shaded(curves, profile, tokens)
    legend, rows = _legend(curves, shaded)
    axes = _axes(curves, marks, _TOP + _ROW * (rows - 1))
    body = [
        *_gaps(shaded, axes),
        *_grid(axes, unit),
        *(line for curve in curves for line in _curve_lines(curve, axes)),
        *(line for mark in marks for line in _mark_lines(mark, axes)),
        *legend,
        *_title(profile, marks),
    ]
    return _page(body)


# --- amounts --------------------------------------------------------------------------------------------------------


def _unit_of_x(profile: dict[str, Any], tokens: Tokens) -> tuple[str, dict[str, float]]:
    """Return the unit of the x axis, and for each debt token how much of it one raw unit is.

    Tokens where all curves repay the same one, US dollars at oracle prices otherwise.
    """
    debts = {pair["debt"] for pair in profile["pairs"]}
    (first, *others) = debts or {""}
    if not others and first in tokens:
        return symbol(first, tokens), {first: 10.0 ** -tokens[first]["decimals"]}
    return "USD", {
        pair["debt"]: float(Decimal(pair["owed_usd"])) / max(1, int(pair["owed_raw"])) for pair in profile["pairs"]
    }


def _curve(pair: dict[str, Any], colour: str, scale: float, tokens: Tokens) -> _Curve:
    owed = int(pair["owed_raw"]) * scale
    gaps = [(low * scale, high * scale) for low, high in (*_refused(pair), *_unsold(pair))]
    return _Curve(
        name=_pair_name(pair, tokens),
        colour=colour,
        runs=list(_runs(pair, scale)),
        gaps=[(low, high) for low, high in gaps if high - low > owed / 400],
    )


def _runs(pair: dict[str, Any], scale: float) -> Iterator[list[tuple[float, float]]]:
    """Yield the stretches of a curve: neighbouring points of one accepted range."""
    stretch: list[tuple[float, float]] = []
    last_range = None
    for point in pair["points"]:
        repay_raw, net = int(point["repay_raw"]), point["net_usd"]
        within = None if net is None else _range_of(repay_raw, pair["ranges"])
        if within is None or within != last_range:
            if stretch:
                yield stretch
            stretch = []
        if net is not None:
            stretch.append((repay_raw * scale, float(Decimal(net))))
        last_range = within
    if stretch:
        yield stretch


def _refused(pair: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Yield what lies between the ranges the pool accepts."""
    end = 0
    for each in pair["ranges"]:
        yield end, int(each["low_raw"])
        end = int(each["high_raw"])
    yield end, int(pair["owed_raw"])


def _unsold(pair: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Yield where the pool accepts and nothing buys the collateral."""
    for before, after in pairwise(pair["points"]):
        low, high = int(before["repay_raw"]), int(after["repay_raw"])
        within = _range_of(low, pair["ranges"])
        if after["net_usd"] is None and within is not None and within == _range_of(high, pair["ranges"]):
            yield low, high


def _range_of(repay_raw: int, ranges: Sequence[dict[str, Any]]) -> int | None:
    return next(
        (i for i, each in enumerate(ranges) if int(each["low_raw"]) <= repay_raw <= int(each["high_raw"])), None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """A way that was weighed: where it lies, and what is said beside it."""

    x: float
    y: float
    text: str
    is_chosen: bool


def _marks(profile: dict[str, Any], scale: Mapping[str, float], unit: str) -> Iterator[_Mark]:
    for key, words in (("chosen", "chosen"), ("runner_up", "runner-up")):
        way = profile[key]
        if way is None:
            continue
        x = sum(int(step["repay_raw"]) * scale[step["debt"]] for step in way["steps"])
        net = Decimal(way["net_usd"])
        steps = f" in {len(way['steps'])} steps" if len(way["steps"]) > 1 else ""
        text = f"{words}: repay {_number(x)} {unit}{steps}, net {net:,.2f} USD"
        yield _Mark(x=x, y=float(net), text=text, is_chosen=key == "chosen")


def _axes(curves: Sequence[_Curve], marks: Sequence[_Mark], top: int) -> _Axes:
    places = [place for curve in curves for run in curve.runs for place in run] + [(m.x, m.y) for m in marks]
    ends = [end for curve in curves for gap in curve.gaps for end in gap]
    x_most = max([x for x, _ in places] + ends, default=1.0) or 1.0
    y_most = max([y for _, y in places], default=0.0)
    y_least = min([y for _, y in places], default=0.0)
    # A loss ten times the gain would flatten what matters; it runs out of the picture instead.
    y_least = max(min(y_least, 0.0), -1.5 * y_most) if y_most > 0 else min(y_least, 0.0)
    room = (max(y_most, 0.0) - y_least) * 0.08 or 1.0
    return _Axes(x_most=x_most * 1.02, y_least=y_least - room, y_most=max(y_most, 0.0) + room, top=top)


# --- lines of the picture -------------------------------------------------------------------------------------------


def _shaded(curves: Sequence[_Curve], profile: dict[str, Any], tokens: Tokens) -> _Curve | None:
    """Return the curve whose gaps are shaded: of the chosen way, or the runner-up where that is a sequence."""
    ways = [way for way in (profile["chosen"], profile["runner_up"]) if way is not None and len(way["steps"]) == 1]
    names = [_pair_name(way["steps"][0], tokens) for way in ways] or [curve.name for curve in curves]
    return next((curve for curve in curves if curve.name in names[:1] and curve.gaps), None)


def _gaps(shaded: _Curve | None, axes: _Axes) -> Iterator[str]:
    for low, high in () if shaded is None else shaded.gaps:
        left, right = axes.x(low), axes.x(high)
        yield (
            f'<rect x="{left:.1f}" y="{axes.top}" width="{right - left:.1f}" height="{_HEIGHT - axes.top - _BOTTOM}"'
            f' fill="{_GAP}"/>'
        )


def _grid(axes: _Axes, unit: str) -> Iterator[str]:
    bottom = _HEIGHT - _BOTTOM
    for value in _ticks(0.0, axes.x_most):
        x = axes.x(value)
        yield f'<line x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 5}" stroke="{_FAINT}"/>'
        yield _text(x, bottom + 22, _number(value), anchor="middle")
    for value in _ticks(axes.y_least, axes.y_most):
        y = axes.y(value)
        colour = _FAINT if value == 0 else _GRID
        yield f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="{colour}"/>'
        yield _text(_LEFT - 10, y + 4, _number(value), anchor="end")
    middle = (axes.top + bottom) / 2
    yield _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 22, f"repay, {unit}", anchor="middle", size=14)
    yield (
        f'<text transform="translate(24 {middle:.1f}) rotate(-90)" text-anchor="middle" font-size="14"'
        f' fill="{_INK}">net profit, USD</text>'
    )


def _curve_lines(curve: _Curve, axes: _Axes) -> Iterator[str]:
    for run in curve.runs:
        if len(run) == 1:
            x, y = axes.x(run[0][0]), axes.y(max(run[0][1], axes.y_least))
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{curve.colour}"/>'
            continue
        places = " ".join(f"{axes.x(x):.1f},{axes.y(y):.1f}" for x, y in _clipped(run, axes.y_least))
        yield f'<polyline points="{places}" fill="none" stroke="{curve.colour}" stroke-width="2"/>'


def _clipped(run: Sequence[tuple[float, float]], least: float) -> Iterator[tuple[float, float]]:
    """Yield the stretch of a curve that lies in the picture, cut where it leaves it."""
    for (x0, y0), (x1, y1) in pairwise(run):
        if y0 >= least:
            yield x0, y0
        if (y0 < least) != (y1 < least):
            yield x0 + (x1 - x0) * (least - y0) / (y1 - y0), least
    if run[-1][1] >= least:
        yield run[-1]


def _mark_lines(mark: _Mark, axes: _Axes) -> Iterator[str]:
    x, y = axes.x(mark.x), axes.y(max(mark.y, axes.y_least))
    bottom = _HEIGHT - _BOTTOM
    yield f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x:.1f}" y2="{bottom}" stroke="{_INK}" stroke-dasharray="2 3"/>'
    yield _dot(x, y, is_filled=mark.is_chosen)


def _legend(curves: Sequence[_Curve], shaded: _Curve | None) -> tuple[list[str], int]:
    """Return the lines of the legend and how many rows it takes: what does not fit into one begins the next."""
    entries = [(curve.name, f'height="3" fill="{curve.colour}"', 5) for curve in curves]
    if shaded is not None:
        entries.append((f"{shaded.name}: refused", f'height="14" fill="{_GAP}" stroke="{_GRID}"', 0))
    lines: list[str] = []
    x, row = float(_LEFT), 0
    for words, looks, lower in entries:
        width = 48 + 7.0 * len(words)
        if x > _LEFT and x + width > _WIDTH:
            x, row = float(_LEFT), row + 1
        y = 63 + _ROW * row
        lines.append(f'<rect x="{x:.1f}" y="{y + lower}" width="22" {looks}/>')
        lines.append(_text(x + 28, y + 11, words))
        x += width
    return lines, row + 1


def _title(profile: dict[str, Any], marks: Sequence[_Mark]) -> Iterator[str]:
    yield _text(_LEFT, 26, f"{profile['market']}, {profile['account']}", size=16)
    x = float(_LEFT)
    for mark in marks:
        yield _dot(x + 6, 46, is_filled=mark.is_chosen)
        yield _text(x + 18, 50, mark.text)
        x += 44 + 6.4 * len(mark.text)
    if not marks:
        yield _text(x, 50, f"nothing can be done: {profile['rejected']}")


def _dot(x: float, y: float, *, is_filled: bool) -> str:
    fill = _INK if is_filled else "#ffffff"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{fill}" stroke="{_INK}" stroke-width="2"/>'


def _page(body: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
        ' font-family="Helvetica, Arial, sans-serif">'
    )
    return "\n".join([head, f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>', *body, "</svg>", ""])


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 12) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"'
    return f'<text {place} fill="{_INK}">{escape(text)}</text>'


# --- words ----------------------------------------------------------------------------------------------------------


def _pair_name(pair: Mapping[str, Any], tokens: Tokens) -> str:
    return f"{symbol(pair['debt'], tokens)} for {symbol(pair['collateral'], tokens)}"


def _ticks(low: float, high: float) -> Iterator[float]:
    """Yield round numbers between two ends, zero among them where it lies there."""
    raw = (high - low) / _TICKS
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= raw)
    for count in range(math.ceil(low / step), math.floor(high / step) + 1):
        yield count * step


def _number(value: float) -> str:
    size = abs(value)
    places = 0 if size >= 1000 or size == 0 else 2 if size >= 1 else 6
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
