"""Our contracts' ABIs and bytecode, from the wheel or from a checkout."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson

_PACKAGE = Path(__file__).resolve().parent
_FOLDERS = (_PACKAGE / "_abis", _PACKAGE.parent / "abis")


class ArtifactError(LookupError):
    """A contract artifact is missing or not readable: the installation is incomplete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One compiled contract.

    `bytecode` creates it (constructor arguments are appended), `deployed_bytecode` is what stands on chain afterwards
    (immutables still zero). Both are empty for a foreign interface, of which only the ABI is ours.
    """

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes
    deployed_bytecode: bytes


def find_artifact(name: str) -> Path:
    """Return the file holding `name`; raises ArtifactError when there is none."""
    for folder in _FOLDERS:
        candidate = folder / f"{name}.json"
        if candidate.is_file():
            return candidate
    raise ArtifactError(f"no artifact {name}.json in {' or '.join(str(folder) for folder in _FOLDERS)}")


@cache
def load_artifact(name: str) -> Artifact:
    """Return the artifact called `name`, read once per process; raises ArtifactError."""
    path = find_artifact(name)
    try:
        raw = orjson.loads(path.read_bytes())
        return Artifact(
            name=raw["name"],
            abi=tuple(raw["abi"]),
            bytecode=_from_hex(raw.get("bytecode", "")),
            deployed_bytecode=_from_hex(raw.get("deployed_bytecode", "")),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"{path} is not a contract artifact: {error}") from error


def _from_hex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
