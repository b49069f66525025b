"""What `keeper scan` makes of a snapshot."""

from __future__ import annotations

from typing import Any

from keeper.domain.feeds import FeedStatus
from keeper.domain.units import MAX_UINT256, WAD, Address
from keeper.lending.aave_v3.state import Position
from keeper.lending.aave_v3.view import AaveV3View
from keeper.watch.report import scan_report
from keeper.watch.snapshot import Snapshot
from tests.support.lending import address, reserve, view

SICK, SICKER, WELL, UNPRICED = address(0xB2), address(0xB1), address(0xB3), address(0xB4)
COLLATERAL, DEBT, OTHER = address(0x1000), address(0x1001), address(0x1002)


def position(debt_usd: int, *, collateral: int = 0) -> Position:
    return Position(emode=0, collaterals=((collateral, 10_000 * WAD),), debts=((1, debt_usd * WAD),))


def market(positions: dict[Address, Position], **changes: Any) -> AaveV3View:
    return view(1, [reserve(0, **changes), reserve(1), reserve(2, price_base=None)], positions)


def status(token: Address, reason: str | None, *, stale: bool = False) -> FeedStatus:
    return FeedStatus(
        token=token, source=address(1), answer=1, updated_at_s=1, stale=stale, reason=reason, detail="why"
    )


def report(each: AaveV3View, *statuses: FeedStatus) -> dict[str, Any]:
    feeds = {each.name: {one.token: one for one in statuses}}
    snapshot = Snapshot(
        head=each.head, inclusion_s=each.head.timestamp_s + 12, markets={each.name: each}, venues=None, feeds=feeds
    )
    return scan_report(31337, snapshot)


def test_only_the_unhealthy_are_listed_by_address() -> None:
    document = report(market({SICK: position(9_000), SICKER: position(9_900), WELL: position(100)}))
    assert [each["account"] for each in document["liquidatable"]] == [SICKER, SICK]
    assert document["markets"][0]["accounts"] == 3
    assert document["markets"][0]["unpriced_accounts"] == 0
    assert document["block"] == {"number": 1, "hash": "0x" + "11" * 32, "timestamp": 1_700_000_000}


def test_figures_are_decimal_text_of_the_blocks_own_time() -> None:
    (account,) = report(market({SICK: position(9_000)}))["liquidatable"]
    assert account["health_factor_wad"] == str(8_000 * WAD // 9_000 + 1)  # half up
    assert account["collateral_base"] == str(10_000 * 10**8)
    assert account["debt_base"] == str(9_000 * 10**8)
    assert account["stale"] is False
    (pair,) = account["pairs"]
    assert (pair["debt"], pair["collateral"], pair["receive"]) == (DEBT, COLLATERAL, "underlying")
    # Below 0.95 all of the debt may be repaid; 5 % bonus, a tenth of it to the protocol.
    assert pair["cover_raw"] == str(MAX_UINT256)
    assert pair["max_repay_raw"] == str(9_000 * WAD)
    assert pair["seize_raw"] == str(9_405 * WAD)


def test_a_refused_pair_says_why() -> None:
    (account,) = report(market({SICK: position(9_000)}, paused=True))["liquidatable"]
    (pair,) = account["pairs"]
    assert pair["rejected"] == "RESERVE_PAUSED"
    assert pair.keys() == {"debt", "collateral", "rejected", "detail"}


def test_stale_means_a_stale_feed_of_what_the_account_holds() -> None:
    sick = market({SICK: position(9_000)})
    old, elsewhere = status(COLLATERAL, "feed_stale", stale=True), status(OTHER, "feed_stale", stale=True)
    assert report(sick, old)["liquidatable"][0]["stale"] is True
    assert report(sick, elsewhere)["liquidatable"][0]["stale"] is False


def test_unusable_feeds_are_listed_with_their_market() -> None:
    document = report(market({}), status(DEBT, None), status(COLLATERAL, "feed_reverted"))
    assert document["markets"][0]["feeds"] == [{"token": COLLATERAL, "reason": "feed_reverted", "detail": "why"}]


def test_accounts_without_a_price_are_counted_not_dropped() -> None:
    document = report(market({SICK: position(9_000), UNPRICED: position(1, collateral=2)}))
    assert document["markets"][0]["unpriced_accounts"] == 1
    assert [each["account"] for each in document["liquidatable"]] == [SICK]
