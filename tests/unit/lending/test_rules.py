"""Checks the deployed contracts of the tests cannot show: other revisions, sequencer, grace, inactive reserves."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from keeper.domain.errors import ConfigError
from keeper.domain.lending import LiquidationCall, Outcome, Refused
from keeper.domain.units import MAX_UINT256, RAY, WAD
from keeper.lending.aave_v3.revisions import known_revisions, revision_for
from keeper.lending.aave_v3.state import EMode, Position, Sentinel, StableDebt
from keeper.lending.aave_v3.view import AaveV3View
from tests.support.lending import NOW_S, address, in_book, reserve, view

BORROWER = address(0xB0)
DEBT, COLLATERAL = address(0x1001), address(0x1000)


def market(
    number: int,
    *,
    collateral_usd: int = 10_000,
    debt_usd: int = 8_200,
    collateral: dict[str, int | bool | None] | None = None,
    debt: dict[str, int | bool | None] | None = None,
    position: Position | None = None,
    sentinel: Sentinel | None = None,
    emodes: tuple[EMode, ...] = (),
) -> AaveV3View:
    """One account with one collateral (id 0) and one debt (id 1), a dollar a piece, threshold 80 %."""
    held = Position(emode=0, collaterals=((0, collateral_usd * WAD),), debts=((1, debt_usd * WAD),))
    return view(
        number,
        [reserve(0, **(collateral or {})), reserve(1, **(debt or {}))],  # type: ignore[arg-type]
        {BORROWER: position or held},
        sentinel=sentinel,
        emodes=emodes,
    )


def ask(target: AaveV3View, cover: int = MAX_UINT256, at_s: int = NOW_S) -> Outcome | Refused:
    call = LiquidationCall(account=BORROWER, debt=DEBT, collateral=COLLATERAL, cover_raw=cover)
    return target.outcome(call, at_s)


def code(answer: Outcome | Refused) -> str:
    return answer.code if isinstance(answer, Refused) else "ACCEPTED"


@pytest.mark.parametrize("number", [revision.number for revision in known_revisions()])
def test_an_unhealthy_account_can_be_liquidated_under_every_revision(number: int) -> None:
    answer = ask(market(number))
    assert isinstance(answer, Outcome)
    assert answer.health_after_wad > 97 * 10**16


@pytest.mark.parametrize(
    ("collateral", "debt", "expected"),
    [
        ({"active": False}, {}, "RESERVE_INACTIVE"),
        ({}, {"active": False, "paused": True}, "RESERVE_INACTIVE"),
        ({}, {"paused": True}, "RESERVE_PAUSED"),
        ({"paused": True}, {}, "RESERVE_PAUSED"),
        ({"frozen": True}, {"frozen": True}, "ACCEPTED"),
        ({"price_base": None}, {}, "PRICE_MISSING"),
        ({}, {"price_base": None}, "PRICE_MISSING"),
        ({"price_base": 0}, {}, "DIVISION_BY_ZERO"),
        ({"bonus_bps": 0}, {}, "NO_LIQUIDATION_BONUS"),
        ({"balance_raw": 10}, {}, "NO_LIQUIDITY"),
        ({"virtual_raw": 10}, {}, "NO_LIQUIDITY"),
    ],
)
def test_reserves_that_refuse(
    collateral: dict[str, int | bool | None], debt: dict[str, int | bool | None], expected: str
) -> None:
    assert code(ask(market(10, collateral=collateral, debt=debt))) == expected


def test_threshold_of_zero_counts_only_since_3_6() -> None:
    none = {"threshold_bps": 0}
    assert code(ask(market(9, collateral=none))) == "COLLATERAL_CANNOT_BE_LIQUIDATED"
    assert code(ask(market(10, collateral=none))) == "ACCEPTED"


@pytest.mark.parametrize(
    ("number", "debt_usd", "up", "seconds_up", "expected"),
    [
        (1, 8_200, False, 10**6, "PRICE_ORACLE_SENTINEL_CHECK_FAILED"),
        (1, 8_200, True, 3_600, "PRICE_ORACLE_SENTINEL_CHECK_FAILED"),
        (1, 8_200, True, 3_601, "ACCEPTED"),
        (4, 8_200, True, 3_600, "PRICE_ORACLE_SENTINEL_CHECK_FAILED"),
        # 8000 / 8421.06 is just below 0.95, where the sequencer does not matter; just above, it does.
        (1, 8_422, False, 0, "ACCEPTED"),
        (1, 8_421, False, 0, "PRICE_ORACLE_SENTINEL_CHECK_FAILED"),
        (11, 8_200, False, 0, "ACCEPTED"),
        (1002, 8_200, False, 0, "ACCEPTED"),
    ],
)
def test_sequencer_guard(number: int, debt_usd: int, up: bool, seconds_up: int, expected: str) -> None:
    sentinel = Sentinel(up=up, since_s=NOW_S - seconds_up, grace_s=3_600)
    assert code(ask(market(number, debt_usd=debt_usd, sentinel=sentinel))) == expected


def test_sequencer_guard_is_judged_at_the_time_of_the_call() -> None:
    target = market(1, sentinel=Sentinel(up=True, since_s=NOW_S - 3_595, grace_s=3_600))
    assert code(ask(target)) == "PRICE_ORACLE_SENTINEL_CHECK_FAILED"
    assert code(ask(target, at_s=NOW_S + 12)) == "ACCEPTED"
    assert target.ranges(BORROWER, DEBT, COLLATERAL, NOW_S) == []
    assert target.ranges(BORROWER, DEBT, COLLATERAL, NOW_S + 12) != []


@pytest.mark.parametrize(("number", "expected"), [(1, "ACCEPTED"), (4, "LIQUIDATION_GRACE_SENTINEL_CHECK_FAILED")])
@pytest.mark.parametrize("side", ["collateral", "debt"])
def test_grace_period_since_3_1_on_both_sides(number: int, expected: str, side: str) -> None:
    grace = {"grace_until_s": NOW_S + 11}
    target = market(number, collateral=grace if side == "collateral" else {}, debt=grace if side == "debt" else {})
    assert code(ask(target)) == expected
    assert code(ask(target, at_s=NOW_S + 12)) == "ACCEPTED"


def test_emode_by_bitmap_and_by_category() -> None:
    position = Position(emode=2, collaterals=((0, 10_000 * WAD),), debts=((1, 9_000 * WAD),))
    inside = EMode(id=2, threshold_bps=8_900, liquidation_bonus_bps=10_200, collateral_bitmap=0b1)
    outside = replace(inside, collateral_bitmap=0b10)
    bitmap = ask(market(7, position=position, emodes=(inside,)), cover=1_000 * WAD)
    apart = ask(market(7, position=position, emodes=(outside,)), cover=1_000 * WAD)
    assert isinstance(bitmap, Outcome)
    assert isinstance(apart, Outcome)
    assert bitmap.received_raw + bitmap.fee_raw == 1_020 * WAD
    assert apart.received_raw + apart.fee_raw == 1_050 * WAD
    category = ask(market(1, position=position, emodes=(outside,), collateral={"emode_category": 2}), cover=1_000 * WAD)
    assert isinstance(category, Outcome)
    assert category.received_raw + category.fee_raw == 1_020 * WAD


def test_emode_with_a_price_of_its_own_uses_it_for_the_debt_in_any_case() -> None:
    position = Position(emode=2, collaterals=((0, 10_000 * WAD),), debts=((1, 9_000 * WAD),))
    mode = EMode(id=2, threshold_bps=9_000, liquidation_bonus_bps=10_000, priced=True, price_base=2 * 10**8)
    target = market(1, position=position, emodes=(mode,), debt={"emode_category": 2})
    health = target.health(BORROWER, NOW_S)
    assert health is not None
    assert (health.collateral_base, health.debt_base) == (10_000 * 10**8, 18_000 * 10**8)
    answer = ask(target, cover=100 * WAD)
    assert isinstance(answer, Outcome)
    assert answer.received_raw + answer.fee_raw == 210 * WAD
    silent = market(1, position=position, emodes=(replace(mode, price_base=None),))
    assert silent.health(BORROWER, NOW_S) is None


def test_dust_rule_since_3_3_leaves_a_thousand_or_nothing() -> None:
    target = market(10, collateral_usd=9_000, debt_usd=8_000)
    ranges = target.ranges(BORROWER, DEBT, COLLATERAL, NOW_S)
    explicit, everything = ranges
    # What is left is valued upwards to a hundred-millionth of a dollar, so a little more passes.
    assert explicit.high_raw == 7_000 * WAD + 10**10 - 1
    assert everything.cover_max
    assert everything.low_raw == 8_000 * WAD
    assert code(ask(target, explicit.high_raw)) == "ACCEPTED"
    assert code(ask(target, explicit.high_raw + 1)) == "MUST_NOT_LEAVE_DUST"
    older = market(1, collateral_usd=9_000, debt_usd=8_000)
    assert older.ranges(BORROWER, DEBT, COLLATERAL, NOW_S)[0].high_raw == 8_000 * WAD


def test_explicit_amounts_keep_to_what_is_owed_now() -> None:
    rates = {"debt_rate_ray": RAY // 5}
    target = market(1, debt_usd=8_500, debt=rates)
    later_s = NOW_S + 3_600
    explicit, everything = target.ranges(BORROWER, DEBT, COLLATERAL, later_s)
    assert explicit.high_raw == 8_500 * WAD
    assert everything.low_raw > 8_500 * WAD


def test_target_policy_restores_the_target_and_not_more() -> None:
    target = market(1003)
    answer = ask(target)
    assert isinstance(answer, Outcome)
    assert answer.health_after_wad >= 1_050_000_000_000_000_000
    short = ask(target, answer.repaid_raw - 10**12)
    assert isinstance(short, Outcome)
    assert short.health_after_wad < 1_050_000_000_000_000_000


def test_stable_debt_is_counted_and_repaid_last() -> None:
    owed = StableDebt(reserve_id=1, principal_raw=7_500 * WAD, rate_ray=RAY // 10, since_s=NOW_S - 31_536_000)
    position = Position(emode=0, collaterals=((0, 10_000 * WAD),), debts=((1, 0),), stable_debts=(owed,))
    target = market(1, position=position)
    health = target.health(BORROWER, NOW_S)
    assert health is not None
    assert 8_270 * 10**8 < health.debt_base < 8_300 * 10**8
    assert target.accounts() == (BORROWER,)
    assert target.pairs(BORROWER) == [(DEBT, COLLATERAL)]
    answer = ask(target)
    assert isinstance(answer, Outcome)
    left = target.after(answer.call, NOW_S).positions[BORROWER]
    assert left.debts == ((1, 0),)
    assert left.stable_debts[0].since_s == NOW_S
    assert left.stable_debts[0].rate_ray == owed.rate_ray
    assert abs(left.stable_debts[0].principal_raw - answer.repaid_raw) <= 1, "half of it was repaid"


def test_debt_left_without_collateral_is_written_off_since_3_3_only() -> None:
    for number, written_off in ((1, False), (7, True), (11, True), (1000, False), (1002, True)):
        target = market(number, collateral_usd=8_000, debt_usd=9_000)
        answer = ask(target)
        assert isinstance(answer, Outcome)
        assert bool(answer.deficits) == written_off
        assert (answer.health_after_wad == MAX_UINT256) == written_off
        left = target.after(answer.call, NOW_S)
        assert (BORROWER in left.accounts()) != written_off


def test_after_refuses_a_call_that_the_pool_refuses() -> None:
    call = LiquidationCall(account=BORROWER, debt=COLLATERAL, collateral=DEBT, cover_raw=1)
    with pytest.raises(ValueError, match="COLLATERAL_CANNOT_BE_LIQUIDATED"):
        market(1).after(call, NOW_S)


def test_after_leaves_the_view_it_came_from_alone() -> None:
    target = market(1)
    before = (dict(target.positions), dict(target.reserves), target.epoch(BORROWER))
    answer = ask(target)
    assert isinstance(answer, Outcome)
    moved = target.after(answer.call, NOW_S)
    assert (dict(target.positions), dict(target.reserves), target.epoch(BORROWER)) == before
    assert moved.epoch(BORROWER) != before[2]
    again = moved.outcome(answer.call, NOW_S)
    assert again != answer


def test_flash_loans() -> None:
    target = market(1, debt={"balance_raw": 1_000})
    assert target.flash_fee_raw(DEBT, 1_000) == 1
    assert target.flash_fee_raw(DEBT, 555) == 0
    assert market(9).flash_fee_raw(DEBT, 555) == 1
    assert target.flash_fee_raw(DEBT, 1_001) is None
    assert target.flash_fee_raw(address(1), 1) is None
    for switch in ({"flash_loans": False}, {"paused": True}, {"active": False}, {"virtual_raw": 10}):
        assert market(10, debt=switch).flash_fee_raw(DEBT, 11) is None  # type: ignore[arg-type]


def test_unknown_account_is_healthy_and_has_nothing() -> None:
    target, nobody = market(10), address(0xDEAD)
    health = target.health(nobody, NOW_S)
    assert health is not None
    assert (health.health_factor_wad, health.debt_base) == (MAX_UINT256, 0)
    assert target.pairs(nobody) == []
    assert target.holdings(nobody) == frozenset()


@pytest.mark.parametrize("number", [-1, 0, 12, 999, 1004])
def test_unknown_revision_is_refused(number: int) -> None:
    with pytest.raises(ConfigError, match=f"pool revision {number} is not known"):
        revision_for(number)


def test_unverified_revisions_are_marked() -> None:
    proven = {revision.number for revision in known_revisions() if revision.verified}
    assert {revision.number for revision in known_revisions()} - proven == {4, 5, 6}


def test_ten_thousand_accounts_are_judged_in_a_tenth_of_a_second() -> None:
    reserves = [reserve(id_, debt_rate_ray=10**25, liquidity_rate_ray=10**25) for id_ in range(12)]
    positions = {
        address(0x10_0000 + index): Position(
            emode=0,
            collaterals=((index % 12, 5_000 * WAD), ((index + 1) % 12, 5_000 * WAD)),
            debts=(((index + 2) % 12, (7_000 + index % 1_010) * WAD),),
        )
        for index in range(10_000)
    }
    plain = view(1, reserves, positions)
    target, seconds = in_book(plain), []
    for step in range(5):
        started = time.perf_counter()
        found = target.unhealthy(NOW_S + step)
        seconds.append(time.perf_counter() - started)
        assert 50 < len(found) < 200
        assert found == plain.unhealthy(NOW_S + step)
    assert min(seconds) < 0.1
