"""Reserves, e-modes and positions as the contracts tell them at one block."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.lending.aave_v3 import calls
from keeper.lending.aave_v3.revisions import Revision
from keeper.lending.aave_v3.state import EMode, Reserve, Sentinel, StableDebt
from keeper.lending.batch import Answer, Batch
from keeper.lending.book.rows import Row

_RESERVE_WORDS = 15
_ACTIVE, _FROZEN, _PAUSED, _FLASH, _VIRTUAL = 56, 57, 60, 63, 252


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the parts of a market are. While it stays the same, one question reads the market.

    The tokens are by underlying, in the order of the reserves list; so are the reserve `ids`.
    `sequencer` is the sentinel's feed, None where it does not say.
    """

    pool: Address
    oracle: Address
    sentinel: Address
    revision: Revision
    a_tokens: Mapping[Address, Address]
    debt_tokens: Mapping[Address, Address]
    stable_tokens: Mapping[Address, Address]
    ids: Mapping[Address, int]
    sequencer: Address | None = None
    sentinel_grace_s: int = 0


def decode_reserve(data: bytes, token: Address) -> Reserve:
    """Return a reserve from its fifteen words; price, source and balances are still to be filled in.

    Raises ValueError for a shorter answer or for tokens that are not addresses.
    """
    words = calls.decode_words(data, _RESERVE_WORDS)
    bits = words[0]
    return Reserve(
        id=words[7],
        token=token,
        a_token=calls.word_address(words[8]),
        stable_debt_token=calls.word_address(words[9]),
        variable_debt_token=calls.word_address(words[10]),
        decimals=bits >> 48 & 0xFF,
        threshold_bps=bits >> 16 & 0xFFFF,
        liquidation_bonus_bps=bits >> 32 & 0xFFFF,
        protocol_fee_bps=bits >> 152 & 0xFFFF,
        active=bool(bits >> _ACTIVE & 1),
        frozen=bool(bits >> _FROZEN & 1),
        paused=bool(bits >> _PAUSED & 1),
        flash_loans=bool(bits >> _FLASH & 1),
        emode_category=bits >> 168 & 0xFF,
        liquidity_index_ray=words[1],
        liquidity_rate_ray=words[2],
        debt_index_ray=words[3],
        debt_rate_ray=words[4],
        updated_s=words[6],
        price_base=None,
        source=ZERO_ADDRESS,
        balance_raw=0,
        virtual_raw=0 if bits >> _VIRTUAL & 1 else None,
        treasury_scaled=words[12],
        factor_bps=bits >> 64 & 0xFFFF,
    )


def ask_reserve(batch: Batch, layout: Layout, token: Address) -> Callable[[], Reserve]:
    """Add the reads of one reserve; the function returned gives it once the batch has run."""
    revision, a_token, stable = layout.revision, layout.a_tokens[token], layout.stable_tokens[token]
    data = batch.ask(layout.pool, calls.reserve_data_of(token), lambda raw: decode_reserve(raw, token), "reserve data")
    price = batch.ask_if_any(layout.oracle, calls.asset_price_of(token), calls.decode_word)
    source = batch.ask_if_any(layout.oracle, calls.asset_source_of(token), calls.decode_address)
    balance = batch.ask(token, calls.balance_of(a_token), calls.decode_word, "the reserve's balance")
    virtual: Answer[int] | None = None
    if revision.virtual_balance:
        virtual = batch.ask(layout.pool, calls.virtual_balance_of(token), calls.decode_word, "the virtual balance")
    grace: Answer[int] | None = None
    if revision.grace_period:
        grace = batch.ask(layout.pool, calls.grace_period_of(token), calls.decode_word, "the grace period")
    supply: Answer[int] | None = None
    if revision.stable_debt and stable != ZERO_ADDRESS:
        supply = batch.ask(stable, calls.TOTAL_SUPPLY, calls.decode_word, "the stable debt")

    def build() -> Reserve:
        reserve = data.value
        counted = virtual is not None and reserve.virtual_raw is not None
        return replace(
            reserve,
            price_base=price.value,
            source=source.value or ZERO_ADDRESS,
            balance_raw=balance.value,
            virtual_raw=virtual.value if virtual is not None and counted else None,
            grace_until_s=grace.value if grace is not None else 0,
            stable_supply_raw=supply.value if supply is not None else 0,
        )

    return build


