"""Holds every answer of the rules against the pool's, and counts what was met on the way."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from keeper.domain.lending import LiquidationCall, Outcome, Receive, Refused
from keeper.domain.units import MAX_UINT256, Address
from keeper.lending.aave_v3.rules.account import is_in_emode
from keeper.lending.aave_v3.rules.aftermath import Aftermath
from keeper.lending.aave_v3.rules.liquidation import FULL_CLOSE_BASE, FULL_CLOSE_HEALTH_WAD, Amounts, Pair
from keeper.lending.aave_v3.view import AaveV3View
from tests.support.revision_market import Planted
from tests.support.revision_probe import Truth

_RECEIVES: tuple[Receive, Receive] = ("underlying", "atoken")
_CODES = {"NO_LIQUIDITY": "ARITHMETIC_OVERFLOW"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the rules say of one call: a refusal, or every figure of it."""

    call: LiquidationCall
    refused: Refused | None = None
    pair: Pair | None = None
    amounts: Amounts | None = None
    outcome: Outcome | None = None
    aftermath: Aftermath | None = None


@dataclass(slots=True, kw_only=True)
class Checker:
    """Compares calls on one view at one block time; `seen` counts pairs, calls and events."""

    view: AaveV3View
    at_s: int
    planted: Planted
    rng: random.Random
    seen: Counter[str]
    _largest: dict[tuple[Address, Address, Address], Outcome | Refused] = field(default_factory=dict)

    def calls(self) -> list[LiquidationCall]:
        """All calls to be made: several for every pair of every unhealthy account."""
        found: list[LiquidationCall] = []
        for health in self.view.unhealthy(self.at_s):
            account = health.account
            for debt, collateral in self.view.pairs(account):
                found += self._calls_of(account, debt, collateral)
                self.seen["pairs"] += 1
            found += self._calls_switched_off(account)
        return found

    def _calls_of(self, account: Address, debt: Address, collateral: Address) -> Iterator[LiquidationCall]:
        """The largest call, the one beyond it, asking for everything both ways, and one of a random amount."""
        largest = self.view.largest(account, debt, collateral, self.at_s)
        self._largest[account, debt, collateral] = largest
        asked: set[tuple[int, Receive]] = {(MAX_UINT256, receive) for receive in _RECEIVES}
        if isinstance(largest, Outcome):
            asked.add((largest.call.cover_raw, largest.call.receive))
            asked |= {(largest.repaid_raw + extra, largest.call.receive) for extra in (0, 1)}
            asked.add((self.rng.randint(1, 1 + largest.repaid_raw * 5 // 4), self.rng.choice(_RECEIVES)))
        for cover_raw, receive in sorted(asked):
            yield LiquidationCall(
                account=account, debt=debt, collateral=collateral, cover_raw=cover_raw, receive=receive
            )

    def _calls_switched_off(self, account: Address) -> Iterator[LiquidationCall]:
        debts = {debt for debt, _ in self.view.pairs(account)}
        for owner, token in sorted(self.planted.switched_off):
            if owner == account and debts:
                yield LiquidationCall(account=account, debt=min(debts), collateral=token, cover_raw=MAX_UINT256)

    def expect(self, call: LiquidationCall) -> Expected:
        """Return what the rules say of `call`."""
        outcome = self.view.outcome(call, self.at_s)
        pair = self.view.pair(call.account, call.debt, call.collateral, self.at_s)
        settled = pair if isinstance(pair, Refused) else pair.settle(call.cover_raw, call.receive)
        if isinstance(pair, Refused) or isinstance(settled, Refused):
            assert outcome == settled
            return Expected(call=call, refused=settled)
        assert settled.outcome == outcome
        assert outcome.call == call
        return Expected(
            call=call, pair=pair.terms, amounts=settled.amounts, outcome=outcome, aftermath=settled.aftermath
        )

    def check_all(self, calls: Sequence[LiquidationCall], truths: Sequence[Truth]) -> None:
        """Compare all calls, and each pair's largest repayment with the most that the pool took."""
        most: Counter[tuple[Address, Address, Address]] = Counter()
        for call, truth in zip(calls, truths, strict=True):
            repaid_raw = self.check(self.expect(call), truth)
            key = (call.account, call.debt, call.collateral)
            most[key] = max(most[key], repaid_raw)
        for key, largest in self._largest.items():
            assert most[key] == (largest.repaid_raw if isinstance(largest, Outcome) else 0), (key, largest)

    def check(self, expected: Expected, truth: Truth) -> int:
        """Fail unless ours is the pool's answer to the last unit; return what the pool took."""
        self.seen["calls"] += 1
        call = expected.call
        if expected.refused is not None:
            code = _CODES.get(expected.refused.code, expected.refused.code)
            assert truth.code == code, (expected, truth)
            self._count_refusal(call, expected.refused.code)
            return 0
        assert truth.code is None, (expected, truth)
        outcome, amounts, aftermath = expected.outcome, expected.amounts, expected.aftermath
        assert outcome is not None
        assert amounts is not None
        assert aftermath is not None
        underlying = call.receive == "underlying"
        paid_out_raw = amounts.seized_raw if underlying else 0
        if call.debt == call.collateral:
            assert truth.spent_raw == amounts.repaid_raw - paid_out_raw, (expected, truth)
        else:
            assert (truth.spent_raw, truth.gained_raw) == (amounts.repaid_raw, paid_out_raw), (expected, truth)
        assert truth.a_tokens_scaled == (0 if underlying else aftermath.seized_scaled), (expected, truth)
        assert outcome.received_raw == (amounts.seized_raw if underlying else truth.a_tokens_raw), (expected, truth)
        assert truth.fee_scaled == aftermath.fee_scaled, (expected, truth)
        assert truth.fee_raw in (None, outcome.fee_raw), (expected, truth)
        assert truth.position == aftermath.position, (expected, truth)
        assert truth.standing[2] == outcome.health_after_wad, (expected, truth)
        if self.view.deployment.deficit is not None:
            assert truth.deficits == aftermath.deficits, (expected, truth)
        self._count_success(expected)
        return amounts.repaid_raw

    def _count_refusal(self, call: LiquidationCall, code: str) -> None:
        self.seen[code] += 1
        if (call.account, call.collateral) in self.planted.switched_off:
            self.seen["collateral off"] += code == "COLLATERAL_CANNOT_BE_LIQUIDATED"
        largest = self._largest.get((call.account, call.debt, call.collateral))
        explicit = isinstance(largest, Outcome) and largest.call.cover_raw != MAX_UINT256
        if explicit and call.cover_raw == MAX_UINT256 and code == "MUST_NOT_LEAVE_DUST":
            self.seen["max refused"] += 1

    def _count_success(self, expected: Expected) -> None:
        call, pair, amounts, aftermath = expected.call, expected.pair, expected.amounts, expected.aftermath
        assert pair is not None
        assert amounts is not None
        assert aftermath is not None
        met = set(_regime(call, pair, amounts))
        if len(aftermath.deficits) > 1:
            met.add("deficit over two reserves")
        met |= self._surroundings(call, pair)
        self.seen.update(met)
        self.seen["taken"] += 1

    def _surroundings(self, call: LiquidationCall, pair: Pair) -> set[str]:
        emode = self.view.emodes.get(self.view.positions[call.account].emode)
        inside = emode is not None and is_in_emode(pair.collateral, emode, pair.revision)
        held = (call.account, call.collateral)
        return {
            name
            for name, met in {
                "e-mode inside": inside,
                "e-mode outside": emode is not None and not inside,
                "e-mode with a price of its own": emode is not None and emode.priced,
                "e-mode only collateral": inside and pair.collateral.threshold_bps == 0,
                "same asset": pair.same_asset,
                "frozen": pair.debt.frozen or pair.collateral.frozen,
                "aToken gift": held in self.planted.gifts,
                "third-party supply": held in self.planted.top_ups,
            }.items()
            if met
        }


def _regime(call: LiquidationCall, pair: Pair, amounts: Amounts) -> Iterator[str]:
    """Name what decided the amount of a call that asked for everything."""
    if amounts.capped:
        yield "cap branch"
        return
    if call.cover_raw != MAX_UINT256:
        return
    if pair.max_raw < pair.debt_raw:
        yield "50 % regime"
    elif pair.health_wad <= FULL_CLOSE_HEALTH_WAD:
        yield "full close by health"
    elif pair.revision.close_factor == "half-of-total":
        collateral_base = pair.collateral_raw * pair.collateral_price // pair.collateral.unit
        debt_base = -(-pair.debt_raw * pair.debt_price // pair.debt.unit)
        small = min(collateral_base, debt_base) < FULL_CLOSE_BASE
        yield "full close by size" if small else "full close of a small share"
