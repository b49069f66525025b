"""What is thought of an endpoint, as a small state machine. Pure: times are handed in, on a monotonic clock.

                  silence, refused connection, bad replies, twice too slow
       ALIVE ------------------------------------------------------------> DEAD
       ^ ^ ^ ^                                                              |
       | | | +------------- a probe after the rest is answered -------------+
       | | |
       | | +--- the time is over --- LIMITED <--- 429, 503, "too many requests" (Retry-After is kept)
       | |
       | +----- it has caught up --- BEHIND <---- it does not have a block that another one has
       |
       +------- it answers for the right chain -- WRONG_CHAIN <-- another chain id than the configured one
       +------- it agrees after its rest -------- LYING <-------- it contradicted the others, or itself

ALIVE and BEHIND endpoints are asked, in this order. A DEAD or LIMITED one is asked by the way only
when nobody better is there. WRONG_CHAIN and LYING ones are asked nothing but the questions that can
clear them.
"""

from __future__ import annotations

from enum import StrEnum

_FIRST_REST_S = 2.0
_LONGEST_REST_S = 30.0
_LIAR_REST_S = 60.0
_LONGEST_LIAR_REST_S = 3600.0
_BEHIND_REST_S = 0.5
_MOST_DOUBLINGS = 6
_SLOW_STRIKES = 2


class EndpointState(StrEnum):
    """See the drawing above."""

    ALIVE = "alive"
    BEHIND = "behind"
    LIMITED = "rate-limited"
    DEAD = "dead"
    WRONG_CHAIN = "wrong-chain"
    LYING = "lying"


_ORDER = {
    EndpointState.ALIVE: 0,
    EndpointState.BEHIND: 1,
    EndpointState.DEAD: 2,
    EndpointState.LIMITED: 3,
}
"""Who is asked first; states that are not here are not asked."""


class Health:
    """The record of one endpoint. Starts alive."""

    def __init__(self) -> None:
        self.state = EndpointState.ALIVE
        self.reason = ""
        self.failures = 0
        self.is_silent = False
        self._slow = 0
        self._behinds = 0
        self._lies = 0
        self._until_s = 0.0

    @property
    def is_usable(self) -> bool:
        """Whether its answers may be believed at all."""
        return self.state in _ORDER

    def is_fit(self, now_s: float) -> bool:
        """Whether it is asked as a matter of course."""
        return self.rank(now_s)[0] <= _ORDER[EndpointState.BEHIND]

    def rank(self, now_s: float) -> tuple[int, float]:
        """Return its place among the usable ones: better states first, then the shorter rest."""
        if self.state in {EndpointState.BEHIND, EndpointState.LIMITED} and not self.rest_s(now_s):
            return 0, 0.0  # time alone heals these
        return _ORDER.get(self.state, len(_ORDER)), self.rest_s(now_s)

    def rest_s(self, now_s: float) -> float:
        """Return for how long it is to be left alone from now."""
        return max(0.0, self._until_s - now_s)

    def wants_probe(self, now_s: float) -> bool:
        """Whether its rest is over and a question would show whether it is well again."""
        return self.state in {EndpointState.DEAD, EndpointState.WRONG_CHAIN} and not self.rest_s(now_s)

    def note_answer(self, now_s: float) -> None:
        """It answered soundly. Clears everything but a lie, a wrong chain, and being behind for some time."""
        if self.state in {EndpointState.LYING, EndpointState.WRONG_CHAIN}:
            return
        if self.state is not EndpointState.BEHIND or not self.rest_s(now_s):
            self._clear()

    def note_caught_up(self) -> None:
        """It has the newest block."""
        self._behinds = 0

    def note_cleared(self) -> None:
        """It proved to be on the right chain, or agreed with the others again."""
        self._clear()

    def note_failure(self, reason: str, now_s: float, *, silent: bool = True) -> None:
        """It did not answer, or (not `silent`) not with an answer. Longer rests for failures in a row."""
        self.failures += 1
        self.is_silent = silent
        if self.state in {EndpointState.LYING, EndpointState.WRONG_CHAIN}:
            self._until_s = now_s + _LONGEST_REST_S
            return
        self._set(EndpointState.DEAD, reason, now_s + _rest_s(_FIRST_REST_S, self.failures, _LONGEST_REST_S))

    def note_slow(self, now_s: float) -> bool:
        """Another one answered while this one was silent; return whether that made it DEAD."""
        self._slow += 1
        if self._slow >= _SLOW_STRIKES:
            self.note_failure("too slow", now_s)
        return self.state is EndpointState.DEAD

    def note_limited(self, wait_s: float, now_s: float) -> None:
        """It asked to be left alone for so long."""
        if self.is_usable:
            self.is_silent = True
            self._set(EndpointState.LIMITED, "asked for patience", now_s + wait_s)

    def note_behind(self, reason: str, now_s: float) -> None:
        """It does not have a block that is there. Longer rests until it has caught up."""
        if self.is_usable:
            self.is_silent = False
            self._behinds += 1
            self._set(EndpointState.BEHIND, reason, now_s + _rest_s(_BEHIND_REST_S, self._behinds, _LONGEST_REST_S))

    def note_wrong_chain(self, reason: str, now_s: float) -> None:
        """It answers for another chain."""
        self.failures += 1
        self._set(EndpointState.WRONG_CHAIN, reason, now_s + _rest_s(_FIRST_REST_S, self.failures, _LONGEST_REST_S))

    def note_lie(self, reason: str, now_s: float) -> None:
        """It was convicted of a false answer. Longer rests for lies repeated."""
        self._lies += 1
        self._set(EndpointState.LYING, reason, now_s + _rest_s(_LIAR_REST_S, self._lies, _LONGEST_LIAR_REST_S))

    @property
    def can_be_heard(self) -> bool:
        """Whether it says something at all, true or not."""
        return not (self.is_silent and self.state in {EndpointState.DEAD, EndpointState.LIMITED})

    def _set(self, state: EndpointState, reason: str, until_s: float) -> None:
        self.state, self.reason, self._until_s = state, reason, until_s

    def _clear(self) -> None:
        self.is_silent = False
        self.state, self.reason, self.failures, self._slow, self._until_s = EndpointState.ALIVE, "", 0, 0, 0.0


def _rest_s(first_s: float, times: int, most_s: float) -> float:
    return min(first_s * 2.0 ** min(times - 1, _MOST_DOUBLINGS), most_s)
