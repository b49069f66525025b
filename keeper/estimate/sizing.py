"""Which liquidations of an account, how much of each, sold and funded how: what the operator's policy takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keeper.domain.lending import Health
from keeper.domain.plans import Rejected
from keeper.domain.units import Address
from keeper.estimate.curve import PairCurve
from keeper.estimate.explain import explain
from keeper.estimate.scene import Choice, Scene, better_of
from keeper.estimate.sequence import Effort, RunSearch
from keeper.estimate.settings import Sizing
from keeper.estimate.steps import largest_step, least_step


def size(
    scene: Scene, health: Health, policy: Sizing, target_health_wad: int, effort: Effort = "thorough"
) -> Choice | Rejected:
    """Return what `policy` takes of an unhealthy account, or why nothing can be done about it.

    "max-profit" takes the run of up to three liquidations that nets most, "max" the pair that nets
    most when all that is accepted is repaid, "target-health" the reaching repay of the least value
    among those that pay. The choice may be a loss: whether it is worth doing is the caller's
    decision. One `scene` should serve all accounts of a market at one instant. A quick search finds
    what a thorough one does but where amounts of several steps have to be weighed against each other.
    """
    curves = find_curves(scene, health.account)
    match policy:
        case "max-profit":
            choice = best_choice(scene, health.account, curves, effort)
        case "max":
            choice = _best(largest_step(curve) for curve in curves)
        case "target-health":
            choice = _least(curves, target_health_wad)
    return choice or explain(scene.view, health, curves, target_health_wad if policy == "target-health" else None)


def find_curves(scene: Scene, account: Address) -> list[PairCurve]:
    """Return the curves of all pairs of an account."""
    return [PairCurve(scene, account, debt, collateral) for debt, collateral in scene.view.pairs(account)]


def best_choice(
    scene: Scene, account: Address, curves: Sequence[PairCurve], effort: Effort = "thorough"
) -> Choice | None:
    """Return the run that nets most; None when nothing at all can be sold and funded."""
    return RunSearch(scene, account, curves, effort).run()


def _least(curves: Iterable[PairCurve], target_wad: int) -> Choice | None:
    """Return the reaching choice that repays the least value, of those that pay; else the best paying."""
    reached = [choice for curve in curves if (choice := least_step(curve, target_wad)) is not None]
    paying = [choice for choice in reached if choice.rank > 0]
    return min(paying, key=lambda each: each.repaid_value, default=_best(reached))


def _best(choices: Iterable[Choice | None]) -> Choice | None:
    best: Choice | None = None
    for choice in choices:
        best = better_of(best, choice)
    return best
