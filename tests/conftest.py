"""What all tests share: local chains, saved worlds, and how much of everything is to be run."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from prometheus_client import generate_latest

from keeper.devnet.anvil import Anvil, AnvilOptions
from keeper.devnet.layout import MarketKind
from keeper.devnet.world import World, WorldOptions, load_world, open_world
from keeper.observe import metrics
from scripts.compile_fixtures import FIXTURES, compile_fixture
from tests.support.canaries import secrets_in, sweep

SIZES = ("quick", "prove", "soak")
SIZE = os.environ.get("KEEPER_TEST_SIZE", "quick")
if SIZE not in SIZES:
    raise pytest.UsageError(f"KEEPER_TEST_SIZE={SIZE}: choose from {', '.join(SIZES)}")

# Hundreds of keepers are started: where this is set, each would compile the package anew, for a third of a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

for _name, _examples in zip(SIZES, (50, 1_000, 20_000), strict=True):
    settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,
        print_blob=True,
        # Saved worlds outlive one example on purpose.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
settings.load_profile(SIZE)

NODE_FIXTURES = {"aave_state", "aave_world", "compiled_fixtures", "aave_36_state", "aave_36_world"}
ANVIL_FIXTURES = NODE_FIXTURES | {"anvil", "bundled_state", "bundled_world"}


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Mark each test by the fixtures it uses, so that no mark can be forgotten."""
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & ANVIL_FIXTURES:
            item.add_marker(pytest.mark.anvil)
        if names & NODE_FIXTURES:
            item.add_marker(pytest.mark.node)


LEAKS = pytest.StashKey[list[str]]()


@pytest.hookimpl
def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEAKS] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Look for planted secrets in what each test printed, logged and raised."""
    report = yield
    shown = [report.longreprtext, *(text for _, text in report.sections)]
    found = {name for text in shown for name in secrets_in(text.encode())}
    item.config.stash[LEAKS] += [f"{item.nodeid}: {name}" for name in sorted(found)]
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Look for them in every file the run left behind and in the metrics; fail the run for any.

    A worker of several tells what it found; the files of all workers lie where the one they report to looks.
    """
    leaks = session.config.stash[LEAKS]
    leaks += [f"metrics: {name}" for name in secrets_in(generate_latest(metrics.REGISTRY))]
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["leaks"] = leaks
        return
    factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
    leaks += sweep(factory.getbasetemp())
    if leaks and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker found; one that broke down found nothing, and has failed the run by that."""
    node.config.stash[LEAKS] += getattr(node, "workeroutput", {}).get("leaks", [])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Name each leak."""
    for leak in config.stash[LEAKS]:
        terminalreporter.write_line(f"SECRET LEAKED {leak}", red=True)


@dataclass(frozen=True, slots=True)
class TestSize:
    """How much is to be run: a seeded share, the full counts, or hours of it."""

    __test__ = False
    name: str

    def pick(self, *, quick: int, prove: int, soak: int | None = None) -> int:
        """Return the count for this run; soak is ten times prove unless given."""
        counts = {"quick": quick, "prove": prove, "soak": 10 * prove if soak is None else soak}
        return counts[self.name]


@pytest.fixture(scope="session")
def size() -> TestSize:
    return TestSize(SIZE)


@pytest.fixture
async def anvil() -> AsyncIterator[Anvil]:
    """An empty chain that mines at once."""
    async with Anvil(AnvilOptions()) as node:
        yield node


@pytest.fixture(scope="session")
def compiled_fixtures() -> None:
    """The real Aave V3.6, Morpho and the probe, compiled (once; later runs find them in the cache)."""
    for fixture in FIXTURES:
        compile_fixture(fixture)


async def _saved(kind: MarketKind, borrowers: int, folder: Path) -> Path:
    async with open_world(WorldOptions(kind=kind, borrowers=borrowers, seed=1)) as world:
        await world.deploy_executor()
        await world.save(folder)
    return folder


@pytest.fixture(scope="session")
async def bundled_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a saved bundled market: 30 borrowers, all healthy, an executor for the operator."""
    return await _saved("bundled", 30, tmp_path_factory.mktemp("bundled"))


@pytest.fixture(scope="session")
async def aave_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a saved real Aave V3: 100 borrowers, all healthy, an executor for the operator."""
    return await _saved("aave-v3", 100, tmp_path_factory.mktemp("aave"))


@pytest.fixture(scope="session")
async def aave_36_state(compiled_fixtures: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a saved real Aave V3.6: 100 borrowers, all healthy, an executor for the operator."""
    return await _saved("aave-v3.6", 100, tmp_path_factory.mktemp("aave-36"))


@pytest.fixture
async def aave_36_world(aave_36_state: Path) -> AsyncIterator[World]:
    """A fresh copy of the real Aave V3.6, on an anvil of its own that mines at once."""
    async with load_world(aave_36_state) as world:
        yield world


@pytest.fixture
async def bundled_world(bundled_state: Path) -> AsyncIterator[World]:
    """A fresh copy of the bundled market, on an anvil of its own that mines at once."""
    async with load_world(bundled_state) as world:
        yield world


@pytest.fixture
async def aave_world(aave_state: Path) -> AsyncIterator[World]:
    """A fresh copy of the real Aave V3, on an anvil of its own that mines at once."""
    async with load_world(aave_state) as world:
        yield world
