"""Compile what the tests need beside our own contracts, into .cache/ (never committed).

Usage: python scripts/compile_fixtures.py     (`npm ci` first; about a minute, once)

Aave V3.6 and Morpho are published as sources only, so they are compiled here by the compilers their authors pin. The
output is keyed by a hash of sources, compiler and settings: while nothing changes, a run only reads the sources.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODULES = ROOT / "node_modules"
CACHE = ROOT / ".cache" / "fixtures"
SHIM = ROOT / "scripts" / "solc_shim.cjs"
IMPORT = re.compile(r"""^import\s[^;]*?["']([^"']+)["']\s*;""", re.MULTILINE)
_AAVE = "aave-v3-origin/contracts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixture:
    """One run of a compiler: where its sources are, and which contracts are wanted of them.

    `roots` maps the first part of an import's path to a folder; `contracts` are source names, each with a contract of
    the same name in it.
    """

    name: str
    compiler: str
    roots: dict[str, Path]
    contracts: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)


def _aave(*paths: str) -> tuple[str, ...]:
    return tuple(f"{_AAVE}/{path}.sol" for path in paths)


FIXTURES = (
    Fixture(
        name="aave-v3.6",
        compiler="solc-0.8.27",
        roots={
            "aave-v3-origin": MODULES / "@aave-dao/aave-v3-origin/src",
            "solidity-utils": MODULES / "@bgd-labs/solidity-utils/src",
            "openzeppelin-contracts": MODULES / "@bgd-labs/solidity-utils/node_modules/@openzeppelin/contracts",
        },
        contracts=_aave(
            "protocol/configuration/PoolAddressesProvider",
            "protocol/configuration/ACLManager",
            "protocol/libraries/logic/PoolLogic",
            "protocol/libraries/logic/SupplyLogic",
            "protocol/libraries/logic/BorrowLogic",
            "protocol/libraries/logic/FlashLoanLogic",
            "protocol/libraries/logic/LiquidationLogic",
            "protocol/libraries/logic/ConfiguratorLogic",
            "instances/PoolInstance",
            "instances/PoolConfiguratorInstance",
            "instances/ATokenInstance",
            "instances/VariableDebtTokenInstance",
            "misc/DefaultReserveInterestRateStrategyV2",
            "misc/AaveOracle",
            "misc/PriceOracleSentinel",
            "helpers/AaveProtocolDataProvider",
        ),
        settings={"optimizer": {"enabled": True, "runs": 200}, "evmVersion": "cancun"},
    ),
    Fixture(
        name="morpho-blue",
        compiler="solc-0.8.19",
        roots={"morpho-blue": MODULES / "@morpho-org/morpho-blue/src"},
        contracts=("morpho-blue/Morpho.sol",),
        settings={"optimizer": {"enabled": True, "runs": 999_999}, "evmVersion": "paris", "viaIR": True},
    ),
    Fixture(
        name="probe",
        compiler="solc",
        roots={"support": ROOT / "contracts/test/support"},
        contracts=("support/LiquidationProbe.sol",),
        settings={"optimizer": {"enabled": True, "runs": 200}, "evmVersion": "cancun"},
    ),
)


class FixtureError(Exception):
    """The compiler or the sources are missing, or do not compile; the message is for a person."""


def compile_fixture(fixture: Fixture) -> bool:
    """Write the fixture's artifacts unless they are up to date; return whether the compiler ran.

    Raises:
        FixtureError: node, the packages or a source is missing, or the sources do not compile.
    """
    sources = read_sources(fixture)
    key = _key(fixture, sources)
    stamp = CACHE / fixture.name / "key"
    if stamp.is_file() and stamp.read_text("utf-8") == key:
        return False
    stamp.parent.mkdir(parents=True, exist_ok=True)
    compiled = _compile(fixture, sources)
    for path in fixture.contracts:
        name = Path(path).stem
        _write(stamp.parent / f"{name}.json", json.dumps(_artifact(compiled[path][name])))
    _write(stamp, key)
    return True


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole: another run may be reading it."""
    new = path.with_suffix(f".{os.getpid()}")
    new.write_text(text, "utf-8")
    new.replace(path)


