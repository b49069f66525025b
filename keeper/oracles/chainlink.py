"""Chainlink-compatible feeds, read at one block and judged in that block's time.

A feed is used when its round is complete, its answer positive, within the operator's bounds, not older
than its heartbeat and no unconfirmed jump, and when the sequencer is up where there is one. The wall
clock plays no part: a saved chain's feeds are as old as its blocks say. A proxy is followed to its
aggregator at every block: it emits nothing when it is pointed elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from keeper.domain.chain import Call, CallResult, Head
from keeper.domain.errors import Transient
from keeper.domain.feeds import FeedRule, FeedStatus, SequencerRule
from keeper.domain.fixed_point import mul_div_down
from keeper.domain.units import Address, to_address
from keeper.observe import events
from keeper.oracles.jumps import REASON, JumpWatch
from keeper.oracles.sequencer import judge_sequencer
from keeper.ports import Chain

DEFAULT_HEARTBEAT_S = 90_000
_FUTURE_TOLERANCE_S = 3_600
_LATEST_ROUND_DATA = bytes.fromhex("feaf968c")
_DECIMALS = bytes.fromhex("313ce567")
_LATEST_ANSWER = bytes.fromhex("50d25bcd")
_AGGREGATOR = bytes.fromhex("245a7bfc")
_QUESTIONS = (_LATEST_ROUND_DATA, _DECIMALS, _LATEST_ANSWER, _AGGREGATOR)
_WORD = 32
_ROUND_WORDS = 5
_MOST_DECIMALS = 77


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """What `latestRoundData` says."""

    round_id: int
    answer: int
    updated_at_s: int
    answered_in_round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answers:
    """What one source said to the questions, None where it has no (sound) answer."""

    round: _Round | None
    decimals: int | None
    latest_answer: int | None
    aggregator: Address | None


class ChainlinkFeeds:
    """Reads feeds through `chain` and judges them by `rules` (per token) or the default heartbeat.

    It remembers, from block to block, the last answers used and the aggregators behind the proxies.
    """

    def __init__(
        self,
        chain: Chain,
        rules: Mapping[Address, FeedRule],
        *,
        default_heartbeat_s: int = DEFAULT_HEARTBEAT_S,
        sequencer: SequencerRule | None = None,
    ) -> None:
        self._chain = chain
        self._rules = dict(rules)
        self._default_heartbeat_s = default_heartbeat_s
        self._sequencer = sequencer
        self._jumps = JumpWatch()
        self._aggregators: dict[Address, Address] = {}
        self._evidence: dict[str, dict[Call, bytes]] = {}

    async def read(self, sources: Mapping[Address, Address], at: Head) -> dict[Address, FeedStatus]:
        """Return the status at `at` of the feed behind each token of `sources` (token to source)."""
        seconds = [rule.second_source for token in sources if (rule := self._rule(token)).second_source is not None]
        distinct = sorted({*sources.values(), *seconds})
        calls = [Call(to=source, data=question) for source in distinct for question in _QUESTIONS]
        if self._sequencer is not None:
            calls.append(Call(to=self._sequencer.feed, data=_LATEST_ROUND_DATA))
        results = await self._chain.read(calls, at)
        self._keep(calls, results, at)
        size = len(_QUESTIONS)
        answers = {source: _read_answers(results[size * i : size * (i + 1)]) for i, source in enumerate(distinct)}
        statuses = {token: self._judge(token, source, answers, at) for token, source in sources.items()}
        for source in set(sources.values()):
            self._follow(source, answers[source].aggregator, at)
        return self._under_sequencer(statuses, results, at)

    def evidence(self, at: Head) -> Mapping[Call, bytes]:
        """Return the rounds read at `at` as they came (empty: it reverted), for others to be compared with.

        Raises Transient for a head that was not read.
        """
        found = self._evidence.get(at.hash)
        if found is None:
            raise Transient(f"the feeds were not read at block {at.number}")
        return found

    def aggregators(self) -> frozenset[Address]:
        """Return the contracts whose events announce new answers, as of the last block read."""
        return frozenset(self._aggregators.values())

    def _judge(self, token: Address, source: Address, answers: Mapping[Address, _Answers], at: Head) -> FeedStatus:
        rule = self._rule(token)
        status = judge(token, source, answers[source], rule, at)
        if not status.usable or status.answer is None or rule.max_jump_bps is None:
            return status
        second = None if rule.second_source is None else _second_answer(rule, answers, status, at)
        why = self._jumps.judge(source, status.answer, second, rule, at)
        return status if why is None else replace(status, reason=REASON, detail=why)

    def _follow(self, source: Address, aggregator: Address | None, at: Head) -> None:
        before = self._aggregators.get(source)
        now = aggregator or source  # without a proxy the source emits its events itself
        if before is not None and before != now:
            events.feed_repointed(source=source, before=before, after=now, block=at.number)
        self._aggregators[source] = now

    def _keep(self, calls: Sequence[Call], results: Sequence[CallResult], at: Head) -> None:
        kept = self._evidence.get(at.hash, {})
        for call, result in zip(calls, results, strict=True):
            if call.data in {_LATEST_ROUND_DATA, _LATEST_ANSWER}:
                kept[call] = result.data if result.ok else b""
        self._evidence = {at.hash: kept}

    def _under_sequencer(
        self, statuses: dict[Address, FeedStatus], results: Sequence[CallResult], at: Head
    ) -> dict[Address, FeedStatus]:
        if self._sequencer is None:
            return statuses
        fault = judge_sequencer(_words(results[-1], _ROUND_WORDS), self._sequencer, at)
        if fault is None:
            return statuses
        return {token: replace(status, reason=fault[0], detail=fault[1]) for token, status in statuses.items()}

    def _rule(self, token: Address) -> FeedRule:
        known = self._rules.get(token)
        return known or FeedRule(token=token, heartbeat_s=self._default_heartbeat_s, explicit=False)


def _second_answer(rule: FeedRule, answers: Mapping[Address, _Answers], status: FeedStatus, at: Head) -> int | None:
    """Return the second source's answer in the decimals of the first, None when it is no answer to go by."""
    if rule.second_source is None or status.decimals is None:
        return None
    found = answers[rule.second_source]
    bare = replace(rule, min_answer=None, max_answer=None, explicit=False)
    second = judge(rule.token, rule.second_source, found, bare, at)
    if not second.usable or second.answer is None or second.decimals is None:
        return None
    return mul_div_down(second.answer, 10**status.decimals, 10**second.decimals)


