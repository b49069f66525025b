"""Hand-made reserves and markets for tests of the lending rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from keeper.domain.chain import Head
from keeper.domain.units import RAY, Address, address_bytes, to_address
from keeper.lending.aave_v3.positions import BookPositions
from keeper.lending.aave_v3.revisions import Revision, revision_for
from keeper.lending.aave_v3.state import EMode, Position, Reserve, Sentinel
from keeper.lending.aave_v3.view import AaveV3View
from keeper.lending.book.book import Book
from keeper.lending.book.rows import Row

NOW_S = 1_700_000_000
PLENTY_RAW = 10**40

CONFIG = {
    "WETH": (18, 8250, 10500, 1000),
    "WBTC": (8, 7800, 10625, 1000),
    "USDC": (6, 7800, 10450, 1000),
    "DAI": (18, 7700, 10400, 0),
}


def address(number: int) -> Address:
    """A checksummed address whose number can be read off it."""
    return to_address(number.to_bytes(20, "big"))


def reserve(  # one argument per column of a table of reserves
    id_: int,
    *,
    decimals: int = 18,
    threshold_bps: int = 8000,
    bonus_bps: int = 10500,
    fee_bps: int = 1000,
    price_base: int | None = 10**8,
    income_ray: int = RAY,
    debt_ray: int = RAY,
    updated_s: int = NOW_S,
    liquidity_rate_ray: int = 0,
    debt_rate_ray: int = 0,
    balance_raw: int = PLENTY_RAW,
    virtual_raw: int | None = None,
    active: bool = True,
    paused: bool = False,
    frozen: bool = False,
    flash_loans: bool = True,
    emode_category: int = 0,
    grace_until_s: int = 0,
) -> Reserve:
    """One reserve with sensible figures; token and source addresses follow from the id."""
    return Reserve(
        id=id_,
        token=address(0x1000 + id_),
        a_token=address(0x2000 + id_),
        variable_debt_token=address(0x3000 + id_),
        stable_debt_token=address(0x4000 + id_),
        decimals=decimals,
        threshold_bps=threshold_bps,
        liquidation_bonus_bps=bonus_bps,
        protocol_fee_bps=fee_bps,
        active=active,
        frozen=frozen,
        paused=paused,
        flash_loans=flash_loans,
        emode_category=emode_category,
        liquidity_index_ray=income_ray,
        liquidity_rate_ray=liquidity_rate_ray,
        debt_index_ray=debt_ray,
        debt_rate_ray=debt_rate_ray,
        updated_s=updated_s,
        price_base=price_base,
        source=address(0x5000 + id_),
        balance_raw=balance_raw,
        virtual_raw=virtual_raw,
        grace_until_s=grace_until_s,
    )


def view(
    revision: Revision | int,
    reserves: Iterable[Reserve],
    positions: Mapping[Address, Position],
    *,
    emodes: Iterable[EMode] = (),
    sentinel: Sentinel | None = None,
    flash_premium_bps: int = 9,
) -> AaveV3View:
    """A market of these reserves and positions at NOW_S."""
    by_id = {item.id: item for item in reserves}
    return AaveV3View(
        name="test",
        deployment=revision_for(revision) if isinstance(revision, int) else revision,
        pool=address(0x9001),
        head=Head(
            number=1,
            hash="0x" + "11" * 32,
            parent_hash="0x" + "00" * 32,
            timestamp_s=NOW_S,
            base_fee_wei=10**9,
            gas_used=0,
            gas_limit=30_000_000,
        ),
        base_unit=10**8,
        reserves=by_id,
        emodes={item.id: item for item in emodes},
        sentinel=sentinel,
        flash_premium_bps=flash_premium_bps,
        positions=dict(sorted(positions.items())),
        ids={item.token: item.id for item in by_id.values()},
    )


def in_book(market: AaveV3View) -> AaveV3View:
    """The same market with its positions kept as a running keeper keeps them."""
    book = Book(0, "")
    for account, position in market.positions.items():
        row = Row(position.emode, position.collaterals, position.debts)
        book.put(book.number(address_bytes(account)), row)
    return replace(market, positions=BookPositions(book, book.now))
