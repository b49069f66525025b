"""The reference pages name everything there is, and nothing that is not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel

from keeper.cli.main import app
from keeper.config.model import Settings
from keeper.domain.attempts import AttemptState, EntryStatus
from keeper.domain.errors import Fatal
from keeper.estimate.report import estimate_report
from keeper.store.ledger import pnl_json
from tests.support.plans import simulated

ROOT = Path(__file__).resolve().parents[3]
CLI = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

# Where reasons and codes come from, and what looks like one there without being any.
REASON_SOURCES = (
    "app.py", "daemon.py", "estimate/explain.py", "estimate/planner.py", "estimate/reasons.py", "estimate/service.py",
    "estimate/simulate.py", "estimate/situation.py", "oracles/chainlink.py", "send/dialects.py", "send/gate.py",
    "send/sender.py",
)  # fmt: skip
NO_REASONS = {"contract_address", "fee_cap_wei", "gas_limit", "latency_ms", "tip_wei"}


def commands() -> Iterator[tuple[str, Any]]:
    """Yield each command's full name with its description."""
    root: Any = typer.main.get_command(app)
    for name, command in root.commands.items():
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        else:
            yield from ((f"{name} {sub}", each) for sub, each in inner.items())


def section(name: str) -> str:
    """Return the part of the page about one command, with what is said of all."""
    parts = re.split(r"^## ", CLI, flags=re.MULTILINE)
    (own,) = [part for part in parts if part.startswith(f"`keeper {name}`")]
    return parts[0] + own


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_command_and_option_is_there(name: str, command: Any) -> None:
    text = section(name)
    for parameter in command.params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            assert re.search(rf"`{option}[` ]", text), f"{name} {option}"


def test_no_option_is_made_up() -> None:
    known = {o for _, c in commands() for p in c.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
    assert set(re.findall(r"`(--[a-z-]+)", CLI)) <= known


def keys(value: Any) -> set[str]:
    """Return the names of all fields in a document."""
    if isinstance(value, dict):
        return set(value).union(*(keys(each) for each in value.values()))
    return set().union(*(keys(each) for each in value)) if isinstance(value, (list, tuple)) else set()


def test_every_field_of_plans_and_ledger_is_there() -> None:
    plan = simulated()
    for name, document in (
        ("estimate", estimate_report(1, plan.plan.head, [plan], [])),
        ("pnl", pnl_json([])),
    ):
        missing = {key for key in keys(document) if f'"{key}"' not in section(name)}
        assert missing == set(), name


def reasons_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {text for text in texts if re.fullmatch(r"[a-z]+(_[a-z]+)+", text)} - NO_REASONS


def test_every_reason_and_refusal_is_there() -> None:
    found = set().union(*(reasons_in(ROOT / "keeper" / name) for name in REASON_SOURCES))
    assert len(found) > 35
    assert {reason for reason in found if f"`{reason}`" not in CLI} == set()


def test_every_refusal_of_the_pool_is_there() -> None:
    files = (ROOT / "keeper" / "lending" / "aave_v3").rglob("*.py")
    found = {code for path in files for code in re.findall(r'refuse\("([A-Z_]+)"\)', path.read_text(encoding="utf-8"))}
    assert len(found) > 10
    assert {code for code in found if f"`{code}`" not in CLI} == set()


def test_every_status_and_exit_code_is_there() -> None:
    for status in (*get_args(AttemptState), *get_args(EntryStatus)):
        assert f'"{status}"' in CLI
    codes = {each.exit_code for each in [Fatal, *Fatal.__subclasses__()]} | {0, 2}
    assert codes == {int(code) for code in re.findall(r"^\| (\d) \|", CLI, re.MULTILINE)}


# --- configuration --------------------------------------------------------------------------------------------------


def model_keys() -> set[tuple[str, str]]:
    """Return (table, key) of every setting."""
    found = set()
    for table, field in Settings.model_fields.items():
        (model,) = set(_models(field.annotation))
        found |= {(table, key) for key in model.model_fields}
    return found


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models(each)


def documented_rows() -> dict[tuple[str, str], str]:
    """Return the default that the page gives for each (table, key)."""
    found = {}
    for part in re.split(r"^## ", CONFIGURATION, flags=re.MULTILINE)[1:]:
        title = re.match(r"`\[+(\w+)\]+`", part)
        if title is not None:
            for keys_cell, default in re.findall(r"^\| (`[^|]+`) \| [^|]+ \| ([^|]+) \|", part, re.MULTILINE):
                found |= {(title.group(1), key): default for key in re.findall(r"`(\w+)`", keys_cell)}
    return found


def test_the_page_lists_exactly_the_keys_of_the_model() -> None:
    assert set(documented_rows()) == model_keys()


def test_defaults_on_the_page_are_those_of_the_model() -> None:
    rows = documented_rows()
    for table, field in Settings.model_fields.items():
        (model,) = set(_models(field.annotation))
        for key, setting in model.model_fields.items():
            said = rows.get((table, key))
            if said is None or (table, key) == ("state", "path"):
                continue  # the test above names what is missing
            if setting.is_required():
                assert said == "required", (table, key)
            elif isinstance(setting.default, (bool, int, str)):
                assert said.strip('`"').replace(",", "").lower() == str(setting.default).lower(), (table, key)


# --- pages ----------------------------------------------------------------------------------------------------------

PAGES = [
    path for pattern in ("*.md", "docs/**/*.md", "abis/*.md") for path in sorted(ROOT.glob(pattern))
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    broken = []
    for target in targets:
        name, _, anchor = target.partition("#")
        if "://" in name:
            continue
        file = page.parent / name if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, made as forges make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_test_named_on_a_page_exists() -> None:
    sources = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "contracts" / "test").rglob("*.sol")]
    written = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    known = set(re.findall(r"(?:def|function) (\w+)\(", written))
    named = {name for page in PAGES for name in re.findall(r"`(test(?:Fuzz)?_\w+)`", page.read_text(encoding="utf-8"))}
    assert len(named) > 30
    assert named - known == set()


def test_every_file_named_among_the_losses_exists() -> None:
    text = (ROOT / "docs" / "losses.md").read_text(encoding="utf-8")
    for name in re.findall(r"`([\w/]+\.(?:t\.sol|py))`", text):
        folder = "contracts/test" if name.endswith(".sol") else "tests"
        assert (ROOT / folder / name).is_file(), name
