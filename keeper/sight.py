"""Early sight: prices on their way are looked at before they are mined, and plans made ready for them.

What aggregators announce is counted as it comes. Oracle transactions still in the mempool are executed
ahead, in a simulated block on top of the newest one: those that revert there are forgotten, and the
protocol's own oracle, asked in the same simulated block, says what the others would do to every price,
adapters included. Plans for those prices are sized and simulated behind the transmissions. None is
ever sent from here: the block that brings a price is worked on as any other, by then with routes, gas
shapes and sizes known.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from keeper.chain.client import RpcChain
from keeper.chain.priority import Priority, at_priority
from keeper.domain.chain import SimulatedCall
from keeper.domain.clock import SystemClock
from keeper.domain.errors import HistoryMissing, RpcError, Stale, Transient
from keeper.domain.feeds import FeedStatus
from keeper.domain.plans import SimulatedPlan
from keeper.domain.units import ZERO_ADDRESS, Address
from keeper.estimate.planner import Planner
from keeper.estimate.service import Estimator
from keeper.observe import events
from keeper.oracles.chainlink import ChainlinkFeeds
from keeper.oracles.pending import PendingTransmissions, Transmission, read_transmission
from keeper.oracles.pushes import PUSH_TOPICS, read_push
from keeper.ports import MarketView
from keeper.watch.snapshot import Snapshot

_CLOCK = SystemClock()
_MOST_READY = 8
_MOST_WAITING = 256
_MOST_LOOKUPS = 16
_WORD = 32

MakeEstimator = Callable[[Snapshot], Awaitable[tuple[Planner, Estimator]]]
Prices = Mapping[Address, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Transmissions that would succeed, and the prices (base units) each market would then have where they change."""

    transmissions: tuple[Transmission, ...]
    prices: Mapping[str, Prices]


