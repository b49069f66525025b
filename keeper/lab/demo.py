"""The whole thing in half a minute: a market falls, the daemon liquidates, four policies are compared."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from decimal import ROUND_DOWN, Decimal
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from keeper.domain.attempts import LedgerEntry
from keeper.domain.errors import Failed
from keeper.domain.units import MAX_UINT256, WAD
from keeper.lab.fall import POLICIES, Fall, Step, run_fall
from keeper.store.ledger import entry_json

_SHOWN_POLICY = "tiered"
_WIDTH = 160
_FULL_WIDTH = 152
"""Terminals with fewer columns get shorter figures and no frames: everything then fits 80."""


async def run_demo(*, seed: int, quiet: bool) -> dict[str, Any]:
    """Let the same market fall under each policy; show the liquidations of one, then all side by side.

    Raises Failed when a liquidation earned something else than expected.
    """
    console = Console(quiet=quiet, width=_WIDTH if not Console().is_terminal else None, highlight=False)
    narrow = console.width < _FULL_WIDTH
    console.print(
        "[bold]A lending market on a local chain: 12 borrowers, five tokens, a swap exchange.[/bold]\n"
        f"`keeper run --live` watches it. Volatile prices now fall in steps (close factor: {_SHOWN_POLICY})."
    )

    def show(fall: Fall, step: Step) -> None:
        if fall.policy == _SHOWN_POLICY:
            console.print(_step_line(step))
            if step.entries:
                console.print(_short_table(fall, step) if narrow else _step_table(fall, step))

    with tempfile.TemporaryDirectory(prefix="keeper-demo-") as folder:
        runs = (run_fall(Path(folder) / policy, policy, seed=seed, on_step=show) for policy in POLICIES)
        falls = await asyncio.gather(*runs)
    shown = next(fall for fall in falls if fall.policy == _SHOWN_POLICY)
    _check(falls)
    console.print(_treasury_line(shown))
    console.print("\nThe same fall under each close-factor policy, in US dollars:")
    console.print(_policy_table(falls, narrow=narrow))
    return {"seed": seed, "policies": [_fall_json(fall) for fall in falls]}


def _check(falls: Sequence[Fall]) -> None:
    for fall in falls:
        for entry in fall.entries:
            if entry.status != "success" or entry.expected_raw != entry.realised_raw:
                raise Failed(
                    f"{entry.transaction} ended as {entry.status}: {entry.realised_raw} of {entry.expected_raw}"
                )
        booked = {symbol: fall.realised_raw(symbol) + fall.left_over_raw(symbol) for symbol in fall.treasury_raw}
        if booked != fall.treasury_raw:
            raise Failed(f"the treasury gained {fall.treasury_raw}, the ledger says {booked}")


def _step_line(step: Step) -> str:
    prices = ", ".join(f"{symbol} {price:,.2f}" for symbol, price in step.prices_usd.items())
    return (
        f"\n[bold]{step.percent} %[/bold] {prices}: {step.unhealthy} accounts below health 1,"
        f" {len(step.entries)} liquidations"
    )


def _step_table(fall: Fall, step: Step) -> Table:
    table = Table()
    for name in ("account", "health", "repaid", "of debt", "seized", "route", "gas", "expected", "realised"):
        table.add_column(name, no_wrap=True, justify="left" if name in {"account", "route"} else "right")
    for entry in step.entries:
        table.add_row(*_row(fall, entry))
    return table


def _short_table(fall: Fall, step: Step) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for name in ("account", "health", "repaid", "route", "seized", "gas", "expected", "realised"):
        table.add_column(name, justify="left" if name in {"account", "route"} else "right")
    for entry in step.entries:
        table.add_row(*_short_row(fall, entry))
    return table


def _short_row(fall: Fall, entry: LedgerEntry) -> list[str]:
    """Return a row in which only the route names tokens: from what was seized to what was repaid and earned."""
    detail: dict[str, Any] = entry.detail
    debt, collateral = fall.asset(detail["debt"]), fall.asset(detail["collateral"])
    earned = fall.asset(str(entry.profit_token))
    before, after = (_health(detail[f"health_{when}_wad"], places=2) for when in ("before", "after"))
    return [
        str(entry.account)[:6],
        f"{before}→{after}",
        f"{fall.whole(debt, int(detail['repay_raw'])):,.0f}",
        _sale(fall, detail, "→") or collateral.symbol,
        f"{fall.whole(collateral, int(detail['seize_raw'])):,.2f}",
        f"{int(detail['gas_used']) // 1000}k",
        f"{fall.whole(earned, entry.expected_raw):,.2f}",
        f"{fall.whole(earned, entry.realised_raw):,.2f}",
    ]


def _row(fall: Fall, entry: LedgerEntry) -> list[str]:
    detail: dict[str, Any] = entry.detail
    debt, collateral = fall.asset(detail["debt"]), fall.asset(detail["collateral"])
    earned = fall.asset(str(entry.profit_token))
    return [
        f"{str(entry.account)[:8]}…",
        f"{_health(detail['health_before_wad'])} → {_health(detail['health_after_wad'])}",
        f"{fall.whole(debt, int(detail['repay_raw'])):,.2f} {debt.symbol}{_more(detail, 'debt')}",
        "partial" if int(detail["health_after_wad"]) != MAX_UINT256 else "all",
        f"{fall.whole(collateral, int(detail['seize_raw'])):,.4f} {collateral.symbol}{_more(detail, 'collateral')}",
        _sale(fall, detail, " → ") or "none needed",
        f"{int(detail['gas_used']):,}",
        f"{fall.whole(earned, entry.expected_raw):,.6f}",
        f"{fall.whole(earned, entry.realised_raw):,.6f} {earned.symbol}",
    ]


def _sale(fall: Fall, detail: dict[str, Any], arrow: str) -> str:
    """Return the tokens of the first leg in order, and how many legs there are besides."""
    if not detail["legs"]:
        return ""
    first, *others = detail["legs"]
    tokens = [first["token_in"], *(hop["token_out"] for hop in first["route"])]
    more = f" +{len(others)}" if others else ""
    return arrow.join(fall.asset(token).symbol for token in tokens) + more


def _more(detail: dict[str, Any], side: str) -> str:
    """Return how many more tokens there are on one side than the first pair's."""
    others = len({step[side] for step in detail["steps"]}) - 1
    return f" +{others}" if others else ""


