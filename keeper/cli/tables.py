"""Reports for people, as tables on stdout: short names, whole amounts, 80 columns at least."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from keeper.domain.units import MAX_UINT256, WAD

_WIDE: Final = 116
"""From this many columns on, tables show more: whole addresses, routes, transactions."""

_FINE_HEALTH: Final = 100 * WAD

_BASE_UNIT: Final = 10**8
_LISTED: Final = 8
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}\b")
_AMOUNT = re.compile(r"\b(\d+) of (0x[0-9a-fA-F]{40})\b")
_DOLLARS = re.compile(r"(-?\d+)\.(\d\d)\d+ USD\b")

Tokens = Mapping[str, Mapping[str, Any]]
"""What a report says about tokens: symbol and decimals by address; may lack any of them."""


def print_scan(report: dict[str, Any]) -> None:
    """Print `keeper scan`'s report."""
    console = _console()
    _print_block(console, report)
    if "forecast" in report:
        console.print(f"Supposing {_supposed(report['forecast'], report.get('tokens', {}))}:")
    for market in report["markets"]:
        _print_market(console, market, report)
    if not report["liquidatable"]:
        console.print("Nothing is liquidatable.")
        return
    table = _table("account", "<health", "<debt USD", "<repay", "<seize", "note")
    for account in report["liquidatable"]:
        for row, pair in enumerate(account["pairs"] or [{}]):
            first = _account_cells(console, account) if row == 0 else ["", "", ""]
            table.add_row(*first, *_pair_cells(pair, account, report.get("tokens", {})))
    console.print(table)


def print_estimate(report: dict[str, Any]) -> None:
    """Print `keeper estimate`'s report."""
    console = _console()
    _print_block(console, report)
    plans, tokens = report["plans"], report.get("tokens", {})
    if plans:
        console.print(_plan_table(console, plans, tokens))
        net_usd = sum(Decimal(plan["net_profit_usd"]) for plan in plans)
        many = "each on untouched pools" if len(plans) > 1 else "after gas"
        console.print(f"{_count(len(plans), 'plan')}, {net_usd:,.2f} USD net in all, {many}.")
    else:
        console.print("Nothing is worth liquidating.")
    _print_rejections(console, report["rejected"], tokens)


def print_run(report: dict[str, Any]) -> None:
    """Print `keeper run --once`'s report."""
    console = _console()
    attempts, entries = report["attempts"], report["entries"]
    console.print(f"{_count(len(attempts), 'attempt')}, {_count(len(entries), 'ledger entry', 'ledger entries')}.")
    settled = {entry["transaction"] for entry in entries}
    for attempt in attempts:
        if attempt["status"] == "sent" and attempt["transaction"] not in settled:
            console.print(f"In flight: nonce {attempt['nonce']}, {attempt['transaction']}", soft_wrap=True)
    if entries:
        console.print(_entry_table(console, entries))


def print_pnl(report: dict[str, Any]) -> None:
    """Print `keeper pnl`'s report."""
    console = _console()
    if not report["entries"]:
        console.print("The ledger is empty.")
        return
    console.print(_entry_table(console, report["entries"]))
    _print_totals(console, report["totals"])


def print_deployment(report: dict[str, Any]) -> None:
    """Print `keeper deploy executor`'s report."""
    console = _console()
    for key, value in report.items():
        console.print(f"{key:12} {value}", soft_wrap=True)
    console.print(f'\nPut it into the configuration:\n\n[executor]\naddress = "{report["address"]}"', markup=False)


# --- pieces ---------------------------------------------------------------------------------------------------------


def _console() -> Console:
    # Markup and highlighting off: token symbols and error texts are other people's words.
    return Console(markup=False, highlight=False)