def read_sources(fixture: Fixture) -> dict[str, str]:
    """Return the text of every source the fixture's contracts need, by the name imports resolve to."""
    sources: dict[str, str] = {}
    wanted = list(fixture.contracts)
    while wanted:
        name = wanted.pop()
        if name in sources:
            continue
        root, _, rest = name.partition("/")
        file = fixture.roots[root] / _below_root(root, rest)
        if not file.is_file():
            raise FixtureError(f"{file} is missing: run `npm ci` first")
        sources[name] = file.read_text("utf-8")
        wanted += _imports(name, sources[name])
    return sources


def _below_root(root: str, rest: str) -> str:
    """Return the path inside a root's folder; the contracts package is imported by the name of its repository."""
    return rest.removeprefix("contracts/") if root == "openzeppelin-contracts" else rest


def _imports(name: str, text: str) -> Iterator[str]:
    folder = name.split("/")[:-1]
    for path in IMPORT.findall(text):
        if not path.startswith("."):
            yield path
            continue
        parts = list(folder)
        for part in path.split("/"):
            if part == "..":
                parts.pop()
            elif part not in {".", ""}:
                parts.append(part)
        yield "/".join(parts)


def _key(fixture: Fixture, sources: dict[str, str]) -> str:
    digest = hashlib.sha256(json.dumps([fixture.settings, fixture.contracts, _version(fixture)]).encode())
    for name in sorted(sources):
        digest.update(name.encode() + b"\0" + sources[name].encode() + b"\0")
    return digest.hexdigest()


def _version(fixture: Fixture) -> str:
    file = MODULES / fixture.compiler / "package.json"
    if not file.is_file():
        raise FixtureError(f"{file} is missing: run `npm ci` first")
    return str(json.loads(file.read_text("utf-8"))["version"])


def _compile(fixture: Fixture, sources: dict[str, str]) -> dict[str, Any]:
    wanted = ["abi", "evm.bytecode.object", "evm.bytecode.linkReferences"]
    request = {
        "language": "Solidity",
        "sources": {name: {"content": text} for name, text in sources.items()},
        "settings": {
            "metadata": {"appendCBOR": False, "bytecodeHash": "none"},
            **fixture.settings,
            "outputSelection": {path: {Path(path).stem: wanted} for path in fixture.contracts},
        },
    }
    command = ("node", str(SHIM), "--standard-json", f"--compiler={fixture.compiler}")
    try:
        done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=True, cwd=ROOT)
    except FileNotFoundError as error:
        raise FixtureError("node is not on PATH; it runs the pinned compilers") from error
    except subprocess.CalledProcessError as error:
        raise FixtureError(f"the compiler did not run: {error.stderr.strip()}") from error
    answer = json.loads(done.stdout)
    complaints = [item["formattedMessage"] for item in answer.get("errors", []) if item["severity"] == "error"]
    if complaints:
        raise FixtureError("\n".join(complaints))
    compiled: dict[str, Any] = answer["contracts"]
    return compiled


def _artifact(compiled: dict[str, Any]) -> dict[str, Any]:
    """Return the same shape as the artifacts of packages that come compiled."""
    bytecode = compiled["evm"]["bytecode"]
    return {
        "abi": compiled["abi"],
        "bytecode": "0x" + bytecode["object"],
        "linkReferences": bytecode["linkReferences"],
    }


def main() -> int:
    """Bring every fixture up to date; return the exit code."""
    try:
        for fixture in FIXTURES:
            ran = compile_fixture(fixture)
            print(f"{fixture.name}: {'compiled' if ran else 'up to date'}")
    except FixtureError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
