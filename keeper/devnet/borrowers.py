"""Random borrowers: one to three collaterals, one or two debts, health spread from just above one upwards."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from eth_utils import keccak

from keeper.devnet.layout import Asset
from keeper.domain.units import BPS, Address, to_address

# (share of the borrowers, lowest health, highest health): the first band falls with the volatile assets' first
# ten percent, the second with thirty.
_HEALTH_BANDS = ((0.34, 1.035, 1.095), (0.33, 1.10, 1.34), (0.33, 1.40, 2.60))
_VOLATILE_AGAINST_STABLE = 0.78  # of the positions: volatile collateral, stable debt
_SIZE_USD = (2_000, 250_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPosition:
    """What a borrower will supply and borrow, in each token's smallest unit."""

    account: Address
    collaterals: tuple[tuple[Asset, int], ...]
    debts: tuple[tuple[Asset, int], ...]


def plan_borrowers(
    assets: Sequence[Asset], prices: Mapping[str, Decimal], count: int, *, seed: int, first: int = 0
) -> list[PlannedPosition]:
    """Plan `count` positions; the same seed, assets and prices give the same ones. `first` numbers the accounts."""
    rng = random.Random(f"{seed}/{first}")
    ranks = [(index + rng.random()) / count for index in range(count)]
    rng.shuffle(ranks)
    return [
        _plan(assets, prices, rng, account=account_number(seed, first + index), health=_health(rank))
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


def _plan(
    assets: Sequence[Asset],
    prices: Mapping[str, Decimal],
    rng: random.Random,
    *,
    account: Address,
    health: Decimal,
) -> PlannedPosition:
    volatile = [asset for asset in assets if asset.spec.volatile]
    stable = [asset for asset in assets if not asset.spec.volatile]
    if rng.random() < _VOLATILE_AGAINST_STABLE and volatile and stable:
        collateral_choice, debt_choice = volatile, stable
    else:
        collateral_choice, debt_choice = list(assets), list(assets)
    collaterals = rng.sample(collateral_choice, min(rng.choice((1, 1, 2, 2, 3)), len(collateral_choice)))
    debts = rng.sample(debt_choice, min(rng.choice((1, 1, 2)), len(debt_choice)))
    low, high = _SIZE_USD
    size_usd = Decimal(round(low * (high / low) ** rng.random()))
    supplied = _split(size_usd, len(collaterals), rng)
    threshold_usd = sum(usd * asset.spec.threshold_bps / BPS for asset, usd in zip(collaterals, supplied, strict=True))
    borrowed = _split(Decimal(threshold_usd) / health, len(debts), rng)
    return PlannedPosition(
        account=account,
        collaterals=_amounts(collaterals, supplied, prices),
        debts=_amounts(debts, borrowed, prices),
    )


def _split(total: Decimal, parts: int, rng: random.Random) -> list[Decimal]:
    weights = [Decimal(rng.randint(25, 75)) for _ in range(parts)]
    return [total * weight / sum(weights) for weight in weights]


def _amounts(
    assets: Sequence[Asset], values_usd: Sequence[Decimal], prices: Mapping[str, Decimal]
) -> tuple[tuple[Asset, int], ...]:
    return tuple(
        (asset, max(1, asset.to_raw(usd / prices[asset.symbol]))) for asset, usd in zip(assets, values_usd, strict=True)
    )
