"""One debt and one collateral of one account, asked many amounts."""

from __future__ import annotations

from collections.abc import Callable

from keeper.domain.lending import LiquidationCall, Outcome, Refused, RepayRange
from keeper.domain.units import BPS, Address
from keeper.lending.aave_v3.rules.account import Projection, compute_health_factor_wad, compute_sums
from keeper.lending.aave_v3.rules.aftermath import compute_aftermath, compute_received_scaled_raw
from keeper.lending.aave_v3.rules.liquidation import Amounts, Pair, check_amounts, compute_amounts
from keeper.lending.aave_v3.rules.search import find_ranges
from keeper.lending.aave_v3.rules.turns import find_turns
from keeper.lending.aave_v3.state import Position


class AavePair:
    """The `PairView` of one account: `then` at the time the call is for; `now`, at the head, is made when asked for."""

    __slots__ = ("_account", "_now", "_position", "_projection", "_then")

    def __init__(
        self, account: Address, position: Position, projection: Projection, *, now: Callable[[], Pair], then: Pair
    ) -> None:
        self._account = account
        self._position = position
        self._projection = projection
        self._now = now
        self._then = then

    @property
    def owed_raw(self) -> int:
        """All that is owed of the debt."""
        return self._then.debt_raw

    @property
    def held_raw(self) -> int:
        """All that there is of the collateral."""
        return self._then.collateral_raw

    @property
    def rate(self) -> tuple[int, int]:
        """(collateral, debt): what is received for what is repaid, in raw units before roundings."""
        pair = self._then
        fee_bps, bonus_bps = pair.collateral.protocol_fee_bps, pair.bonus_bps
        kept = bonus_bps * BPS - (bonus_bps - BPS) * fee_bps
        return pair.debt_price * pair.collateral.unit * kept, pair.collateral_price * pair.debt.unit * BPS * BPS

    def ranges(self) -> list[RepayRange]:
        """Return all repay amounts the pool accepts against underlying, lowest first."""
        return find_ranges(self._now(), self._then)

    def taken(self, cover_raw: int) -> tuple[int, int] | None:
        """Return (repaid, received) in raw units, None where the pool refuses."""
        amounts = compute_amounts(self._then, cover_raw)
        if check_amounts(self._then, amounts, "underlying") is not None:
            return None
        return amounts.repaid_raw, amounts.seized_raw

    def outcome(self, cover_raw: int) -> Outcome | Refused:
        """Return exactly what the pool would do."""
        pair = self._then
        amounts = compute_amounts(pair, cover_raw)
        call = LiquidationCall(
            account=self._account, debt=pair.debt.token, collateral=pair.collateral.token, cover_raw=cover_raw
        )
        refused = check_amounts(pair, amounts, call.receive)
        return refused or compute_outcome(call, pair, amounts, self._position, self._projection)

    def turns(self) -> list[int]:
        """Return the repay amounts around which what may be done next changes, ascending."""
        return find_turns(self._then, self._position, self._projection, self._health_after)

    def _health_after(self, repay_raw: int) -> int:
        amounts = compute_amounts(self._then, repay_raw)
        position = compute_aftermath(self._then, amounts, self._position, self._projection).position
        sums = compute_sums(position, self._projection)
        return 0 if sums is None else compute_health_factor_wad(sums, self._projection.revision)


def compute_outcome(
    call: LiquidationCall, pair: Pair, amounts: Amounts, position: Position, projection: Projection
) -> Outcome:
    """Return what a call that the pool accepts does to `position`."""
    aftermath = compute_aftermath(pair, amounts, position, projection)
    sums = compute_sums(aftermath.position, projection)
    if sums is None:
        raise ValueError("a price vanished between two readings of one view")
    received_raw = amounts.seized_raw
    if call.receive == "atoken":
        received_raw = compute_received_scaled_raw(pair, aftermath.seized_scaled)
    return Outcome(
        call=call,
        repaid_raw=amounts.repaid_raw,
        received_raw=received_raw,
        fee_raw=aftermath.fee_raw,
        health_after_wad=compute_health_factor_wad(sums, projection.revision),
        deficits=tuple((projection.reserves[id_].token, lost_raw) for id_, lost_raw in aftermath.deficits),
    )
