"""What each account of a burst has to offer: its liquidations in full, and what they cost.

In a burst the pools are common to all. Whether an account should have a part of them is told by
the price of the last unit sold: at that price its profit is a straight line of what is repaid, so
that an end of a range is best, and no curve needs to be searched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.lending import Health, LiquidationCall, Outcome, Refused
from keeper.domain.plans import Funding
from keeper.domain.units import MAX_UINT256, WAD, Address
from keeper.estimate.curve import cover_of
from keeper.estimate.gas import Shape
from keeper.estimate.scene import Scene
from keeper.ports import MarketView, PairView

Key = tuple[str, Address]
"""A market's name and an account of it."""

Side = tuple[Address, Address]
"""A token sold, and the token it is sold for."""

_MOST_STEPS: Final = 3
_HAIR_SHIFT: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One way to liquidate `key`: each call repays all that is accepted, one after the other.

    `sold` is what has to be sold: token, for which token, raw amount. `repaid_raw` is what the first
    call repays, `repaid` what all do, `premium` what the expected lenders take for it, and `cost` both
    with gas and the profit asked for: in US dollars times 1e18, rounded up. `swap_cost` is the cost where
    the pool sold into pays before it is paid (None: it cannot).
    """

    key: Key
    calls: tuple[LiquidationCall, ...]
    sold: tuple[tuple[Side, int], ...]
    repaid_raw: int
    repaid: int
    premium: int
    cost: int
    swap_cost: int | None


class Offering:
    """The offers of one market's accounts at one instant."""

    def __init__(self, scene: Scene, least: int, *, is_crowded: bool) -> None:
        """Make offers judged by `scene`; `least` is the net profit that is asked for, in US dollars times 1e18.

        In a crowd an offer is one liquidation.
        """
        self.scene = scene
        self._most_steps = 1 if is_crowded else _MOST_STEPS
        self._least = least
        self._worths: dict[Address, tuple[int, int]] = {}
        self._gas: dict[tuple[tuple[Side, ...], tuple[Funding, ...]], int] = {}

    def of(self, health: Health) -> Iterator[Offer]:
        """Yield one account's liquidations in full: each pair, and pairs after the best that leaves it unhealthy."""
        before: tuple[_Part, ...] = ()
        market = self.scene.view
        while len(before) < self._most_steps:
            parts = list(_parts(market, health.account, self.scene.at_s))
            found = [(part, offer) for part in parts if (offer := self._offer((*before, part))) is not None]
            yield from (offer for _, offer in found)
            if len(before) + 1 == self._most_steps:
                return
            hopes = sorted(((self._hope(offer), index) for index, (_, offer) in enumerate(found)), reverse=True)
            step = next((step for hope, index in hopes if hope > 0 and (step := _open_end(found[index][0]))), None)
            if step is None:
                return
            before = (*before, next(part for part, _ in found if part.call == step.call))
            market = market.after(step.call, self.scene.at_s)

    def made_of(self, steps: Sequence[Outcome]) -> Offer | None:
        """Return the offer of given steps; None where nobody lends what they need."""
        return self._offer(tuple(_Part(step.call, step.repaid_raw, step.received_raw, None) for step in steps))

    def worth(self, token: Address, amount_raw: int) -> int:
        """Return an amount's worth by the oracle in US dollars times 1e18, rounded up."""
        return mul_div_up(amount_raw, *self._worth_of(token))

    def _offer(self, parts: tuple[_Part, ...]) -> Offer | None:
        needs: dict[Address, int] = {}
        for part in parts:
            needs[part.call.debt] = needs.get(part.call.debt, 0) + part.repaid_raw
        repaid = premium = 0
        lenders: list[Funding] = []
        for token, repaid_raw in needs.items():
            fund = self._fund(token, repaid_raw)
            if fund is None:
                return None
            lenders.append(fund[0])
            repaid += self.worth(token, repaid_raw)
            premium += self.worth(token, fund[1])
        sold = tuple(((part.call.collateral, part.call.debt), part.received_raw) for part in parts)
        sides = tuple(side for side, _ in sold)
        may_swap = premium > 0 and len(set(sides)) == 1 and sides[0][0] != sides[0][1]
        fixed = repaid + self._least
        return Offer(
            key=(self.scene.view.name, parts[0].call.account),
            calls=tuple(part.call for part in parts),
            sold=sold,
            repaid_raw=parts[0].repaid_raw,
            repaid=repaid,
            premium=premium,
            cost=fixed + premium + self._gas_cost(sides, tuple(lenders)),
            swap_cost=fixed + self._gas_cost(sides, ("uniswap-v3-flash",)) if may_swap else None,
        )

    def _fund(self, token: Address, amount_raw: int) -> tuple[Funding, int] | None:
        """Return about what funds an amount, and its premium."""
        scene = self.scene
        if scene.balances.get(token, 0) >= amount_raw:
            return "own", 0
        if scene.flash_lender is not None and scene.lendable.get(token, 0) >= amount_raw:
            return "morpho-flash", 0
        premium_raw = scene.view.flash_fee_raw(token, amount_raw)
        return None if premium_raw is None else ("aave-flash-loan", premium_raw)

    def _hope(self, offer: Offer) -> int:
        """Return what an offer would net if the pools paid what the oracle says."""
        worth = sum(mul_div_down(amount_raw, *self._worth_of(side[0])) for side, amount_raw in offer.sold)
        return worth - offer.cost

    def _worth_of(self, token: Address) -> tuple[int, int]:
        rate = self._worths.get(token)
        if rate is None:
            rate = self._worths[token] = worth_of(self.scene, token)
        return rate

    def _gas_cost(self, sides: tuple[Side, ...], lenders: tuple[Funding, ...]) -> int:
        """Return the cost of a run with the shortest sale there is, in US dollars times 1e18."""
        cost = self._gas.get((sides, lenders))
        if cost is None:
            ways = [self.scene.venues.routes(*side) for side in sides]
            legs = tuple(tuple(hop.venue for hop in way[0]) for way in ways if way and way[0])
            gas_units = self.scene.memory.guess(Shape(steps=len(sides), legs=legs, funding=lenders))
            cost = mul_div_up(self.scene.gas_value(gas_units), 1, self.scene.view.base_unit)
            self._gas[sides, lenders] = cost
        return cost


