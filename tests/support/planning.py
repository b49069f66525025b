"""Planners over small markets of straight lines."""

from __future__ import annotations

from support.lending import address
from support.markets import COLLATERAL, DEBT, HUB, NATIVE, Line, LineMarket, span
from support.pool_chain import head, v2_pool

from keeper.domain.feeds import FeedStatus
from keeper.domain.plans import Fees
from keeper.domain.units import Address
from keeper.estimate.gas import GasMemory
from keeper.estimate.planner import Planner
from keeper.estimate.settings import EstimateSettings
from keeper.estimate.situation import Situation
from keeper.venues.uniswap_v2 import V2Pool
from keeper.venues.view import BookView, RouteIndex

DEEP = v2_pool(1, COLLATERAL, DEBT, 10**15, 10**15)
SETTINGS = EstimateSettings(chain_id=31337, wrapped_native=NATIVE)
GWEI = 10**9
USUAL_FEES = Fees(fee_cap_wei=2 * GWEI, tip_wei=0, expected_wei=GWEI)


def planner(
    market: LineMarket,
    *pools: V2Pool,
    settings: EstimateSettings = SETTINGS,
    feeds: dict[Address, FeedStatus] | None = None,
    fees: Fees | None = USUAL_FEES,
    native_price_base: int | None = None,
) -> Planner:
    by_address = {pool.address: pool for pool in pools or (DEEP,)}
    situation = Situation(
        head=head(),
        inclusion_s=head().timestamp_s + 12,
        markets={market.name: market},
        venues=BookView(by_address, RouteIndex(by_address.values(), [HUB])),
        feeds={market.name: feeds or {}},
        fees=fees,
        native_price_base=native_price_base,
    )
    return Planner(situation, settings, GasMemory())


def crowd(count: int) -> LineMarket:
    """Accounts of growing size, all selling into the same pool."""
    line = {address(0xA000 + n): {(DEBT, COLLATERAL): Line((span(1, n * 10**8),), 110, 100)} for n in range(1, count)}
    return LineMarket(lines=line)
