"""What sizes are judged by, and what one way to liquidate comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from keeper.domain.fixed_point import mul_div_down, mul_div_up
from keeper.domain.lending import Outcome
from keeper.domain.plans import Fund
from keeper.domain.swaps import Route, Sale
from keeper.domain.units import WAD, Address
from keeper.estimate.funding import Sources
from keeper.estimate.gas import REPEAT_REBATE_GAS, GasMemory, GasPrice, leg_gas
from keeper.ports import MarketView, VenueView


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to liquidate an account: exact amounts, and what is left of them after gas.

    `profit_raw` is in `profit_token` before gas, `proceeds_raw` what the sale brings in it. `_base`
    figures are the market's base currency, profit rounded down and cost up. `rank` is the net in
    base units times 1e18, for comparisons finer than the base currency; `repaid_value` is what all
    steps repay in the same unit.
    """

    steps: tuple[Outcome, ...]
    legs: Sale
    funds: tuple[Fund, ...]
    profit_token: Address
    proceeds_raw: int
    profit_raw: int
    gas_units: int
    repaid_value: int
    profit_base: int
    gas_cost_base: int
    rank: int

    @property
    def outcome(self) -> Outcome:
        """The first step's."""
        return self.steps[0]

    @property
    def net_base(self) -> int:
        """Profit less gas, in base units; negative for a loss."""
        return self.profit_base - self.gas_cost_base


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything a size is judged by: one market and the pools at one instant, and what gas costs.

    `balances` is what the executor itself holds, `lendable` what `flash_lender` holds. What is found
    out about a pair's sale is remembered for the accounts to come, so one scene should serve all of them.
    """

    view: MarketView
    venues: VenueView
    at_s: int
    balances: Mapping[Address, int]
    gas: GasPrice
    memory: GasMemory
    flash_lender: Address | None = None
    lendable: Mapping[Address, int] = field(default_factory=dict)
    peaks: dict[tuple[Address, Address, int, int, int], tuple[int, ...]] = field(
        default_factory=dict, repr=False, compare=False
    )
    lenders: dict[tuple[Address, Address, int], Route | None] = field(default_factory=dict, repr=False, compare=False)
    rates_bps: dict[Address, int] = field(default_factory=dict, repr=False, compare=False)
    least_legs: dict[tuple[Address, Address], int] = field(default_factory=dict, repr=False, compare=False)

    def on(self, venues: VenueView) -> Scene:
        """Return the same scene on other pools: nothing is known of them yet."""
        return replace(self, venues=venues, peaks={}, lenders={}, least_legs={})

    @property
    def sources(self) -> Sources:
        """Who could lend."""
        return Sources(
            view=self.view,
            at_s=self.at_s,
            gas=self.gas,
            memory=self.memory,
            balances=self.balances,
            flash_lender=self.flash_lender,
            lendable=self.lendable,
        )

    def value_of(self, token: Address, amount_raw: int) -> int:
        """Return the oracle's value of an amount in base units times 1e18, rounded down."""
        return mul_div_down(amount_raw, (self.view.price_base(token) or 0) * WAD, 10 ** self.view.decimals(token))

    def base_of(self, token: Address, amount_raw: int) -> int:
        """Return the oracle's value of an amount in base units, rounded down."""
        return mul_div_down(amount_raw, self.view.price_base(token) or 0, 10 ** self.view.decimals(token))

    def gas_value(self, gas_units: int) -> int:
        """Return what gas costs in base units times 1e18."""
        return self.gas.cost_wei(gas_units) * self.gas.native_price_base

    def least_leg_value(self, pair: tuple[Address, Address]) -> int:
        """Return what the gas of the cheapest leg from the second to the first costs, in base units times 1e18."""
        debt, collateral = pair
        if debt == collateral:
            return 0
        known = self.least_legs.get(pair)
        if known is None:
            routes = self.venues.routes(collateral, debt)
            known = self.least_legs[pair] = min(map(leg_gas, routes), default=0)
        return known * self.gas.wei_per_gas * self.gas.native_price_base

    def leg_cost_raw(self, token_out: Address) -> Callable[[Route], int]:
        """Return what the gas of a leg costs in `token_out`, raw units rounded up, as a function of its route."""
        price, unit = self._gas_in(token_out)
        if not price:
            return lambda _: 0
        return lambda route: mul_div_up(leg_gas(route), unit, price)

    def sell(
        self,
        side: tuple[Address, Address],
        amount_raw: int,
        venues: VenueView | None = None,
        avoid: frozenset[Address] = frozenset(),
    ) -> Sale | None:
        """Return the sale of one token for another that brings most after gas, on the scene's pools or on `venues`."""
        price, unit = self._gas_in(side[1])
        rebate_raw = mul_div_down(REPEAT_REBATE_GAS, unit, price) if price else 0
        return (venues or self.venues).sell(*side, amount_raw, self.leg_cost_raw(side[1]), avoid, rebate_raw)

    def _gas_in(self, token: Address) -> tuple[int, int]:
        """Return what a token is worth and what a unit of gas costs, on the same scale."""
        unit = 10 ** self.view.decimals(token) * self.gas.wei_per_gas * self.gas.native_price_base
        return (self.view.price_base(token) or 0) * WAD, unit


def better_of(one: Choice | None, other: Choice | None) -> Choice | None:
    """Return the choice of higher rank, of equals the one that repays less, of those the first."""
    if one is None or other is None:
        return other if one is None else one
    if (other.rank, -other.repaid_value) > (one.rank, -one.repaid_value):
        return other
    return one


def seized_by(steps: Iterable[Outcome]) -> dict[Address, int]:
    """Return what is received of each collateral, raw units."""
    seized: dict[Address, int] = {}
    for step in steps:
        seized[step.call.collateral] = seized.get(step.call.collateral, 0) + step.received_raw
    return seized
