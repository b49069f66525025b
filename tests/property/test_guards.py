"""Caps hold to the last unit over any sequence of plans, inclusions, reverts and reorgs."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from keeper.domain.attempts import LedgerEntry
from keeper.domain.chain import Receipt
from keeper.domain.units import WAD, to_address
from keeper.send.gate import make_dearer_gate, make_gate
from keeper.send.guards import Caps, Guards
from keeper.send.settings import SendSettings
from keeper.store import Store, open_store
from keeper.store.records import LIVE, Intent, Payload, SignedAttempt, Slot, Stake
from tests.conftest import TestSize

SEED = 6
SENDER = to_address("0x" + "51" * 20)
NATIVE_USD_E8 = 2_000 * 10**8
STEPS = 25
WATCHED = 10


@dataclass(slots=True)
class Walk:
    """One random sequence on one journal, and a ledger of its own that is added up in another way."""

    dice: random.Random
    store: Store
    settings: SendSettings
    number: int = 0
    block: int = 100
    time_s: int = 1_700_000_000

    def journal(self) -> Any:
        return self.store.journal(chain_id=1, sender=SENDER)

    def slots(self) -> list[Slot]:
        return self.journal()._slots("slots.state != 'released'", ())

    def reserve(self) -> None:
        self.number += 1
        market = self.dice.choice(["a", "b"])
        account = to_address(bytes(19) + bytes([self.dice.randint(1, 3)]))
        intent = Intent(
            key=str(self.number), chain_id=1, sender=SENDER, kind="liquidation", market=market, account=account,
            profit_token=None, expected_raw=1_000,
        )  # fmt: skip
        price = self.dice.choice([1, 7, 10**9, 3 * 10**9 + 1])
        payload = Payload(
            to=SENDER, data=b"", gas_limit=self.dice.randint(21_000, 600_000), fee_cap_wei=price, tip_wei=1,
            deadline_block=10**9,
        )  # fmt: skip
        stake = Stake(notional_usd_e8=self.dice.randint(0, 10**13), profit_usd_e8=10**9, native_usd_e8=NATIVE_USD_E8)
        gate = make_gate(
            intent, payload, balance_wei=10**30, head_number=self.block, settings=self.settings, stake=stake
        )
        self.journal().reserve(
            intent,
            payload,
            chain_nonce=max((slot.nonce + 1 for slot in self.slots()), default=0),
            watched_from=self.block - WATCHED,
            admit=gate,
            stake=stake,
            now_s=self.time_s,
        )

    def raise_one(self) -> None:
        live = self.journal().live()
        if live:
            slot = self.dice.choice(live)
            wei = slot.worst_case_wei * self.dice.choice([113, 200, 1000]) // 100
            gate = make_dearer_gate(slot, worst_case_wei=wei, settings=self.settings)
            self.journal().reserve_more(slot, wei=wei, now_s=self.time_s, watched_from=self.block - WATCHED, admit=gate)

    def finish_one(self) -> None:
        live = self.journal().live()
        if not live:
            return
        slot = live[0]
        gas_wei = self.dice.choice([slot.worst_case_wei, slot.worst_case_wei // 2, 1])
        state = self.dice.choice(["success", "reverted"])
        transaction = f"0x{slot.slot_id:064x}"
        if not slot.attempts:
            attempt = SignedAttempt(
                transaction=transaction, kind="plan", raw=b"", gas_limit=1, fee_cap_wei=1, tip_wei=1,
                broadcast="signed", maybe_known=True, last_sent_block=None,
            )  # fmt: skip
            self.journal().add_attempt(slot, attempt)
            slot = self.journal().slot(slot.slot_id)
        receipt = Receipt(
            transaction_hash=transaction, ok=state == "success", block_number=self.block, block_hash="0x", gas_used=1,
            effective_gas_price_wei=gas_wei, contract_address=None, logs=(),
        )  # fmt: skip
        entry = LedgerEntry(
            intent=slot.intent.key, kind="liquidation", transaction=transaction, block=self.block, market="a",
            account=None, status=state, profit_token=None, expected_raw=0, realised_raw=0, gas_cost_wei=gas_wei,
            detail={},
        )  # fmt: skip
        cost_usd_e8 = -(-gas_wei * NATIVE_USD_E8 // WAD)
        gained = 10**9 if state == "success" else 0
        self.journal().finish(slot, state, receipt, entry, result_usd_e8=gained - cost_usd_e8)

    def reorg(self) -> None:
        depth = self.dice.randint(1, WATCHED)
        for slot in self.journal().mined_since(self.block - depth + 1):
            self.journal().reopen(slot)

    def pass_time(self) -> None:
        self.block += self.dice.randint(1, 2 * WATCHED)
        self.time_s += self.dice.choice([12, 600, 3_599, 3_600, 86_399, 86_400])

    def step(self) -> None:
        move = self.dice.choices(
            [self.reserve, self.finish_one, self.pass_time, self.reorg, self.raise_one], [8, 4, 3, 1, 1]
        )[0]
        move()


def worth(store: Store, slot: Slot, measure: str) -> int:
    """What a slot costs at most while it lives, and what it cost at its end."""
    row = store._database.rows("SELECT * FROM slots WHERE slot_id = ?", (slot.slot_id,))[0]
    if measure == "notional_usd_e8":
        return slot.stake.notional_usd_e8
    gas_wei = slot.worst_case_wei if slot.state in LIVE else int(row["gas_paid_wei"])
    if measure == "gas_wei":
        return gas_wei
    return -(-gas_wei * NATIVE_USD_E8 // WAD) if slot.state in LIVE else max(0, -int(row["result_usd_e8"]))


def check(walk: Walk, guards: Guards) -> None:
    """Add up, without the code under test, what every window and scope holds; no cap may be exceeded."""
    slots = walk.slots()
    for measure in ("notional_usd_e8", "gas_wei", "loss_usd_e8"):
        counted = [(slot, worth(walk.store, slot, measure)) for slot in slots]
        for window_s, caps in ((3_600, guards.hour), (86_400, guards.day)):
            bound = getattr(caps, measure)
            for first, _ in counted:
                start_s = first.reserved_at_s
                total = sum(each for slot, each in counted if start_s <= slot.reserved_at_s < start_s + window_s)
                assert total <= bound, (measure, window_s, total, bound)
        for caps, of in (
            (guards.account, lambda s: (s.intent.market, s.intent.account)),
            (guards.market, lambda s: s.intent.market),
        ):
            bound = getattr(caps, measure)
            for first, _ in counted:
                start_s = first.reserved_at_s
                total = sum(
                    each
                    for slot, each in counted
                    if start_s <= slot.reserved_at_s < start_s + 86_400 and of(slot) == of(first)
                )
                assert total <= bound, (measure, total, bound)
        assert all(each <= getattr(guards.transaction, measure) for _, each in counted)


def random_caps(dice: random.Random, scale: int) -> Caps:
    return Caps(
        notional_usd_e8=dice.randint(10**12, 10**13) * scale,
        gas_wei=dice.randint(10**14, 10**15) * scale,
        loss_usd_e8=dice.randint(10**7, 2 * 10**8) * scale,
    )


def one_sequence(seed: int) -> int:
    dice = random.Random(seed)
    guards = Guards(
        transaction=random_caps(dice, 1),
        account=random_caps(dice, 2),
        market=random_caps(dice, 2),
        hour=random_caps(dice, 2),
        day=random_caps(dice, 3),
    )
    walk = Walk(dice, open_store(None), SendSettings(guards=guards, watched_blocks=WATCHED, most_in_flight=1_000))
    try:
        for _ in range(STEPS):
            walk.step()
        check(walk, guards)
        return len(walk.slots())
    finally:
        walk.store.close()


def test_row_31_no_sequence_exceeds_a_cap(size: TestSize) -> None:
    sequences = size.pick(quick=1_000, prove=10_000)
    reserved = sum(one_sequence(SEED + number) for number in range(sequences))
    print(f"seed {SEED}: {sequences} sequences, {reserved} reservations")
    assert reserved > 2 * sequences
