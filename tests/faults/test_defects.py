"""Mistakes built into the sender on purpose: the lab is worth something only if it finds each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import keeper.chain.backfill
import keeper.send.evidence
import keeper.send.gate
import keeper.send.machine
import keeper.send.replacing
import keeper.send.sender
from keeper.chain.backfill import LogPage, backfill
from keeper.domain.chain import Head, Log, Receipt
from keeper.domain.errors import Failed, HistoryMissing, Transient
from keeper.send import dialects
from keeper.send.channels import Errand
from keeper.send.dialects import Answer, Broadcast, read_answer
from keeper.send.fees import Offer, TooDear, raise_offer
from keeper.send.machine import Decision, Evidence, Release, decide
from keeper.send.reorgs import ReorgWatch
from keeper.send.settings import SendSettings
from keeper.store.lock import InstanceLock
from keeper.store.records import SignedAttempt, Slot
from tests.faults.fake_chain import POOL, FakeChain
from tests.faults.rig import Rig
from tests.faults.test_model import play

SCHEDULES = 40
STEPS = 300
Patch = pytest.MonkeyPatch


@dataclass(frozen=True, slots=True)
class Defect:
    """A mistake, and how it is planted: into the code, or into each sender that is started."""

    name: str
    into_code: Callable[[Patch], None] | None = None
    into_sender: Callable[[Rig], None] | None = None


def journal_after_send(rig: Rig) -> None:
    journal, channel = rig.sender._journal, rig.sender._wire._channel
    late: list[tuple[Slot, SignedAttempt]] = []
    add, send, slot_of = journal.add_attempt, channel.broadcast, journal.slot

    async def send_first(raw: bytes, transaction: str, errand: Errand) -> Broadcast:
        result = await send(raw, transaction, errand)
        while late:
            add(*late.pop())
        return result

    def slot(slot_id: int) -> Slot:
        found = slot_of(slot_id)
        return replace(found, attempts=found.attempts + tuple(one for owner, one in late if owner.slot_id == slot_id))

    journal.add_attempt = lambda owner, attempt: late.append((owner, attempt))  # type: ignore[method-assign]
    journal.slot = slot  # type: ignore[method-assign]
    channel.broadcast = send_first  # type: ignore[method-assign]


def new_nonce_on_time_out(rig: Rig) -> None:
    send = rig.sender._wire.send

    async def give_up_at_once(slot: Slot, *, block: int, fresh: bool) -> str | None:
        refusal = await send(slot, block=block, fresh=fresh)
        newest = rig.sender._journal.slot(slot.slot_id).newest
        return "timed_out" if fresh and newest is not None and newest.broadcast == "ambiguous" else refusal

    rig.sender._wire.send = give_up_at_once  # type: ignore[method-assign]


def nonce_from_pending(patch: Patch) -> None:
    async def nonce(self: FakeChain, address: str) -> int:
        following = self._next_nonce(address)
        while (address, following) in self.pool:
            following += 1
        return following

    patch.setattr(FakeChain, "nonce", nonce)


def newest_hash_only(patch: Patch) -> None:
    read = keeper.send.evidence.read_receipts

    async def read_newest(chain: Any, slot: Slot, *, tries: int = 1) -> dict[str, Receipt]:
        return await read(chain, replace(slot, attempts=slot.attempts[-1:]), tries=tries)

    patch.setattr(keeper.send.sender, "read_receipts", read_newest)


def not_found_taken_as_dropped(patch: Patch) -> None:
    def decide_hastily(slot: Slot, seen: Evidence, settings: SendSettings) -> Decision:
        newest = slot.newest
        if newest is not None and seen.chain_nonce <= slot.nonce and seen.head_number > newest.signed_block + 1:
            return Release(reason="not found: dropped")
        return decide(slot, seen, settings)

    patch.setattr(keeper.send.sender, "decide", decide_hastily)


def missed_reorg(patch: Patch) -> None:
    async def look_away(self: ReorgWatch, head: Head) -> None:
        return None

    patch.setattr(ReorgWatch, "check", look_away)


def half_a_bump(patch: Patch) -> None:
    def raise_half(earlier: Sequence[Offer], *, base_fee_wei: int, limit_wei: int | None) -> Offer | TooDear:
        offers = list(earlier)
        found = raise_offer(offers, base_fee_wei=base_fee_wei, limit_wei=limit_wei)
        return found if isinstance(found, TooDear) else replace(found, tip_wei=max(each.tip_wei for each in offers))

    patch.setattr(keeper.send.machine, "raise_offer", raise_half)


def cap_checked_after_signing(patch: Patch) -> None:
    patch.setattr(keeper.send.gate, "refuse_sum", lambda *_: None)


def receipt_status_ignored(patch: Patch) -> None:
    judge = keeper.send.machine._judge_receipt
    patch.setattr(
        keeper.send.machine,
        "_judge_receipt",
        lambda attempt, receipt, seen, settings: judge(attempt, replace(receipt, ok=True), seen, settings),
    )


DEFECTS = [
    Defect("journal after send", into_sender=journal_after_send),
    Defect("new nonce on time-out", into_sender=new_nonce_on_time_out),
    Defect("nonce from pending", into_code=nonce_from_pending),
    Defect("receipt of the newest hash only", into_code=newest_hash_only),
    Defect("not found taken as dropped", into_code=not_found_taken_as_dropped),
    Defect("missed reorg", into_code=missed_reorg),
    Defect("half a bump", into_code=half_a_bump),
    Defect("cap checked after signing", into_code=cap_checked_after_signing),
    Defect("receipt status ignored", into_code=receipt_status_ignored),
]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda each: each.name)
def test_the_model_finds_each_planted_mistake(defect: Defect, monkeypatch: Patch) -> None:
    if defect.into_code is not None:
        defect.into_code(monkeypatch)
    found = None
    for seed in range(SCHEDULES):
        try:
            play(seed, STEPS, to_the_end=True, plant=defect.into_sender)
        except (AssertionError, Failed) as error:
            found = f"seed {seed}: {str(error)[:200]}"
            break
    print(found)
    assert found is not None, f"{SCHEDULES} schedules of {STEPS} steps did not find: {defect.name}"


def test_the_same_schedules_find_nothing_in_the_sender_as_it_is() -> None:
    for seed in range(SCHEDULES // 5):
        play(seed, STEPS, to_the_end=True)


def test_already_known_without_comparing_hashes_is_found(monkeypatch: Patch) -> None:
    ours, other = "0x" + "ab" * 32, "0x" + "cd" * 32

    def is_found() -> bool:
        return read_answer(f"Known transaction: {other}", ours) is not Answer.AMBIGUOUS

    assert not is_found()
    monkeypatch.setattr(dialects, "_is_ours", lambda *_: True)
    assert is_found()


async def test_a_skipped_lock_is_found(tmp_path: Path, monkeypatch: Patch) -> None:
    async def second_one_starts() -> bool:
        first, second = Rig(tmp_path / "state.db"), Rig(tmp_path / "state.db")
        await first.start()
        try:
            await second.start()
        except Failed:
            return False
        finally:
            second.store.close()
            first.stop()
        return True

    assert not await second_one_starts()
    monkeypatch.setattr(InstanceLock, "acquire", lambda _: None)
    assert await second_one_starts()


class Behind:
    """A node that answers about blocks it does not have yet with an empty list of logs."""

    def __init__(self, head_number: int) -> None:
        self.head_number = head_number

    def catch_up(self) -> None:
        self.head_number += 10

    async def block(self, number: int) -> Head:
        if number > self.head_number:
            raise HistoryMissing(f"no block {number}")
        chain = FakeChain()
        return chain.mine(number)

    async def logs(self, *, first: int, last: int, **_: object) -> list[Log]:
        return [
            Log(POOL, (bytes(32),), b"", number, (await self.block(number)).hash, "0x" + "01" * 32, 0)
            for number in range(first, min(last, self.head_number) + 1)
        ]


async def test_a_cursor_moved_on_an_empty_reply_is_found(monkeypatch: Patch) -> None:
    """The logs of blocks 1 to 30 are wanted of a node that has 20, and gets the others later."""

    async def loses_logs() -> bool:
        node, found, cursor = Behind(20), set[int](), 0

        async def take(page: LogPage) -> None:
            nonlocal cursor
            cursor = page.last
            found.update(log.block_number for log in page.logs)

        for _ in range(2):
            with contextlib.suppress(HistoryMissing, Transient):
                await backfill(node, [POOL], [], cursor + 1, 30, on_page=take)  # type: ignore[arg-type]
            node.catch_up()
        assert cursor == 30
        return found != set(range(1, 31))

    monkeypatch.setattr(keeper.chain.backfill, "_BEHIND_PAUSES_S", ())
    assert not await loses_logs()

    async def believe(*_: object) -> str:
        return "0x"

    async def nod(*_: object) -> bool:
        return True

    monkeypatch.setattr(keeper.chain.backfill._Pages, "_known_hash", believe)
    monkeypatch.setattr(keeper.chain.backfill._Pages, "_is_settled", nod)
    assert await loses_logs()