class EarlySight:
    """Watches the mempool through the chain's pushing connection; without one it sees nothing."""

    def __init__(self, chain: RpcChain, feeds: ChainlinkFeeds, make_estimator: MakeEstimator) -> None:
        self._chain = chain
        self._feeds = feeds
        self._make_estimator = make_estimator
        self._pending = PendingTransmissions()
        self._snapshot: Snapshot | None = None
        self._unknown: deque[str] = deque(maxlen=_MOST_WAITING)
        self._news = asyncio.Event()
        self.ready: tuple[SimulatedPlan, ...] = ()
        """Plans for the prices that are pending now, best first."""

    def follow(self, snapshot: Snapshot) -> None:
        """Take note of a new snapshot: what it brought is pending no longer, the rest is looked at anew."""
        self._snapshot = snapshot
        aggregators = sorted(self._feeds.aggregators())
        topics = ["0x" + topic.hex() for topic in PUSH_TOPICS]
        self._chain.topics.want("prices", ("logs", {"address": aggregators, "topics": [topics]}), self._take_log)
        pending = ("newPendingTransactions", True)
        self._chain.topics.want("pending", pending, self._take_transaction, instead=pending[:1])
        for late in self._pending.expire(snapshot.head.number):
            events.transmission_ended(transaction=late.transaction, end="expired")
        if self._pending.all():
            self._news.set()
        else:
            self.ready = ()

    async def run(self) -> None:
        """Prepare plans whenever something new is pending, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                with at_priority(Priority.HEAD):
                    await self._look()
            except (Transient, RpcError, Stale, HistoryMissing) as error:
                self.ready = ()
                events.foresight_failed(error=str(error))

    def _take_log(self, pushed: Any) -> None:
        push = read_push(pushed)
        if push is not None and not push.removed:
            events.price_pushed(aggregator=push.aggregator, answer=push.answer, block=push.block_number)

    def _take_transaction(self, pushed: Any) -> None:
        if isinstance(pushed, str):
            self._unknown.append(pushed)
            self._news.set()
        else:
            self._take_body(pushed)

    def _take_body(self, body: Any) -> None:
        if self._snapshot is None:
            return
        found = read_transmission(body)
        if found is None or found.aggregator not in self._feeds.aggregators():
            self._note_replacement(body)
            return
        before = self._pending.add(found, self._snapshot.head.number)
        if before is not None:
            events.transmission_ended(transaction=before.transaction, end="replaced")
        events.transmission_seen(
            transaction=found.transaction,
            aggregator=found.aggregator,
            answer=found.answer,
            block=self._snapshot.head.number,
        )
        self._news.set()

    def _note_replacement(self, body: Any) -> None:
        """A transaction of another kind with the nonce of a pending transmission takes its place."""
        for each in self._pending.all():
            try:
                same = body["from"].lower() == each.sender.lower() and int(body["nonce"], 16) == each.nonce
            except (KeyError, TypeError, AttributeError, ValueError):
                return
            if same:
                self._pending.drop(each.sender, each.nonce)
                self.ready = ()
                events.transmission_ended(transaction=each.transaction, end="replaced")
                self._news.set()

    async def _look(self) -> None:
        await self._look_up()
        snapshot = self._snapshot
        if snapshot is None or not self._pending.all():
            self.ready = ()
            return
        started_s = _CLOCK.monotonic_s()
        await self._forget_mined()
        forecast = await self._foresee(snapshot)
        self.ready = () if forecast is None else await self._prepare(snapshot, forecast)
        took_ms = round(1000 * (_CLOCK.monotonic_s() - started_s))
        hashes = [] if forecast is None else [each.transaction for each in forecast.transmissions]
        for ready in self.ready:
            events.plan_ready(ready.plan, transactions=hashes, took_ms=took_ms)

    async def _look_up(self) -> None:
        """Fetch the bodies of transactions that were announced by their hashes only; the newest first."""
        hashes = [self._unknown.pop() for _ in range(min(_MOST_LOOKUPS, len(self._unknown)))]
        bodies = await asyncio.gather(*(self._chain.transaction(each) for each in hashes), return_exceptions=True)
        for body in bodies:
            if not isinstance(body, BaseException):
                self._take_body(body)

    async def _forget_mined(self) -> None:
        """Forget what a block has taken up, whichever way it went."""
        waiting = self._pending.all()
        receipts = await asyncio.gather(*(self._chain.receipt(each.transaction) for each in waiting))
        for each, receipt in zip(waiting, receipts, strict=True):
            if receipt is not None:
                self._pending.drop(each.sender, each.nonce)
                events.transmission_ended(transaction=each.transaction, end="mined" if receipt.ok else "reverted")

    async def _foresee(self, snapshot: Snapshot) -> Forecast | None:
        """Execute the pending transmissions ahead; return what prices they make, None when they change none."""
        good = await self._those_that_succeed(snapshot)
        questions = [
            (name, token, SimulatedCall(sender=ZERO_ADDRESS, to=call.to, data=call.data))
            for name, view in sorted(snapshot.markets.items())
            for token, (call, _) in zip(view.tokens, view.price_evidence().items(), strict=True)
        ]
        if not good:
            return None
        calls = [*map(_executed, good), *(call for _, _, call in questions)]
        outcomes = await self._chain.simulate(calls, at=snapshot.head, timestamp_s=snapshot.inclusion_s)
        prices: dict[str, dict[Address, int]] = {}
        for (name, token, _), outcome in zip(questions, outcomes[len(good) :], strict=True):
            price = int.from_bytes(outcome.data[:_WORD], "big") if outcome.ok and len(outcome.data) >= _WORD else None
            if price and price != snapshot.markets[name].price_base(token):
                prices.setdefault(name, {})[token] = price
        return Forecast(transmissions=tuple(good), prices=prices) if prices else None

    async def _those_that_succeed(self, snapshot: Snapshot) -> list[Transmission]:
        waiting = self._pending.newest()
        if not waiting:
            return []
        calls = list(map(_executed, waiting))
        outcomes = await self._chain.simulate(calls, at=snapshot.head, timestamp_s=snapshot.inclusion_s)
        good = []
        for each, outcome in zip(waiting, outcomes, strict=True):
            if outcome.ok:
                good.append(each)
            else:
                self._pending.drop(each.sender, each.nonce)
                events.transmission_ended(transaction=each.transaction, end="would-revert")
        return good

    async def _prepare(self, snapshot: Snapshot, forecast: Forecast) -> tuple[SimulatedPlan, ...]:
        planner, estimator = await self._make_estimator(suppose(snapshot, forecast.prices))
        before = list(map(_executed, forecast.transmissions))
        found: list[SimulatedPlan] = []
        while len(found) < _MOST_READY:
            best = await estimator.best([each.calldata for each in found], before)
            if best is None:
                break
            found.append(best)
            planner.accept(best.plan)
        return tuple(found)


def suppose(snapshot: Snapshot, prices: Mapping[str, Prices]) -> Snapshot:
    """Return `snapshot` as it would be with other oracle prices (base units, by market and token), just reported."""
    markets: dict[str, MarketView] = dict(snapshot.markets)
    feeds: dict[str, Mapping[Address, FeedStatus]] = dict(snapshot.feeds)
    for name, changed in prices.items():
        markets[name] = markets[name].with_prices(changed)
        feeds[name] = {
            token: _just_reported(status, changed[token], snapshot) if token in changed else status
            for token, status in snapshot.feeds[name].items()
        }
    return replace(snapshot, markets=markets, feeds=feeds)


def _just_reported(status: FeedStatus, price_base: int, snapshot: Snapshot) -> FeedStatus:
    """A new report ends staleness and nothing else."""
    fresh = status.reason == "feed_stale"
    return replace(
        status,
        answer=price_base,
        updated_at_s=snapshot.inclusion_s,
        stale=False,
        reason=None if fresh else status.reason,
        detail="" if fresh else status.detail,
    )


def _executed(transmission: Transmission) -> SimulatedCall:
    return SimulatedCall(sender=transmission.sender, to=transmission.to, data=transmission.data)
