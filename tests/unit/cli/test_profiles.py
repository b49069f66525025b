"""The profit curve as text and as a picture: what is refused shows, and nothing is wider than the terminal."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from keeper.cli.plot import check_ending, draw, write_plot
from keeper.cli.profiles import print_profiles
from keeper.cli.sparkline import GAP, LOSS, column_of, pointers, sparkline
from keeper.domain.errors import UsageError
from tests.support.lending import address

USDC, WETH, WBTC, DAI, LINK = (str(address(number << 150)) for number in (1, 2, 3, 4, 5))
TOKENS = {
    USDC: {"symbol": "USDC", "decimals": 6},
    WETH: {"symbol": "WETH", "decimals": 18},
    WBTC: {"symbol": "WBTC", "decimals": 8},
    DAI: {"symbol": "DAI", "decimals": 18},
    LINK: {"symbol": "LINK", "decimals": 18},
}
ACCOUNT = str(address(0xACC << 140))
SVG = "{http://www.w3.org/2000/svg}"


def way(debt: str, collateral: str, repay_raw: int, net: str) -> dict[str, Any]:
    step = {"debt": debt, "collateral": collateral, "repay_raw": str(repay_raw)}
    return {"steps": [step], "legs": 2, "funding": ["aave-flash-loan"], "repaid_usd": "1", "net_usd": net}


def pair(collateral: str = WETH, *, debt: str = USDC, scale: int = 10**6, top: int = 100) -> dict[str, Any]:
    """A pair that owes 1,000: accepted from 1 to 400, 600 to 700, and 1,000 exactly; a parabola with its top at 500."""
    ranges = [(1, 400, False), (600, 700, False), (1000, 1000, True)]
    points = []
    for repay in range(10, 1001, 10):
        accepted = any(low <= repay <= high for low, high, _ in ranges)
        net = Decimal(top) - Decimal(top) * (repay - 500) ** 2 / 160_000
        points.append({"repay_raw": str(repay * scale), "net_usd": f"{net:.8f}" if accepted else None})
    return {
        "debt": debt, "collateral": collateral, "owed_raw": str(1000 * scale), "owed_usd": "1000.00000000",
        "ranges": [
            {"low_raw": str(low * scale), "high_raw": str(high * scale), "cover_max": most}
            for low, high, most in ranges
        ],
        "points": points,
        "best": way(debt, collateral, 400 * scale, f"{top * 15 / 16:.8f}"),
        "largest": way(debt, collateral, 1000 * scale, f"{-top * 9 / 16:.8f}"),
        "why_not": None,
    }  # fmt: skip


def refused(collateral: str = DAI) -> dict[str, Any]:
    return {
        "debt": USDC, "collateral": collateral, "owed_raw": "1000000000", "owed_usd": "1000",
        "ranges": [], "points": [], "best": None, "largest": None,
        "why_not": {"reason": "no_accepted_amount", "detail": "MUST_NOT_LEAVE_DUST"},
    }  # fmt: skip


def profile(*pairs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    costs = {
        "seized_usd": "420", "repaid_usd": "400", "premium_usd": "0.2", "slippage_usd": "-1.5", "gas_usd": "3",
        "l1_fee_usd": "0", "net_usd": "93.75",
    }  # fmt: skip
    found = {
        "market": "main", "account": ACCOUNT, "pairs": list(pairs), "chosen": pairs[0]["best"] if pairs else None,
        "runner_up": None, "costs": costs, "rejected": None,
    }  # fmt: skip
    return {**found, **changes}


@pytest.fixture(params=[80, 120])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("COLUMNS", str(request.param))
    return int(request.param)


def printed(capsys: pytest.CaptureFixture[str], width: int) -> str:
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= width
    return text


# --- one line -------------------------------------------------------------------------------------------------------


def test_a_line_shows_heights_losses_and_what_is_refused() -> None:
    points = [(1, Decimal(-1)), (3, Decimal(1)), (5, None), (7, Decimal(4)), (9, Decimal(8))]
    assert sparkline(points, 10, 5, Decimal(8)) == f"{LOSS}▂{GAP}▅█"


def test_a_lone_accepted_amount_is_not_lost_among_refused_ones() -> None:
    points = [(repay, Decimal(8) if repay == 97 else None) for repay in range(1, 101)]
    assert sparkline(points, 100, 10, Decimal(8)) == GAP * 9 + "█"


def test_a_column_without_points_looks_like_its_neighbour() -> None:
    assert sparkline([(0, Decimal(8)), (100, None)], 100, 4, Decimal(8)) == f"███{GAP}"
    assert sparkline([], 100, 3, Decimal(8)) == GAP * 3


def test_a_column_is_as_high_as_its_best_point() -> None:
    points = [(1, Decimal(-1)), (2, Decimal(8)), (3, Decimal(1)), (6, None), (7, Decimal(4))]
    assert sparkline(points, 10, 2, Decimal(8)) == "█▅"


def test_pointers_stand_below_their_repay_and_the_first_one_wins() -> None:
    assert pointers([(50, "▲"), (10, "△")], 100, 10) == " △   ▲"
    assert pointers([(50, "▲"), (51, "△")], 100, 10) == "     ▲"
    assert pointers([], 100, 10) == ""
    assert column_of(100, 100, 10) == 9, "the end is in the picture"


# --- the terminal ---------------------------------------------------------------------------------------------------


def test_pairs_curve_choice_and_costs_are_shown(capsys: pytest.CaptureFixture[str], width: int) -> None:
    second = pair(WBTC, top=10)
    print_profiles([profile(pair(), second, refused(), runner_up=second["best"])], TOKENS)
    text = printed(capsys, width)
    assert f"main, {ACCOUNT}" in text
    assert "USDC for WETH" in text
    assert "1 to 400" in text
    assert "1,000 (max)" in text
    assert "no_accepted_amount" in text
    assert text.count("▲") == text.count("△") == 2, "once below a curve, once in the legend"
    assert "chosen     93.75 USD net: 400.0000 USDC for WETH, 2 legs, aave-flash-loan" in text
    assert "runner-up  9.38 USD net" in text
    costs = "of 420.00 USD seized: repaid 400.00, premium 0.20, slippage and swap fees -1.50, gas 3.00, net 93.75"
    assert costs in " ".join(text.split())
    assert "L1 fee" not in text, "what takes nothing is not mentioned"
    curve = next(line for line in text.splitlines() if "█" in line)
    assert curve.count(GAP) > curve.count("█")


def test_curves_are_to_one_scale(capsys: pytest.CaptureFixture[str], width: int) -> None:
    print_profiles([profile(pair(), pair(WBTC, top=10))], TOKENS)
    lines = [line for line in printed(capsys, width).splitlines() if "  to 1,000.00" in line]
    assert "█" in lines[0]
    assert "▁" in lines[1]
    assert not set("▂▃▄▅▆▇█") & set(lines[1])


def test_steps_of_a_sequence_are_named_in_order(capsys: pytest.CaptureFixture[str], width: int) -> None:
    first, second = way(USDC, WETH, 10**8, "1")["steps"] + way(USDC, WBTC, 3 * 10**8, "1")["steps"]
    both = {**way(USDC, WETH, 1, "50.5"), "steps": [first, second], "funding": ["own", "morpho-flash"]}
    print_profiles([profile(pair(), chosen=both, runner_up=pair()["best"])], TOKENS)
    text = " ".join(printed(capsys, width).split())
    assert "50.50 USD net: 100.0000 USDC for WETH then 300.0000 USDC for WBTC, 2 legs, own and morpho-flash" in text
    assert text.count("▲") == 1, "a sequence is no point of a curve"


def test_two_debts_from_one_kind_of_source_name_it_once(capsys: pytest.CaptureFixture[str], width: int) -> None:
    twice = {**way(USDC, WETH, 10**8, "1"), "funding": ["morpho-flash", "morpho-flash"]}
    print_profiles([profile(pair(), chosen=twice)], TOKENS)
    assert printed(capsys, width).count("morpho-flash") == 1


def test_a_runner_up_of_the_same_pair_says_what_it_is(capsys: pytest.CaptureFixture[str], width: int) -> None:
    one, other = pair(), pair(WBTC)
    print_profiles([profile(one, runner_up=one["largest"])], TOKENS)
    assert "aave-flash-loan; the most that the pool takes" in " ".join(printed(capsys, width).split())
    print_profiles([profile(one, other, runner_up=other["best"])], TOKENS)
    assert "the most that the pool takes" not in " ".join(printed(capsys, width).split())


def test_a_range_that_begins_at_next_to_nothing_shows_its_end(capsys: pytest.CaptureFixture[str], width: int) -> None:
    tiny = pair(debt=DAI, scale=10**18)
    tiny["ranges"] = [{"low_raw": "1", "high_raw": str(10**21), "cover_max": False}]
    print_profiles([profile(tiny)], TOKENS)
    assert "up to 1,000 " in printed(capsys, width)


def test_figures_of_another_moment_than_the_plans_say_so(capsys: pytest.CaptureFixture[str], width: int) -> None:
    print_profiles([profile(pair())], TOKENS)
    assert "before the simulation" in printed(capsys, width)


def test_tokens_of_one_symbol_are_told_apart(capsys: pytest.CaptureFixture[str], width: int) -> None:
    other = str(address(0xB1D6E))
    print_profiles([profile(pair(), pair(debt=other))], {**TOKENS, other: {"symbol": "USDC", "decimals": 6}})
    text = printed(capsys, width)
    assert f"USDC…{USDC[-4:]} for WETH" in text
    assert f"USDC…{other[-4:]} for WETH" in text
    assert USDC[-4:] != other[-4:]


def test_an_account_nothing_can_be_done_about_says_so(capsys: pytest.CaptureFixture[str], width: int) -> None:
    print_profiles([profile(refused(), chosen=None, costs=None, rejected="no_accepted_amount")], TOKENS)
    text = printed(capsys, width)
    assert "nothing can be done: no_accepted_amount" in text
    assert "chosen" not in text


def test_accounts_that_are_not_shown_are_counted(capsys: pytest.CaptureFixture[str], width: int) -> None:
    print_profiles([profile(pair())], TOKENS, left=3)
    assert "3 more; --account shows any one." in printed(capsys, width)
    print_profiles([], TOKENS)
    assert printed_nothing(capsys)


def printed_nothing(capsys: pytest.CaptureFixture[str]) -> bool:
    return capsys.readouterr().out == ""


# --- the picture ----------------------------------------------------------------------------------------------------


def texts(picture: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(picture).iter(f"{SVG}text")]  # noqa: S314 - our own


def test_a_picture_names_axes_curves_and_points() -> None:
    second = pair(WBTC, top=10)
    picture = draw(profile(pair(), second, refused(), runner_up=second["best"]), TOKENS)
    words = texts(picture)
    assert {"repay, USDC", "net profit, USD", "USDC for WETH", "USDC for WBTC"} <= set(words)
    assert "USDC for DAI" not in words, "what has no curve is not in the legend"
    assert any(word.startswith("chosen: repay 400 USDC, net 93.75 USD") for word in words)
    assert any(word.startswith("runner-up: repay 400 USDC, net 9.38 USD") for word in words)
    assert f"main, {ACCOUNT}" in words


def test_curves_break_at_gaps_and_gaps_are_shaded() -> None:
    root = ET.fromstring(draw(profile(pair()), TOKENS))  # noqa: S314 - our own
    lines = list(root.iter(f"{SVG}polyline"))
    assert len(lines) == 2, "two stretches; the third is one point"
    assert len([each for each in root.iter(f"{SVG}circle") if each.get("r") == "3.5"]) == 1
    shaded = [each for each in root.iter(f"{SVG}rect") if each.get("height") == "392"]
    ends = [(float(each.get("x") or 0), float(each.get("width") or 0)) for each in shaded]
    whole = 840 / 1.02
    assert [round((x - 96) / whole * 1000, -1) for x, _ in ends] == [400, 700]
    assert [round(span / whole * 1000, -1) for _, span in ends] == [200, 300]


def test_a_curve_breaks_between_ranges_that_are_close_together() -> None:
    """No sample need lie in the gap: the ranges say that it is there."""
    close = pair()
    close["ranges"] = [{"low_raw": "1", "high_raw": "395000000", "cover_max": False}]
    close["ranges"].append({"low_raw": "396000000", "high_raw": "1000000000", "cover_max": False})
    close["points"] = [{"repay_raw": str(repay * 10**6), "net_usd": "1"} for repay in range(10, 1001, 10)]
    root = ET.fromstring(draw(profile(close), TOKENS))  # noqa: S314 - our own
    assert len(list(root.iter(f"{SVG}polyline"))) == 2


def test_several_debt_tokens_are_drawn_in_dollars() -> None:
    words = texts(draw(profile(pair(), pair(WETH, debt=DAI, scale=10**18)), TOKENS))
    assert "repay, USD" in words
    assert any(word.startswith("chosen: repay 400 USD") for word in words)


def test_a_picture_of_nothing_says_why() -> None:
    words = texts(draw(profile(refused(), chosen=None, costs=None, rejected="no_collateral"), TOKENS))
    assert "nothing can be done: no_collateral" in words


def test_a_long_legend_stays_in_the_picture_and_above_it() -> None:
    pairs = [pair(collateral, debt=debt) for debt in (USDC, DAI) for collateral in (WETH, WBTC, LINK, USDC)]
    root = ET.fromstring(draw(profile(*pairs), TOKENS))  # noqa: S314 - our own
    words = [element for element in root.iter(f"{SVG}text") if " for " in (element.text or "")]
    assert len(words) == 9, "eight pairs, and what is refused"
    ends = [float(each.get("x") or 0) + 7 * len(each.text or "") for each in words]
    assert max(ends) <= 960
    rows = sorted({float(each.get("y") or 0) for each in words})
    assert len(rows) == 2
    tops = [float(each.get("y") or 0) for each in root.iter(f"{SVG}rect") if float(each.get("height") or 0) > 300]
    assert rows[-1] < max(tops), "the curves begin below the legend"


def test_a_symbol_cannot_break_the_picture() -> None:
    odd = {**TOKENS, WETH: {"symbol": "<W&E>", "decimals": 18}}
    assert "USDC for <W&E>" in texts(draw(profile(pair()), odd))


def test_a_loss_out_of_scale_runs_out_of_the_picture() -> None:
    steep = pair()
    steep["points"][-1]["net_usd"] = "-100000"
    root = ET.fromstring(draw(profile(steep), TOKENS))  # noqa: S314 - our own
    places = " ".join(line.get("points") or "" for line in root.iter(f"{SVG}polyline")).replace(",", " ").split()
    heights = [float(place) for place in places[1::2]]
    assert max(heights) - min(heights) > 100, "the curve that matters is not flattened"
    assert max(heights) <= 488


def test_the_name_says_the_format(tmp_path: Path) -> None:
    check_ending(tmp_path / "curve.SVG")
    for name in ("curve.png", "curve", "svg"):
        with pytest.raises(UsageError, match=r"ends in \.svg"):
            check_ending(tmp_path / name)


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    write_plot(tmp_path / "curve.svg", [profile(pair())], TOKENS)
    assert (tmp_path / "curve.svg").read_text("utf-8").startswith("<svg")
    with pytest.raises(UsageError, match="cannot be written"):
        write_plot(tmp_path / "nowhere" / "curve.svg", [profile(pair())], TOKENS)


@pytest.mark.parametrize(("many", "words"), [(0, "nothing to draw"), (2, "name it with --account")])
def test_a_picture_is_of_one_account(tmp_path: Path, many: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        write_plot(tmp_path / "curve.svg", [profile(pair())] * many, TOKENS)
