"""Read the contracts that hold money with slither, slitherin, semgrep and halmos; fail on what nobody has explained.

Usage: python scripts/audit.py [slither | semgrep | halmos ...]     (`make audit` installs the three first)

contracts/audit.json names the detectors and gives a reason for every finding that stays. A finding without a reason,
a reason without a finding, a rule that misses its bad sample and a proof that fails end in exit code 1. The bundled
market under contracts/src/reference is for local chains and not read.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = ROOT / "contracts"
CACHE = ROOT / ".cache"
RULES = CONTRACTS / "semgrep"
NOT_READ = "src/reference/"
WEAK = "test/weak/"  # weak on purpose: the detectors must find holes there
VERDICTS = {0: "proved", 1: "refuted by a counterexample"}  # halmos' own codes; every other one is no verdict
FUNCTION = re.compile(r"\b(?:function\s+(\w+)|(constructor))\s*\(")


class AuditError(Exception):
    """A tool did not run; the message is for a person."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a tool says about one function: `where` is Contract.function, or the contract alone."""

    tool: str
    rule: str
    where: str
    text: str


def run(name: str, *arguments: str, expected: tuple[int, ...] = (0,)) -> str:
    """Run a tool of its own environment inside contracts/ and return what it printed.

    Raises:
        AuditError: it is not installed, or ended with a code that is not in `expected`.
    """
    folder = CACHE / f"audit-{name}" / "bin"
    variables = {
        **os.environ,
        "PATH": f"{folder}:{ROOT / 'tools'}:{os.environ['PATH']}",
        "FOUNDRY_OUT": str(CACHE / "audit" / name),
        "FOUNDRY_CACHE_PATH": str(CACHE / "audit" / "cache"),
        "SEMGREP_SEND_METRICS": "off",
        "SEMGREP_ENABLE_VERSION_CHECK": "0",
    }
    try:
        done = subprocess.run(arguments, cwd=CONTRACTS, env=variables, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise AuditError(f"{arguments[0]} is not installed; run `make audit`") from error
    if done.returncode not in expected:
        raise AuditError(f"{' '.join(arguments)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


# --- slither with slitherin -----------------------------------------------------------------------------------------


def slither_findings(settings: dict[str, Any]) -> list[Finding]:
    """Return what the detectors of the list find.

    Raises:
        AuditError: slither has a detector that is neither in the list nor left out with a reason, misses a hole
            that is there on purpose, or did not run.
    """
    known = set(re.findall(r"^\| \d+\s+\| ([a-z0-9-]+)", run("slither", "slither", "--list-detectors"), re.MULTILINE))
    named = {*settings["detectors"], *settings["left_out"]}
    if known != named:
        raise AuditError(f"contracts/audit.json and slither name different detectors: {sorted(known ^ named)}")
    shutil.rmtree(CACHE / "audit" / "slither", ignore_errors=True)  # another build's information confuses slither
    run("slither", "forge", "build", "--offline", "--build-info", "src", "test/weak")
    report = CACHE / "audit" / "slither.json"
    report.unlink(missing_ok=True)
    out = os.path.relpath(CACHE / "audit" / "slither", CONTRACTS)
    options = (
        "--ignore-compile",
        "--foundry-out-directory",
        out,
        "--filter-paths",
        f"test/(?!weak)|{NOT_READ}",
    )
    detect = ",".join(settings["detectors"])
    run("slither", "slither", ".", *options, "--detect", detect, "--json", str(report), "--fail-none")
    results = json.loads(report.read_text("utf-8"))["results"].get("detectors", [])
    weak = {(_found(item).rule, _found(item).where) for item in results if WEAK in _file(item)}
    missed = {tuple(hole) for hole in settings["must_find"]} - weak
    if missed:
        raise AuditError(f"slither does not see what is weak on purpose: {sorted(missed)}")
    return [_found(item) for item in results if WEAK not in _file(item)]


def _file(item: dict[str, Any]) -> str:
    name: str = item["elements"][0]["source_mapping"]["filename_relative"]
    return name


def _found(item: dict[str, Any]) -> Finding:
    names: list[str] = []
    element = item["elements"][0]
    while element:
        if element["type"] in {"function", "contract"}:
            names.append(element["name"])
        element = element.get("type_specific_fields", {}).get("parent")
    where = ".".join(reversed(names))
    return Finding(tool="slither", rule=item["check"], where=where, text=item["description"].split("\n")[0])


# --- semgrep --------------------------------------------------------------------------------------------------------


def semgrep_findings() -> list[Finding]:
    """Return what the local rules find, after each of them has found its bad sample and nothing else in it."""
    run("semgrep", "semgrep", "scan", "--test", "--metrics=off", str(RULES))
    options = ("--metrics=off", "--quiet", "--json", "--strict", "--exclude", "reference")
    text = run("semgrep", "semgrep", "scan", *options, "--config", str(RULES / "executor.yml"), "src")
    return [
        Finding(
            tool="semgrep",
            rule=item["check_id"].rpartition(".")[2],
            where=_where(CONTRACTS / item["path"], item["end"]["line"]),
            text=f"{item['path']}:{item['start']['line']} {item['extra']['message']}",
        )
        for item in json.loads(text)["results"]
    ]


def _where(path: Path, line: int) -> str:
    above = "\n".join(path.read_text("utf-8").split("\n")[:line])
    functions = FUNCTION.findall(above)
    return ".".join([path.stem, *([next(filter(None, functions[-1]))] if functions else [])])


# --- halmos ---------------------------------------------------------------------------------------------------------


def halmos_findings(settings: dict[str, Any]) -> list[Finding]:
    """Return the proofs that did not succeed, and the bad samples in which no hole was found.

    Raises:
        AuditError: a contract that contracts/audit.json names has no proof, or halmos did not run.
    """
    expected = settings["proofs"]
    report = CACHE / "audit" / "halmos.json"
    report.unlink(missing_ok=True)
    options = ("--forge-build-out", os.path.relpath(CACHE / "audit" / "halmos", CONTRACTS), "--no-status")
    match = ("--match-contract", f"^({'|'.join(expected)})$")
    run("halmos", "halmos", *match, *options, "--json-output", str(report), expected=(0, 1))
    results = json.loads(report.read_text("utf-8"))["test_results"]
    suites = {key.rpartition(":")[2]: tests for key, tests in results.items() if tests}
    if suites.keys() != expected.keys():
        raise AuditError(f"proofs in {sorted(suites)}, wanted in {sorted(expected)}")
    return [
        Finding(
            tool="halmos",
            rule="proof",
            where=f"{name}.{test['name'].partition('(')[0]}",
            text=VERDICTS.get(verdict, "not decided"),
        )
        for name, tests in suites.items()
        for test in tests
        if (verdict := test["exitcode"]) != expected[name]
    ]


# --- all of it ------------------------------------------------------------------------------------------------------


def unexplained(findings: list[Finding], settings: dict[str, Any], tools: list[str]) -> list[str]:
    """Return one line per finding without a reason, and per reason that explains nothing."""
    reasons = {
        (entry["tool"], entry["rule"], where): entry["reason"]
        for entry in settings["explained"]
        for where in entry["where"]
    }
    seen = {(found.tool, found.rule, found.where) for found in findings}
    new = [
        f"{found.tool} {found.rule} {found.where}: {found.text}"
        for found in findings
        if (found.tool, found.rule, found.where) not in reasons
    ]
    stale = [f"explained, but not found: {' '.join(key)}" for key in reasons if key[0] in tools and key not in seen]
    return new + stale


def main() -> int:
    """Run the tools named on the command line, or all of them; return the exit code."""
    settings = json.loads((CONTRACTS / "audit.json").read_text("utf-8"))
    tools = sys.argv[1:] or ["slither", "semgrep", "halmos"]
    readers = {
        "slither": lambda: slither_findings(settings),
        "semgrep": semgrep_findings,
        "halmos": lambda: halmos_findings(settings),
    }
    faults: list[str] = []
    try:
        for tool in tools:
            findings = readers[tool]()
            bad = unexplained(findings, settings, [tool])
            print(f"{'FAIL' if bad else 'ok  '} {tool}: {len(findings)} findings, {len(bad)} unexplained")
            faults += bad
    except AuditError as error:
        print(error, file=sys.stderr)
        return 1
    for fault in faults:
        print(f"     {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
