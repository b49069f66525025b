"""Plans, and the reasons why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from keeper.domain.chain import Head
from keeper.domain.lending import LiquidationCall
from keeper.domain.swaps import HopQuote
from keeper.domain.units import Address

Funding = Literal["own", "aave-flash-loan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """Why nothing is done about `account` (None: about the whole market)."""

    market: str
    account: Address | None
    reason: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One liquidation with its funding and sale, sized at `head` for `inclusion_s`.

    Amounts are raw units of the debt token except `seize_raw` (collateral) and the route's own.
    `profit_raw` = proceeds - repay - premium, before gas. `epoch` identifies the state of the
    position that the plan is for: it changes with every event that changes the position.
    """

    chain_id: int
    market: str
    pool: Address
    call: LiquidationCall
    epoch: str
    repay_raw: int
    seize_raw: int
    proceeds_raw: int
    route: tuple[HopQuote, ...]
    funding: Funding
    fund_raw: int
    premium_raw: int
    profit_raw: int
    min_profit_raw: int
    deadline_block: int
    head: Head
    inclusion_s: int
    health_before_wad: int
    health_after_wad: int

    @property
    def account(self) -> Address:
        """The borrower."""
        return self.call.account


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
    is what is repaid, `native_price_base` the price of 1e18 wei.
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
