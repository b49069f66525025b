"""A lending market of straight lines: small enough to try every amount, true to the port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from support.lending import address
from support.pool_chain import head

from keeper.domain.chain import Head
from keeper.domain.lending import Health, LiquidationCall, Outcome, Receive, Refused, RepayRange
from keeper.domain.units import MAX_UINT256, WAD, Address

DEBT, COLLATERAL, NATIVE, HUB = (address(n) for n in (0xD1, 0xC1, 0xE1, 0xB1))
ACCOUNT = address(0xACC)
POOL = address(0x9001)


@dataclass(frozen=True, slots=True)
class Line:
    """One pair of one account: `received = cover * numerator // denominator` inside `ranges`.

    Asking for everything takes the top of the last range. Health rises by `health_per_unit_wad`
    with each unit repaid (or falls, when negative).
    """

    ranges: tuple[RepayRange, ...]
    numerator: int = 1
    denominator: int = 1
    health_per_unit_wad: int = 10**12
    receive: Receive = "underlying"
    refused: str = "MUST_NOT_LEAVE_DUST"


Pair = tuple[Address, Address]


@dataclass(frozen=True, slots=True)
class LinePair:
    """Implements the `PairView` port."""

    market: LineMarket
    call: LiquidationCall
    line: Line

    @property
    def owed_raw(self) -> int:
        return self.line.ranges[-1].high_raw

    @property
    def held_raw(self) -> int:
        return self.owed_raw * self.line.numerator // self.line.denominator

    @property
    def rate(self) -> tuple[int, int]:
        return self.line.numerator, self.line.denominator

    def ranges(self) -> list[RepayRange]:
        return list(self.line.ranges)

    def taken(self, cover_raw: int) -> tuple[int, int] | None:
        answer = self.outcome(cover_raw)
        return None if isinstance(answer, Refused) else (answer.repaid_raw, answer.received_raw)

    def outcome(self, cover_raw: int) -> Outcome | Refused:
        return self.market.outcome(replace(self.call, cover_raw=cover_raw), 0)

    def turns(self) -> list[int]:
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class LineMarket:
    """Implements the `MarketView` port; every token has 6 decimals and a price of one dollar unless said otherwise."""

    lines: Mapping[Address, Mapping[Pair, Line]]
    name: str = "lines"
    protocol: str = "aave-v3"
    revision: int = 1
    policy: str = "fixed-share"
    pool: Address = POOL
    head: Head = field(default_factory=head)
    base_unit: int = 10**8
    flash_bps: int | None = 5
    flash_liquidity_raw: int = MAX_UINT256
    health_wad: int = 95 * 10**16
    prices: Mapping[Address, int | None] = field(default_factory=dict)

    @property
    def tokens(self) -> Sequence[Address]:
        return (DEBT, COLLATERAL, NATIVE)

    @property
    def sources(self) -> Mapping[Address, Address]:
        return {token: token for token in self.tokens}

    def decimals(self, token: Address) -> int:
        return 18 if token == NATIVE else 6

    def price_base(self, token: Address) -> int | None:
        default = 2000 * 10**8 if token == NATIVE else 10**8
        return self.prices.get(token, default)

    def accounts(self) -> Sequence[Address]:
        return tuple(sorted(self.lines))

    def holdings(self, account: Address) -> frozenset[Address]:
        return frozenset(token for pair in self.lines.get(account, {}) for token in pair)

    def epoch(self, account: Address) -> str:
        return f"{account}:{len(self.lines.get(account, {}))}"

    def health(self, account: Address, at_s: int) -> Health | None:
        if any(self.price_base(token) is None for token in self.holdings(account)):
            return None
        wad = self.health_wad if account in self.lines else MAX_UINT256
        return Health(account=account, health_factor_wad=wad, collateral_base=10**10, debt_base=10**10)

    def unhealthy(self, at_s: int) -> list[Health]:
        found = (self.health(account, at_s) for account in self.accounts())
        return [each for each in found if each is not None and each.health_factor_wad < WAD]

    def pairs(self, account: Address) -> list[Pair]:
        return sorted(self.lines.get(account, {}))

    def largest(self, account: Address, debt: Address, collateral: Address, at_s: int) -> Outcome | Refused:
        line = self.lines[account][debt, collateral]
        call = LiquidationCall(account=account, debt=debt, collateral=collateral, cover_raw=MAX_UINT256)
        if line.receive == "atoken":
            call = replace(call, receive="atoken")
            return Outcome(call=call, repaid_raw=1, received_raw=1, fee_raw=0, health_after_wad=WAD)
        if not line.ranges:
            return Refused(code=line.refused, detail="for the sake of the test")
        return self.outcome(call, at_s)

    def ranges(self, account: Address, debt: Address, collateral: Address, at_s: int) -> list[RepayRange]:
        return list(self.lines[account][debt, collateral].ranges)

    def pair(self, account: Address, debt: Address, collateral: Address, at_s: int) -> LinePair | Refused:
        line = self.lines.get(account, {}).get((debt, collateral))
        if line is None or not line.ranges:
            return Refused(code=line.refused if line else "NOTHING_OWED", detail="for the sake of the test")
        return LinePair(self, LiquidationCall(account=account, debt=debt, collateral=collateral, cover_raw=0), line)

    def outcome(self, call: LiquidationCall, at_s: int) -> Outcome | Refused:
        line = self.lines.get(call.account, {}).get((call.debt, call.collateral))
        if line is None or not line.ranges:
            return Refused(code="SPECIFIED_CURRENCY_NOT_BORROWED_BY_USER", detail="nothing is owed")
        repaid = line.ranges[-1].high_raw if call.cover_raw == MAX_UINT256 else call.cover_raw
        explicit = (each for each in line.ranges if not each.cover_max)
        if call.cover_raw != MAX_UINT256 and not any(each.low_raw <= repaid <= each.high_raw for each in explicit):
            return Refused(code=line.refused, detail="outside every range")
        return Outcome(
            call=call,
            repaid_raw=repaid,
            received_raw=repaid * line.numerator // line.denominator,
            fee_raw=0,
            health_after_wad=self.health_wad + repaid * line.health_per_unit_wad,
        )

    def after(self, call: LiquidationCall, at_s: int) -> LineMarket:
        rest = {pair: line for pair, line in self.lines[call.account].items() if pair != (call.debt, call.collateral)}
        lines = {account: line for account, line in self.lines.items() if account != call.account}
        return replace(self, lines={**lines, call.account: rest} if rest else lines)

    def flash_fee_raw(self, token: Address, amount_raw: int) -> int | None:
        if self.flash_bps is None or amount_raw > self.flash_liquidity_raw:
            return None
        return -(-amount_raw * self.flash_bps // 10_000)

    def during_flash_loan(self, token: Address, amount_raw: int) -> LineMarket:
        return replace(self, flash_liquidity_raw=self.flash_liquidity_raw - amount_raw)

    def after_flash_loan(self, token: Address, amount_raw: int, premium_raw: int, at_s: int) -> LineMarket:
        return replace(self, flash_liquidity_raw=self.flash_liquidity_raw + amount_raw)


def line_market(*ranges: RepayRange, numerator: int = 110, denominator: int = 100, **changes: object) -> LineMarket:
    """A market of one account with one pair."""
    line = Line(ranges, numerator, denominator)
    return LineMarket(lines={ACCOUNT: {(DEBT, COLLATERAL): line}}, **changes)  # type: ignore[arg-type]


def span(low_raw: int, high_raw: int) -> RepayRange:
    return RepayRange(low_raw=low_raw, high_raw=high_raw)


def everything(amount_raw: int) -> RepayRange:
    return RepayRange(low_raw=amount_raw, high_raw=amount_raw, cover_max=True)
