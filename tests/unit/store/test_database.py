import resource
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from keeper.domain.errors import ConfigError, Failed
from keeper.store import open_store, set_aside
from keeper.store.modes import ModeState
from keeper.store.schema import VERSION
from tests.faults.fake_chain import CHAIN_ID, SIGNER


def test_the_file_and_its_helpers_are_private(tmp_path: Path) -> None:
    store = open_store(tmp_path / "new" / "state.db")
    store.bind_chain(CHAIN_ID, "0xaa")
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
    assert set(modes) == {"state.db", "state.db-wal", "state.db-shm"}
    assert set(modes.values()) == {0o600}
    store.close()


def test_a_file_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    open_store(tmp_path / "state.db").close()
    (tmp_path / "state.db").chmod(0o644)
    open_store(tmp_path / "state.db").close()
    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600


def test_commits_are_synchronous_in_wal_mode(tmp_path: Path) -> None:
    store = open_store(tmp_path / "state.db")
    pragma = {name: store._database.rows(f"PRAGMA {name}")[0][0] for name in ("journal_mode", "synchronous")}
    assert pragma == {"journal_mode": "wal", "synchronous": 2}
    store.close()


def test_row_40_a_newer_format_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    open_store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="newer keeper") as caught:
        open_store(path)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(ConfigError, match="another program"):
        open_store(tmp_path / "other.db")


@pytest.mark.parametrize("content", [b"not a database, but long enough to be read as a page" * 40])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.db").write_bytes(content)
    with pytest.raises(ConfigError, match="not a state file"):
        open_store(tmp_path / "state.db")
    assert (tmp_path / "state.db").read_bytes() == content


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "state.db", tmp_path):
        with pytest.raises(ConfigError, match="cannot be created") as caught:
            open_store(path)
        assert "\n" not in str(caught.value)


def test_two_openings_share_one_file(tmp_path: Path) -> None:
    writer, reader = open_store(tmp_path / "state.db"), open_store(tmp_path / "state.db")
    writer.set_mode("drain", "enough for today")
    assert reader.mode() == ModeState(mode="drain", reason="enough for today")
    writer.close()
    reader.close()


def test_row_25_a_full_disk_is_fatal_and_changes_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path / "state.db")
    store.set_mode("drain", "before")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "state.db-wal").stat().st_size, old[1]))
        with pytest.raises(Failed, match="cannot write the state file"):
            store.set_mode("halted", "too long for the disk " * 20_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, ignored)
    assert store.mode() == ModeState(mode="drain", reason="before")
    store.set_mode("active", "")
    assert store.mode().mode == "active"
    store.close()


HOLD = """
import sys
from pathlib import Path
from keeper.store import open_store, set_aside
from keeper.domain.units import to_address
store = open_store(Path(sys.argv[1]))
store.instance_lock(chain_id=int(sys.argv[2]), sender=to_address(sys.argv[3])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_lock_is_refused_to_a_second_process_and_freed_by_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    arguments = [sys.executable, "-c", HOLD, str(path), str(CHAIN_ID), SIGNER]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        store = open_store(path)
        lock = store.instance_lock(chain_id=CHAIN_ID, sender=SIGNER)
        assert lock is not None
        with pytest.raises(Failed, match=f"another keeper \\(process {holder.pid}\\)"):
            lock.acquire()
        holder.kill()
        holder.wait()
        lock.acquire()
        lock.acquire()  # a second time does no harm
        lock.release()
        store.close()


def test_the_chain_a_journal_is_about_is_remembered(tmp_path: Path) -> None:
    store = open_store(tmp_path / "state.db")
    store.bind_chain(1, "0xaa")
    store.bind_chain(1, "0xaa")
    store.bind_chain(2, "0xbb")
    with pytest.raises(ConfigError, match="another chain with id 1"):
        store.bind_chain(1, "0xcc")
    store.close()


def test_a_file_set_aside_keeps_what_was_in_it_and_leaves_its_place_free(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    store = open_store(path)
    store.bind_chain(31337, "0xaa")
    store.close()
    aside = set_aside(path, mark="0a")
    kept, begun = open_store(aside), open_store(path)
    assert (kept.genesis_hash(31337), begun.genesis_hash(31337)) == ("0xaa", None)
    kept.close()
    begun.close()
