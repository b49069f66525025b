from dataclasses import replace

import orjson

from keeper.domain.attempts import LedgerEntry
from keeper.store.ledger import entry_json, pnl_json
from tests.faults.fake_chain import BORROWER, COLLATERAL, DEBT

ENTRY = LedgerEntry(
    intent="k",
    kind="liquidation",
    transaction="0x01",
    block=7,
    market="main",
    account=BORROWER,
    status="success",
    profit_token=DEBT,
    expected_raw=10**30,
    realised_raw=10**30 + 1,
    gas_cost_wei=5,
    detail={},
)
DEPLOY = replace(
    ENTRY, kind="deploy", market=None, account=None, profit_token=None, expected_raw=0, realised_raw=0, gas_cost_wei=7
)


def test_an_entry_has_the_promised_keys_and_decimal_text() -> None:
    found = entry_json(ENTRY)
    where = ["transaction", "block", "market", "account", "status"]
    figures = ["profit_token", "expected_raw", "realised_raw", "gas_cost_wei"]
    assert list(found)[:9] == where + figures
    assert (found["expected_raw"], found["realised_raw"], found["gas_cost_wei"]) == (str(10**30), str(10**30 + 1), "5")
    assert found["block"] == 7


def test_a_deployment_earns_zero_of_nothing() -> None:
    found = entry_json(DEPLOY)
    assert (found["profit_token"], found["realised_raw"], found["market"]) == (None, "0", None)


def test_totals_add_per_token_and_leave_dry_runs_apart() -> None:
    entries = [
        ENTRY,
        replace(ENTRY, status="reverted", realised_raw=0),
        replace(ENTRY, profit_token=COLLATERAL, expected_raw=4, realised_raw=3),
        replace(ENTRY, status="dry-run", expected_raw=9, realised_raw=0, gas_cost_wei=0),
        DEPLOY,
    ]
    totals = pnl_json(entries)["totals"]
    assert totals == {
        "tokens": [
            {"profit_token": COLLATERAL, "expected_raw": "4", "realised_raw": "3"},
            {"profit_token": DEBT, "expected_raw": str(2 * 10**30), "realised_raw": str(10**30 + 1)},
        ],
        "gas_cost_wei": "22",
        "counts": {"dry-run": 1, "reverted": 1, "success": 3},
        "dry_run": [{"profit_token": DEBT, "expected_raw": "9", "realised_raw": "0"}],
    }
    assert orjson.loads(orjson.dumps(totals)) == totals


def test_an_empty_ledger_has_empty_totals() -> None:
    assert pnl_json([]) == {"entries": [], "totals": {"tokens": [], "gas_cost_wei": "0", "counts": {}, "dry_run": []}}
