"""When the journal cannot be written nothing leaves the process."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from keeper.domain.errors import Failed
from tests.faults.rig import Rig, plan_for


@contextmanager
def full_disk(rig: Rig) -> Iterator[None]:
    """Let no file grow beyond the journal's. Only around the call: it also holds for the test runner's own output."""
    wal = rig.path.with_name(rig.path.name + "-wal")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)


async def test_row_25_a_full_disk_sends_nothing(rig: Rig) -> None:
    with full_disk(rig), pytest.raises(Failed, match="cannot write the state file"):
        await rig.sender.submit(plan_for(1))
    assert rig.chain.broadcasts == []


async def test_row_25_a_disk_that_fills_between_reserving_and_signing_sends_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise Failed("cannot write the state file: disk full")

    with monkeypatch.context() as patch:
        patch.setattr(rig.sender._journal, "add_attempt", refuse)
        with pytest.raises(Failed, match="disk full"):
            await rig.sender.submit(plan_for(1))
    assert rig.chain.broadcasts == []
    await rig.restart()
    await rig.sender.submit(plan_for(1))
    (entry,) = await rig.sender.settle(rig.chain.mine())
    assert (entry.status, entry.detail["nonce"]) == ("success", 0)
