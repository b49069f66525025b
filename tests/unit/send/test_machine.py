"""The decisions about one nonce, as a table: evidence in, decision out."""

from dataclasses import replace

import pytest

from keeper.domain.chain import Receipt
from keeper.send.machine import Cancel, Evidence, Finish, Foreign, Release, Resend, Stuck, Wait, decide
from keeper.send.settings import SendSettings
from keeper.store.records import Intent, Payload, SignedAttempt, Slot
from tests.faults.fake_chain import CHAIN_ID, EXECUTOR, GWEI, SIGNER

SETTINGS = SendSettings(bump_after_blocks=10**6)  # dearer offers have tests of their own
INTENT = Intent(
    key="k",
    chain_id=CHAIN_ID,
    sender=SIGNER,
    kind="liquidation",
    market="main",
    account=None,
    profit_token=None,
    expected_raw=0,
)
PLAN = SignedAttempt(
    transaction="0xa1",
    kind="plan",
    raw=b"a1",
    gas_limit=400_000,
    fee_cap_wei=3 * GWEI,
    tip_wei=GWEI,
    broadcast="accepted",
    maybe_known=True,
    last_sent_block=10,
    signed_block=10,
)
CANCEL = replace(PLAN, transaction="0xc1", kind="cancel", fee_cap_wei=4 * GWEI, tip_wei=2 * GWEI)
SLOT = Slot(
    slot_id=1,
    intent=INTENT,
    nonce=5,
    state="sent",
    payload=Payload(to=EXECUTOR, data=b"", gas_limit=400_000, fee_cap_wei=3 * GWEI, tip_wei=GWEI, deadline_block=20),
    transaction=None,
    block=None,
    block_hash=None,
    attempts=(PLAN,),
)
SEEN = Evidence(
    head_number=10,
    head_hash="0x0a",
    base_fee_wei=GWEI,
    chain_nonce=5,
    receipts={},
    missing_blocks=0,
    highest=True,
)


def receipt(transaction: str, *, ok: bool = True, block: int = 10, block_hash: str = "0x0a") -> Receipt:
    return Receipt(
        transaction_hash=transaction,
        ok=ok,
        block_number=block,
        block_hash=block_hash,
        gas_used=1,
        effective_gas_price_wei=1,
        contract_address=None,
        logs=(),
    )


def used(*found: Receipt, **changes: object) -> Evidence:
    changes = {"chain_nonce": 6, "receipts": {one.transaction_hash: one for one in found}, **changes}
    return replace(SEEN, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("slot", "seen", "status"),
    [
        (SLOT, used(receipt("0xa1")), "success"),
        (SLOT, used(receipt("0xa1", ok=False)), "reverted"),
        (replace(SLOT, attempts=(PLAN, CANCEL)), used(receipt("0xa1")), "success"),
        (replace(SLOT, attempts=(PLAN, CANCEL)), used(receipt("0xc1")), "given-up"),
        (replace(SLOT, attempts=(PLAN, CANCEL)), used(receipt("0xc1", ok=False)), "given-up"),
        (SLOT, used(receipt("0xa1", block=12, block_hash="0x0c")), "success"),
        (SLOT, used(receipt("0xa1"), head_number=500, head_hash="0xff"), "success"),
    ],
)
def test_a_receipt_of_any_of_ours_ends_the_slot(slot: Slot, seen: Evidence, status: str) -> None:
    decision = decide(slot, seen, SETTINGS)
    assert isinstance(decision, Finish)
    assert decision.status == status


@pytest.mark.parametrize(("depth", "enough"), [(1, False), (2, False), (3, True), (9, True)])
def test_depth_counts_the_including_block(depth: int, enough: bool) -> None:
    seen = used(receipt("0xa1", block_hash="0x0b"), head_number=10 + depth - 1, head_hash="0xff")
    if depth == 1:
        seen = used(receipt("0xa1"))
    assert isinstance(decide(SLOT, seen, SendSettings(confirmations=3)), Finish) is enough


def test_a_receipt_of_a_rival_block_decides_nothing() -> None:
    assert decide(SLOT, used(receipt("0xa1", block_hash="0xdead")), SETTINGS) == Wait()


@pytest.mark.parametrize(("missing", "decision"), [(0, Wait(used=True)), (2, Wait(used=True)), (3, Foreign())])
def test_a_used_nonce_without_receipts_is_foreign_only_after_a_while(missing: int, decision: object) -> None:
    assert decide(SLOT, used(missing_blocks=missing), SETTINGS) == decision


