"""One market at one block, ready for questions at any later block time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from keeper.domain.chain import Call, Head
from keeper.domain.lending import Health, LiquidationCall, Outcome, Refused, RepayRange
from keeper.domain.units import WAD, ZERO_ADDRESS, Address
from keeper.lending.aave_v3 import calls
from keeper.lending.aave_v3.errors import refuse
from keeper.lending.aave_v3.pairs import AavePair, Settled
from keeper.lending.aave_v3.positions import BookPositions, with_position
from keeper.lending.aave_v3.revisions import Revision
from keeper.lending.aave_v3.rules.account import Projection, compute_health_factor_wad, compute_sums
from keeper.lending.aave_v3.rules.flash import book_premium, compute_premium_raw, count_lendable_raw, pay_in
from keeper.lending.aave_v3.rules.liquidation import prepare_pair
from keeper.lending.aave_v3.rules.search import find_largest
from keeper.lending.aave_v3.state import NO_POSITION, EMode, Position, Reserve, Sentinel

_PROJECTIONS_KEPT = 8
_PAIRS_KEPT = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class AaveV3View:
    """A market whole and unchanging, true at `head`. See `ports.MarketView` for the contract.

    `positions` holds accounts with debt only, sorted by address. Views made by `after` share
    everything that the liquidation did not touch.
    """

    name: str
    deployment: Revision
    pool: Address
    head: Head
    base_unit: int
    reserves: Mapping[int, Reserve]
    emodes: Mapping[int, EMode]
    sentinel: Sentinel | None
    flash_premium_bps: int
    positions: Mapping[Address, Position]
    ids: Mapping[Address, int]
    oracle: Address = ZERO_ADDRESS
    flash_protocol_bps: int = 0
    protocol: str = "aave-v3"
    _projections: dict[int, Projection] = field(default_factory=dict, repr=False, compare=False)
    # not handed on by replace(): an account's pairs depend on all of the view
    _pairs: dict[tuple[Address, Address, Address, int], AavePair] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def revision(self) -> int:
        """What POOL_REVISION() answers."""
        return self.deployment.number

    @property
    def policy(self) -> str:
        """The close-factor policy's name."""
        return self.deployment.policy

    @property
    def tokens(self) -> Sequence[Address]:
        """The reserves' underlying tokens, by reserve id."""
        return tuple(reserve.token for reserve in self.reserves.values())

    @property
    def sources(self) -> Mapping[Address, Address]:
        """Each token's price source."""
        return {reserve.token: reserve.source for reserve in self.reserves.values()}

    def decimals(self, token: Address) -> int:
        """Return the token's decimals. Raises KeyError for a token without a reserve."""
        return self.reserves[self.ids[token]].decimals

    def price_base(self, token: Address) -> int | None:
        """Return the oracle's price of one whole token, None when the oracle has no answer."""
        return self.reserves[self.ids[token]].price_base

    def price_evidence(self) -> Mapping[Call, bytes]:
        """Return the oracle's answers that this view rests on, as reads to be repeated (empty: it reverted)."""
        return {
            Call(to=self.oracle, data=calls.asset_price_of(reserve.token)): b""
            if reserve.price_base is None
            else reserve.price_base.to_bytes(32, "big")
            for reserve in self.reserves.values()
        }

    def accounts(self) -> Sequence[Address]:
        """Return all accounts with debt, sorted."""
        return tuple(self.positions)

    def holdings(self, account: Address) -> frozenset[Address]:
        """Return the tokens whose prices decide the account's health."""
        position = self.positions.get(account, NO_POSITION)
        ids = {id_ for id_, _ in (*position.collaterals, *position.debts)}
        return frozenset(self.reserves[id_].token for id_ in ids)

    def epoch(self, account: Address) -> str:
        """Return a name for the position's present state: it changes with the position."""
        position = self.positions.get(account, NO_POSITION)
        legs = f"{position.emode}|{position.collaterals}|{position.debts}|{position.stable_debts}"
        return hashlib.blake2b(legs.encode(), digest_size=8).hexdigest()

    def health(self, account: Address, at_s: int) -> Health | None:
        """Return the account's standing at `at_s`; None when a price it needs is missing."""
        return self._health(account, self.positions.get(account, NO_POSITION), self._projection(at_s))

    def unhealthy(self, at_s: int) -> list[Health]:
        """Return every account whose health factor at `at_s` is below 1, sorted by address."""
        return sorted(self.ranked(at_s), key=_account_of)

    def ranked(self, at_s: int) -> Iterator[Health]:
        """Yield every account whose health factor at `at_s` is below 1 as soon as it is certain, large debts first."""
        projection = self._projection(at_s)
        positions = self.positions
        screened = positions.candidates(projection) if isinstance(positions, BookPositions) else iter(positions)
        for account in screened:
            health = self._health(account, positions[account], projection)
            if health is not None and health.health_factor_wad < WAD:
                yield health

    def pairs(self, account: Address) -> list[tuple[Address, Address]]:
        """Return (debt, collateral) for each non-zero debt and each enabled collateral, sorted."""
        position = self.positions.get(account, NO_POSITION)
        owed = {id_ for id_, scaled in position.debts if scaled}
        owed |= {debt.reserve_id for debt in position.stable_debts}
        debts = [self.reserves[id_].token for id_ in owed]
        collaterals = [self.reserves[id_].token for id_, _ in position.collaterals]
        return sorted((debt, collateral) for debt in debts for collateral in collaterals)

    def largest(self, account: Address, debt: Address, collateral: Address, at_s: int) -> Outcome | Refused:
        """Return the outcome of the call that repays most, or the code of the refusal."""
        pair = self.pair(account, debt, collateral, at_s)
        if isinstance(pair, Refused):
            return pair
        largest = find_largest(pair.terms)
        if isinstance(largest, Refused):
            return largest
        cover_raw, receive, _ = largest
        return pair.outcome(cover_raw, receive)

    def ranges(self, account: Address, debt: Address, collateral: Address, at_s: int) -> list[RepayRange]:
        """Return all repay amounts the pool accepts against underlying at `at_s`, lowest first.

        Explicit amounts keep to the limits at the head as well, so they stay valid as time passes.
        """
        pair = self.pair(account, debt, collateral, at_s)
        return [] if isinstance(pair, Refused) else pair.ranges()

    def pair(self, account: Address, debt: Address, collateral: Address, at_s: int) -> AavePair | Refused:
        """Return one pair of an account, ready to be asked many amounts, or why none is accepted."""
        key = (account, debt, collateral, at_s)
        pair = self._pairs.get(key)
        if pair is None:
            made = self._make_pair(*key)
            if isinstance(made, Refused):
                return made
            if len(self._pairs) >= _PAIRS_KEPT:
                self._pairs.pop(next(iter(self._pairs)))
            pair = self._pairs[key] = made
        return pair

    def outcome(self, call: LiquidationCall, at_s: int) -> Outcome | Refused:
        """Return exactly what the pool would do with `call` in a block of time `at_s`."""
        settled = self._settle(call, at_s)
        return settled if isinstance(settled, Refused) else settled.outcome

    def after(self, call: LiquidationCall, at_s: int) -> AaveV3View:
        """Return the market as `call` leaves it in a block of time `at_s`.

        Indices stay as projected, which is what later calls in that block see. Raises ValueError
        for a call that the pool refuses.
        """
        settled = self._settle(call, at_s)
        if isinstance(settled, Refused):
            raise ValueError(f"the pool refuses this call: {settled.code}")
        debt_id, collateral_id = self.ids[call.debt], self.ids[call.collateral]
        reserves = dict(self.reserves)
        reserves[debt_id] = pay_in(reserves[debt_id], settled.amounts.repaid_raw)
        if call.receive == "underlying":
            left_scaled = reserves[collateral_id].supply_scaled - settled.aftermath.seized_scaled
            reserves[collateral_id] = pay_in(reserves[collateral_id], -settled.amounts.seized_raw, left_scaled)
        positions = with_position(self.positions, call.account, settled.aftermath.position)
        return replace(self, reserves=reserves, positions=positions)

    def during_flash_loan(self, token: Address, amount_raw: int) -> AaveV3View:
        """Return the market while it has lent `amount_raw` of `token` for the length of a call."""
        reserve = self._reserve(token)
        return replace(self, reserves={**self.reserves, reserve.id: pay_in(reserve, -amount_raw)})

    def after_flash_loan(self, token: Address, amount_raw: int, premium_raw: int, at_s: int) -> AaveV3View:
        """Return the market of `during_flash_loan` once loan and premium are given back in a block of time `at_s`."""
        returned = pay_in(self._reserve(token), amount_raw)
        reserve = book_premium(returned, premium_raw, self.flash_protocol_bps, self.deployment, at_s)
        reserves = {**self.reserves, reserve.id: reserve}
        moved = {at_s: projection.moved_to(reserves, reserve.id) for at_s, projection in self._projections.items()}
        return replace(self, reserves=reserves, _projections=moved)

    def with_prices(self, prices: Mapping[Address, int]) -> AaveV3View:
        """Return the market as it would be with other oracle prices, in base units per whole token.

        Tokens that share a price source with one that is named get its price too, unless they are
        named themselves. Raises KeyError for a token without a reserve.
        """
        by_source = {self._reserve(token).source: price for token, price in prices.items()}
        reserves = dict(self.reserves)
        for id_, reserve in self.reserves.items():
            price = prices.get(reserve.token, by_source.get(reserve.source, reserve.price_base))
            if price != reserve.price_base:
                reserves[id_] = replace(reserve, price_base=price)
        return replace(self, reserves=reserves, _projections={})

    def has_unpriced(self, at_s: int) -> bool:
        """Return whether the health of any account may be unknown for want of a price."""
        positions = self.positions
        return not isinstance(positions, BookPositions) or positions.unpriced(self._projection(at_s))

    def flash_fee_raw(self, token: Address, amount_raw: int) -> int | None:
        """Return the premium of borrowing `amount_raw` from this pool, None when it will not lend."""
        id_ = self.ids.get(token)
        if id_ is None:
            return None
        if amount_raw > count_lendable_raw(self.reserves[id_]):
            return None
        return compute_premium_raw(amount_raw, self.flash_premium_bps, self.deployment)

    def _reserve(self, token: Address) -> Reserve:
        return self.reserves[self.ids[token]]

    def _projection(self, at_s: int) -> Projection:
        projection = self._projections.get(at_s)
        if projection is None:
            if len(self._projections) >= _PROJECTIONS_KEPT:
                self._projections.pop(next(iter(self._projections)))
            projection = Projection(self.deployment, self.reserves, self.emodes, at_s)
            self._projections[at_s] = projection
        return projection

    def _health(self, account: Address, position: Position, projection: Projection) -> Health | None:
        sums = compute_sums(position, projection)
        if sums is None:
            return None
        return Health(
            account=account,
            health_factor_wad=compute_health_factor_wad(sums, self.deployment),
            collateral_base=sums.collateral_base,
            debt_base=sums.debt_base,
        )

    def _make_pair(self, account: Address, debt: Address, collateral: Address, at_s: int) -> AavePair | Refused:
        if debt not in self.ids or collateral not in self.ids:
            return refuse("ASSET_NOT_LISTED")
        position, projection = self.positions.get(account, NO_POSITION), self._projection(at_s)
        reserves = self._reserve(debt), self._reserve(collateral)
        then = prepare_pair(position, *reserves, projection, self.sentinel)
        if isinstance(then, Refused):
            return then
        at_head = self._projection(self.head.timestamp_s)
        now = partial(prepare_pair, position, *reserves, at_head, self.sentinel, require_unhealthy=False)
        return AavePair(account, position, projection, now=now, then=then)

    def _settle(self, call: LiquidationCall, at_s: int) -> Settled | Refused:
        pair = self.pair(call.account, call.debt, call.collateral, at_s)
        return pair if isinstance(pair, Refused) else pair.settle(call.cover_raw, call.receive)


def _account_of(health: Health) -> Address:
    return health.account
