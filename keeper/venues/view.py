"""All pools at one block: what is quoted on them, and what is best sold where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from keeper.domain.swaps import Hop, HopQuote, Leg, Route, Sale
from keeper.domain.units import Address
from keeper.venues.curve import Curve
from keeper.venues.pools import Pool
from keeper.venues.routes import RouteIndex, ShortRoutes
from keeper.venues.sale import Division, PairSales

_MOST_REMEMBERED: Final = 1 << 16

PairKey = tuple[Address, Address, frozenset[Address]]


class _Curves:
    """The curves of pools, each made when it is first asked for.

    Sales are gone on with after pools have moved, and ask here: it keeps no view, or none would ever be forgotten.
    """

    def __init__(self, pools: Mapping[Address, Pool], known: dict[tuple[Address, Address], Curve]) -> None:
        self._pools = pools
        self._known = known

    def of(self, hop: Hop) -> Curve:
        """Return the curve of a hop's pool for the token that goes in."""
        key = (hop.pool, hop.token_in)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._pools[hop.pool].curve(hop.token_in)
        return known

    def moved_to(self, pools: Mapping[Address, Pool], moved: set[Address]) -> _Curves:
        """Return the curves of `pools`, which are the same but for `moved`."""
        return _Curves(pools, {key: curve for key, curve in self._known.items() if key[0] not in moved})


class BookView:
    """The pools of all venues at one block; the `VenueView` of this keeper.

    `after` shares everything but the pools that moved. Quotes of single hops are remembered:
    routes with the same first hop share them.
    """

    def __init__(self, pools: Mapping[Address, Pool], index: RouteIndex | ShortRoutes) -> None:
        self._pools = pools
        self._index = index
        self._quotes: dict[tuple[Address, Address, int], int | None] = {}
        self._curves = _Curves(pools, {})
        self._sales: dict[PairKey, PairSales] = {}
        self._before: dict[PairKey, PairSales] = {}

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

    def sell(
        self,
        token_in: Address,
        token_out: Address,
        amount_in_raw: int,
        leg_cost_raw: Callable[[Route], int],
        avoid: frozenset[Address] = frozenset(),
        rebate_raw: int = 0,
    ) -> Sale | None:
        """Return the sale that brings most after the gas of its legs; None when the pools cannot take the amount."""
        if token_in == token_out:
            return ()
        sales = self._pair(token_in, token_out, avoid)
        return sales.best(amount_in_raw, leg_cost_raw, rebate_raw, self.divide) if amount_in_raw > 0 else None

    def promise(self, token_in: Address, token_out: Address, amount_in_raw: int) -> int:
        """Return about the most that selling an amount can bring before gas: what the pools' curves say."""
        if token_in == token_out:
            return amount_in_raw
        return self._pair(token_in, token_out, frozenset()).promise(amount_in_raw)

    def asks(self, token_in: Address, token_out: Address, amount_out_raw: int) -> int | None:
        """Return about the least that has to be sold to bring an amount; None when the pools do not bring it."""
        if token_in == token_out:
            return amount_out_raw
        return self._pair(token_in, token_out, frozenset()).asks(amount_out_raw)

    def apart(self) -> BookView:
        """Return the same pools with the shortest routes alone, on which sales of different tokens hardly meet."""
        if isinstance(self._index, ShortRoutes):
            return self
        view = BookView(self._pools, ShortRoutes(self._index))
        view._curves = self._curves
        return view

    def peaks(
        self,
        token_in: Address,
        token_out: Address,
        least_out_raw: int,
        per_in_raw: int,
        leg_cost_raw: Callable[[Route], int],
    ) -> tuple[int, ...]:
        """Return the amounts at which sales down to a price gain most after the gas of their legs, best first."""
        if token_in == token_out:
            return ()
        return self._pair(token_in, token_out, frozenset()).peaks((least_out_raw, per_in_raw), leg_cost_raw)

    def divide(self, division: Division) -> Sale | None:
        """Return exact legs, each on the pools as the earlier ones leave them; None when a pool refuses its amount."""
        counts = Counter(hop.pool for route, _ in division for hop in route) if len(division) > 1 else Counter[str]()
        moved: dict[Address, Pool] = {}
        legs = []
        for route, amount_in_raw in division:
            quotes: list[HopQuote] = []
            amount = amount_in_raw
            for hop in route:
                if counts[hop.pool] > 1:
                    pool = moved.get(hop.pool) or self._pools[hop.pool]
                    out = pool.quote(hop.token_in, amount)
                    if out is not None:
                        moved[hop.pool] = pool.after(hop.token_in, amount)
                else:
                    out = self._hop_out(hop, amount)
                if out is None:
                    return None
                quotes.append(HopQuote(hop=hop, amount_in_raw=amount, amount_out_raw=out))
                amount = out
            legs.append(Leg(quotes=tuple(quotes)))
        return tuple(legs)

    def moved_to(self, pools: Mapping[Address, Pool]) -> BookView:
        """Return a view of the same pools, some of which have moved; what this one found out of the others is kept."""
        moved = {address for address, pool in pools.items() if self._pools[address] is not pool}
        return self._moved(pools, moved)

    def _moved(self, pools: Mapping[Address, Pool], moved: set[Address]) -> BookView:
        view = BookView(pools, self._index)
        view._curves = self._curves.moved_to(pools, moved)
        view._before = self._before | self._sales
        view._sales = {key: sales for key, sales in self._sales.items() if sales.pools.isdisjoint(moved)}
        return view

    def after(self, quotes: Sequence[HopQuote]) -> BookView:
        """Return the pools as these swaps leave them. Raises ValueError for a swap without a quote."""
        if not quotes:
            return self
        moved = dict(self._pools)
        for quote in quotes:
            pool = moved[quote.hop.pool]
            moved[quote.hop.pool] = pool.after(quote.hop.token_in, quote.amount_in_raw)
        return self._moved(moved, {quote.hop.pool for quote in quotes})

    def _pair(self, token_in: Address, token_out: Address, avoid: frozenset[Address]) -> PairSales:
        key = (token_in, token_out, avoid)
        known = self._sales.get(key)
        if known is None:
            before = self._before.get(key)
            routes = self._routes_without(token_in, token_out, avoid) if before is None else before.routes
            known = PairSales(routes, self._curves.of, before)
            self._sales[key] = known
        return known

    def _routes_without(self, token_in: Address, token_out: Address, avoid: frozenset[Address]) -> Sequence[Route]:
        routes = self._index.routes(token_in, token_out)
        return [route for route in routes if avoid.isdisjoint(hop.pool for hop in route)] if avoid else routes

    def _hop_out(self, hop: Hop, amount_in_raw: int) -> int | None:
        key = (hop.pool, hop.token_in, amount_in_raw)
        if key in self._quotes:
            return self._quotes[key]
        pool = self._pools.get(hop.pool)
        out = None if pool is None else pool.quote(hop.token_in, amount_in_raw)
        if len(self._quotes) >= _MOST_REMEMBERED:
            self._quotes.clear()
        self._quotes[key] = out
        return out
