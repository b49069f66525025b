"""Random borrowers: several collaterals and debts, health spread from just above one upwards."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from eth_utils import keccak

from keeper.devnet.layout import Asset, EModeSpec
from keeper.domain.units import BPS, Address, to_address

# (share of the borrowers, lowest health, highest health): the first band falls with the volatile assets' first
# ten percent, the second with thirty.
_HEALTH_BANDS = ((0.34, 1.035, 1.095), (0.33, 1.10, 1.34), (0.33, 1.40, 2.60))
_VOLATILE_AGAINST_STABLE = 0.78  # of the positions: volatile collateral, stable debt
_MIXED = 0.5  # of the users of an e-mode: collateral outside of it beside the inside one


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What borrowers are like: how often they have how many debts, how large they are, and how many use an e-mode.

    The numbers of collaterals and debts are drawn from these lists, one entry as likely as another.
    """

    collaterals: tuple[int, ...] = (1, 1, 2, 2, 3)
    debts: tuple[int, ...] = (1, 1, 2)
    size_usd: tuple[int, int] = (2_000, 250_000)
    emode_share: float = 0.0


USUAL_HABITS = Habits()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPosition:
    """What a borrower will supply and borrow, in each token's smallest unit."""

    account: Address
    collaterals: tuple[tuple[Asset, int], ...]
    debts: tuple[tuple[Asset, int], ...]
    emode: int = 0


def plan_borrowers(
    assets: Sequence[Asset],
    prices: Mapping[str, Decimal],
    count: int,
    *,
    seed: int,
    first: int = 0,
    habits: Habits = USUAL_HABITS,
    emodes: Sequence[EModeSpec] = (),
) -> list[PlannedPosition]:
    """Plan `count` positions; the same seed, assets and prices give the same ones. `first` numbers the accounts."""
    rng = random.Random(f"{seed}/{first}")
    ranks = [(index + rng.random()) / count for index in range(count)]
    rng.shuffle(ranks)
    return [
        _plan(_Terms(assets, prices, habits, emodes), rng, account_number(seed, first + index), _health(rank))
        for index, rank in enumerate(ranks)
    ]


def account_number(seed: int, index: int) -> Address:
    """Return the made-up account of borrower `index`; nobody has its key."""
    return to_address(keccak(text=f"keeper devnet borrower {seed}/{index}")[12:])


def _health(rank: float) -> Decimal:
    for width, low, high in _HEALTH_BANDS:
        if rank < width:
            return Decimal(f"{low + (high - low) * rank / width:.4f}")
        rank -= width
    return Decimal(_HEALTH_BANDS[-1][2])


@dataclass(frozen=True, slots=True)
class _Terms:
    """What there is to choose from."""

    assets: Sequence[Asset]
    prices: Mapping[str, Decimal]
    habits: Habits
    emodes: Sequence[EModeSpec]


def _plan(terms: _Terms, rng: random.Random, account: Address, health: Decimal) -> PlannedPosition:
    emode = _choose_emode(terms, rng)
    collateral_choice, debt_choice = _choices(terms, rng, emode)
    habits = terms.habits
    collaterals = rng.sample(collateral_choice, min(rng.choice(habits.collaterals), len(collateral_choice)))
    debts = rng.sample(debt_choice, min(rng.choice(habits.debts), len(debt_choice)))
    low, high = habits.size_usd
    size_usd = Decimal(round(low * (high / low) ** rng.random()))
    supplied = _split(size_usd, len(collaterals), rng)
    threshold_usd = sum(
        usd * _threshold_bps(asset, emode) / BPS for asset, usd in zip(collaterals, supplied, strict=True)
    )
    borrowed = _split(Decimal(threshold_usd) / health, len(debts), rng)
    return PlannedPosition(
        account=account,
        collaterals=_amounts(collaterals, supplied, terms.prices),
        debts=_amounts(debts, borrowed, terms.prices),
        emode=emode.id if emode else 0,
    )


def _choose_emode(terms: _Terms, rng: random.Random) -> EModeSpec | None:
    if not terms.emodes or rng.random() >= terms.habits.emode_share:
        return None
    return rng.choice(terms.emodes)


def _choices(terms: _Terms, rng: random.Random, emode: EModeSpec | None) -> tuple[list[Asset], list[Asset]]:
    """Return what the position may hold and owe."""
    usual = [asset for asset in terms.assets if asset.spec.threshold_bps]
    if emode is not None:
        # Only the category's assets can be borrowed in it; half of its users hold others beside them.
        inside = [asset for asset in terms.assets if asset.symbol in emode.symbols]
        return list(dict.fromkeys([*inside, *(usual if rng.random() < _MIXED else ())])), inside
    volatile = [asset for asset in usual if asset.spec.volatile]
    stable = [asset for asset in usual if not asset.spec.volatile]
    if rng.random() < _VOLATILE_AGAINST_STABLE and volatile and stable:
        return volatile, stable
    return usual, list(terms.assets)


def _threshold_bps(asset: Asset, emode: EModeSpec | None) -> int:
    inside = emode is not None and asset.symbol in emode.symbols
    return emode.threshold_bps if emode is not None and inside else asset.spec.threshold_bps


def _split(total: Decimal, parts: int, rng: random.Random) -> list[Decimal]:
    weights = [Decimal(rng.randint(25, 75)) for _ in range(parts)]
    return [total * weight / sum(weights) for weight in weights]


def _amounts(
    assets: Sequence[Asset], values_usd: Sequence[Decimal], prices: Mapping[str, Decimal]
) -> tuple[tuple[Asset, int], ...]:
    return tuple(
        (asset, max(1, asset.to_raw(usd / prices[asset.symbol]))) for asset, usd in zip(assets, values_usd, strict=True)
    )