def judge(token: Address, source: Address, answers: _Answers, rule: FeedRule, at: Head) -> FeedStatus:
    """Return whether the answers of `source` may price `token` at the block `at`, by `rule`."""
    found = answers.round
    if found is None:
        return _judge_bare_answer(token, source, answers, rule)
    stale = found.updated_at_s > 0 and at.timestamp_s - found.updated_at_s > rule.heartbeat_s
    reason, detail = _fault_of_round(found, rule, at) or _fault_of_bounds(found.answer, answers.decimals, rule) or _FINE
    return FeedStatus(
        token=token,
        source=source,
        answer=found.answer,
        updated_at_s=found.updated_at_s,
        stale=stale,
        reason=reason,
        detail=detail,
        decimals=answers.decimals,
        round_id=found.round_id,
        aggregator=answers.aggregator,
    )


_Fault = tuple[str | None, str]
_FINE: _Fault = (None, "")


def _judge_bare_answer(token: Address, source: Address, answers: _Answers, rule: FeedRule) -> FeedStatus:
    """Judge a source that only has `latestAnswer`, as many adapters: its age cannot be known."""
    answer = answers.latest_answer
    reason, detail = _fault_of_bare_answer(source, answer, answers.decimals, rule)
    return FeedStatus(
        token=token,
        source=source,
        answer=answer,
        updated_at_s=None,
        stale=False,
        reason=reason,
        detail=detail,
        decimals=answers.decimals,
        aggregator=answers.aggregator,
    )


