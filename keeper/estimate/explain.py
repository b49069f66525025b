"""Why an unhealthy account offers no choice at all."""

from __future__ import annotations

from decimal import Decimal

from keeper.domain.lending import Health, Outcome, Refused
from keeper.domain.plans import Rejected
from keeper.estimate.curve import PairCurve, cover_of
from keeper.estimate.funding import choose_funds, needed_raw
from keeper.estimate.reasons import reject
from keeper.estimate.steps import lowers_health, reaches
from keeper.ports import MarketView

_ORDER = (
    "no_accepted_amount",
    "collateral_illiquid",
    "repay_lowers_health",
    "target_health_unreachable",
    "no_route",
    "pools_too_thin",
    "no_funding",
)
"""From the first obstacle on the way to the last: the pair that came furthest is named."""


def explain(view: MarketView, health: Health, curves: list[PairCurve], target_wad: int | None) -> Rejected:
    """Return why none of an account's pairs can be liquidated; `target_wad` None: by any amount."""
    if not curves:
        return reject(view.name, health.account, "no_collateral", "the account has debt and nothing to seize")
    found = [why_not(curve, health, target_wad) for curve in curves]
    reason, detail = max(found, key=lambda each: _ORDER.index(each[0]))
    return reject(view.name, health.account, reason, detail)


def why_not(curve: PairCurve, health: Health, target_wad: int | None) -> tuple[str, str]:
    """Return why nothing comes of one pair: the reason and a sentence about it."""
    pair = f"debt {curve.debt}, collateral {curve.collateral}"
    ranges = curve.ranges
    outcome = curve.outcome(cover_of(ranges[0])) if ranges else None
    if outcome is None:
        return _why_refused(curve, pair)
    if target_wad is not None and not reaches(curve, target_wad):
        if lowers_health(curve, health.health_factor_wad):
            return "repay_lowers_health", f"{pair}: every repay lowers the account's health"
        reached = [after for span in ranges if (after := curve.outcome(cover_of(span))) is not None]
        most_wad = max(each.health_after_wad for each in reached)
        return (
            "target_health_unreachable",
            f"{pair}: no single repay reaches a health of {_health(target_wad)}, the best one {_health(most_wad)}",
        )
    return _why_unsold(curve, pair, outcome)


def _why_unsold(curve: PairCurve, pair: str, outcome: Outcome) -> tuple[str, str]:
    if not curve.scene.venues.routes(curve.collateral, curve.debt):
        return "no_route", f"{pair}: no configured venue leads from the collateral to the debt token"
    if choose_funds(curve.scene.sources, (outcome,), ()) is None:
        return (
            "no_funding",
            f"{pair}: neither the executor's balance nor a flash loan covers {needed_raw(outcome)} of {curve.debt}",
        )
    return (
        "pools_too_thin",
        f"{pair}: no pool takes the whole of what is seized, {outcome.received_raw} of {curve.collateral}",
    )


def _health(health_wad: int) -> str:
    return f"{Decimal(health_wad).scaleb(-18):.4f}"


def _why_refused(curve: PairCurve, pair: str) -> tuple[str, str]:
    answer = curve.scene.view.largest(curve.account, curve.debt, curve.collateral, curve.scene.at_s)
    if isinstance(answer, Refused):
        return "no_accepted_amount", f"{pair}: {answer.code}, {answer.detail}"
    if answer.call.receive == "atoken":
        return "collateral_illiquid", f"{pair}: the reserve lacks the underlying; only aTokens could be received"
    return "no_accepted_amount", f"{pair}: the pool accepts no amount against underlying"
