"""What signs and what is signed never shows in logs, representations or readable files."""

from __future__ import annotations

import io
import logging
import tempfile
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
from tests.support.canaries import SECRETS, secrets_in, sweep, with_access_key
from tests.support.cli import Keeper

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


@pytest.mark.parametrize("name", SECRETS)
def test_the_search_through_what_a_run_leaves_behind_finds_each_secret(name: str) -> None:
    """`tests/conftest.py` searches every file, report and metric of the whole run in this way."""
    with tempfile.TemporaryDirectory() as folder:  # not where the run itself is searched
        (Path(folder) / "a.log").write_text(f"url=http://x/{SECRETS[name]}?q", encoding="utf-8")
        (Path(folder) / "keeper.toml").write_text(SECRETS[name], encoding="utf-8")
        assert list(sweep(Path(folder))) == [f"{folder}/a.log: {name}"]
    assert secrets_in(b"nothing") == []


async def test_no_error_of_the_command_line_shows_key_or_address(tmp_path: Path) -> None:
    """Everything that can be wrong with a node's address or a key, said aloud."""
    urls = ["http://127.0.0.1:9", "ws://127.0.0.1:9", "http://127.0.0.1:99999", "ftp://x"]
    for number, url in enumerate(urls):
        address = with_access_key(url)
        toml = f"""[chain]\nid = 31337\nrpc_urls = ["{address}"]\n[signer]\nallow_env_key = true
[[markets]]\nname = "m"\nprotocol = "aave-v3"\naddresses_provider = "{"0x" + "11" * 20}"\nstart_block = 0\n"""
        keeper = Keeper.at(tmp_path / str(number), toml)
        ended = await keeper.run("run", "--live", "--once", "--verbose")
        assert ended.code != 0
        assert ended.err
        assert secrets_in((ended.err + ended.out).encode()) == []