def _fault_of_bare_answer(source: Address, answer: int | None, decimals: int | None, rule: FeedRule) -> _Fault:
    if answer is None:
        return "feed_reverted", f"the price source {source} answers neither latestRoundData nor latestAnswer"
    if answer <= 0:
        return _not_positive(answer)
    if rule.explicit:
        wanted = f"a price no older than {rule.heartbeat_s} s is demanded"
        return "feed_age_unknown", f"{wanted}, but the price source {source} does not tell the age of its answer"
    return _fault_of_bounds(answer, decimals, rule) or _FINE


def _fault_of_round(found: _Round, rule: FeedRule, at: Head) -> _Fault | None:
    age_s = at.timestamp_s - found.updated_at_s
    if found.answer <= 0:
        return _not_positive(found.answer)
    if found.updated_at_s == 0:
        return "feed_round_incomplete", f"round {found.round_id} has no answer yet: its update time is 0"
    if found.answered_in_round < found.round_id:
        carried = f"the answer of round {found.round_id} is carried over from round {found.answered_in_round}"
        return "feed_round_incomplete", carried
    if age_s > rule.heartbeat_s:
        return "feed_stale", f"the answer is {age_s} s old at block {at.number}; the heartbeat is {rule.heartbeat_s} s"
    if -age_s > _FUTURE_TOLERANCE_S:
        return "feed_from_future", f"the answer is dated {-age_s} s after block {at.number}"
    return None


def _fault_of_bounds(answer: int, decimals: int | None, rule: FeedRule) -> _Fault | None:
    """Compare exactly: the answer with the bounds in the feed's own units."""
    if rule.min_answer is None and rule.max_answer is None:
        return None
    if decimals is None:
        return "feed_out_of_bounds", "bounds are set, but the feed does not tell its decimals"
    value = Decimal(answer).scaleb(-decimals)
    if rule.min_answer is not None and value < rule.min_answer:
        return "feed_out_of_bounds", f"the answer {value} is below the bound {rule.min_answer}"
    if rule.max_answer is not None and value > rule.max_answer:
        return "feed_out_of_bounds", f"the answer {value} is above the bound {rule.max_answer}"
    return None


def _not_positive(answer: int) -> _Fault:
    return "feed_negative_or_zero", f"the answer is {answer}"


def _read_answers(results: Sequence[CallResult]) -> _Answers:
    latest_round, decimals, answer, aggregator = results
    places = _words(decimals, 1)
    return _Answers(
        round=_round(_words(latest_round, _ROUND_WORDS)),
        decimals=places[0] if places and places[0] <= _MOST_DECIMALS else None,
        latest_answer=_signed(words[0]) if (words := _words(answer, 1)) else None,
        aggregator=_address(_words(aggregator, 1)),
    )


def _address(words: list[int] | None) -> Address | None:
    return to_address(words[0].to_bytes(20, "big")) if words and 0 < words[0] < 1 << 160 else None


def _round(words: list[int] | None) -> _Round | None:
    if words is None:
        return None
    return _Round(
        round_id=words[0],
        answer=_signed(words[1]),
        updated_at_s=words[3],
        answered_in_round=words[4],
    )


def _words(result: CallResult, count: int) -> list[int] | None:
    """Return the first `count` words of a successful result, None when it has fewer (no code answers nothing)."""
    if not result.ok or len(result.data) < count * _WORD:
        return None
    return [int.from_bytes(result.data[i * _WORD : (i + 1) * _WORD], "big") for i in range(count)]


def _signed(word: int) -> int:
    return word - 2**256 if word >> 255 else word
