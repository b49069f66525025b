"""What the guards are decided on, read inside the transaction that reserves."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from keeper.domain.errors import Failed
from keeper.domain.fixed_point import mul_div_up
from keeper.domain.units import WAD, Address, to_address
from keeper.store.database import Database
from keeper.store.modes import read_mode, read_resumed_after
from keeper.store.records import MINED, Ended, GateFacts, Slot, SlotState, Spent

DAY_S: Final = 86_400

_SPENT = """
    SELECT slots.*, intents.market, intents.account
    FROM slots JOIN intents ON intents.key = slots.intent
    WHERE slots.chain_id = ? AND slots.sender = ? AND state != 'released'
      AND (reserved_at_s > ? OR state IN ('reserved', 'signed', 'sent') OR mined_block >= ?)
    ORDER BY slot_id
"""
_ENDED = """
    SELECT state, coalesce(result_usd_e8, '0') AS result_usd_e8
    FROM slots JOIN intents ON intents.key = slots.intent
    WHERE slots.chain_id = ? AND slots.sender = ? AND intents.kind = 'liquidation' AND slot_id > ?
      AND state IN ('success', 'reverted', 'given-up') AND reserved_at_s > ?
    ORDER BY nonce
"""
_NEWEST = "SELECT coalesce(max(reserved_at_s), 0) AS s FROM slots WHERE chain_id = ? AND sender = ?"

Owner = tuple[int, Address]


def read_facts(
    database: Database,
    owner: Owner,
    *,
    live: Sequence[Slot],
    earlier: tuple[SlotState, ...],
    now_s: int,
    settled_before: int,
) -> GateFacts:
    """Return the facts at `now_s`. Slots mined in block `settled_before` or later may be taken back by a reorg."""
    now_s = max(now_s, database.rows(_NEWEST, owner)[0]["s"])
    spent = database.rows(_SPENT, (*owner, now_s - DAY_S, settled_before))
    ended = database.rows(_ENDED, (*owner, read_resumed_after(database), now_s - DAY_S))
    try:
        return GateFacts(
            live=tuple(live),
            earlier=earlier,
            mode=read_mode(database).mode,
            now_s=now_s,
            spent=tuple(_spent(row, settled_before) for row in spent),
            ended=tuple(Ended(state=row["state"], result_usd_e8=int(row["result_usd_e8"])) for row in ended),
        )
    except (ValueError, TypeError) as error:
        raise Failed(f"the state file is damaged: what was spent cannot be read: {error}") from error


def _spent(row: sqlite3.Row, settled_before: int) -> Spent:
    paid = row["gas_paid_wei"]
    is_open = row["state"] not in MINED or paid is None or row["mined_block"] >= settled_before
    gas_wei = _reserved_wei(row) if is_open else int(paid)
    result_usd_e8 = int(row["result_usd_e8"] or 0)
    loss = mul_div_up(gas_wei, int(row["native_usd_e8"]), WAD) if is_open else max(0, -result_usd_e8)
    return Spent(
        slot_id=row["slot_id"],
        market=row["market"],
        account=None if row["account"] is None else to_address(row["account"]),
        reserved_at_s=row["reserved_at_s"],
        open=is_open,
        notional_usd_e8=int(row["notional_usd_e8"]),
        gas_wei=gas_wei,
        loss_usd_e8=loss,
    )


def _reserved_wei(row: sqlite3.Row) -> int:
    reserved = row["reserved_wei"]
    # only a row of the first format holds no sum, and that knew of no L1 fee
    return int(row["fee_cap_wei"]) * int(row["gas_limit"]) if reserved is None else int(reserved)
