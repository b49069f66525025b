"""Finding a native anvil that runs."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import structlog

from keeper.domain.errors import Failed

_CHECKOUT = Path(__file__).resolve().parents[2]
OLDEST_VERSION = (1, 0)  # older ones lack requests the keeper makes
_VERSION = re.compile(r"anvil.*?(\d+)\.(\d+)", re.IGNORECASE)
_NATIVE_MAGIC = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"MZ")
_log = structlog.get_logger(__name__)


def find_anvil(explicit: str | None = None) -> Path:
    """Return a native anvil that answers `--version`.

    `explicit` (or `$KEEPER_ANVIL`) must be good, or Failed is raised. Otherwise PATH, Foundry's folder, the checkout's
    tools folder and the user's cache are tried in turn, and at last one is fetched. A candidate that is a
    launcher script or does not run is passed over, with a line that says so.
    """
    # The environment is read here and not in the configuration: tests and the demo start chains before any exists.
    chosen = explicit or os.environ.get("KEEPER_ANVIL")
    if chosen:
        fault = _fault(Path(chosen))
        if fault:
            raise Failed(f"KEEPER_ANVIL={chosen}: {fault}")
        return Path(chosen)
    return _search(os.environ.get("PATH", ""), Path.home())


@cache
def _search(path: str, home: Path) -> Path:
    for candidate in _candidates(path, home):
        if not candidate.is_file():
            continue
        fault = _fault(candidate)
        if fault is None:
            return candidate
        _log.warning("anvil passed over", path=str(candidate), reason=fault)
    return _fetch(home)


def _candidates(path: str, home: Path) -> Iterator[Path]:
    for folder in path.split(os.pathsep):
        if folder:
            yield Path(folder) / "anvil"
    yield home / ".foundry" / "bin" / "anvil"
    yield _CHECKOUT / "tools" / "anvil"
    yield _cache_folder(home) / "anvil"


def _cache_folder(home: Path) -> Path:
    return home / ".cache" / "liquidation-keeper"


def _fault(binary: Path) -> str | None:
    """Return why `binary` cannot be used, or None."""
    try:
        with binary.open("rb") as start:
            if start.read(4) not in _NATIVE_MAGIC:
                return "not a native binary"
        answer = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run ({error.__class__.__name__})"
    version = _VERSION.search(answer.stdout)
    if answer.returncode != 0 or version is None:
        return f"does not answer --version (exit code {answer.returncode})"
    if (int(version[1]), int(version[2])) < OLDEST_VERSION:
        return f"is version {version[1]}.{version[2]}, at least {OLDEST_VERSION[0]}.{OLDEST_VERSION[1]} is needed"
    return None


def _fetch(home: Path) -> Path:
    """Fetch into the checkout when there is one with its script; otherwise say how to get anvil."""
    script = _CHECKOUT / "scripts" / "fetch_tools.py"
    if not script.is_file():
        raise Failed(
            f"no anvil found on PATH or in {_cache_folder(home)}: install Foundry (foundryup), or set KEEPER_ANVIL"
        )
    if shutil.which("npm") is None:
        raise Failed("no anvil found, and no npm to fetch it with: install Foundry (foundryup), or set KEEPER_ANVIL")
    answer = subprocess.run([sys.executable, str(script), "anvil"], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise Failed(answer.stderr.strip().splitlines()[-1] if answer.stderr.strip() else "anvil could not be fetched")
    return _CHECKOUT / "tools" / "anvil"


def main() -> int:
    """Print where anvil is, fetching it when there is none; a failure is one line."""
    try:
        sys.stdout.write(f"{find_anvil()}\n")
    except Failed as error:
        sys.stderr.write(f"anvil: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
