"""Planning and simulation together: what the commands ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from keeper.domain.chain import SimulatedCall
from keeper.domain.plans import Fees, Plan, Rejected, SimulatedPlan
from keeper.estimate.offers import Key
from keeper.estimate.planner import Planner
from keeper.estimate.reasons import reject
from keeper.estimate.simulate import Following, Simulation, Simulator, nothing_follows
from keeper.ports import MarketView

OnDifference = Callable[[Plan, int], None]
"""Told of a plan whose simulated profit differs from the computed one, and by how much."""

_MOST_FOLLOWING: Final = 31


def ignore_difference(_plan: Plan, _difference_raw: int) -> None:
    """Do nothing about a difference; for callers that look at the figures themselves."""


class Estimator:
    """A planner whose plans have all been simulated. One per snapshot."""

    def __init__(
        self,
        planner: Planner,
        simulator: Simulator,
        fees: Fees | None,
        on_difference: OnDifference = ignore_difference,
    ) -> None:
        self._planner = planner
        self._simulator = simulator
        self._fees = fees
        self._on_difference = on_difference
        self._following = 0

    async def each(self, keys: Iterable[Key]) -> tuple[list[SimulatedPlan], list[Rejected]]:
        """Return the best plan or the rejection of each (market, account), each as if it were alone."""
        plans: list[SimulatedPlan] = []
        rejected: list[Rejected] = []
        for key in keys:
            result = await self._alone(key)
            if isinstance(result, Rejected):
                rejected.append(result)
            else:
                plans.append(result)
        return plans, rejected

    async def _alone(self, key: Key) -> SimulatedPlan | Rejected:
        assessed = self._planner.assess(*key)
        if isinstance(assessed, Rejected):
            return assessed
        result = await self._simulated(assessed.plan, ())
        if isinstance(result, Rejected) and self._planner.reject(assessed.plan, result):
            return await self._alone(key)
        return result

    async def best(self, earlier: Sequence[bytes] = (), before: Sequence[SimulatedCall] = ()) -> SimulatedPlan | None:
        """Return the next plan to send, None when nothing more pays.

        `earlier` is the calldata of runs on their way, `before` whatever else comes first in the
        block. The caller calls `planner.accept` once the plan is sent, or `planner.reject` when it
        will not be; until then the same plan is best. The first plan is simulated alone; later ones
        with one, three, seven and more that are expected to follow, so that the runs on their way
        are executed a few times in all and not once for each plan.
        """
        while (plan := self._planner.next_plan()) is not None:
            result = await self._simulated(plan, earlier, before, self._expected)
            if not isinstance(result, Rejected):
                return result
            self._planner.reject(plan, result)
        return None

    def _expected(self) -> list[tuple[Plan, MarketView]]:
        plans = self._planner.preview(self._following)
        self._following = min(2 * self._following + 1, _MOST_FOLLOWING)
        return [(plan, self._planner.markets[plan.market]) for plan in plans]

    async def _simulated(
        self,
        plan: Plan,
        earlier: Sequence[bytes],
        before: Sequence[SimulatedCall] = (),
        following: Following = nothing_follows,
    ) -> SimulatedPlan | Rejected:
        gas = self._planner.gas_price(plan.market)
        if gas is None or self._fees is None:
            return reject(plan.market, plan.account, "no_native_price", "gas cannot be valued")
        market = self._planner.markets[plan.market]
        simulation: Simulation = await self._simulator.run(
            plan, market, gas=gas, fees=self._fees, earlier=earlier, before=before, following=following
        )
        if simulation.difference_raw:
            self._on_difference(plan, simulation.difference_raw)
        return simulation.result
