"""All pools at one block, and the routes through them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from keeper.domain.swaps import Hop, HopQuote, Route
from keeper.domain.units import Address
from keeper.venues.pools import Pool

Sides = dict[tuple[Address, Address], tuple[Hop, ...]]


class RouteIndex:
    """Which pools lie between which tokens; made anew only when the set of pools changes."""

    def __init__(self, pools: Iterable[Pool], hub_tokens: Iterable[Address]) -> None:
        self._hubs = tuple(sorted(set(hub_tokens)))
        self._direct = _direct_hops(pools)
        self._known: dict[tuple[Address, Address], tuple[Route, ...]] = {}

    def routes(self, token_in: Address, token_out: Address) -> tuple[Route, ...]:
        """Return direct routes, then those of two hops through a hub; one empty route for equal tokens."""
        known = self._known.get((token_in, token_out))
        if known is None:
            known = ((),) if token_in == token_out else self._find(token_in, token_out)
            self._known[token_in, token_out] = known
        return known

    def _find(self, token_in: Address, token_out: Address) -> tuple[Route, ...]:
        direct = [(hop,) for hop in self._direct.get((token_in, token_out), ())]
        through = [
            (first, second)
            for hub in self._hubs
            if hub not in (token_in, token_out)
            for first in self._direct.get((token_in, hub), ())
            for second in self._direct.get((hub, token_out), ())
        ]
        return (*direct, *through)


def _direct_hops(pools: Iterable[Pool]) -> Sides:
    sides: dict[tuple[Address, Address], list[Hop]] = {}
    for pool in pools:
        for token_in, token_out in ((pool.token0, pool.token1), (pool.token1, pool.token0)):
            hop = Hop(
                venue=pool.venue,
                factory=pool.factory,
                pool=pool.address,
                token_in=token_in,
                token_out=token_out,
                fee_pips=pool.fee_pips,
            )
            sides.setdefault((token_in, token_out), []).append(hop)
    return {side: tuple(hops) for side, hops in sides.items()}


class BookView:
    """The pools of all venues at one block; the `VenueView` of this keeper.

    `after` shares everything but the pools that moved. Quotes of single hops are remembered:
    routes with the same first hop share them.
    """

    def __init__(self, pools: Mapping[Address, Pool], index: RouteIndex) -> None:
        self._pools = pools
        self._index = index
        self._quotes: dict[tuple[Address, Address, int], int | None] = {}

    @property
    def pools(self) -> Mapping[Address, Pool]:
        """The pools that hold anything, by address."""
        return self._pools

    def routes(self, token_in: Address, token_out: Address) -> Sequence[Route]:
        """Return the known routes, direct ones first; one empty route when the tokens are equal."""
        return self._index.routes(token_in, token_out)

    def quote(self, route: Route, amount_in_raw: int) -> tuple[HopQuote, ...] | None:
        """Return exact amounts hop by hop, raw units; None when a pool cannot take the whole amount.

        A pool may stand only once in a route: each hop is quoted on the pools as they are.
        """
        quotes: list[HopQuote] = []
        amount = amount_in_raw
        for hop in route:
            out = self._hop_out(hop, amount)
            if out is None:
                return None
            quotes.append(HopQuote(hop=hop, amount_in_raw=amount, amount_out_raw=out))
            amount = out
        return tuple(quotes)

    def proceeds(self, route: Route, amount_in_raw: int) -> int | None:
        """Return what the last hop pays, as `quote` does, without the list of hops."""
        amount: int | None = amount_in_raw
        for hop in route:
            if amount is None:
                return None
            amount = self._hop_out(hop, amount)
        return amount

    def after(self, quotes: Sequence[HopQuote]) -> BookView:
        """Return the pools as these swaps leave them. Raises ValueError for a swap without a quote."""
        if not quotes:
            return self
        moved = dict(self._pools)
        for quote in quotes:
            pool = moved[quote.hop.pool]
            moved[quote.hop.pool] = pool.after(quote.hop.token_in, quote.amount_in_raw)
        return BookView(moved, self._index)

    def _hop_out(self, hop: Hop, amount_in_raw: int) -> int | None:
        key = (hop.pool, hop.token_in, amount_in_raw)
        if key in self._quotes:
            return self._quotes[key]
        pool = self._pools.get(hop.pool)
        out = None if pool is None else pool.quote(hop.token_in, amount_in_raw)
        self._quotes[key] = out
        return out
