"""One debt and one collateral of one account, asked many amounts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keeper.domain.lending import LiquidationCall, Outcome, Receive, Refused, RepayRange
from keeper.domain.units import BPS, Address
from keeper.lending.aave_v3.rules.account import Projection, compute_health_factor_wad, compute_sums
from keeper.lending.aave_v3.rules.aftermath import Aftermath, compute_aftermath, compute_received_scaled_raw
from keeper.lending.aave_v3.rules.liquidation import Amounts, Pair, check_amounts, compute_amounts
from keeper.lending.aave_v3.rules.search import find_ranges
from keeper.lending.aave_v3.rules.turns import find_turns
from keeper.lending.aave_v3.state import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A call that the pool accepts: its amounts, what it leaves behind, and both as others see them."""

    amounts: Amounts
    aftermath: Aftermath
    outcome: Outcome


class AavePair:
    """The `PairView` of one account: `then` at the time the call is for; `now`, at the head, is made when asked for.

    What has been worked out is remembered: the search for runs asks again for what it has asked before.
    """

    __slots__ = ("_account", "_now", "_position", "_projection", "_ranges", "_settled", "_then", "_turns")

    def __init__(
        self,
        account: Address,
        position: Position,
        projection: Projection,
        *,
        now: Callable[[], Pair | Refused],
        then: Pair,
    ) -> None:
        self._account = account
        self._position = position
        self._projection = projection
        self._now = now
        self._then = then
        self._ranges: tuple[RepayRange, ...] | None = None
        self._turns: tuple[int, ...] | None = None
        self._settled: dict[tuple[int, Receive], Settled | Refused] = {}

    @property
    def terms(self) -> Pair:
        """The pair as the rules have it, at the time the call is for."""
        return self._then

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
        if self._ranges is None:
            now = self._now()
            # A check that depends on time alone (grace, sequencer) may fail at the head and pass later.
            self._ranges = tuple(find_ranges(self._then if isinstance(now, Refused) else now, self._then))
        return list(self._ranges)

    def taken(self, cover_raw: int) -> tuple[int, int] | None:
        """Return (repaid, received) in raw units, None where the pool refuses."""
        amounts = compute_amounts(self._then, cover_raw)
        if check_amounts(self._then, amounts, "underlying") is not None:
            return None
        return amounts.repaid_raw, amounts.seized_raw

    def outcome(self, cover_raw: int, receive: Receive = "underlying") -> Outcome | Refused:
        """Return exactly what the pool would do."""
        settled = self.settle(cover_raw, receive)
        return settled if isinstance(settled, Refused) else settled.outcome

    def settle(self, cover_raw: int, receive: Receive) -> Settled | Refused:
        """Return the same with what it leaves behind."""
        key = (cover_raw, receive)
        settled = self._settled.get(key)
        if settled is None:
            settled = self._settled[key] = self._settle(cover_raw, receive)
        return settled

    def turns(self) -> list[int]:
        """Return the repay amounts around which what may be done next changes, ascending."""
        if self._turns is None:
            self._turns = tuple(find_turns(self._then, self._position, self._projection, self._health_after))
        return list(self._turns)

    def _settle(self, cover_raw: int, receive: Receive) -> Settled | Refused:
        pair = self._then
        amounts = compute_amounts(pair, cover_raw)
        refused = check_amounts(pair, amounts, receive)
        if refused is not None:
            return refused
        aftermath = compute_aftermath(pair, amounts, self._position, self._projection)
        received_raw = amounts.seized_raw
        if receive == "atoken":
            received_raw = compute_received_scaled_raw(pair, aftermath.seized_scaled)
        outcome = Outcome(
            call=LiquidationCall(
                account=self._account,
                debt=pair.debt.token,
                collateral=pair.collateral.token,
                cover_raw=cover_raw,
                receive=receive,
            ),
            repaid_raw=amounts.repaid_raw,
            received_raw=received_raw,
            fee_raw=aftermath.fee_raw,
            health_after_wad=self._health_of(aftermath.position),
            deficits=tuple([(self._projection.reserves[id_].token, lost_raw) for id_, lost_raw in aftermath.deficits]),
        )
        return Settled(amounts=amounts, aftermath=aftermath, outcome=outcome)

    def _health_after(self, repay_raw: int) -> int:
        amounts = compute_amounts(self._then, repay_raw)
        return self._health_of(compute_aftermath(self._then, amounts, self._position, self._projection).position)

    def _health_of(self, position: Position) -> int:
        sums = compute_sums(position, self._projection)
        if sums is None:
            raise ValueError("a price vanished between two readings of one view")
        return compute_health_factor_wad(sums, self._projection.revision)
