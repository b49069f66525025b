"""Tables are for people: they fit 80 columns and never say more than is known."""

from __future__ import annotations

from typing import Any

import pytest

from keeper.cli import tables, words
from keeper.domain.units import MAX_UINT256, WAD
from keeper.estimate.report import estimate_report
from tests.support.lending import address
from tests.support.plans import simulated

WETH, USDC, NAMELESS = str(address(1 << 150)), str(address(2 << 150)), str(address(3 << 150))
ACCOUNT = str(address(0xACC << 140))
TOKENS = {WETH: {"symbol": "WETH", "decimals": 18}, USDC: {"symbol": "USDC", "decimals": 6}}
BLOCK = {"number": 7, "hash": "0x" + "ab" * 32, "timestamp": 1_750_000_000}


@pytest.fixture(params=[80, 120])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return int(request.param)


def printed(capsys: pytest.CaptureFixture[str], width: int) -> str:
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= width
    return text


def pair(**changes: Any) -> dict[str, Any]:
    found = {"debt": USDC, "collateral": WETH, "cover_raw": "1", "max_repay_raw": "1234567890123"}
    return {**found, "seize_raw": str(987 * WAD), "receive": "underlying", **changes}


def scan(*pairs: dict[str, Any], stale: bool = False) -> dict[str, Any]:
    market = {"name": "main", "protocol": "aave-v3", "revision": 1, "accounts": 12, "unpriced_accounts": 0, "feeds": []}
    account = {
        "market": "main", "account": ACCOUNT, "health_factor_wad": str(WAD - 1), "collateral_base": "1",
        "debt_base": str(1_234_567 * 10**8), "stale": stale, "pairs": list(pairs),
    }  # fmt: skip
    found = [account] if pairs else []
    return {"chain_id": 1, "block": BLOCK, "markets": [market], "liquidatable": found, "tokens": TOKENS}


def test_a_scan_shows_whole_tokens_and_symbols(capsys: pytest.CaptureFixture[str], width: int) -> None:
    tables.print_scan(scan(pair(), pair(receive="atoken"), stale=True))
    text = printed(capsys, width)
    assert "0.9999" in text, "a health just below 1 must not be shown as 1"
    assert "1,234,567.89" in text
    if width == 120:
        assert "1,234,567.89 USDC   987.0000 WETH   stale, aToken" in text
    assert "12 accounts with debt, 1 liquidatable" in text
    assert (ACCOUNT in text) == (width == 120)


def test_a_refused_pair_names_both_tokens(capsys: pytest.CaptureFixture[str], width: int) -> None:
    tables.print_scan(scan({"debt": USDC, "collateral": WETH, "rejected": "RESERVE_PAUSED", "detail": "x"}))
    text = printed(capsys, width)
    assert "refused: RESERVE_PAUSED" in text.replace("\n", "")
    assert "USDC" in text


def test_nothing_found_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_scan(scan())
    assert "Nothing is liquidatable." in capsys.readouterr().out


def test_an_unusable_feed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    document = scan()
    document["markets"][0] |= {
        "unpriced_accounts": 1, "feeds": [{"token": WETH, "reason": "feed_stale", "detail": "too old"}],
    }  # fmt: skip
    tables.print_scan(document)
    text = capsys.readouterr().out
    assert "feed of WETH: feed_stale, too old" in text
    assert "1 account cannot be judged" in text


def test_plans_and_grouped_rejections(capsys: pytest.CaptureFixture[str], width: int) -> None:
    plan = simulated()
    why = {"market": "main", "account": ACCOUNT, "reason": "below_min_profit"}
    whole_market = {**why, "account": None, "reason": "oracle_reverted", "detail": "x"}
    detail = f"the best way nets 3.12345678 USD of 5.00000000 demanded: repaying 1234567890 of {USDC} against {WETH}"
    document = {
        **estimate_report(31337, plan.plan.head, [plan, plan], []),
        "tokens": TOKENS,
        "rejected": [{**why, "detail": detail}] * 10 + [whole_market],
    }
    tables.print_estimate(document)
    text = " ".join(printed(capsys, width).split())
    assert "2 plans" in text
    assert "below_min_profit, 10 accounts" in text
    assert "and 2 more" in text
    assert "nets 3.12 USD of 5.00 USD demanded: repaying 1,234.57 USDC against WETH" in text.replace(
        "5.00000000", "5.00 USD"
    )
    assert "main: oracle_reverted market x" in text


def test_steps_and_legs_are_added_up_by_token(capsys: pytest.CaptureFixture[str], width: int) -> None:
    document = estimate_report(31337, simulated().plan.head, [simulated()], [])
    (plan,) = document["plans"]
    hop = {"venue": "uniswap-v3", "token_in": WETH, "token_out": USDC}
    plan["steps"] = [
        {"debt": USDC, "repay_raw": "1000000", "collateral": WETH, "seize_raw": str(WAD)},
        {"debt": USDC, "repay_raw": "2000000", "collateral": USDC, "seize_raw": "7000000"},
        {"debt": USDC, "repay_raw": "4000000", "collateral": WETH, "seize_raw": str(2 * WAD)},
    ]
    plan["legs"] = [
        {"token_in": WETH, "route": [hop]},
        {"token_in": USDC, "route": [hop]},
        {"token_in": WETH, "route": []},
    ]
    tables.print_estimate({**document, "tokens": TOKENS})
    text = printed(capsys, width)
    assert "7.0000 USDC" in text
    assert "3.0000 WETH" in text
    if width == 120:
        assert "WETH in 2 legs" in text
        assert "v3 USDC" in text


