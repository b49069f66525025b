"""Reports for people, as tables on stdout: short names, whole amounts, 80 columns at least."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from keeper.cli.words import Tokens, amount, ether_text, health_text, short, symbol, whole

_WIDE: Final = 116
"""From this many columns on, tables show more: whole addresses, routes, transactions."""

_BASE_UNIT: Final = 10**8
_LISTED: Final = 8
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}\b")
_AMOUNT = re.compile(r"\b(\d+) of (0x[0-9a-fA-F]{40})\b")
_DOLLARS = re.compile(r"(-?\d+)\.(\d\d)\d+ USD\b")


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
    weighed = [entry for entry in report["entries"] if "slippage_base" in entry["detail"]]
    if weighed:
        console.print("\nWhat each cost took, in US dollars at the prices of the plan:\n")
        console.print(_cost_table(weighed))
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
            _amounts(plan["steps"], "debt", "repay_raw", tokens),
            _amounts(plan["steps"], "collateral", "seize_raw", tokens),
            *([_route(plan, tokens), whole(plan["profit_raw"], plan["profit_token"], tokens)] if wide else []),
            f"{Decimal(plan['net_profit_usd']):,.2f}",
        )
    return table


def _amounts(steps: Sequence[dict[str, Any]], token: str, raw: str, tokens: Tokens) -> str:
    """Return the totals over all steps, one line for each token."""
    totals: defaultdict[str, int] = defaultdict(int)
    for step in steps:
        totals[step[token]] += int(step[raw])
    return "\n".join(amount(str(total), each, tokens) for each, total in totals.items())


def _route(plan: dict[str, Any], tokens: Tokens) -> str:
    """Return how each token is sold: the hops of its only leg, or the number of legs."""
    legs: defaultdict[str, list[list[dict[str, Any]]]] = defaultdict(list)
    for leg in plan["legs"]:
        legs[leg["token_in"]].append(leg["route"])
    ways = [
        _hops(routes[0], tokens) if len(routes) == 1 else f"{symbol(token, tokens)} in {len(routes)} legs"
        for token, routes in legs.items()
    ]
    return "\n".join(ways) or "not sold"


def _hops(route: Sequence[dict[str, Any]], tokens: Tokens) -> str:
    return " → ".join(f"{hop['venue'].removeprefix('uniswap-')} {symbol(hop['token_out'], tokens)}" for hop in route)


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


def _cost_table(entries: Iterable[dict[str, Any]]) -> Table:
    """Return what became of the value each plan seized; what was not done cost gas alone."""
    table = _table("<block", "account", "<premium", "<slippage", "<gas", "<L1 fee", "<net", "<runner-up")
    for entry in entries:
        detail = entry["detail"]
        unit, is_done = int(detail["base_unit"]), entry["status"] in {"success", "dry-run"}
        shares = [detail[key] if is_done else None for key in ("premium_base", "slippage_base")]
        gas, data = _paid_base(entry)
        net = _base(detail["net_profit_base"], unit) if entry["status"] == "dry-run" else _net(entry, gas + data)
        table.add_row(
            str(entry["block"] or "-"),
            short(entry["account"] or ""),
            *("-" if share is None else f"{_base(share, unit):,.2f}" for share in shares),
            *(f"{share / unit:,.2f}" for share in (gas, data)),
            f"{net:,.2f}",
            "-" if detail["runner_up_net_base"] is None else f"{_base(detail['runner_up_net_base'], unit):,.2f}",
        )
    return table


def _base(amount_base: str, unit: int) -> Decimal:
    return Decimal(amount_base) / unit


def _paid_base(entry: dict[str, Any]) -> tuple[Decimal, Decimal]:
    """Return what gas and data cost in base units: what was paid, at the plan's price; as planned for a dry run."""
    detail = entry["detail"]
    planned_gas, planned_data = Decimal(detail["gas_cost_base"]), Decimal(detail["l1_fee_base"])
    if entry["status"] == "dry-run" or not int(detail["planned_gas_cost_wei"]):
        return planned_gas, planned_data
    price = planned_gas / int(detail["planned_gas_cost_wei"])
    data_wei = int(detail.get("l1_fee_wei", 0))
    return (int(entry["gas_cost_wei"]) - data_wei) * price, data_wei * price


def _net(entry: dict[str, Any], paid_base: Decimal) -> Decimal:
    """Return what was realised less what was paid, in dollars."""
    detail = entry["detail"]
    planned = int(detail["planned_profit_raw"])
    gained = Decimal(detail["profit_base"]) / planned * int(entry["realised_raw"]) if planned else Decimal(0)
    return (gained - paid_base) / int(detail["base_unit"])


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


def _address(console: Console, address: str) -> str:
    return address if console.width >= _WIDE else short(address)


def _readable(detail: str, tokens: Tokens) -> str:
    detail = _AMOUNT.sub(lambda match: amount(match.group(1), match.group(2), tokens), detail)
    detail = _DOLLARS.sub(r"\1.\2 USD", detail)
    return _ADDRESS.sub(lambda match: symbol(match.group(), tokens), detail)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