def worth_of(scene: Scene, token: Address) -> tuple[int, int]:
    """Return (numerator, denominator) of a raw amount's worth in US dollars times 1e18."""
    view = scene.view
    return (view.price_base(token) or 0) * WAD, 10 ** view.decimals(token) * view.base_unit


def steps_of(market: MarketView, calls: Sequence[LiquidationCall], at_s: int) -> tuple[Outcome, ...] | None:
    """Return what calls do one after another, None where the pool refuses one.

    Where a call asks for everything and an explicit amount takes as much but for a hair's breadth (a
    millionth), that is asked for: what everything is depends on the second of inclusion.
    """
    steps: list[Outcome] = []
    for call in calls:
        if steps:
            market = market.after(steps[-1].call, at_s)
        pair = market.pair(call.account, call.debt, call.collateral, at_s)
        step = pair if isinstance(pair, Refused) else pair.outcome(_steady(pair, call.cover_raw))
        if isinstance(step, Refused):
            return None
        steps.append(step)
    return tuple(steps)


@dataclass(frozen=True, slots=True)
class _Part:
    """One call that takes all that is accepted."""

    call: LiquidationCall
    repaid_raw: int
    received_raw: int
    pair: PairView | None


def _parts(market: MarketView, account: Address, at_s: int) -> Iterator[_Part]:
    for debt, collateral in market.pairs(account):
        pair = market.pair(account, debt, collateral, at_s)
        if isinstance(pair, Refused):
            continue
        cover_raw = MAX_UINT256
        taken = pair.taken(cover_raw)
        if taken is None:
            cover_raw = cover_of(ranges[-1]) if (ranges := pair.ranges()) else 0
            taken = pair.taken(cover_raw) if cover_raw else None
        if taken is not None:
            call = LiquidationCall(account=account, debt=debt, collateral=collateral, cover_raw=cover_raw)
            yield _Part(call, *taken, pair)


def _open_end(part: _Part) -> Outcome | None:
    """Return what a call does if it leaves the account unhealthy."""
    step = None if part.pair is None else part.pair.outcome(part.call.cover_raw)
    return step if isinstance(step, Outcome) and step.health_after_wad < WAD else None


def _steady(pair: PairView, cover_raw: int) -> int:
    if cover_raw != MAX_UINT256:
        return cover_raw
    ranges = pair.ranges()
    explicit = [each.high_raw for each in ranges if not each.cover_max]
    everything = [each.high_raw for each in ranges if each.cover_max]
    if explicit and everything and everything[-1] - explicit[-1] <= everything[-1] >> _HAIR_SHIFT:
        return explicit[-1]
    return cover_raw