def entry(**changes: Any) -> dict[str, Any]:
    detail = {"planned_profit_raw": "2000000", "profit_base": "200000000", "base_unit": "100000000"}
    return {
        "transaction": "0x" + "cd" * 32, "block": 9, "market": "main", "account": ACCOUNT, "status": "success",
        "profit_token": USDC, "expected_raw": "1000000", "realised_raw": "1000000", "gas_cost_wei": str(WAD // 1000),
        "kind": "liquidation", "detail": detail, **changes,
    }  # fmt: skip


def test_the_ledger_is_in_dollars_of_the_plan(capsys: pytest.CaptureFixture[str], width: int) -> None:
    deploy = entry(kind="deploy", account=None, profit_token=None, detail={}, expected_raw="0", realised_raw="0")
    totals = {"tokens": [{"profit_token": USDC, "expected_raw": "5", "realised_raw": "7"}], "gas_cost_wei": "0"}
    totals |= {"counts": {"success": 2}, "dry_run": []}  # type: ignore[dict-item]
    tables.print_pnl({"entries": [entry(), entry(realised_raw="999999"), deploy], "totals": totals})
    text = printed(capsys, width)
    assert text.count("1.00 USD") >= 3
    assert "success, -1 raw" in text
    assert "deploy" in text
    assert f"realised 7 raw of {USDC}" in text


def weighed(status: str = "success", **changes: Any) -> dict[str, Any]:
    """A plan that was to earn 2 dollars of profit, for 0.5 dollars of gas at 2000 dollars a coin, 0.1 of them data."""
    detail = {
        "planned_profit_raw": "2000000", "profit_base": "200000000", "base_unit": "100000000",
        "net_profit_base": "150000000", "gas_cost_base": "40000000", "l1_fee_base": "10000000",
        "planned_gas_cost_wei": str(2 * 10**14), "planned_l1_fee_wei": str(5 * 10**13), "l1_fee_wei": str(10**14),
        "premium_base": "30000000", "slippage_base": "-7000000", "runner_up_net_base": "120000000",
    }  # fmt: skip
    return entry(status=status, realised_raw="1900000", gas_cost_wei=str(3 * 10**14), detail={**detail, **changes})


def costs_of(capsys: pytest.CaptureFixture[str], width: int, found: dict[str, Any]) -> list[str]:
    totals = {"tokens": [], "gas_cost_wei": "0", "counts": {"success": 1}, "dry_run": []}
    tables.print_pnl({"entries": [found], "totals": totals})
    text = printed(capsys, width)
    return text[text.index("What each cost took") :].splitlines()[4].split()


def test_the_ledger_says_what_each_cost_took(capsys: pytest.CaptureFixture[str], width: int) -> None:
    # 3e14 wei were paid, 1e14 of them for data; 1.90 dollars came in
    assert costs_of(capsys, width, weighed())[2:] == ["0.30", "-0.07", "0.40", "0.20", "1.30", "1.20"]


def test_a_dry_run_shows_the_planned_costs(capsys: pytest.CaptureFixture[str], width: int) -> None:
    found = costs_of(capsys, width, weighed("dry-run", runner_up_net_base=None))
    assert found[2:] == ["0.30", "-0.07", "0.40", "0.10", "1.50", "-"]


def test_what_reverted_cost_gas_alone(capsys: pytest.CaptureFixture[str], width: int) -> None:
    reverted = {**weighed("reverted"), "realised_raw": "0"}
    assert costs_of(capsys, width, reverted)[2:] == ["-", "-", "0.40", "0.20", "-0.60", "1.20"]


def test_what_is_still_in_flight_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    sent = {"transaction": "0x" + "ee" * 32, "nonce": 4, "status": "sent"}
    tables.print_run({"block": BLOCK, "attempts": [sent], "entries": []})
    text = capsys.readouterr().out
    assert "1 attempt, 0 ledger entries." in text
    assert f"In flight: nonce 4, 0x{'ee' * 32}" in text


def test_a_deployment_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    tables.print_deployment({"address": ACCOUNT, "transaction": "0x" + "11" * 32})
    assert f'[executor]\naddress = "{ACCOUNT}"' in capsys.readouterr().out


def test_markup_in_other_peoples_words_is_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    document = scan(pair())
    document["tokens"] = {**TOKENS, WETH: {"symbol": "[red]X[/]", "decimals": 18}}
    tables.print_scan(document)
    assert "[red]X[/]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("raw", "token", "text"),
    [
        ("0", USDC, "0.000000"),
        ("1", USDC, "0.000001"),
        ("1234567", USDC, "1.2346"),
        ("1234567890", USDC, "1,234.57"),
        ("-2000000", USDC, "-2.0000"),
        ("123", NAMELESS, "123 raw"),
    ],
)
def test_amounts(raw: str, token: str, text: str) -> None:
    assert words.whole(raw, token, TOKENS) == text


@pytest.mark.parametrize(
    ("wad", "text"),
    [(WAD - 1, "0.9999"), (0, "0.0000"), (MAX_UINT256, "no debt"), (10**6 * WAD, "> 100"), (WAD * 3 // 2, "1.5000")],
)
def test_health(wad: int, text: str) -> None:
    assert words.health_text(wad) == text


def test_short_names_show_both_ends() -> None:
    assert words.short("0x1234567890abcdef1234567890abcdef12345678") == "0x1234…5678"
    assert words.short("0x12") == "0x12"
