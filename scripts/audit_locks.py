"""Audit what can be audited offline: the locks are complete and hashed, and what is installed is what is locked.

Prints one line per check, and ends with exit code 1 if one failed. It is no scan for known vulnerabilities: that
needs an advisory database, which is somebody else's service.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-dev.lock")
AUDITORS_LOCKS = (
    "requirements-audit-slither.lock",
    "requirements-audit-halmos.lock",
    "requirements-audit-semgrep.lock",
)
OURS = "liquidation-keeper"
Locked = dict[str, set[str]]
INSTALLERS = {"pip", "setuptools", "wheel", "uv"}  # the environment's own, not the lock's


def canonical(name: str) -> str:
    """Return a distribution's name as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(path: Path) -> Locked:
    """Return the versions by name; more than one where they depend on the version of Python."""
    text = path.read_text(encoding="utf-8")
    versions: Locked = {}
    for name, version in re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==([^ \\;]+)", text, re.MULTILINE):
        versions.setdefault(canonical(name), set()).add(version)
    return versions


def check_python_lock(path: Path) -> Iterator[str]:
    """Yield what is wrong with a lock file: an unhashed package, a host name."""
    text = path.read_text(encoding="utf-8")
    for block in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE):
        if "==" in block and "--hash=sha256:" not in block:
            yield f"{path.name}: {block.split()[0]} has no hash"
    if "://" in text or "--index-url" in text:
        yield f"{path.name}: names a host"


def check_subset(runtime: Locked, developers: Locked) -> Iterator[str]:
    """Yield packages whose versions differ between the two locks."""
    for name, versions in runtime.items():
        if developers.get(name) != versions:
            yield f"{name}: {versions} at run time, {developers.get(name)} for developers"


def check_installed(developers: Locked) -> Iterator[str]:
    """Yield installed distributions that the lock does not name, or names in another version."""
    for found in distributions():
        name = canonical(found.metadata["Name"])
        if name in INSTALLERS or name == OURS:
            continue
        if name not in developers:
            yield f"{name} {found.version} is installed but not locked"
        elif found.version not in developers[name]:
            yield f"{name} {found.version} is installed, {sorted(developers[name])} is locked"


def check_npm_lock(path: Path) -> Iterator[str]:
    """Yield packages of npm's lock without a digest, or with a host name."""
    text = path.read_text(encoding="utf-8")
    for name, entry in json.loads(text)["packages"].items():
        if name and not entry.get("integrity", "").startswith("sha512-"):
            yield f"{path.name}: {name} has no digest"
        if "resolved" in entry:
            yield f"{path.name}: {name} names a host"


def main() -> int:
    """Run every check."""
    runtime, developers = (locked(ROOT / name) for name in LOCKS)
    checks = {
        "each locked package has hashes, no host is named": [
            fault for name in LOCKS + AUDITORS_LOCKS for fault in check_python_lock(ROOT / name)
        ],
        "run time and developers lock the same versions": list(check_subset(runtime, developers)),
        "what is installed is what is locked": list(check_installed(developers)),
        "npm's lock has a digest for each package, no host is named": list(check_npm_lock(ROOT / "package-lock.json")),
    }
    for title, faults in checks.items():
        print(f"{'ok  ' if not faults else 'FAIL'} {title}")
        for fault in faults:
            print(f"       {fault}")
    return 1 if any(checks.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
