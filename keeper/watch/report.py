"""What `keeper scan` says about a snapshot."""

from __future__ import annotations

from typing import Any

from keeper.domain.lending import Health, Outcome, Refused
from keeper.domain.units import Address
from keeper.ports import MarketView
from keeper.watch.snapshot import Snapshot


def scan_report(chain_id: int, snapshot: Snapshot, *, later_s: int = 0) -> dict[str, Any]:
    """Return every liquidatable account with its pairs, as an `eth_call` at the block would see it.

    Amounts are decimal strings, all indices projected to the block's own timestamp, or to `later_s`
    seconds after it; sorted by market, then address.
    """
    views = [snapshot.markets[name] for name in sorted(snapshot.markets)]
    head = snapshot.head
    at_s = head.timestamp_s + later_s
    return {
        "chain_id": chain_id,
        "block": {"number": head.number, "hash": head.hash, "timestamp": head.timestamp_s},
        "markets": [_market(view, snapshot, at_s) for view in views],
        "liquidatable": [_account(view, health, snapshot, at_s) for view in views for health in view.unhealthy(at_s)],
    }


def _market(view: MarketView, snapshot: Snapshot, at_s: int) -> dict[str, Any]:
    accounts = view.accounts()
    return {
        "name": view.name,
        "protocol": view.protocol,
        "revision": view.revision,
        "accounts": len(accounts),
        "unpriced_accounts": sum(view.health(account, at_s) is None for account in accounts)
        if view.has_unpriced(at_s)
        else 0,
        "feeds": [
            {"token": token, "reason": status.reason, "detail": status.detail}
            for token, status in sorted(snapshot.feeds[view.name].items())
            if not status.usable
        ],
    }


def _account(view: MarketView, health: Health, snapshot: Snapshot, at_s: int) -> dict[str, Any]:
    statuses = snapshot.feeds[view.name]
    holdings = view.holdings(health.account)
    return {
        "market": view.name,
        "account": health.account,
        "health_factor_wad": str(health.health_factor_wad),
        "collateral_base": str(health.collateral_base),
        "debt_base": str(health.debt_base),
        "stale": any(statuses[token].stale for token in holdings if token in statuses),
        "pairs": [
            _pair(view, health.account, debt, collateral, at_s) for debt, collateral in view.pairs(health.account)
        ],
    }


def _pair(view: MarketView, account: Address, debt: Address, collateral: Address, at_s: int) -> dict[str, Any]:
    named = {"debt": debt, "collateral": collateral}
    match view.largest(account, debt, collateral, at_s):
        case Refused(code=code, detail=detail):
            return {**named, "rejected": code, "detail": detail}
        case Outcome() as outcome:
            return {
                **named,
                "cover_raw": str(outcome.call.cover_raw),
                "max_repay_raw": str(outcome.repaid_raw),
                "seize_raw": str(outcome.received_raw),
                "receive": outcome.call.receive,
            }
