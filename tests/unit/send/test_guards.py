from typing import Any

import pytest

from keeper.domain.units import Address, to_address
from keeper.send.guards import HOUR_S, Caps, Claim, Guards, claim_of, refuse_name, refuse_sum, trip_of
from keeper.store.records import Ended, GateFacts, Spent, Stake, Trip

NOW_S = 1_700_000_000
ANNA, BERT = (to_address(bytes(19) + bytes([number])) for number in (1, 2))
USDC, WETH = (to_address(bytes(19) + bytes([number])) for number in (3, 4))


def spent(**changes: Any) -> Spent:
    fields: dict[str, Any] = {
        "slot_id": 1,
        "market": "main",
        "account": ANNA,
        "reserved_at_s": NOW_S - 10,
        "open": False,
        "notional_usd_e8": 100,
        "gas_wei": 100,
        "loss_usd_e8": 100,
    }
    return Spent(**{**fields, **changes})


def claim(**changes: Any) -> Claim:
    fields: dict[str, Any] = {
        "market": "main",
        "account": ANNA,
        "notional_usd_e8": 100,
        "gas_wei": 100,
        "loss_usd_e8": 100,
    }
    return Claim(**{**fields, **changes})


def facts(*found: Spent) -> GateFacts:
    return GateFacts(live=(), earlier=(), now_s=NOW_S, spent=found)


@pytest.mark.parametrize("measure", ["notional_usd_e8", "gas_wei", "loss_usd_e8"])
@pytest.mark.parametrize("scope", ["transaction", "account", "market", "hour", "day"])
def test_each_cap_holds_to_the_last_unit(scope: str, measure: str) -> None:
    earlier = [] if scope == "transaction" else [spent()]
    mine = {"notional_usd_e8": 0, "gas_wei": 0, "loss_usd_e8": 0}
    guards = Guards(**{scope: Caps(**{measure: 150})})
    limit = 150 if scope == "transaction" else 50
    assert refuse_sum(guards, claim(**{**mine, measure: limit}), facts(*earlier)) is None
    code = f"cap_{scope}_{measure.split('_', maxsplit=1)[0]}"
    assert refuse_sum(guards, claim(**{**mine, measure: limit + 1}), facts(*earlier)) == code


def test_scopes_count_what_is_theirs() -> None:
    others = [spent(account=BERT), spent(market="other"), spent(reserved_at_s=NOW_S - HOUR_S)]
    for scope, counted in (("account", 1), ("market", 2), ("hour", 2), ("day", 3)):
        guards = Guards(**{scope: Caps(gas_wei=100 * counted + 100)})
        assert refuse_sum(guards, claim(), facts(*others)) is None, scope
        guards = Guards(**{scope: Caps(gas_wei=100 * counted + 99)})
        assert refuse_sum(guards, claim(), facts(*others)) == f"cap_{scope}_gas"


def test_what_is_open_counts_in_every_window() -> None:
    old = spent(open=True, reserved_at_s=NOW_S - 100 * HOUR_S)
    assert refuse_sum(Guards(hour=Caps(gas_wei=199)), claim(), facts(old)) == "cap_hour_gas"


def test_a_replacement_does_not_count_twice() -> None:
    guards = Guards(day=Caps(gas_wei=150))
    assert refuse_sum(guards, claim(gas_wei=150, slot_id=1), facts(spent(open=True))) is None
    assert refuse_sum(guards, claim(gas_wei=151, slot_id=1), facts(spent(open=True))) == "cap_day_gas"


def test_the_worst_case_is_all_gas_for_nothing() -> None:
    stake = Stake(notional_usd_e8=7, native_usd_e8=2_000 * 10**8)
    found = claim_of(stake, market="main", account=ANNA, worst_case_wei=10**16 + 1)
    assert (found.notional_usd_e8, found.gas_wei, found.loss_usd_e8) == (7, 10**16 + 1, 20 * 10**8 + 1)


@pytest.mark.parametrize(
    ("guards", "code"),
    [
        (Guards(), None),
        (Guards(unarmed_markets=frozenset({"main"})), "market_not_armed"),
        (Guards(deny_markets=frozenset({"main"})), "market_denied"),
        (Guards(allow_markets=frozenset({"other"})), "market_denied"),
        (Guards(allow_markets=frozenset({"main"}), deny_markets=frozenset({"main"})), "market_denied"),
        (Guards(deny_accounts=frozenset({ANNA})), "account_denied"),
        (Guards(allow_accounts=frozenset({BERT})), "account_denied"),
        (Guards(deny_tokens=frozenset({WETH})), "token_denied"),
        (Guards(allow_tokens=frozenset({USDC})), "token_denied"),
        (Guards(allow_tokens=frozenset({USDC, WETH}), allow_accounts=frozenset({ANNA})), None),
    ],
)
def test_lists(guards: Guards, code: str | None) -> None:
    assert refuse_name(guards, market="main", account=ANNA, tokens=[USDC, WETH]) == code


def ended(*results: tuple[Any, int]) -> list[Ended]:
    return [Ended(state=state, result_usd_e8=result) for state, result in results]


@pytest.mark.parametrize(
    ("states", "trips"),
    [
        ([], False),
        (["reverted", "reverted"], False),
        (["reverted"] * 3, True),
        (["reverted", "given-up", "reverted", "reverted"], True),
        (["reverted", "reverted", "success", "reverted"], False),
    ],
)
def test_reverts_in_a_row_halt(states: list[Any], trips: bool) -> None:
    found = trip_of(Guards(max_consecutive_reverts=3), ended(*((state, 0) for state in states)))
    assert (found == Trip(code="breaker_reverts", reason="3 transactions in a row reverted")) is trips


@pytest.mark.parametrize(
    ("results", "trips"),
    [([10, -5, 20, -14], False), ([10, -5, 20, -15], True), ([-15], True), ([100, -14, 100], False)],
)
def test_a_fall_from_the_highest_point_halts(results: list[int], trips: bool) -> None:
    found = trip_of(Guards(max_drawdown_usd_e8=15), ended(*(("success", result) for result in results)))
    assert (found is not None and found.code == "breaker_drawdown") is trips


def test_addresses_are_told_apart_by_market() -> None:
    account: Address = ANNA
    guards = Guards(account=Caps(notional_usd_e8=100))
    assert refuse_sum(guards, claim(account=account, market="b"), facts(spent(market="a"))) is None
