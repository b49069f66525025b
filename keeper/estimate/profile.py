"""What decided about one account: its pairs, their profit curves, what was chosen and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from keeper.domain.fixed_point import mul_div_down
from keeper.domain.lending import Health, LiquidationCall, Outcome, RepayRange
from keeper.domain.plans import Rejected
from keeper.domain.units import MAX_UINT256, Address
from keeper.estimate.curve import PairCurve
from keeper.estimate.explain import why_not
from keeper.estimate.scene import Choice, Scene, better_of
from keeper.estimate.settings import Sizing
from keeper.estimate.sizing import find_curves, size
from keeper.estimate.steps import exceeds, find_covers, largest_step
from keeper.estimate.tolls import premium_base, slippage_base

_SAMPLES: Final = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a profit curve. `net_base` is None where the pool refuses or nothing buys the collateral."""

    repay_raw: int
    net_base: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What became of the collateral's value at oracle prices, in base units.

    seized = repaid + premium + slippage + gas + L1 fee + net, but for roundings and the hair's breadth
    that is bought too much of a second debt token. `slippage_base` is the oracle's value of what is
    sold less what it brings, the exchanges' fees included; it is negative where the pools pay better
    than the oracle says. `gas_base` is gas alone: a choice's `gas_cost_base` has the L1 fee in it.
    """

    seized_base: int
    repaid_base: int
    premium_base: int
    slippage_base: int
    gas_base: int
    l1_fee_base: int
    net_base: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PairProfile:
    """One debt and one collateral of an account.

    `owed_raw` is the most that could ever be repaid of it: the end of the curve. `points` are by
    repay, ascending, one after another over all of it, feasible or not; amounts between two
    `ranges` are the gaps. `best` and `largest` are None where `why_not` (reason, detail) says why.
    """

    debt: Address
    collateral: Address
    owed_raw: int
    ranges: tuple[RepayRange, ...]
    points: tuple[Point, ...]
    best: Choice | None
    largest: Choice | None
    why_not: tuple[str, str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Everything that decided about one account.

    `chosen` is what the policy takes, whether or not it is worth doing (None: `rejected` says why
    nothing can be done); `runner_up` the best single step of another pair, where there is none the
    largest repay of the same pair.
    """

    market: str
    account: Address
    pairs: tuple[PairProfile, ...]
    chosen: Choice | None
    runner_up: Choice | None
    costs: Costs | None
    rejected: Rejected | None


def profile_of(scene: Scene, health: Health, policy: Sizing, target_health_wad: int) -> Profile:
    """Return everything that decides about an unhealthy account. Slow beside `size`: for people to look at."""
    chosen = size(scene, health, policy, target_health_wad)
    choice = None if isinstance(chosen, Rejected) else chosen
    pairs = tuple(_pair_profile(curve, health, choice) for curve in find_curves(scene, health.account))
    return Profile(
        market=scene.view.name,
        account=health.account,
        pairs=pairs,
        chosen=choice,
        runner_up=None if choice is None else find_runner_up(scene, health.account, choice.steps),
        costs=None if choice is None else costs_of(scene, choice),
        rejected=chosen if isinstance(chosen, Rejected) else None,
    )


def find_runner_up(scene: Scene, account: Address, chosen: Sequence[Outcome]) -> Choice | None:
    """Return the best way that is not the one `chosen`, None where there is none.

    It is a single step of another pair, where there is none the largest repay of the same pair. Takes milliseconds.
    """
    mine = _pairs_of(chosen)
    curves = find_curves(scene, account)
    others = [_best_step(curve, None) for curve in curves if [(curve.debt, curve.collateral)] != mine]
    found = [choice for choice in others if choice is not None]
    if not found:
        largest = [largest_step(curve) for curve in curves]
        found = [choice for choice in largest if choice is not None and _calls_of(choice.steps) != _calls_of(chosen)]
    best: Choice | None = None
    for choice in found:
        best = better_of(best, choice)
    return best


def costs_of(scene: Scene, choice: Choice) -> Costs:
    """Return what becomes of the collateral that `choice` seizes."""
    l1_fee_base = scene.gas.base_of(scene.gas.l1_fee_wei)
    return Costs(
        seized_base=sum(scene.base_of(step.call.collateral, step.received_raw) for step in choice.steps),
        repaid_base=sum(scene.base_of(step.call.debt, step.repaid_raw) for step in choice.steps),
        premium_base=premium_base(choice.funds, scene.view),
        slippage_base=slippage_base(choice.legs, scene.view),
        gas_base=choice.gas_cost_base - l1_fee_base,
        l1_fee_base=l1_fee_base,
        net_base=choice.net_base,
    )


def _pair_profile(curve: PairCurve, health: Health, chosen: Choice | None) -> PairProfile:
    best = _best_step(curve, chosen)
    points = _points(curve, best)
    for point in points:  # what a sample finds is not kept quiet, should it be more than the search found
        if point.net_base is not None and (best is None or point.net_base > best.net_base):
            best = _choice_at(curve, point.repay_raw)
    return PairProfile(
        debt=curve.debt,
        collateral=curve.collateral,
        owed_raw=curve.owed_raw,
        ranges=tuple(curve.ranges),
        points=points,
        best=best,
        largest=largest_step(curve),
        why_not=why_not(curve, health, None) if best is None else None,
    )


def _best_step(curve: PairCurve, chosen: Choice | None) -> Choice | None:
    """Return the best amount of one step of a pair: where the search looks, or what was chosen."""
    best: Choice | None = None
    for span in curve.ranges:
        for cover_raw in (MAX_UINT256,) if span.cover_max else find_covers(curve, span):
            best = better_of(best, curve.choice(cover_raw))
    if chosen is not None and _pairs_of(chosen.steps) == [(curve.debt, curve.collateral)]:
        return chosen if exceeds(chosen, best) else best
    return best


def _points(curve: PairCurve, best: Choice | None) -> tuple[Point, ...]:
    """Return the curve at even distances, and where it is best, begins and ends."""
    even = {mul_div_down(curve.owed_raw, index, _SAMPLES) for index in range(1, _SAMPLES + 1)}
    ends = {end for span in curve.ranges for end in (span.low_raw, span.high_raw)}
    top = set() if best is None else {best.steps[-1].repaid_raw}
    choices = [(repay_raw, _choice_at(curve, repay_raw)) for repay_raw in sorted(even | ends | top)]
    return tuple(
        Point(repay_raw=repay_raw, net_base=None if choice is None else choice.net_base)
        for repay_raw, choice in choices
    )


def _choice_at(curve: PairCurve, repay_raw: int) -> Choice | None:
    span = next((each for each in curve.ranges if each.low_raw <= repay_raw <= each.high_raw), None)
    return None if span is None else curve.choice(MAX_UINT256 if span.cover_max else repay_raw)


def _pairs_of(steps: Sequence[Outcome]) -> list[tuple[Address, Address]]:
    return [(step.call.debt, step.call.collateral) for step in steps]


def _calls_of(steps: Sequence[Outcome]) -> list[LiquidationCall]:
    return [step.call for step in steps]
