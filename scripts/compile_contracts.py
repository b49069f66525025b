"""Compile the contracts with npm's solc and write one abis/NAME.json per contract of ours.

Usage: python scripts/compile_contracts.py [--check]     (`npm ci` first)

The output depends on the sources, the compiler and its settings alone. --check writes nothing and exits 1 when a
committed file differs from what the pinned compiler makes of the sources.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCES_DIR = ROOT / "contracts" / "src"
ABIS_DIR = ROOT / "abis"
COMPILER = ("node", str(ROOT / "scripts" / "solc_shim.cjs"))

# Contracts that are deployed, or placed by state override; the rest is compiled into these.
CONTRACTS = {
    "KeeperExecutor": "KeeperExecutor.sol",
    "Batcher": "Batcher.sol",
    "AddressesProvider": "reference/AddressesProvider.sol",
    "LendingPool": "reference/LendingPool.sol",
    "AToken": "reference/AToken.sol",
    "DebtToken": "reference/DebtToken.sol",
    "PriceOracle": "reference/PriceOracle.sol",
    "PriceFeed": "reference/PriceFeed.sol",
    "FeedProxy": "reference/FeedProxy.sol",
    "FixedFeed": "reference/FixedFeed.sol",
    "OcrFeed": "reference/OcrFeed.sol",
    "Forwarder": "reference/Forwarder.sol",
    "TestToken": "reference/TestToken.sol",
    "SwapFactory": "reference/SwapFactory.sol",
    "SwapPair": "reference/SwapPair.sol",
}

# The same as in contracts/foundry.toml. Without the metadata trailer equal sources give equal bytecode.
SETTINGS: dict[str, Any] = {
    "evmVersion": "cancun",
    "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
    "optimizer": {"enabled": True, "runs": 200},
}
OUTPUTS = {"*": {"*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "storageLayout"]}}
# Said about every `tstore`: what it leaves outlives the call. A run sets all it will read before its first step.
ACCEPTED = {"2394"}
IMPORT = re.compile(r"""^import\s[^;]*?["']([^"']+)["']\s*;""", re.MULTILINE)


class CompileError(Exception):
    """The compiler is missing or refused the sources; the message is for a person."""


def source_closure(path: Path) -> tuple[Path, ...]:
    """Return `path` and everything it imports, transitively, sorted."""
    found: set[Path] = set()
    open_paths = [path.resolve()]
    while open_paths:
        current = open_paths.pop()
        if current in found:
            continue
        found.add(current)
        open_paths += [(current.parent / name).resolve() for name in IMPORT.findall(current.read_text("utf-8"))]
    return tuple(sorted(found))


def source_hash(name: str) -> str:
    """Return the SHA-256 over paths and texts of all sources that contract `name` is compiled from."""
    digest = hashlib.sha256()
    for path in source_closure(SOURCES_DIR / CONTRACTS[name]):
        digest.update(path.relative_to(SOURCES_DIR).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return "0x" + digest.hexdigest()


def compiler_version() -> str:
    """Return the version of npm's solc, such as 0.8.37+commit.1234abcd."""
    return _run((*COMPILER, "--version")).split("Version: ")[1].split(".Emscripten")[0].strip()


def compile_all() -> dict[str, dict[str, Any]]:
    """Compile every source and return the artifacts of our contracts by name.

    Raises:
        CompileError: node or solc is missing, or the sources do not compile.
    """
    paths = sorted(SOURCES_DIR.rglob("*.sol"))
    request = {
        "language": "Solidity",
        "sources": {path.relative_to(SOURCES_DIR).as_posix(): {"content": path.read_text("utf-8")} for path in paths},
        "settings": {**SETTINGS, "outputSelection": OUTPUTS},
    }
    answer = json.loads(_run((*COMPILER, "--standard-json"), json.dumps(request)))
    complaints = [item["formattedMessage"] for item in answer.get("errors", []) if item["errorCode"] not in ACCEPTED]
    if complaints:  # warnings too: the sources are kept free of them
        raise CompileError("\n".join(complaints))
    version = compiler_version()
    return {name: _artifact(name, answer["contracts"][path][name], version) for name, path in CONTRACTS.items()}


def rendered(artifact: dict[str, Any]) -> str:
    """Return the text of one file under abis/."""
    return json.dumps(artifact, indent=1, sort_keys=True) + "\n"


def _artifact(name: str, compiled: dict[str, Any], version: str) -> dict[str, Any]:
    return {
        "name": name,
        "abi": compiled["abi"],
        "bytecode": "0x" + compiled["evm"]["bytecode"]["object"],
        "deployed_bytecode": "0x" + compiled["evm"]["deployedBytecode"]["object"],
        "storage": _storage(compiled["storageLayout"]["storage"]),
        "compiler": {"version": version, "settings": SETTINGS},
        "source_hash": source_hash(name),
    }


def _storage(variables: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Return where each state variable lies, for state overrides: its slot, and its byte offset inside the slot."""
    return {item["label"]: {"slot": int(item["slot"]), "offset": item["offset"]} for item in variables}


def _run(command: tuple[str, ...], text: str = "") -> str:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=ROOT)
    except FileNotFoundError as error:
        raise CompileError("node is not on PATH; it runs the pinned compiler") from error
    except subprocess.CalledProcessError as error:
        hint = "run `npm ci` first" if "Cannot find module 'solc'" in error.stderr else error.stderr.strip()
        raise CompileError(f"the compiler did not run: {hint}") from error
    return done.stdout


def stale_names(artifacts: dict[str, dict[str, Any]]) -> list[str]:
    """Return the names whose committed file is missing, differs, or belongs to no contract of ours any more.

    Files without a source hash describe foreign interfaces, which are written by hand, and are left alone.
    """
    committed = {path.stem: path.read_text("utf-8") for path in ABIS_DIR.glob("*.json")}
    ours = {name for name, text in committed.items() if "source_hash" in json.loads(text)}
    names = sorted(ours | artifacts.keys())
    return [name for name in names if name not in artifacts or committed.get(name) != rendered(artifacts[name])]


def main() -> int:
    """Write abis/, or compare it with --check; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when a file differs")
    check = parser.parse_args().check
    try:
        artifacts = compile_all()
    except CompileError as error:
        print(error, file=sys.stderr)
        return 1
    stale = stale_names(artifacts)
    if check:
        if stale:
            print(f"abis/ does not match the sources: {', '.join(stale)}; run `make contracts`", file=sys.stderr)
        return 1 if stale else 0
    ABIS_DIR.mkdir(exist_ok=True)
    for name in stale:
        path = ABIS_DIR / f"{name}.json"
        if name in artifacts:
            path.write_text(rendered(artifacts[name]), "utf-8")
        else:
            path.unlink()
    print(f"{len(artifacts)} contracts, {len(stale)} files changed under abis/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
