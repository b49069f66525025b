"""Plans, and the reasons why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keeper.domain.chain import Head
from keeper.domain.lending import LiquidationCall, Outcome
from keeper.domain.swaps import Sale
from keeper.domain.units import Address

Funding = Literal["own", "aave-flash-loan", "uniswap-v3-flash", "morpho-flash"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fund:
    """Where `amount_raw` of `token` comes from for the length of a run, and the premium it costs in that token.

    `lender` is what is called: the lending pool, the flash lender, the swap pool; the zero address
    for the executor's own balance. A "uniswap-v3-flash" takes what the last hop of the plan's first
    leg pays before it pays that hop's `amount_in_raw`, and costs no premium.
    """

    source: Funding
    lender: Address
    token: Address
    amount_raw: int
    premium_raw: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Why nothing is done about `account` (None: about the whole market)."""

    market: str
    account: Address | None
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The liquidation of one account in one transaction, sized at `head` for `inclusion_s`.

    `steps` are one to three calls in order, each with its exact outcome on what the one before left.
    `funds` has one entry for each debt token, in the order they are taken. `proceeds_raw` is what the
    legs bring in `profit_token` (what was received of it, where nothing is sold);
    `profit_raw` = proceeds - repaid - premium, all in `profit_token`, before gas. `epoch` identifies
    the state of the position that the plan is for: it changes with every event that changes the position.
    """

    chain_id: int
    market: str
    pool: Address
    epoch: str
    steps: tuple[Outcome, ...]
    legs: Sale
    funds: tuple[Fund, ...]
    profit_token: Address
    proceeds_raw: int
    profit_raw: int
    min_profit_raw: int
    deadline_block: int
    head: Head
    inclusion_s: int
    health_before_wad: int

    @property
    def call(self) -> LiquidationCall:
        """The first liquidation, after which the plan is named."""
        return self.steps[0].call

    @property
    def account(self) -> Address:
        """The borrower."""
        return self.call.account

    @property
    def repay_raw(self) -> int:
        """All that is repaid of the first liquidation's debt token."""
        return sum(step.repaid_raw for step in self.steps if step.call.debt == self.call.debt)

    @property
    def seize_raw(self) -> int:
        """All that is received of the first liquidation's collateral."""
        return sum(step.received_raw for step in self.steps if step.call.collateral == self.call.collateral)

    @property
    def health_after_wad(self) -> int:
        """The account's health factor after the last liquidation."""
        return self.steps[-1].health_after_wad


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """What a transaction offers per unit of gas, and what it is expected to pay."""

    fee_cap_wei: int
    tip_wei: int
    expected_wei: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPlan:
    """A plan whose very calldata has been executed against the state it will meet.

    `gas_units` is what the simulation used, `gas_limit` what will be offered. `_base` figures
    are in the market's base currency (1e8 = one US dollar on all supported markets): `notional_base`
    is what is repaid, `native_price_base` the price of 1e18 wei. `l1_fee_wei` is what a rollup takes
    for the data, beside `gas_cost_wei`; net profit = profit - gas cost - L1 fee. `premium_base` and
    `slippage_base` are inside the profit already: what funds cost, and the oracle's value of what is
    sold less what it brings (exchanges' fees included; negative where pools pay more than the oracle says).
    `l1_gas_units` is the gas the data counts as, where a chain charges it so: beside `gas_units`, within `gas_limit`.
    `l1_reserve_wei` is the most the data may cost beside the gas.
    """

    plan: Plan
    executor: Address
    calldata: bytes
    gas_units: int
    gas_limit: int
    fees: Fees
    gas_cost_wei: int
    gas_cost_base: int
    profit_base: int
    net_profit_base: int
    base_unit: int
    notional_base: int
    native_price_base: int
    l1_fee_wei: int = 0
    l1_gas_units: int = 0
    l1_reserve_wei: int = 0
    l1_fee_base: int = 0
    premium_base: int = 0
    slippage_base: int = 0
