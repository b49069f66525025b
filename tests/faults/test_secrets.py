"""What signs and what is signed never shows in logs, representations or readable files."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
import structlog

from keeper.chain.signer import KeySigner
from keeper.observe.logs import configure_logging
from keeper.send.channels.public import PublicChannel
from keeper.send.sender import TransactionSender
from keeper.send.settings import SendSettings
from keeper.store import open_store
from tests.faults.fake_chain import CHAIN_ID, FakeChain
from tests.faults.rig import expected, plan_for, realise

CANARY = "c0ffee" + "7d" * 29


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


class Blind(FakeChain):
    """A node that does not look into what it is sent."""

    def _accept(self, raw: bytes) -> None:
        pass


def read_all(folder: Path) -> tuple[bytes, set[int]]:
    """The content of every file, and the modes they have."""
    paths = list(folder.iterdir())
    return b"".join(path.read_bytes() for path in paths), {path.stat().st_mode & 0o777 for path in paths}


async def test_a_key_leaves_no_trace_in_journal_log_or_repr(tmp_path: Path, log: io.StringIO) -> None:
    configure_logging(stream=log, log_format="json", level=logging.DEBUG)
    signer, chain = KeySigner.from_hex(CANARY), Blind()
    chain.balances[signer.address] = 10**20
    store = open_store(tmp_path / "state.db")
    sender = TransactionSender(
        chain=chain,
        chain_id=CHAIN_ID,
        signer=signer,
        store=store,
        channel=PublicChannel(chain),
        settings=SendSettings(),
        realise=realise,
        expected=expected,
    )
    await sender.recover()
    await sender.submit(plan_for(1))
    journal = store.journal(chain_id=CHAIN_ID, sender=signer.address)
    shown = log.getvalue() + repr(journal.live()) + repr(sender.in_flight()) + repr(signer) + repr(sender.__dict__)
    files, modes = read_all(tmp_path)
    (raw,) = chain.broadcasts
    sender.close()
    store.close()
    logging.getLogger().handlers[:] = [known for known in logging.getLogger().handlers if known.get_name() != "keeper"]
    structlog.reset_defaults()
    assert '"event": "sent"' in shown
    assert CANARY not in shown.lower()
    assert raw.hex() not in shown
    assert repr(raw) not in shown
    assert raw in files  # the journal has the bytes to send them again, and is private for that
    assert bytes.fromhex(CANARY) not in files
    assert CANARY.encode() not in files
    assert modes == {0o600}
