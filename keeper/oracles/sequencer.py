"""A rollup's sequencer: while it was down, prices on the rollup stood still.

The feed answers 0 while the sequencer is up and 1 while it is down; `startedAt` is when that began.
After an outage prices are not used until the grace period is over, so that borrowers can act first.
"""

from __future__ import annotations

from collections.abc import Sequence

from keeper.domain.chain import Head
from keeper.domain.feeds import SequencerRule

_UP, _DOWN = 0, 1
_ROUND_WORDS = 5

Fault = tuple[str, str]


def judge_sequencer(words: Sequence[int] | None, rule: SequencerRule, at: Head) -> Fault | None:
    """Return why no price may be used at `at`, None when all may.

    `words` are those of the feed's `latestRoundData`, None when it does not answer.
    """
    if words is None or len(words) < _ROUND_WORDS:
        return "sequencer_unknown", f"the sequencer's uptime feed {rule.feed} does not answer"
    answer, started_s = words[1], words[2]
    if answer == _DOWN:
        return "sequencer_down", f"the sequencer is down since {started_s}"
    if answer != _UP or started_s == 0:
        return "sequencer_unknown", f"the sequencer's uptime feed {rule.feed} says {answer} since {started_s}"
    up_s = at.timestamp_s - started_s
    if up_s <= rule.grace_s:
        return "sequencer_grace", f"the sequencer is back for {up_s} s; prices are used after {rule.grace_s} s"
    return None