@pytest.mark.parametrize(
    ("attempt", "head_number", "again"),
    [
        (PLAN, 10, False),
        (PLAN, 11, False),
        (PLAN, 12, True),
        (replace(PLAN, broadcast="ambiguous"), 10, False),
        (replace(PLAN, broadcast="ambiguous"), 11, True),
        (replace(PLAN, broadcast="signed", last_sent_block=None), 10, True),
    ],
)
def test_the_same_bytes_go_out_again(attempt: SignedAttempt, head_number: int, again: bool) -> None:
    decision = decide(replace(SLOT, attempts=(attempt,)), replace(SEEN, head_number=head_number), SETTINGS)
    assert decision == (Resend(attempt=attempt) if again else Wait())


@pytest.mark.parametrize("head_number", [19, 20, 21, 10_000])
def test_row_28_only_the_deadline_cancels_never_the_time_that_passed(head_number: int) -> None:
    decision = decide(SLOT, replace(SEEN, head_number=head_number), SETTINGS)
    assert isinstance(decision, Cancel) is (head_number >= 20)
    endless = replace(SLOT, payload=replace(SLOT.payload, deadline_block=None))
    assert isinstance(decide(endless, replace(SEEN, head_number=head_number), SETTINGS), Resend)


@pytest.mark.parametrize(
    ("cap", "tip", "new_cap", "new_tip"),
    [
        (1_000, 100, 1_130, 113),
        (1_001, 101, 1_132, 115),
        (1, 0, 2, 1),
        (7, 3, 8, 4),
        (10**30, 10**29, 113 * 10**28, 113 * 10**27),
    ],
)
def test_a_replacement_raises_both_fields_by_an_eighth_rounded_up(
    cap: int, tip: int, new_cap: int, new_tip: int
) -> None:
    slot = replace(SLOT, attempts=(replace(PLAN, fee_cap_wei=cap, tip_wei=tip),))
    decision = decide(slot, replace(SEEN, head_number=20, base_fee_wei=0), SETTINGS)
    assert isinstance(decision, Cancel)
    assert (decision.fee_cap_wei, decision.tip_wei) == (new_cap, min(new_tip, new_cap))
    assert decision.fee_cap_wei * 1000 >= cap * 1125
    assert decision.tip_wei * 1000 >= tip * 1125


def test_a_replacement_follows_the_base_fee_up_to_the_limit() -> None:
    seen = replace(SEEN, head_number=20, base_fee_wei=100 * GWEI)
    free = decide(SLOT, seen, SETTINGS)
    assert isinstance(free, Cancel)
    assert free.fee_cap_wei == 200 * GWEI + free.tip_wei
    limited = decide(SLOT, seen, SendSettings(max_gas_price_wei=50 * GWEI))
    assert isinstance(limited, Cancel)
    assert limited.fee_cap_wei == 50 * GWEI


def test_a_replacement_that_would_cost_too_much_is_not_made() -> None:
    decision = decide(SLOT, replace(SEEN, head_number=20), SendSettings(max_gas_price_wei=3 * GWEI))
    assert isinstance(decision, Stuck)


def test_a_cancellation_is_dearer_only_when_it_no_longer_fits() -> None:
    slot = replace(SLOT, attempts=(PLAN, CANCEL))
    assert decide(slot, replace(SEEN, head_number=500), SETTINGS) == Resend(attempt=CANCEL)
    dearer = decide(slot, replace(SEEN, head_number=500, base_fee_wei=5 * GWEI), SETTINGS)
    assert isinstance(dearer, Cancel)
    assert dearer.fee_cap_wei >= 10 * GWEI


def test_an_unsigned_nonce_is_given_back_from_the_top_and_filled_below() -> None:
    unsigned = replace(SLOT, state="reserved", attempts=())
    assert decide(unsigned, SEEN, SETTINGS) == Release(reason="never signed")
    assert isinstance(decide(unsigned, replace(SEEN, highest=False), SETTINGS), Cancel)


def test_a_nonce_nothing_was_signed_for_is_filled_at_the_price_that_was_reserved_when_no_more_is_allowed() -> None:
    unsigned = replace(SLOT, state="reserved", attempts=())
    tight = replace(SETTINGS, max_gas_price_wei=3 * GWEI)
    found = decide(unsigned, replace(SEEN, highest=False), tight)
    assert isinstance(found, Cancel)
    assert (found.fee_cap_wei, found.tip_wei) == (3 * GWEI, GWEI)


def test_bytes_that_may_be_out_never_free_their_nonce() -> None:
    refused = replace(PLAN, broadcast="refused", maybe_known=False)
    assert isinstance(decide(replace(SLOT, attempts=(refused,)), SEEN, SETTINGS), Release)
    doubtful = replace(PLAN, broadcast="refused", maybe_known=True)
    assert decide(replace(SLOT, attempts=(doubtful,)), SEEN, SETTINGS) == Wait()
    both = replace(SLOT, attempts=(doubtful, replace(CANCEL, maybe_known=False, broadcast="refused")))
    assert not isinstance(decide(both, SEEN, SETTINGS), Release)
