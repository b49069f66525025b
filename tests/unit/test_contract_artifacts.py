"""The committed ABIs and bytecode are what the pinned compiler makes of the sources that stand beside them."""

import importlib.util
import json
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


compiler = _load(ROOT / "scripts" / "compile_contracts.py")
NAMES = sorted(compiler.CONTRACTS)


def _committed(name: str) -> dict[str, object]:
    artifact: dict[str, object] = json.loads((ROOT / "abis" / f"{name}.json").read_text("utf-8"))
    return artifact


@pytest.fixture(scope="module")
def compiled() -> dict[str, dict[str, object]]:
    """Every contract, compiled now."""
    artifacts: dict[str, dict[str, object]] = compiler.compile_all()
    return artifacts


@pytest.mark.parametrize("name", NAMES)
def test_sources_are_those_the_artifact_names(name: str) -> None:
    """Needs no node: a changed source without `make contracts` shows here."""
    assert _committed(name)["source_hash"] == compiler.source_hash(name)


@pytest.mark.parametrize("name", NAMES)
def test_recompiling_gives_the_committed_artifact(name: str, compiled: dict[str, dict[str, object]]) -> None:
    """Creation and runtime code, ABI, compiler and settings, to the byte."""
    assert _committed(name) == compiled[name]


def test_no_file_is_missing_or_left_over(compiled: dict[str, dict[str, object]]) -> None:
    assert compiler.stale_names(compiled) == []


def test_a_change_anywhere_below_a_contract_changes_its_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash covers what is imported over several steps, not the contract's own file alone."""
    for path in compiler.SOURCES_DIR.rglob("*.sol"):
        copy = tmp_path / path.relative_to(compiler.SOURCES_DIR)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    monkeypatch.setattr(compiler, "SOURCES_DIR", tmp_path.resolve())
    before = {name: compiler.source_hash(name) for name in NAMES}
    assert before["LendingPool"] == _committed("LendingPool")["source_hash"]
    with (tmp_path / "reference" / "libraries" / "Rounding.sol").open("a", encoding="utf-8") as file:
        file.write("// changed\n")
    changed = {name for name in NAMES if compiler.source_hash(name) != before[name]}
    assert {"LendingPool", "AToken", "DebtToken"} <= changed
    assert changed.isdisjoint({"KeeperExecutor", "Batcher", "SwapPair", "TestToken"})


def test_settings_are_those_of_the_contract_tests() -> None:
    """forge must test the very code that is committed."""
    profile = tomllib.loads((ROOT / "contracts" / "foundry.toml").read_text("utf-8"))["profile"]["default"]
    settings = compiler.SETTINGS
    assert profile["evm_version"] == settings["evmVersion"]
    assert profile["optimizer"] is settings["optimizer"]["enabled"]
    assert profile["optimizer_runs"] == settings["optimizer"]["runs"]
    assert profile["bytecode_hash"] == settings["metadata"]["bytecodeHash"]
    assert profile["cbor_metadata"] is settings["metadata"]["appendCBOR"]


def test_compiler_is_pinned_exactly() -> None:
    """One version, the same in package.json, the lock and every artifact."""
    wanted = json.loads((ROOT / "package.json").read_text("utf-8"))["devDependencies"]["solc"]
    locked = json.loads((ROOT / "package-lock.json").read_text("utf-8"))["packages"]["node_modules/solc"]["version"]
    assert wanted == locked
    for name in NAMES:
        settings = _committed(name)["compiler"]
        assert isinstance(settings, dict)
        assert settings["version"].split("+")[0] == wanted


def test_everything_fits_the_size_limits_of_the_chain() -> None:
    """24,576 bytes of runtime code and twice that to create it; two hex digits a byte after the 0x."""
    for name in NAMES:
        artifact = _committed(name)
        assert 2 < len(str(artifact["deployed_bytecode"])) <= 2 + 2 * 24_576, name
        assert len(str(artifact["bytecode"])) <= 2 + 2 * 49_152, name
        assert "__$" not in str(artifact["bytecode"]), f"{name} needs linking"
