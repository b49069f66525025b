"""What decided about each account, in the terminal: pairs, profit curves, what was chosen and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from keeper.cli.sparkline import LEGEND, pointers, sparkline
from keeper.cli.words import Tokens, symbol, whole

MOST_SHOWN: Final = 5
_WIDE: Final = 116
_NOTHING: Final = 10**6
"""What is so many times less than the end of a range is no beginning worth telling."""

_NARROW_CURVE, _WIDE_CURVE = 44, 80
_COSTS: Final = (
    ("repaid", "repaid"),
    ("premium", "premium"),
    ("slippage", "slippage and swap fees"),
    ("gas", "gas"),
    ("l1_fee", "L1 fee"),
    ("net", "net"),
)


def print_profiles(profiles: Sequence[dict[str, Any]], tokens: Tokens, *, left: int = 0) -> None:
    """Print what decided about each account; `left` more have a plan and are not among `profiles`."""
    console = Console(markup=False, highlight=False)
    for profile in profiles:
        _print_profile(console, profile, tokens)
    if left > 0:
        console.print(f"\n{left} more; --account shows any one.")
    if any(pair["points"] for profile in profiles for pair in profile["pairs"]):
        console.print(f"\n{LEGEND}\nThese figures come before the simulation, the plans above after it.")


def _print_profile(console: Console, profile: dict[str, Any], tokens: Tokens) -> None:
    console.print(f"\n{profile['market']}, {profile['account']}")
    if profile["pairs"]:
        console.print(_pair_table(console, profile["pairs"], tokens))
    _print_curves(console, profile, tokens)
    for key, words in (("chosen", "chosen   "), ("runner_up", "runner-up")):
        if profile[key] is not None:
            console.print(f"{words}  {_way(profile[key], tokens)}{_beside(profile, key)}")
    if profile["chosen"] is None and profile["rejected"] is not None:
        console.print(f"nothing can be done: {profile['rejected']}")
    if profile["costs"] is not None:
        console.print(_cost_line(profile["costs"]))


def _pair_table(console: Console, pairs: Sequence[dict[str, Any]], tokens: Tokens) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    table.add_column("debt for collateral", overflow="fold")
    table.add_column("accepted repay", overflow="fold")
    for name in ("best repay", "net USD", "at largest"):
        table.add_column(name, justify="right", overflow="fold")
    for pair in pairs:
        best, largest = pair["best"], pair["largest"]
        table.add_row(
            pair_name(pair, tokens),
            _ranges(console, pair, tokens),
            "" if best is None else whole(best["steps"][0]["repay_raw"], pair["debt"], tokens),
            "" if best is None else _dollars(best["net_usd"]),
            "" if largest is None else _dollars(largest["net_usd"]),
        )
    return table


def _ranges(console: Console, pair: dict[str, Any], tokens: Tokens) -> str:
    """Return what the pool accepts, and why nothing comes of it where nothing does."""
    parts = []
    for each in pair["ranges"]:
        low, high = (_plain(whole(each[key], pair["debt"], tokens)) for key in ("low_raw", "high_raw"))
        if each["cover_max"]:
            parts.append(f"{high} (max)")
        else:
            is_from_nothing = int(each["low_raw"]) * _NOTHING < int(each["high_raw"])
            parts.append(high if low == high else f"up to {high}" if is_from_nothing else f"{low} to {high}")
    if pair["why_not"] is not None:
        parts.append(pair["why_not"]["reason"])
    return (", " if console.width >= _WIDE else "\n").join(parts)


def _plain(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number


def _print_curves(console: Console, profile: dict[str, Any], tokens: Tokens) -> None:
    """Print one line for each pair, all to the same scale, and pointers below it."""
    drawn = [pair for pair in profile["pairs"] if any(point["net_usd"] is not None for point in pair["points"])]
    if not drawn:
        return
    width = _WIDE_CURVE if console.width >= _WIDE else _NARROW_CURVE
    names = [pair_name(pair, tokens) for pair in drawn]
    indent = max(map(len, names)) + 2
    curves = [_points(pair) for pair in drawn]
    top = max((net for curve in curves for _, net in curve if net is not None), default=Decimal(0))
    console.print()
    for pair, name, curve in zip(drawn, names, curves, strict=True):
        owed_raw = int(pair["owed_raw"])
        line = sparkline(curve, owed_raw, width, top)
        console.print(f"{name:{indent}}{line}  to {whole(pair['owed_raw'], pair['debt'], tokens)}", soft_wrap=True)
        below = pointers(_marks(profile, pair), owed_raw, width)
        if below:
            console.print(" " * indent + below)


def _points(pair: dict[str, Any]) -> list[tuple[int, Decimal | None]]:
    return [
        (int(point["repay_raw"]), None if point["net_usd"] is None else Decimal(point["net_usd"]))
        for point in pair["points"]
    ]


def _marks(profile: dict[str, Any], pair: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Return what points at a pair's curve: ways of one step, of this pair."""
    marks = []
    for key, sign in (("chosen", "▲"), ("runner_up", "△")):
        way = profile[key]
        if way is None or len(way["steps"]) > 1:
            continue
        (step,) = way["steps"]
        if (step["debt"], step["collateral"]) == (pair["debt"], pair["collateral"]):
            marks.append((int(step["repay_raw"]), sign))
    return marks


def _way(way: dict[str, Any], tokens: Tokens) -> str:
    steps = " then ".join(
        f"{whole(step['repay_raw'], step['debt'], tokens)} {pair_name(step, tokens)}" for step in way["steps"]
    )
    sold = "not sold" if not way["legs"] else "one leg" if way["legs"] == 1 else f"{way['legs']} legs"
    return f"{_dollars(way['net_usd'])} USD net: {steps}, {sold}, {' and '.join(dict.fromkeys(way['funding']))}"


def _beside(profile: dict[str, Any], key: str) -> str:
    """Return what sets a runner-up apart that repays the same debt for the same collateral as what was chosen."""
    if key == "chosen" or _pairs_of(profile["runner_up"]) != _pairs_of(profile["chosen"]):
        return ""
    return "; the most that the pool takes"


def _pairs_of(way: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(step["debt"], step["collateral"]) for step in way["steps"]]


def _cost_line(costs: Mapping[str, str]) -> str:
    """Return where the seized value goes; what takes nothing is left out."""
    parts = [f"{words} {_dollars(costs[f'{name}_usd'])}" for name, words in _COSTS if Decimal(costs[f"{name}_usd"])]
    return f"of {_dollars(costs['seized_usd'])} USD seized: {', '.join(parts)}"


def pair_name(pair: Mapping[str, Any], tokens: Tokens) -> str:
    """Return a pair's name: what is repaid for what is seized."""
    return f"{symbol(pair['debt'], tokens)} for {symbol(pair['collateral'], tokens)}"


def _dollars(text: str) -> str:
    return f"{Decimal(text):,.2f}"
