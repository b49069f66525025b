"""Compiled contracts of others: from development packages in node_modules, or compiled from them into a cache."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from keeper.devnet.builder import Builder, Contract
from keeper.domain.errors import Failed
from keeper.domain.units import Address

_ROOT = Path(__file__).resolve().parents[2]
_MODULES = _ROOT / "node_modules"
_FIXTURES = _ROOT / ".cache" / "fixtures"
Linked = Callable[[str], Address]


@cache
def load_npm(path: str) -> dict[str, Any]:
    """Return the artifact at `path` below node_modules; raises Failed when the packages are not installed."""
    file = _MODULES / path
    if not file.is_file():
        raise Failed(f"{file} is missing: run `npm ci` in {_MODULES.parent}")
    artifact: dict[str, Any] = orjson.loads(file.read_bytes())
    return artifact


@cache
def load_fixture(path: str) -> dict[str, Any]:
    """Return the artifact that `scripts/compile_fixtures.py` made; raises Failed when it has not run."""
    file = _FIXTURES / f"{path}.json"
    if not file.is_file():
        raise Failed(f"{file} is missing: run `python scripts/compile_fixtures.py` in {_ROOT}")
    artifact: dict[str, Any] = orjson.loads(file.read_bytes())
    return artifact


def deploy_npm(builder: Builder, path: str, *arguments: Any, library: Linked | None = None) -> Contract:
    """Queue the deployment of a package's artifact; `library` gives the address of each library it links to."""
    return _deploy(builder, load_npm(path), path, arguments, library)


def deploy_fixture(builder: Builder, path: str, *arguments: Any, library: Linked | None = None) -> Contract:
    """Queue the deployment of a compiled fixture; `library` gives the address of each library it links to."""
    return _deploy(builder, load_fixture(path), path, arguments, library)


def _deploy(
    builder: Builder, artifact: dict[str, Any], path: str, arguments: Sequence[Any], library: Linked | None
) -> Contract:
    code = artifact["bytecode"].removeprefix("0x")
    for libraries in artifact.get("linkReferences", {}).values():
        for name, places in libraries.items():
            if library is None:
                raise Failed(f"{path} links to {name}")
            address = library(name)[2:].lower()
            for place in places:
                start = 2 * int(place["start"])
                code = code[:start] + address + code[start + 40 :]
    label = Path(path).stem
    return builder.deploy(artifact["abi"], bytes.fromhex(code), *arguments, label=label)
