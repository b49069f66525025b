"""A book that is wrong is found out, reported, and put right from the chain."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from keeper.devnet.world import WorldOptions, open_world
from keeper.domain.errors import Stale
from keeper.domain.units import address_bytes
from keeper.lending.aave_v3.reader import AaveV3Market
from keeper.lending.aave_v3.view import AaveV3View
from keeper.observe import metrics
from tests.chain.conftest import Watched, watch
from tests.chain.test_liquidation_truth import check_health
from tests.chain.test_market_reader import reader


@pytest.fixture
async def fresh() -> AsyncIterator[Watched]:
    async with open_world(WorldOptions(borrowers=12, seed=6, venues=False)) as world, watch(world) as watched:
        yield watched


def counted() -> float:
    return metrics.BOOK_DIFFERENCES.labels(market="m")._value.get()


async def minute_later(watched: Watched) -> AaveV3View:
    await watched.world.anvil.mine(6)
    return await watched.view()


@pytest.mark.parametrize("what", ["scaled debt", "scaled supply", "collateral flag"])
async def test_a_wrong_row_is_found_reported_and_read_again(
    fresh: Watched, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    market: AaveV3Market = fresh.market
    market._auditor._at_start = 50
    view = await fresh.view()
    account = view.accounts()[3]
    book = market._mirror.book
    number = book.addresses.find(address_bytes(account))
    assert number is not None
    right = book.row(number)
    (collateral, *others), (debt, *more) = right.collaterals, right.debts
    wrong = {
        "scaled debt": right._replace(debts=((debt[0], debt[1] + 1), *more)),
        "scaled supply": right._replace(collaterals=((collateral[0], collateral[1] - 1), *others)),
        "collateral flag": right._replace(collaterals=tuple(others), idle=(collateral,)),
    }[what]
    before, found_before = counted(), market._auditor.differences
    book.put(number, wrong)
    market._auditor._checked_s = None  # as at a start: everybody is compared
    if what in ("scaled debt", "scaled supply"):
        book.sums[what == "scaled debt", debt[0] if what == "scaled debt" else collateral[0]] -= (
            1 if "debt" in what else -1
        )
    at = await fresh.chain.head()
    again = await market.advance(at, [])
    assert book.row(number) == right
    assert again.positions[account] == view.positions[account]
    assert market._auditor.differences > found_before
    assert counted() > before
    said = capsys.readouterr()
    assert account in said.out + said.err
    await check_health(fresh, again)


async def test_a_log_that_was_withheld_shows_in_the_sums(fresh: Watched) -> None:
    view = await fresh.view()
    await fresh.world.borrowers(1, seed=3)
    at = await fresh.chain.head()
    logs = await fresh.chain.logs(
        addresses=fresh.market.log_addresses, topics=[], first=view.head.number + 1, last=at.number
    )
    before = counted()
    known = set(range(len(fresh.market._mirror.book.addresses)))
    withheld = [log for log in logs if not (log.block_number == at.number and len(log.data) == 96)]
    assert len(withheld) < len(logs)
    with pytest.raises(Stale, match="do not add up"):
        await fresh.market.advance(at, withheld, since=view.head)
    assert counted() > before
    now = await fresh.market.advance(at, withheld, since=view.head)  # fetched again, whatever it is given
    assert len(fresh.market._mirror.book.addresses) > len(known)
    await check_health(fresh, now)


async def test_a_start_block_that_is_too_late_is_said_and_the_known_are_right(
    fresh: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    at = await fresh.chain.head()
    late = reader(fresh.chain, fresh.world, start_block=at.number)
    await late.start(at)
    view = await late.advance(at, None)
    assert len(view.accounts()) < 12
    said = capsys.readouterr()
    assert "start_block" in said.out + said.err
    told = await fresh.view()
    assert all(view.positions[account] == told.positions[account] for account in view.accounts())
