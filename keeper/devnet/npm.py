"""Compiled contracts of real protocols, from the development packages in node_modules."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from keeper.devnet.builder import Builder, Contract
from keeper.domain.errors import Failed
from keeper.domain.units import Address

_MODULES = Path(__file__).resolve().parents[2] / "node_modules"
Linked = Callable[[str], Address]


@cache
def load_npm(path: str) -> dict[str, Any]:
    """Return the artifact at `path` below node_modules; raises Failed when the packages are not installed."""
    file = _MODULES / path
    if not file.is_file():
        raise Failed(f"{file} is missing: run `npm ci` in {_MODULES.parent}")
    artifact: dict[str, Any] = orjson.loads(file.read_bytes())
    return artifact


def deploy_npm(builder: Builder, path: str, *arguments: Any, library: Linked | None = None) -> Contract:
    """Queue the deployment of an artifact; `library` gives the address of each library it links to."""
    artifact = load_npm(path)
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
