"""The loop: every head is watched, estimated and acted upon, one plan after another.

Plans on their way are laid over each new snapshot, so that the next one is sized on what will be;
they are dropped once the snapshot contains their block. In a dry run a plan stays until the position changes.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Protocol

from keeper.domain.chain import Head
from keeper.domain.clock import SystemClock
from keeper.domain.errors import Failed, HistoryMissing, RpcError, Stale, Transient
from keeper.domain.plans import Plan, Rejected, SimulatedPlan
from keeper.domain.units import Address
from keeper.estimate.planner import FindRunnerUp, Planner
from keeper.estimate.reprice import carry_out
from keeper.estimate.service import Estimator
from keeper.hindsight import Hindsight, Ride
from keeper.observe import events
from keeper.observe.latency import STAGE_CLOCK
from keeper.ports import Chain, Sender
from keeper.watch.snapshot import Snapshot
from keeper.watch.watcher import Watcher

_POLL_S, _LOOK_S = 0.1, 0.02
_AT_ONCE_S, _SURELY_AT_ONCE_S = 0.3, 1.0
_RETRY_PAUSES_S = (0.1, 0.3, 1.0, 2.0)
_LAST_LOOKS = 5
_RUNNERS_UP_KEPT = 256

_FATAL_REFUSALS = frozenset({"no_gas_funds"})


MakeEstimator = Callable[[Snapshot], Awaitable[tuple[Planner, Estimator]]]
"""Makes the planner and its simulator for one snapshot."""

Confirm = Callable[[Snapshot], Awaitable[None]]
"""Returns when what plans for a snapshot rest on is agreed; raises Disagreement when it is not."""


NoteRunnerUp = Callable[[str, int], None]
"""Books what the runner-up of an intent would have netted, in base units."""


class Sight(Protocol):
    """Prepares for what the next block may bring. It sends nothing."""

    def follow(self, snapshot: Snapshot) -> None:
        """Take note of a new snapshot."""

    async def run(self) -> None:
        """Work until cancelled. Trouble with the node is waited out."""


@dataclass(slots=True, kw_only=True)
class _Pending:
    """A submitted plan, and the block that included it."""

    simulated: SimulatedPlan
    intent: str
    ride: Ride
    deadline_s: float
    block: int | None = None


class Daemon:
    """Drives one chain, from one task."""

    def __init__(  # noqa: PLR0913 - what it drives, all by keyword
        self,
        *,
        chain: Chain,
        watcher: Watcher,
        sender: Sender,
        make_estimator: MakeEstimator,
        live: bool,
        patience_s: float,
        stop: asyncio.Event,
        note_runner_up: NoteRunnerUp,
        confirm: Confirm | None = None,
        sight: Sight | None = None,
    ) -> None:
        """Make a daemon that ends when `stop` is set; `once` waits `patience_s` for each inclusion."""
        self._chain = chain
        self._watcher = watcher
        self._sender = sender
        self._make_estimator = make_estimator
        self._note_runner_up = note_runner_up
        self._confirm = confirm
        self._sight = sight
        self._live = live
        self._patience_s = patience_s
        self._clock = SystemClock()
        self._pending: list[_Pending] = []
        self._hindsight = Hindsight()
        self._runners_up: deque[tuple[str, FindRunnerUp]] = deque(maxlen=_RUNNERS_UP_KEPT)
        self._reasons: dict[tuple[str, Address | None], str] = {}
        self._faults: dict[tuple[str, Address], str] = {}
        self._taken_over_until_s = 0.0
        self._stop = stop
        self._is_frozen = False
        self._mines_at_once: bool | None = None
        self.intents: set[str] = set()
        """The intents this run sent or booked."""
        self.booked: set[tuple[str, str | None]] = set()
        """The entries this run booked, as (intent, transaction). The store holds the rest of what is told of them."""
        self.head: Head | None = None

    def expected_raw(self, intent: str, block_time_s: int) -> int | None:
        """Return what a plan of this run earns in a block of that time, None when it is not known."""
        return self._hindsight.expected_raw(intent, block_time_s)

    async def once(self) -> None:
        """Do everything that pays now, and wait for inclusion within the patience of each plan.

        Raises what made the last of several tries fail.
        """
        self._taken_over_until_s = self._clock.monotonic_s() + self._patience_s
        while not self._stop.is_set():
            head = await self._chain.head()
            await self._step_patiently(head, iter(_RETRY_PAUSES_S))
            if self._stop.is_set() or not await self._await_inclusion():
                break
        while self._runners_up and not self._stop.is_set():
            self._look_back()
        await self._wind_up()

    async def forever(self) -> None:
        """Take up every head, the newest first, until stopped. Trouble with the node is waited out."""
        async with _beside(self._sight), aclosing(_until(self._chain.heads(), self._stop)) as heads:
            async for announced in heads:
                head = announced
                if self.head is not None and head.number <= self.head.number:
                    head = await self._newest(head)  # a step runs ahead of what is announced; or it is a reorg
                    if head.hash == self.head.hash:
                        continue
                await self._step_patiently(head, chain(_RETRY_PAUSES_S, repeat(_RETRY_PAUSES_S[-1])))
        await self._wind_up()

    async def _step_patiently(self, head: Head, pauses_s: Iterator[float]) -> None:
        """Work on `head`, and on a newer one instead when it turns out stale or unreadable."""
        while True:
            try:
                await self._step(head)
            except (Stale, Transient, RpcError, HistoryMissing) as error:
                events.step_failed(block=head.number, error=str(error))
                pause_s = next(pauses_s, None)
                if pause_s is None:
                    raise
            else:
                return
            if await self._stopped_within(pause_s):
                return
            head = await self._newest(head)

    async def _wind_up(self) -> None:
        """Once stopped, book what is mined in the next moment; the journal holds the rest."""
        for _ in range(_LAST_LOOKS if self._stop.is_set() else 0):
            if not self._sender.in_flight():
                return
            try:
                await self._settle(await self._chain.head())
            except (Stale, Transient, RpcError, HistoryMissing) as error:
                events.step_failed(block=self.head.number if self.head else 0, error=str(error))
                return
            await asyncio.sleep(_POLL_S)

    async def _newest(self, head: Head) -> Head:
        try:
            return await self._chain.head()
        except (Transient, RpcError):
            return head

    async def _step(self, head: Head) -> None:
        """Settle, look, and send until nothing pays on the newest head."""
        newest: Head | None = head
        while newest is not None and not self._stop.is_set():
            STAGE_CLOCK.begin()
            await self._settle(newest)
            snapshot = await self._watcher.advance(newest)
            events.head_seen(newest)
            STAGE_CLOCK.mark("revalued")
            self.head = newest
            if self._sight is not None:
                self._sight.follow(snapshot)
            self._hindsight.see(snapshot)
            self._freeze_what_stays()
            self._forget_included(snapshot)
            newest = await self._send_what_pays(snapshot)
        if not self._live:
            await self._settle(head)  # a dry run books at once, and no later head may come to collect it
        while self._runners_up and not self._stop.is_set() and not await self._has_newer_head():
            self._look_back()

    async def _has_newer_head(self) -> bool:
        return self.head is not None and (await self._newest(self.head)).hash != self.head.hash

    def _look_back(self) -> None:
        """Book the next best way of a plan that was sent. That takes milliseconds, so it never comes before a send."""
        intent, find = self._runners_up.popleft()
        net_base = find()
        if net_base is not None:
            self._note_runner_up(intent, net_base)

    def _freeze_what_stays(self) -> None:
        """Spare the collector what was loaded for good; a full collection of it takes tens of milliseconds."""
        if not self._is_frozen:
            self._is_frozen = True
            gc.collect()
            gc.freeze()

    async def _settle(self, head: Head) -> None:
        for entry in await self._sender.settle(head):
            self.intents.add(entry.intent)
            self.booked.add((entry.intent, entry.transaction))
            for pending in self._pending:
                if pending.intent == entry.intent:
                    pending.block = entry.block
                    STAGE_CLOCK.note("included", self._clock.monotonic_s() - pending.deadline_s + self._patience_s)

    def _forget_included(self, snapshot: Snapshot) -> None:
        """Drop what `snapshot` contains already, and what can no longer happen."""
        if self._live:
            waiting = {attempt.intent for attempt in self._sender.in_flight()}
            self._pending = [
                each
                for each in self._pending
                if each.intent in waiting or (each.block is not None and each.block > snapshot.head.number)
            ]
            return
        first: dict[tuple[str, Address], Plan] = {}  # a second plan for an account rests on what the first leaves
        for each in self._pending:
            first.setdefault(_key(each.simulated.plan), each.simulated.plan)
        gone = {key for key, plan in first.items() if snapshot.markets[plan.market].epoch(plan.account) != plan.epoch}
        self._pending = [each for each in self._pending if _key(each.simulated.plan) not in gone]

    async def _send_what_pays(self, snapshot: Snapshot) -> Head | None:
        """Send plans for `snapshot` until none pays (None) or a newer head is there (that head)."""
        planner, estimator = await self._make_estimator(snapshot)
        for each in self._pending:
            _lay_over(planner, each.simulated.plan, snapshot.inclusion_s)
        self._report_feeds(snapshot)
        if planner.next_plan() is not None:
            STAGE_CLOCK.mark("confirmed")
            if self._confirm is not None:
                await self._confirm(snapshot)
        while not self._stop.is_set():
            best = await estimator.best([each.simulated.calldata for each in self._pending])
            if best is None:
                self._report_rejections(planner.rejections())
                return None
            if self._live and self._is_busy(best.plan):
                planner.reject(best.plan, _in_flight(best.plan))
                continue
            await self._submit(planner, best, snapshot)
            if self._live:
                newest = await self._head_after_sending(snapshot.head)
                if newest.hash != snapshot.head.hash:
                    return newest
        return None

    async def _head_after_sending(self, head: Head) -> Head:
        """Return the newest head; on a chain that mines at once, the one that holds what was just sent.

        The next plan is then sized on that block. What kind a chain is of shows after the first plan.
        """
        patience_s = {None: _AT_ONCE_S, True: _SURELY_AT_ONCE_S, False: 0.0}[self._mines_at_once]
        until_s = self._clock.monotonic_s() + patience_s
        while True:
            newest = await self._chain.head()
            if newest.hash != head.hash:
                self._mines_at_once = self._mines_at_once or patience_s > 0
                return newest
            if self._clock.monotonic_s() >= until_s or await self._stopped_within(_LOOK_S):
                self._mines_at_once = False
                return newest

    def _is_busy(self, plan: Plan) -> bool:
        return any(_key(each.simulated.plan) == _key(plan) for each in self._pending)

    async def _submit(self, planner: Planner, best: SimulatedPlan, snapshot: Snapshot) -> None:
        plan = best.plan
        STAGE_CLOCK.mark("planned")
        events.plan_made(plan)
        pending = _Pending(
            simulated=best,
            intent="",
            ride=Ride(plan=plan),
            deadline_s=self._clock.monotonic_s() + self._patience_s,
        )
        answer = await self._sender.submit(best)
        if isinstance(answer, str):
            if answer in _FATAL_REFUSALS and not self._sender.in_flight():
                raise Failed(f"{answer}: the signer cannot pay for gas; send it native currency")
            planner.reject(plan, Rejected(market=plan.market, account=plan.account, reason=answer, detail="not sent"))
            return
        pending.intent = answer.intent
        if self._live:
            before = tuple(each.ride for each in self._pending)
            self._hindsight.remember(answer.intent, pending.ride, snapshot, before)
        self._pending = [each for each in self._pending if each.intent != answer.intent] + [pending]
        self.intents.add(answer.intent)
        self._runners_up.append((answer.intent, planner.runner_up_of(plan)))
        planner.accept(plan)

    async def _await_inclusion(self) -> bool:
        """Wait for a new head while something is in flight; return whether to look again."""
        while self._sender.in_flight() and not await self._stopped_within(_POLL_S):
            head = await self._newest(self.head) if self.head else await self._chain.head()
            if self.head is None or head.hash != self.head.hash:
                return True
            now_s = self._clock.monotonic_s()
            if now_s >= self._taken_over_until_s and all(each.deadline_s <= now_s for each in self._pending):
                return False
        return False

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def _report_rejections(self, rejections: Sequence[Rejected]) -> None:
        """Say why nothing is done about an account, once for each reason."""
        reasons = {(each.market, each.account): each.reason for each in rejections}
        for each in rejections:
            if self._reasons.get((each.market, each.account)) != each.reason:
                events.plan_rejected(each)
        self._reasons = reasons

    def _report_feeds(self, snapshot: Snapshot) -> None:
        faults: dict[tuple[str, Address], str] = {}
        for market, statuses in snapshot.feeds.items():
            for token, status in statuses.items():
                if status.reason is not None:
                    faults[market, token] = status.reason
                    if self._faults.get((market, token)) != status.reason:
                        events.feed_unusable(market, status)
        self._faults = faults


@asynccontextmanager
async def _beside(sight: Sight | None) -> AsyncIterator[None]:
    """Run `sight` as long as the context lasts."""
    if sight is None:
        yield
        return
    task = asyncio.create_task(sight.run(), name="early-sight")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


def _key(plan: Plan) -> tuple[str, Address]:
    return plan.market, plan.account


def _lay_over(planner: Planner, plan: Plan, at_s: int) -> None:
    """Let `planner` see the state after a plan on its way, carried out on the market and pools of today."""
    carried = carry_out(plan, planner.markets[plan.market], planner.venues, at_s)
    if carried is not None:
        planner.accept(carried.plan)


def _in_flight(plan: Plan) -> Rejected:
    return Rejected(
        market=plan.market, account=plan.account, reason="in_flight", detail="a liquidation of it is on its way"
    )


async def _until(heads: AsyncIterator[Head], stop: asyncio.Event) -> AsyncGenerator[Head, None]:
    """Yield from `heads` until `stop` is set, without waiting for another head then."""
    stopped = asyncio.ensure_future(stop.wait())
    try:
        while not stop.is_set():
            coming = asyncio.ensure_future(anext(heads))
            await asyncio.wait((coming, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                coming.cancel()
                await asyncio.wait((coming,))
                return
            yield coming.result()
    finally:
        stopped.cancel()
        close = getattr(heads, "aclose", None)
        if close is not None:
            await close()