def _health(wad: str, *, places: int = 3) -> str:
    if int(wad) == MAX_UINT256:
        return "no debt" if places > 2 else "∞"
    return f"{(Decimal(int(wad)) / WAD).quantize(Decimal(1).scaleb(-places), ROUND_DOWN)}"


def _treasury_line(fall: Fall) -> str:
    gains = ", ".join(
        f"{fall.whole(asset, raw):,.6f} {asset.symbol}"
        for asset in fall.assets
        if (raw := fall.realised_raw(asset.symbol))
    )
    left_over = ", ".join(
        f"{fall.whole(asset, raw):f} {asset.symbol}"
        for asset in fall.assets
        if (raw := fall.left_over_raw(asset.symbol))
    )
    rest = f" Left over beside: {left_over}." if left_over else ""
    return f"\nThe treasury gained [bold]{gains}[/bold], which is what the ledger says to the last unit.{rest}"


def _policy_table(falls: Sequence[Fall], *, narrow: bool) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD if narrow else box.HEAVY_HEAD,
        show_edge=not narrow,
        pad_edge=not narrow,
        collapse_padding=narrow,
    )
    unit = "" if narrow else " USD"
    for name in (
        "close factor",
        "liquidations",
        "debt repaid",
        "borrowers' loss",
        "liquidator's profit",
        "bad debt left",
    ):
        table.add_column(name, justify="left" if name == "close factor" else "right")
    for fall in falls:
        values = (fall.liquidated_usd, fall.borrowers_loss_usd, fall.profit_usd, fall.bad_debt_usd)
        table.add_row(fall.policy, str(len(fall.entries)), *(f"{value:,.0f}{unit}" for value in values))
    return table


def _fall_json(fall: Fall) -> dict[str, Any]:
    return {
        "policy": fall.policy,
        "liquidated_usd": f"{fall.liquidated_usd:.2f}",
        "borrowers_loss_usd": f"{fall.borrowers_loss_usd:.2f}",
        "profit_usd": f"{fall.profit_usd:.2f}",
        "bad_debt_usd": f"{fall.bad_debt_usd:.2f}",
        "treasury_raw": {symbol: str(raw) for symbol, raw in fall.treasury_raw.items()},
        "entries": [entry_json(entry) for entry in fall.entries],
    }
