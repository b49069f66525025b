"""What runs of several liquidations would net, by guess: sales as lines between sampled amounts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from support.search_pools import Floats
from support.search_sale import Case, Selling

from keeper.domain.lending import Outcome
from keeper.domain.units import Address

Sides = tuple[Address, Address]  # what is sold, what is bought
Flows = dict[Address, Floats]

_SAMPLES = 96
_AMONG = 5
_FIRST_GAS, _STEP_GAS, _SALE_GAS = 370_000, 120_000, 70_000


class Curves:
    """The best sales of an account's collaterals, and what runs net with them."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._curves: dict[Sides, tuple[Floats, Floats]] = {}
        held = dict(case.view.positions[case.account].collaterals)
        self._most = {
            collateral: held[reserve.id] * reserve.liquidity_index_ray / 10**27 * 1.01 + 1.0
            for _, collateral in case.view.pairs(case.account)
            if (reserve := case.view._reserve(collateral)) is not None
        }

    def values(self, taken: Sequence[Outcome], last: Sequence[Outcome]) -> Floats:
        """What the steps taken net with each of `last` after them, in base units."""
        received: Flows = {}
        repaid: Flows = {}
        for step in taken:
            _add(received, step.call.collateral, np.full(len(last), float(step.received_raw)))
            _add(repaid, step.call.debt, np.full(len(last), float(step.repaid_raw)))
        _add(received, last[0].call.collateral, np.array([float(one.received_raw) for one in last]))
        _add(repaid, last[0].call.debt, np.array([float(one.repaid_raw) for one in last]))
        gas_base = (_FIRST_GAS + _STEP_GAS * len(taken) + _SALE_GAS * len(received)) * self._case.gas_unit / 10**18
        tokens = list(repaid)
        best = np.full(len(last), -np.inf)
        for token in tokens:
            others = [other for other in tokens if other != token]
            best = np.maximum(best, self._kept(received, repaid, token, others))
        return best - gas_base

    def _kept(self, received: Flows, repaid: Flows, token: Address, others: Sequence[Address]) -> Floats:
        """What is left of `token` when all else is paid, in base units; each other debt is paid by one collateral."""
        if others:
            best = np.full(len(repaid[token]), -np.inf)
            for collateral in received:
                left = dict(received)
                fee = (self._case.view.flash_fee_raw(others[0], 10**6) or 0) / 10**6
                wanted = repaid[others[0]] * (1 + fee)
                left[collateral] = left[collateral] - self._needed((collateral, others[0]), wanted)
                kept = self._kept(left, repaid, token, others[1:])
                best = np.maximum(best, np.where(left[collateral] >= 0, kept, -np.inf))
            return best
        fee = (self._case.view.flash_fee_raw(token, 10**6) or 0) / 10**6 if len(repaid) > 1 else 0.0
        total = -repaid[token] * (1 + fee)
        for collateral, amounts in received.items():
            total = total + self._brings((collateral, token), np.maximum(amounts, 0.0))
        price = self._case.view.price_base(token) or 0
        return total * price / 10 ** self._case.view.decimals(token)

    def _brings(self, sides: Sides, amounts: Floats) -> Floats:
        if sides[0] == sides[1]:
            return amounts
        curve = self._curve(sides)
        return np.interp(amounts, *curve)

    def _needed(self, sides: Sides, wanted: Floats) -> Floats:
        if sides[0] == sides[1]:
            return wanted
        amounts, brought = self._curve(sides)
        rising = np.maximum.accumulate(brought)
        return np.where(wanted <= rising[-1], np.interp(wanted, rising, amounts), np.inf)

    def _curve(self, sides: Sides) -> tuple[Floats, Floats]:
        known = self._curves.get(sides)
        if known is None:
            most = self._most[sides[0]]
            amounts = np.geomspace(most / 10_000, most, _SAMPLES)
            brought = best_sales(Selling(self._case, *sides), amounts)
            known = np.concatenate([[0.0], amounts]), np.concatenate([[0.0], brought])
            self._curves[sides] = known
        return known


def best_sales(selling: Selling, amounts: Floats) -> Floats:
    """The most that one route, or two routes in steps of a tenth, bring for each amount."""
    best = np.zeros(len(amounts))
    at_half: list[tuple[float, int]] = []
    for n, route in enumerate(selling.routes):
        brought = selling.brings([(route, amounts)])
        best = np.maximum(best, brought)
        at_half.append((float(brought[len(amounts) // 2]), n))
    among = [selling.routes[n] for _, n in sorted(at_half, reverse=True)[:_AMONG]]
    for one, other in combinations(among, 2):
        for tenth in range(1, 10):
            parts = [(one, amounts * (tenth / 10)), (other, amounts * (1 - tenth / 10))]
            best = np.maximum(best, selling.brings(parts))
    return best


def _add(flows: Flows, token: Address, amounts: Floats) -> None:
    flows[token] = flows[token] + amounts if token in flows else amounts