def ask_emode(batch: Batch, layout: Layout, category: int, source: Address) -> Callable[[], EMode]:
    """Add the reads of one category whose price source is `source` (zero: none)."""
    if layout.revision.emode == "bitmap":
        config = batch.ask(
            layout.pool, calls.emode_config_of(category), lambda raw: calls.decode_words(raw, 3), "the e-mode"
        )
        bitmap = batch.ask(layout.pool, calls.emode_bitmap_of(category), calls.decode_word, "the e-mode's assets")
        return lambda: EMode(
            id=category,
            threshold_bps=config.value[1],
            liquidation_bonus_bps=config.value[2],
            collateral_bitmap=bitmap.value,
        )
    words = batch.ask(layout.pool, calls.emode_data_of(category), decode_emode_words, "the e-mode")
    price: Answer[int | None] | None = None
    if source != ZERO_ADDRESS:
        price = batch.ask_if_any(layout.oracle, calls.asset_price_of(source), calls.decode_word)
    return lambda: EMode(
        id=category,
        threshold_bps=words.value[1],
        liquidation_bonus_bps=words.value[2],
        priced=words.value[3] != 0,
        price_base=price.value if price is not None else None,
    )


def decode_emode_words(data: bytes) -> tuple[int, ...]:
    """Return (LTV, threshold, bonus, price source) of a category that keeps a label behind them."""
    return calls.decode_words(data, 5)[1:]


def ask_sentinel(batch: Batch, layout: Layout) -> Callable[[int], Sentinel | None]:
    """Add the sentinel's reads; the function returned wants the block's time."""
    if layout.sentinel == ZERO_ADDRESS or layout.revision.sentinel is None:
        return lambda _: None
    allowed = batch.ask_if_any(layout.sentinel, calls.LIQUIDATION_ALLOWED, calls.decode_word)
    round_: Answer[tuple[int, ...] | None] | None = None
    if layout.sequencer is not None:
        round_ = batch.ask_if_any(layout.sequencer, calls.LATEST_ROUND, lambda raw: calls.decode_words(raw, 5))
    since_word = 2 if layout.revision.sentinel == "started-at" else 3

    def build(at_s: int) -> Sentinel:
        says = bool(allowed.value)
        words = round_.value if round_ is not None else None
        if words is not None:
            known = Sentinel(up=words[1] == 0, since_s=words[since_word], grace_s=layout.sentinel_grace_s)
            if known.allows(at_s) == says:
                return known
        # It does not count as it is known to: only its own answer, for this block, is certain.
        return Sentinel(up=says, since_s=0, grace_s=0, fixed=says)

    return build


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReading:
    """An account as the contracts tell it: its row in the book and its stable-rate debts beside it."""

    row: Row
    stable: tuple[StableDebt, ...]


def ask_account(
    batch: Batch, layout: Layout, reserves: Iterable[Reserve], account: Address
) -> Callable[[], AccountReading]:
    """Add the reads of everything an account has in this market."""
    bits = batch.ask(layout.pool, calls.user_configuration_of(account), calls.decode_word, "account flags")
    emode = batch.ask(layout.pool, calls.user_emode_of(account), calls.decode_word, "an account's e-mode")
    scaled = calls.scaled_balance_of(account)
    supplied: list[tuple[int, Answer[int]]] = []
    owed: list[tuple[int, Answer[int]]] = []
    stables: list[Callable[[], StableDebt]] = []
    for reserve in reserves:
        supplied.append((reserve.id, batch.ask(reserve.a_token, scaled, calls.decode_word, "a collateral balance")))
        owed.append((reserve.id, batch.ask(reserve.variable_debt_token, scaled, calls.decode_word, "a debt balance")))
        if reserve.stable_supply_raw:
            stables.append(_ask_stable(batch, reserve, account))

    def build() -> AccountReading:
        on = {id_ for id_, _ in supplied if bits.value >> (2 * id_ + 1) & 1}
        return AccountReading(
            row=Row(
                emode.value,
                tuple((id_, answer.value) for id_, answer in sorted(supplied, key=_first) if id_ in on),
                tuple((id_, answer.value) for id_, answer in sorted(owed, key=_first) if answer.value),
                tuple(
                    (id_, answer.value)
                    for id_, answer in sorted(supplied, key=_first)
                    if answer.value and id_ not in on
                ),
            ),
            stable=tuple(debt for debt in (stable() for stable in stables) if debt.principal_raw),
        )

    return build


def _first(leg: tuple[int, Answer[int]]) -> int:
    return leg[0]


def _ask_stable(batch: Batch, reserve: Reserve, account: Address) -> Callable[[], StableDebt]:
    token, what = reserve.stable_debt_token, "a stable debt"
    principal = batch.ask(token, calls.stable_principal_of(account), calls.decode_word, what)
    rate = batch.ask(token, calls.stable_rate_of(account), calls.decode_word, what)
    since = batch.ask(token, calls.stable_since_of(account), calls.decode_word, what)
    return lambda: StableDebt(
        reserve_id=reserve.id, principal_raw=principal.value, rate_ray=rate.value, since_s=since.value
    )
