"""One endpoint: a wire, a limit, and what is thought of it."""

from __future__ import annotations

from typing import Any

from keeper.chain.health import EndpointState, Health
from keeper.chain.priority import Priority
from keeper.chain.replies import BadReply, NodeBehind, ReplyTooLarge
from keeper.chain.throttle import WindowThrottle
from keeper.chain.urls import mask_url
from keeper.chain.wires import Wire
from keeper.domain.clock import SystemClock
from keeper.domain.errors import RateLimited, Transient
from keeper.observe import events, metrics

_CLOCK = SystemClock()
_LATENCY_MEMORY = 0.8
_VERIFIED_FOR_S = 60.0


class Endpoint:
    """Carries requests to one address and keeps its record. Only `label` may be shown.

    `verified` says that it has answered for the expected chain since its last failure, and lately.
    `latency_s` is a running mean of what answers took.
    """

    def __init__(self, url: str, wire: Wire, throttle: WindowThrottle | None) -> None:
        self._wire = wire
        self._throttle = throttle
        self.label = mask_url(url)
        self.health = Health()
        self._verified_until_s = 0.0
        self.latency_s = 0.05
        self.requests = 0
        self._counters = {
            priority: metrics.REQUESTS.labels(endpoint=self.label, priority=priority.name.lower())
            for priority in Priority
        }
        self._show_state()

    def __repr__(self) -> str:
        return f"Endpoint({self.label}, {self.health.state})"

    @property
    def verified(self) -> bool:
        """Whether it may be asked without asking for its chain id first."""
        return _CLOCK.monotonic_s() < self._verified_until_s

    def note_verified(self) -> None:
        """It answered for the expected chain."""
        self._verified_until_s = _CLOCK.monotonic_s() + _VERIFIED_FOR_S

    @property
    def throttle(self) -> WindowThrottle | None:
        """What bounds the requests to this endpoint, None when nothing does."""
        return self._throttle

    def resting_s(self) -> float:
        """Return for how long it should be left alone, if another endpoint is there."""
        return self.health.rest_s(_CLOCK.monotonic_s())

    def limited_s(self) -> float:
        """Return for how long it asked to be left alone."""
        return self.resting_s() if self.health.state is EndpointState.LIMITED else 0.0

    def note_success(self) -> None:
        """It answered."""
        if self.health.state is not EndpointState.ALIVE:
            self._change(lambda: self.health.note_answer(_CLOCK.monotonic_s()))

    def note_cleared(self) -> None:
        """It is on the right chain, or agrees with the others again."""
        self._change(self.health.note_cleared)

    def note_failure(self, error: Transient) -> None:
        """It failed in this way; each way has its state."""
        now_s = _CLOCK.monotonic_s()
        match error:
            case RateLimited():
                self._change(lambda: self.health.note_limited(error.retry_after_s, now_s))
            case NodeBehind():
                self._change(lambda: self.health.note_behind(str(error), now_s))
            case WrongChain():
                self._verified_until_s = 0.0
                self._change(lambda: self.health.note_wrong_chain(str(error), now_s))
            case _:
                self._verified_until_s = 0.0
                silent = not isinstance(error, BadReply | ReplyTooLarge)
                self._change(lambda: self.health.note_failure(str(error), now_s, silent=silent))

    def note_slow(self) -> None:
        """Another endpoint was faster by far."""
        self._change(lambda: self.health.note_slow(_CLOCK.monotonic_s()))

    def note_lie(self, what: str) -> None:
        """It was convicted of a false answer about `what`."""
        events.endpoint_lied(endpoint=self.label, what=what)
        self._change(lambda: self.health.note_lie(what, _CLOCK.monotonic_s()))

    async def ask(self, body: bytes, first_id: int, *, items: int, priority: Priority) -> Any:
        """Send a request body that counts as `items` requests; return the document that answers it.

        Raises NotSent, RateLimited, ReplyTooLarge, BadReply, or Transient for everything else, with
        the endpoint named.
        """
        if self._throttle is None:
            return await self._exchange(body, first_id, items, priority)
        if not self._wire.is_open:  # a handshake is a request, too
            async with self._throttle.spend(priority=priority):
                await self._open()
        async with self._throttle.spend(items, priority=priority):
            return await self._exchange(body, first_id, items, priority)

    async def close(self) -> None:
        """Let the connection go."""
        await self._wire.close()

    async def _open(self) -> None:
        try:
            await self._wire.open()
        except Transient as error:
            raise self._named(error) from None

    def _named(self, error: Transient) -> Transient:
        error.args = (f"{self.label}: {error}", *error.args[1:])
        return error

    async def _exchange(self, body: bytes, first_id: int, items: int, priority: Priority) -> Any:
        self.requests += items
        self._counters[priority].inc(items)
        started_s = _CLOCK.monotonic_s()
        try:
            answer = await self._wire.exchange(body, first_id)
        except Transient as error:
            raise self._named(error) from None
        took_s = _CLOCK.monotonic_s() - started_s
        self.latency_s = _LATENCY_MEMORY * self.latency_s + (1 - _LATENCY_MEMORY) * took_s
        return answer

    def _change(self, note: Any) -> None:
        before = self.health.state
        note()
        if self.health.state is not before:
            self._show_state()
            events.endpoint_changed(
                endpoint=self.label, before=before, after=self.health.state, reason=self.health.reason
            )

    def _show_state(self) -> None:
        for state in EndpointState:
            metrics.ENDPOINT_STATE.labels(endpoint=self.label, state=state.value).set(state is self.health.state)


class WrongChain(Transient):
    """The endpoint answers for another chain; nothing was done."""
