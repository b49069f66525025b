"""The rules of the house, held on every file, and each rule shown to have teeth."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.house_rules import RULES, SAMPLES, Rule

from keeper.config.load import load_settings

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "keeper"
LONGEST_MODULE = 400
LONGEST_FUNCTION = 60


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def texts() -> dict[str, str]:
    """Return every text file of the repository, tracked or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    found = {}
    for name in listed:
        path = ROOT / name
        if path.is_file() and path.suffix not in {".png", ".ico"}:
            found[name] = path.read_text(encoding="utf-8")
    return found


# --- who may touch what ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_rule_holds(rule: Rule) -> None:
    breaches = []
    for path in modules():
        breaches += rule.broken_by(path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8"))
    assert breaches == []


@pytest.mark.parametrize(("name", "path", "allowed", "source"), SAMPLES)
def test_rule_has_teeth(name: str, path: str, allowed: str | None, source: str) -> None:
    rule = next(rule for rule in RULES if rule.name == name)
    assert rule.broken_by(path, source)
    if allowed is not None:
        assert rule.broken_by(allowed, source) == []


def test_every_rule_has_a_sample_that_breaks_it() -> None:
    assert {name for name, *_ in SAMPLES} == {rule.name for rule in RULES}


def test_seconds_may_be_floats() -> None:
    rule = next(rule for rule in RULES if rule.name == "float")
    assert rule.broken_by("send/sender.py", "WAIT_S = 0.5\ndef f(pause_s: float = 1.5) -> None: ...\n") == []


# --- layers ---------------------------------------------------------------------------------------------------------


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    tool = Path(sys.executable).parent / "lint-imports"
    return subprocess.run([str(tool), "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def copied_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layers")
    shutil.copytree(PACKAGE, folder / "keeper", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_layers_hold() -> None:
    answer = lint_imports(ROOT)
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("domain/__init__.py", "import keeper.chain"),
        ("venues/__init__.py", "import keeper.lending"),
        ("send/__init__.py", "import keeper.estimate"),
        ("estimate/__init__.py", "import keeper.config"),
        ("lending/__init__.py", "import keeper.chain"),
    ],
)
def test_layer_rule_has_teeth(copied_package: Path, module: str, line: str) -> None:
    target = copied_package / "keeper" / module
    original = target.read_text(encoding="utf-8")
    target.write_text(f"{original}\n{line}\n", encoding="utf-8")
    try:
        answer = lint_imports(copied_package)
    finally:
        target.write_text(original, encoding="utf-8")
    assert answer.returncode == 1, answer.stdout
    assert "BROKEN" in answer.stdout


# --- size -----------------------------------------------------------------------------------------------------------


def test_modules_and_functions_stay_small() -> None:
    long = []
    for path in modules():
        source = path.read_text(encoding="utf-8")
        if source.count("\n") > LONGEST_MODULE:
            long.append(f"{path.relative_to(ROOT)}: {source.count(chr(10))} lines")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    long.append(f"{path.relative_to(ROOT)}: {node.name} has {length} lines")
    assert long == []


# --- configuration --------------------------------------------------------------------------------------------------


def test_example_configuration_loads() -> None:
    settings = load_settings(ROOT / "keeper.example.toml")
    assert settings.markets


def test_env_example_names_exactly_the_variables_that_are_read() -> None:
    read = set()
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and re.fullmatch(r"KEEPER_[A-Z_]+", str(node.value)):
                read.add(node.value)
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = set(re.findall(r"^#? ?(KEEPER_[A-Z_]+)=", text, re.MULTILINE))
    assert named == read


# --- what never stands in a file ------------------------------------------------------------------------------------

# Put together from parts, so that this file does not hold them.
FORBIDDEN = {
    "a package registry": re.compile(
        "|".join(["registry" + r"\.npm", "npmjs" + r"\.(org|com)", "pypi" + r"\.org", "python" + r"hosted\.org"])
    ),
    "a machine's path": re.compile("|".join(["/work" + "/", "/root" + "/", r"/home/\w+/", "/Users" + r"/\w+/"])),
    "an inner folder": re.compile(r"\.libr" + "ary"),
    "an issue number": re.compile(r"\bissues? #?\d", re.IGNORECASE),
    "a secret": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    pattern = FORBIDDEN[what]
    found = [f"{name}: {match.group()}" for name, text in texts().items() for match in [pattern.search(text)] if match]
    assert found == []


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a package registry", "https://registry" + ".npm" + "js.org/solc"),
        ("a package registry", "files.python" + "hosted.org"),
        ("a machine's path", "/work" + "/main/tools"),
        ("a machine's path", "/home" + "/somebody/keeper"),
        ("an inner folder", "/x/.libr" + "ary/y"),
        ("an issue number", "see issue " + "#12"),
        ("a secret", "-----BEGIN EC PRIV" + "ATE KEY-----"),
    ],
)
def test_forbidden_text_is_recognised(what: str, text: str) -> None:
    assert FORBIDDEN[what].search(text)


def test_locks_are_hashed_and_name_no_host() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        entries = re.findall(r"^([A-Za-z0-9_.\[\]-]+)==", text, re.MULTILINE)
        assert len(entries) > 30
        assert "://" not in text
        blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
        assert all("--hash=sha256:" in block for block in blocks if "==" in block)
