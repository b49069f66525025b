"""Fetch the native anvil and forge binaries into tools/, verified against pinned digests.

Usage: python scripts/fetch_tools.py [anvil] [forge]     (both when none is named)

Standard library only, because `make` runs it before anything is installed. The package client (npm) does the
download; the archive is unpacked only after its SHA-512 equals the pin below. A tool that is already there and
answers with the pinned version is left alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "1.7.1"
# tool -> platform -> SHA-512 of the package's archive in base64, as npm's "integrity" field gives it
PINS: dict[str, dict[str, str]] = {
    "anvil": {
        "linux-amd64": "+XmShybEaxfCrr0OUUZwYEy2OnYZt5pHH9TzBtLv3+VrK0O/ANuNSVEahqNhKHlgX7GRJ59383ofNhxkRWIYTg==",
    },
    "forge": {
        "linux-amd64": "/HQddyTanVOJKgvilmZrf8VOf7mhvwrWb59W73w5W5flX7b6zNh9CR6hKZzJwiRRi5Sxk/JOFEYIeKsQx7Teqg==",
        "darwin-arm64": "PwvdcKxniBoIic163Gw8t7rIOfE8ZfV2mCM2WOXnGdsUbCJRvkqCWq4qidkUORbibhfiRTyw3991hMFL8/qEfw==",
    },
}
ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
TOOLS_DIR = Path(__file__).resolve().parents[1] / "tools"


class FetchError(Exception):
    """The tool could not be had; the message is one sentence for a person."""


def platform_key() -> str:
    """Name this machine as the package names do, for example linux-amd64."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{ARCHITECTURES.get(machine, machine)}"


def has_pinned_version(binary: Path) -> bool:
    """Whether `binary` runs and reports the pinned version."""
    if not binary.is_file():
        return False
    try:
        answer = subprocess.run([str(binary), "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and VERSION in answer.stdout


def pack(package: str, folder: Path) -> Path:
    """Download `package` with npm into `folder` and return the archive."""
    npm = shutil.which("npm")
    if npm is None:
        raise FetchError("npm is not on PATH: install Node.js, or install Foundry and set KEEPER_ANVIL to its anvil")
    command = [npm, "pack", package, "--json", "--silent", "--pack-destination", str(folder)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=folder)
    archives = sorted(folder.glob("*.tgz"))
    if answer.returncode != 0 or len(archives) != 1:
        raise FetchError(f"npm could not download {package}: {npm_reason(answer.stdout + answer.stderr)}")
    return archives[0]


def npm_reason(output: str) -> str:
    """Boil npm's many lines down to the one that says what went wrong."""
    start = output.find("{")
    try:
        summary = json.JSONDecoder().raw_decode(output[start:])[0]["error"]["summary"] if start >= 0 else ""
    except (ValueError, KeyError, TypeError):
        summary = ""
    lines = [line for line in (summary or output).splitlines() if line.strip() and "warn" not in line]
    return lines[0].strip() if lines else "no reason given (is the network reachable?)"


def verify(archive: Path, pin: str) -> None:
    """Compare the archive's SHA-512 with `pin`; raises FetchError when they differ."""
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if digest != pin:
        raise FetchError(f"{archive.name} has SHA-512 {digest}, not the pinned {pin}: refused")


def unpack(archive: Path, tool: str, target: Path) -> None:
    """Copy bin/<tool> out of the archive and put it at `target` in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as packed:
        member = packed.extractfile(f"package/bin/{tool}")
        if member is None:
            raise FetchError(f"{archive.name} holds no bin/{tool}")
        partial = target.with_name(f".{tool}.{os.getpid()}")
        with partial.open("wb") as out:
            shutil.copyfileobj(member, out)
    partial.chmod(0o755)
    partial.replace(target)


def fetch(tool: str) -> Path:
    """Return the path of the native `tool` in tools/, fetching and verifying it when needed."""
    target = TOOLS_DIR / tool
    if has_pinned_version(target):
        return target
    pins, key = PINS.get(tool), platform_key()
    if pins is None:
        raise FetchError(f"unknown tool {tool!r}: choose from {', '.join(PINS)}")
    if key not in pins:
        raise FetchError(f"no pinned {tool} for {key}: install Foundry {VERSION} (foundryup) so that {tool} is on PATH")
    with tempfile.TemporaryDirectory(prefix="keeper-fetch-") as scratch:
        archive = pack(f"@foundry-rs/{tool}-{key}@{VERSION}", Path(scratch))
        verify(archive, pins[key])
        unpack(archive, tool, target)
    if not has_pinned_version(target):
        raise FetchError(f"{target} was fetched but does not run on this machine")
    return target


def main(arguments: list[str]) -> int:
    """Fetch each named tool; print where it is, or one line saying why not."""
    for tool in arguments or list(PINS):
        try:
            print(f"{tool} {VERSION}: {fetch(tool)}")
        except (FetchError, OSError, subprocess.TimeoutExpired, tarfile.TarError) as error:
            print(f"fetch_tools: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
