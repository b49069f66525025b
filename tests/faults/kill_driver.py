"""Runs the real sender over and over in forked children and kills most of them: at a chosen step, or at any instant.

Usage: kill_driver.py STATE URL MINE_URL KEY SEED KILLS DEFECT. Each child recovers, submits the newest plans and
settles them by way of URL, which may fail; blocks are mined by way of MINE_URL, which may not. Prints one JSON line:
how many runs, how many of them ended because the node could not be used, kills per place, and how many plans were
asked for.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from keeper.chain.connect import connect
from keeper.chain.signer import KeySigner
from keeper.devnet.rpc import JsonRpc
from keeper.domain.errors import ChainUnreachable, RpcError, Stale, Transient
from keeper.domain.plans import Fees
from keeper.send.channels import Errand
from keeper.send.channels.public import PublicChannel
from keeper.send.dialects import Broadcast
from keeper.send.sender import TransactionSender
from keeper.send.settings import SendSettings
from keeper.store import open_store
from keeper.store.records import SignedAttempt, Slot
from tests.faults.fake_chain import CHAIN_ID
from tests.faults.rig import expected, plan_for, realise

PLANS_PER_RUN = 2
LONGEST_RUN = 36
LONGEST_RUN_S = 0.25
NODE_TROUBLE = 75
ANY_INSTANT = "any instant"
LAST_TRIES = 20
STEPS = ("reserve", "sign", "add_attempt", "broadcast", "note_broadcast", "release", "finish", "reopen")


class Killer:
    """Counts the moments before and after each step and ends the process at the chosen one."""

    def __init__(self, at: int, report: Callable[[str], None]) -> None:
        self._left = at
        self._report = report

    def pass_by(self, place: str) -> None:
        self._left -= 1
        if self._left == 0:
            self._report(place)
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self, owner: Any, name: str) -> None:
        step = getattr(owner, name)

        def before_and_after(*args: Any, **kwargs: Any) -> Any:
            self.pass_by(f"before {name}")
            result = step(*args, **kwargs)
            self.pass_by(f"after {name}")
            return result

        async def around(*args: Any, **kwargs: Any) -> Any:
            self.pass_by(f"before {name}")
            result = await step(*args, **kwargs)
            self.pass_by(f"after {name}")
            return result

        setattr(owner, name, around if asyncio.iscoroutinefunction(step) else before_and_after)


def plant(defect: str, sender: TransactionSender) -> None:
    """Build a known mistake into the sender, to see that the harness finds it."""
    journal, channel = sender._journal, sender._channel
    if defect == "journal-after-send":
        postponed: list[tuple[Slot, SignedAttempt]] = []
        add, send = journal.add_attempt, channel.broadcast

        async def send_first(raw: bytes, transaction: str, errand: Errand) -> Broadcast:
            result = await send(raw, transaction, errand)
            while postponed:
                add(*postponed.pop())
            return result

        def keep_for_later(slot: Slot, attempt: SignedAttempt) -> None:
            postponed.append((slot, attempt))

        def with_postponed(slot_id: int) -> Slot:
            slot = type(journal).slot(journal, slot_id)
            late = tuple(attempt for owner, attempt in postponed if owner.slot_id == slot_id)
            return replace(slot, attempts=slot.attempts + late)

        journal.add_attempt = keep_for_later  # type: ignore[method-assign]
        journal.slot = with_postponed  # type: ignore[method-assign]
        channel.broadcast = send_first  # type: ignore[method-assign]


class Key:
    """A signer whose methods can be watched: the real one is sealed."""

    def __init__(self, inner: KeySigner) -> None:
        self.address = inner.address
        self.sign = inner.sign


async def run(
    state: Path, url: str, mine_url: str, key: str, *, first: int, last: int, killer: Killer | None, defect: str
) -> None:
    chain = await connect([url], chain_id=CHAIN_ID)
    node = JsonRpc(mine_url)
    store = open_store(state)
    signer, channel = Key(KeySigner.from_hex(key)), PublicChannel(chain)
    sender = TransactionSender(
        chain=chain,
        chain_id=CHAIN_ID,
        signer=signer,
        store=store,
        channel=channel,
        settings=SendSettings(),
        realise=realise,
        expected=expected,
    )
    if killer is not None:
        for owner in (sender._journal, channel, signer):
            for name in STEPS:
                if hasattr(owner, name):
                    killer.watch(owner, name)
    plant(defect, sender)  # around the watched steps: a defect changes their order
    await sender.recover()
    # Fees move between runs: a plan signed anew would be another transaction.
    fees = Fees(fee_cap_wei=10**11 + last + os.getpid(), tip_wei=10**9, expected_wei=10**9)
    for number in range(first, last):
        await sender.submit(plan_for(number, deadline_block=10**9, fees=fees))
    while sender.in_flight():
        await sender.settle(await chain.head())
        if sender.in_flight():
            await node.call("evm_mine")
    await node.close()
    await chain.close()
    sender.close()
    store.close()


def fork_and_run(make: Callable[[], Any], *, kill_after_s: float | None = None) -> int:
    """Run a coroutine in a child and return its exit status; negative when a signal ended it."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio.run(make())
            status = 0
        except (Transient, Stale, RpcError, ChainUnreachable):
            status = NODE_TROUBLE
        except BaseException as error:  # noqa: BLE001 - the child must end here, whatever it was
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            sys.stderr.flush()
            os._exit(status)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)  # of a child that has ended already nothing is left to be killed
    _, state = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(state)


def main() -> None:
    state, urls, key, seed, kills, defect = (
        Path(sys.argv[1]), sys.argv[2:4], sys.argv[4], int(sys.argv[5]), int(sys.argv[6]), sys.argv[7]
    )  # fmt: skip
    dice = random.Random(seed)
    places: Counter[str] = Counter()
    notes = state.with_suffix(".kills")
    runs, troubled, asked, done = 0, 0, PLANS_PER_RUN, 0
    again = partial(run, state, *urls, key, defect=defect)

    def went_on(status: int) -> bool:
        nonlocal runs, troubled
        runs += 1
        if status not in {0, NODE_TROUBLE, -signal.SIGKILL}:
            sys.exit(f"run {runs} ended with {status}")
        troubled += status == NODE_TROUBLE
        return status == 0

    while sum(places.values()) < kills:
        first = max(0, done - PLANS_PER_RUN)  # the last ones again: they must be refused as done
        at, after_s, anywhere = dice.randint(1, LONGEST_RUN), dice.uniform(0.005, LONGEST_RUN_S), dice.random() < 0.5
        killer = None if anywhere else Killer(at, notes.write_text)
        make = partial(again, first=first, last=asked, killer=killer)
        status = fork_and_run(make, kill_after_s=after_s if anywhere else None)
        if went_on(status):
            done, asked = asked, asked + PLANS_PER_RUN
        elif status == -signal.SIGKILL:
            places[ANY_INSTANT if anywhere else notes.read_text()] += 1
    for _ in range(LAST_TRIES):
        if went_on(fork_and_run(partial(again, first=max(0, done - PLANS_PER_RUN), last=asked, killer=None))):
            break
    else:
        sys.exit("the last run found no way through")
    print(json.dumps({"runs": runs, "troubled": troubled, "asked": asked, "places": dict(places)}))


if __name__ == "__main__":
    main()