def _table(*columns: str) -> Table:
    """Return a table; a column whose name starts with < is aligned right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for column in columns:
        right = column.startswith("<")
        table.add_column(column.removeprefix("<"), justify="right" if right else "left", overflow="fold")
    return table


def _print_block(console: Console, report: dict[str, Any]) -> None:
    block = report["block"]
    when = datetime.fromtimestamp(block["timestamp"], UTC).strftime("%Y-%m-%d %H:%M:%S")
    console.print(f"chain {report['chain_id']}, block {block['number']} of {when} UTC, {short(block['hash'])}")


def _supposed(forecast: dict[str, Any], tokens: Tokens) -> str:
    changes = [f"{symbol(token, tokens)} {Decimal(percent):+} %" for token, percent in forecast["shocks"].items()]
    later = [f"{forecast['horizon_s']} s later"] if forecast["horizon_s"] else []
    return ", ".join([*changes, *later]) or "nothing else"


def _print_market(console: Console, market: dict[str, Any], report: dict[str, Any]) -> None:
    found = sum(account["market"] == market["name"] for account in report["liquidatable"])
    line = f"{market['name']}: {market['protocol']} revision {market['revision']},"
    console.print(f"{line} {_count(market['accounts'], 'account')} with debt, {found} liquidatable")
    if market["unpriced_accounts"]:
        console.print(f"  {_count(market['unpriced_accounts'], 'account')} cannot be judged: a price is missing")
    for feed in market["feeds"]:
        name = symbol(feed["token"], report.get("tokens", {}))
        console.print(f"  feed of {name}: {feed['reason']}, {feed['detail']}")


def _account_cells(console: Console, account: dict[str, Any]) -> list[str]:
    return [
        _address(console, account["account"]),
        health_text(int(account["health_factor_wad"])),
        f"{Decimal(account['debt_base']) / _BASE_UNIT:,.0f}",
    ]


def _pair_cells(pair: dict[str, Any], account: dict[str, Any], tokens: Tokens) -> list[str]:
    notes = ["stale"] if account["stale"] else []
    if not pair:
        return ["", "", "no collateral"]
    if "rejected" in pair:
        names = (symbol(pair["debt"], tokens), symbol(pair["collateral"], tokens))
        return [names[0], names[1], f"refused: {pair['rejected']}"]
    if pair["receive"] != "underlying":
        notes.append("aToken")
    repay = amount(pair["max_repay_raw"], pair["debt"], tokens)
    return [repay, amount(pair["seize_raw"], pair["collateral"], tokens), ", ".join(notes)]


def _plan_table(console: Console, plans: Sequence[dict[str, Any]], tokens: Tokens) -> Table:
    wide = console.width >= _WIDE
    several = len({plan["market"] for plan in plans}) > 1
    table = _table(
        *(["market"] if several else []),
        *("account", "health", "<repay", "<seize"),
        *(["sold via", "<profit"] if wide else []),
        "<net USD",
    )
    for plan in plans:
        before, after = (health_text(int(plan[key]), places=3) for key in ("health_before_wad", "health_after_wad"))
        table.add_row(
            *([plan["market"]] if several else []),
            short(plan["account"]),
            f"{before} → {after}",
            amount(plan["repay_raw"], plan["debt"], tokens),
            amount(plan["seize_raw"], plan["collateral"], tokens),
            *([_route(plan, tokens), whole(plan["profit_raw"], plan["profit_token"], tokens)] if wide else []),
            f"{Decimal(plan['net_profit_usd']):,.2f}",
        )
    return table


def _route(plan: dict[str, Any], tokens: Tokens) -> str:
    if not plan["route"]:
        return "not sold"
    hops = [f"{hop['venue'].removeprefix('uniswap-')} {symbol(hop['token_out'], tokens)}" for hop in plan["route"]]
    return " → ".join(hops)


def _print_rejections(console: Console, rejected: Sequence[dict[str, Any]], tokens: Tokens) -> None:
    groups: defaultdict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for refusal in rejected:
        groups[refusal["market"], refusal["reason"]].append(refusal)
    for (market, reason), refusals in sorted(groups.items()):
        accounts = sum(refusal["account"] is not None for refusal in refusals)
        console.print(f"\n{market}: {reason}" + (f", {_count(accounts, 'account')}" if accounts else ""))
        lines = Table.grid(padding=(0, 1))
        for refusal in refusals[:_LISTED]:
            who = short(refusal["account"]) if refusal["account"] else "market"
            lines.add_row(Text(f"  {who}"), Text(_readable(refusal["detail"], tokens)))
        console.print(lines)
        if len(refusals) > _LISTED:
            console.print(f"  and {len(refusals) - _LISTED} more; --json lists all")


def _entry_table(console: Console, entries: Iterable[dict[str, Any]]) -> Table:
    """Return the ledger in US dollars, at the prices each plan was made with: the ledger names tokens by address."""
    wide = console.width >= _WIDE
    table = _table(
        "<block", "account", "status", "<expected", "<realised", "<gas paid", *(["transaction"] if wide else [])
    )
    for entry in entries:
        table.add_row(
            str(entry["block"] or "-"),
            short(entry["account"] or "") or entry["kind"],
            entry["status"] + _difference(entry),
            _dollars(entry, "expected_raw"),
            "-" if entry["status"] == "dry-run" else _dollars(entry, "realised_raw"),
            ether_text(int(entry["gas_cost_wei"])),
            *([short(entry["transaction"] or "-", digits=12)] if wide else []),
        )
    return table


def _difference(entry: dict[str, Any]) -> str:
    missed = int(entry["realised_raw"]) - int(entry["expected_raw"])
    return f", {missed:+} raw" if entry["status"] == "success" and missed else ""


def _dollars(entry: dict[str, Any], key: str) -> str:
    detail = entry["detail"]
    planned = int(detail.get("planned_profit_raw", 0))
    if not planned:
        return "-" if entry["profit_token"] is None else f"{entry[key]} raw"
    price = Decimal(detail["profit_base"]) / int(detail["base_unit"]) / planned
    return f"{Decimal(entry[key]) * price:,.2f} USD"


def _print_totals(console: Console, totals: dict[str, Any]) -> None:
    ended = ", ".join(f"{number} {status}" for status, number in totals["counts"].items())
    console.print(f"\n{ended}; {ether_text(int(totals['gas_cost_wei']))} paid for gas.")
    for key, verb, what in (("tokens", "realised", "realised"), ("dry_run", "expected", "a dry run would have earned")):
        for each in totals[key]:
            console.print(f"  {what} {each[f'{verb}_raw']} raw of {each['profit_token']}", soft_wrap=True)


# --- words ----------------------------------------------------------------------------------------------------------


def short(text: str, *, digits: int = 4) -> str:
    """Return the first and last digits of an address or a hash."""
    return text if len(text) <= 2 * digits + 3 else f"{text[: digits + 2]}…{text[-digits:]}"


def symbol(token: str, tokens: Tokens) -> str:
    """Return the token's symbol, or its short address when the report does not know it."""
    return str(tokens[token]["symbol"]) if token in tokens else short(token)


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


def _address(console: Console, address: str) -> str:
    return address if console.width >= _WIDE else short(address)


def _readable(detail: str, tokens: Tokens) -> str:
    detail = _AMOUNT.sub(lambda match: amount(match.group(1), match.group(2), tokens), detail)
    detail = _DOLLARS.sub(r"\1.\2 USD", detail)
    return _ADDRESS.sub(lambda match: symbol(match.group(), tokens), detail)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
