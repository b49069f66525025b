"""Ledger entries from receipts."""

from __future__ import annotations

from typing import Literal

from keeper.domain.attempts import LedgerEntry, Realised
from keeper.domain.chain import Receipt
from keeper.domain.plans import SimulatedPlan
from keeper.send.intents import intent_key, plan_detail
from keeper.store.records import Slot


def mined_entry(
    slot: Slot,
    receipt: Receipt,
    status: Literal["success", "reverted", "given-up"],
    *,
    expected_raw: int,
    realised: Realised,
    block_time_s: int,
) -> LedgerEntry:
    """Return the entry of a transaction that used the slot's nonce; its cost is what the receipt says was paid."""
    detail: dict[str, object] = {
        **slot.intent.detail,
        "nonce": slot.nonce,
        "gas_used": receipt.gas_used,
        "effective_gas_price_wei": str(receipt.effective_gas_price_wei),
        "l1_fee_wei": str(receipt.l1_fee_wei),
        "block_hash": receipt.block_hash,
        "block_timestamp_s": block_time_s,
    }
    if realised.left_over:
        detail["left_over"] = [{"token": token, "amount_raw": str(raw)} for token, raw in realised.left_over]
    if slot.intent.kind == "deploy":
        detail["contract_address"] = receipt.contract_address
    return LedgerEntry(
        intent=slot.intent.key,
        kind=slot.intent.kind,
        transaction=receipt.transaction_hash,
        block=receipt.block_number,
        market=slot.intent.market,
        account=slot.intent.account,
        status=status,
        profit_token=slot.intent.profit_token,
        expected_raw=expected_raw,
        realised_raw=realised.profit_raw,
        gas_cost_wei=receipt.cost_wei,
        detail=detail,
    )


def dry_run_entry(simulated: SimulatedPlan) -> LedgerEntry:
    """Return what a dry run books for a plan: the expected profit, and nothing paid."""
    plan = simulated.plan
    return LedgerEntry(
        intent=intent_key(plan),
        kind="liquidation",
        transaction=None,
        block=None,
        market=plan.market,
        account=plan.account,
        status="dry-run",
        profit_token=plan.profit_token,
        expected_raw=plan.profit_raw,
        realised_raw=0,
        gas_cost_wei=0,
        detail=plan_detail(simulated),
    )
