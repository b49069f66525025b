"""The JSON of `keeper estimate`: its keys, its types, its order."""

from __future__ import annotations

from support.lending import address
from support.markets import ACCOUNT, COLLATERAL, DEBT
from support.plans import called, plan, simulated
from support.pool_chain import head

from keeper.domain.plans import Rejected
from keeper.estimate.report import estimate_report, plan_json, usd


def test_a_plan_has_the_promised_keys_and_types() -> None:
    shown = plan_json(simulated())
    for key in ("repay_raw", "seize_raw", "proceeds_raw", "profit_raw", "min_profit_raw", "gas_cost_wei"):
        assert isinstance(shown[key], str)
        assert shown[key].isdigit()
    assert shown["gas_units"] == 500_000
    assert shown["net_profit_usd"] == "0.08949900"
    assert shown["profit_token"] == shown["debt"] == DEBT
    assert shown["route"][0] | {"fee_pips": 0} == {
        "venue": "uniswap-v2",
        "pool": address(0x7001),
        "token_in": COLLATERAL,
        "token_out": DEBT,
        "amount_in_raw": "1100000",
        "amount_out_raw": "1090000",
        "fee_pips": 0,
    }


def test_lists_are_sorted_by_market_then_address() -> None:
    accounts = [address(n) for n in (0xFF00, 0xAB, 0xABC)]
    plans = [simulated(plan=plan(steps=called(account=one, cover_raw=1))) for one in accounts]
    rejected = [
        Rejected(market="b", account=ACCOUNT, reason="r", detail="d"),
        Rejected(market="b", account=None, reason="r", detail="d"),
        Rejected(market="a", account=ACCOUNT, reason="r", detail="d"),
    ]
    report = estimate_report(31337, head(), plans, rejected)
    assert [each["account"] for each in report["plans"]] == sorted(accounts, key=str.lower)
    assert [(each["market"], each["account"]) for each in report["rejected"]] == [
        ("a", ACCOUNT),
        ("b", None),
        ("b", ACCOUNT),
    ]
    assert report["block"] == {"number": 1, "hash": head().hash, "timestamp": head().timestamp_s}


def test_dollars_are_exact_and_signed() -> None:
    assert usd(-5, 10**8) == "-0.00000005"
    assert usd(10**30 + 1, 10**8) == "10000000000000000000000.00000001"
    assert usd(0, 10**8) == "0.00000000"
