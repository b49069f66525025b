"""What plans are made from, and what forbids making any."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from keeper.domain.chain import Head
from keeper.domain.feeds import FeedStatus
from keeper.domain.l1_fee import NO_L1_FEE, L1Fee
from keeper.domain.plans import Fees, Rejected
from keeper.domain.units import Address
from keeper.estimate.gas import GasPrice
from keeper.estimate.reasons import reject
from keeper.estimate.settings import EstimateSettings
from keeper.ports import MarketView, VenueView


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything plans are made from, true at `head`.

    `feeds` is keyed by market, then token. `balances` is what the executor itself holds,
    `lendable` what `flash_lender` does.
    `fees` is None where the next base fee exceeds the operator's bound. `native_price_base` is the
    price of 1e18 wei in base units, for markets that do not list the wrapped native token.
    `l1_fee` is what a rollup charges for the data of a usual run.
    """

    head: Head
    inclusion_s: int
    markets: Mapping[str, MarketView]
    venues: VenueView
    feeds: Mapping[str, Mapping[Address, FeedStatus]]
    fees: Fees | None
    balances: Mapping[Address, int] = field(default_factory=dict)
    flash_lender: Address | None = None
    lendable: Mapping[Address, int] = field(default_factory=dict)
    native_price_base: int | None = None
    l1_fee: L1Fee = NO_L1_FEE


def gas_price(situation: Situation, settings: EstimateSettings, view: MarketView) -> GasPrice | None:
    """Return what gas costs in a market's base currency, None where that cannot be told."""
    price_base, _ = _native_price(situation, settings, view)
    if situation.fees is None or price_base is None:
        return None
    return GasPrice(
        wei_per_gas=situation.fees.expected_wei, native_price_base=price_base, l1_fee_wei=situation.l1_fee.wei
    )


def find_bar(situation: Situation, settings: EstimateSettings, view: MarketView, account: Address) -> Rejected | None:
    """Return what forbids looking any further at an account, whatever it would earn."""
    if account in settings.denied_accounts:
        return reject(view.name, account, "account_denied", "the account is on the deny list")
    unusable = _price_bar(situation, view, account)
    if unusable is not None:
        return unusable
    if situation.fees is None:
        detail = f"the next base fee exceeds the {settings.max_gas_price_wei} wei allowed per unit of gas"
        return reject(view.name, account, "gas_price_above_cap", detail)
    price_base, why = _native_price(situation, settings, view)
    return None if price_base is not None else reject(view.name, account, "no_native_price", why)


def find_unpriced(view: MarketView) -> Iterator[Rejected]:
    """Yield a rejection for each account with debt that depends on a price the oracle does not give."""
    missing = _missing_tokens(view)
    for account in view.accounts() if missing else ():
        needed = missing & view.holdings(account)
        if needed:
            yield _reject_unpriced(view, account, needed)


def _price_bar(situation: Situation, view: MarketView, account: Address) -> Rejected | None:
    holdings = view.holdings(account)
    missing = _missing_tokens(view) & holdings
    if missing:
        return _reject_unpriced(view, account, missing)
    statuses = situation.feeds.get(view.name, {})
    for token in sorted(holdings & statuses.keys()):
        reason = statuses[token].reason
        if reason is not None:
            return reject(view.name, account, reason, f"feed of {token}: {statuses[token].detail}")
    return None


def _native_price(situation: Situation, settings: EstimateSettings, view: MarketView) -> tuple[int | None, str]:
    token = settings.wrapped_native
    if token is None or token not in view.tokens:
        why = "gas cannot be valued: set [chain] wrapped_native to a token of the market, or native_feed"
        return situation.native_price_base, why
    status = situation.feeds.get(view.name, {}).get(token)
    if status is not None and status.reason is not None:
        return None, f"the feed of the native token is unusable ({status.reason}): {status.detail}"
    return view.price_base(token) or None, "the oracle gives no price for the wrapped native token"


def _missing_tokens(view: MarketView) -> frozenset[Address]:
    return frozenset(token for token in view.tokens if view.price_base(token) is None)


def _reject_unpriced(view: MarketView, account: Address, missing: frozenset[Address]) -> Rejected:
    if missing and not any(view.price_base(token) for token in view.tokens):
        return reject(view.name, account, "oracle_reverted", "the market's oracle answers for none of its tokens")
    listed = ", ".join(sorted(missing))
    return reject(view.name, account, "price_missing", f"the market's oracle gives no price for {listed}")
