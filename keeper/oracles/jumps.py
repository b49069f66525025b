"""Answers that jump: held until a second source, or time, bears them out."""

from __future__ import annotations

from dataclasses import dataclass

from keeper.domain.chain import Head
from keeper.domain.feeds import FeedRule
from keeper.domain.fixed_point import mul_div_up
from keeper.domain.units import BPS, Address

REASON = "feed_jump_unconfirmed"


@dataclass(slots=True)
class _Record:
    """What was made of one source: the last answer used, and since when its present distance lasts."""

    used: int | None = None
    held_since_block: int | None = None


class JumpWatch:
    """Remembers, for each source, the last answer that was used. One for all heads."""

    def __init__(self) -> None:
        self._records: dict[Address, _Record] = {}

    def judge(self, source: Address, answer: int, second: int | None, rule: FeedRule, at: Head) -> str | None:
        """Return why `answer` (positive) is held at `at`, None when it may be used.

        `second` is the second source's answer in the same decimals, None when it has none.
        """
        if rule.max_jump_bps is None:
            return None
        record = self._records.setdefault(source, _Record())
        reference = second if second is not None else record.used
        if reference is None and rule.second_source is None:
            reference = answer  # the first answer seen has nothing to jump from
        jump_bps = None if reference is None else distance_bps(answer, reference)
        if jump_bps is not None and jump_bps <= rule.max_jump_bps:
            record.used, record.held_since_block = answer, None
            return None
        return self._hold(record, answer, jump_bps, rule, at)

    def _hold(self, record: _Record, answer: int, jump_bps: int | None, rule: FeedRule, at: Head) -> str | None:
        since = record.held_since_block
        if since is None or since > at.number:  # a reorganisation may have taken the beginning back
            since = record.held_since_block = at.number
        stood_blocks = at.number - since
        if rule.jump_blocks is not None and stood_blocks >= rule.jump_blocks:
            record.used = answer
            return None
        if jump_bps is None:
            return f"the second source {rule.second_source} has no answer to compare with"
        other = "the last answer used" if rule.second_source is None else f"the second source {rule.second_source}"
        waiting = "" if rule.jump_blocks is None else f"; it has stood for {stood_blocks} of {rule.jump_blocks} blocks"
        return f"the answer is {jump_bps} bps away from {other}; {rule.max_jump_bps} are allowed{waiting}"


def distance_bps(answer: int, reference: int) -> int:
    """Return how far `answer` is from `reference`, in 1/10000 of `reference`, rounded up."""
    return mul_div_up(abs(answer - reference), BPS, reference)
