"""The house rules: who may touch what, found by reading the syntax tree. `tests/test_repo.py` applies them."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

DECISION_ROOMS = ("domain/", "lending/", "oracles/", "venues/", "estimate/", "send/")
DIVIDING_ROOMS = (*DECISION_ROOMS, "watch/", "store/")
MONEY_DIVIDERS = ("domain/fixed_point.py", "lending/", "venues/")
HTTP_CLIENTS = {"aiohttp", "requests", "httpx", "urllib.request", "http.client", "websockets", "web3", "eth_account"}
KEY_LIBRARIES = {"eth_account", "eth_keys", "eth_keyfile", "coincurve"}
SQL_LIBRARIES = {"sqlite3", "aiosqlite", "sqlalchemy", "asyncpg"}
SQL_TEXT = re.compile(
    r"^\s*(SELECT .+ FROM|INSERT INTO|INSERT OR|UPDATE \w+ SET|DELETE FROM|CREATE TABLE|PRAGMA) ?", re.IGNORECASE
)
WALL_CLOCK = {
    "time.time",
    "time.time_ns",
    "time.localtime",
    "time.gmtime",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
}
BROADCASTS = {"eth_sendRawTransaction", "eth_sendTransaction", "eth_sendBundle", "eth_sendPrivateTransaction"}
BROADCASTING = {"send_raw", "send_raw_to_all", "submit_raw", "send_raw_transaction", "send_transaction"}
Finder = Callable[[ast.Module], Iterator[tuple[int, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is forbidden (`find`), everywhere in the package or in some rooms, and where it is allowed nevertheless."""

    name: str
    find: Finder
    allowed: tuple[str, ...]
    rooms: tuple[str, ...] = ("",)

    def broken_by(self, path: str, source: str) -> list[str]:
        """Return a line per breach in the file at `path` (relative to the package)."""
        if not path.startswith(self.rooms) or path.startswith(self.allowed):
            return []
        return [f"{path}:{line}: {what} [{self.name}]" for line, what in self.find(ast.parse(source))]


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def _importing(forbidden: set[str], *, except_for: str | None = None) -> Finder:
    def find(tree: ast.Module) -> Iterator[tuple[int, str]]:
        for line, name in _imports(tree):
            spared = except_for is not None and f"{name}.".startswith(f"{except_for}.")
            if not spared and any(f"{name}.".startswith(f"{root}.") for root in forbidden):
                yield line, f"imports {name}"

    return find


def _dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _environment(tree: ast.Module) -> Iterator[tuple[int, str]]:
    yield from ((line, name) for line, name in _imports(tree) if name in {"os.environ", "os.getenv", "dotenv"})
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _dotted(node) in {"os.environ", "os.getenv", "os.environb"}:
            yield node.lineno, _dotted(node)


def _wall_clock(tree: ast.Module) -> Iterator[tuple[int, str]]:
    yield from ((line, f"imports {name}") for line, name in _imports(tree) if name in WALL_CLOCK)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            name = _dotted(node)
            if name in WALL_CLOCK or ".".join(name.split(".")[-2:]) in WALL_CLOCK:
                yield node.lineno, name


def _sql(tree: ast.Module) -> Iterator[tuple[int, str]]:
    yield from _importing(SQL_LIBRARIES)(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and SQL_TEXT.match(node.value):
            yield node.lineno, f"SQL text {node.value[:30]!r}"


def _broadcast_text(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in BROADCASTS:
            yield node.lineno, str(node.value)


def _broadcast_call(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in BROADCASTING:
            yield node.lineno, f".{node.attr}"


def _nonce_choice(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value == "eth_getTransactionCount":
            yield node.lineno, str(node.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "nonce":
            yield node.lineno, ".nonce()"


def _names_with_values(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Yield each name together with an annotation or a value that is bound to it."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[target], value=value):
                yield _dotted(target), value
            case ast.AnnAssign(target=target, annotation=annotation, value=value):
                yield _dotted(target), annotation
                if value is not None:
                    yield _dotted(target), value
            case ast.keyword(arg=str(name), value=value):
                yield name, value
            case ast.FunctionDef(name=name, args=args) | ast.AsyncFunctionDef(name=name, args=args):
                if node.returns is not None:
                    yield name, node.returns
                plain = [*args.posonlyargs, *args.args]
                yield from zip((a.arg for a in plain[len(plain) - len(args.defaults) :]), args.defaults, strict=True)
                yield from ((a.arg, d) for a, d in zip(args.kwonlyargs, args.kw_defaults, strict=True) if d is not None)
                yield from ((a.arg, a.annotation) for a in [*plain, *args.kwonlyargs] if a.annotation is not None)


def _is_float(node: ast.AST) -> bool:
    return (isinstance(node, ast.Constant) and isinstance(node.value, float)) or _dotted(node) == "float"


def _floats(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Find floats, except seconds (their names end in _s): waiting is no decision about money."""
    spared = {
        id(inner)
        for name, value in _names_with_values(tree)
        if name.lower().endswith("_s")
        for inner in ast.walk(value)
    }
    yield from _importing({"numpy", "math.sqrt", "math.log", "math.exp", "math.pow", "statistics"})(tree)
    for node in ast.walk(tree):
        if id(node) in spared:
            continue
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, "true division"
        elif _is_float(node):
            yield node.lineno if isinstance(node, ast.expr) else 0, "float"


def _leaves(node: ast.AST) -> list[str]:
    return [
        _dotted(inner).rsplit(".", 1)[-1]
        for inner in ast.walk(node)
        if isinstance(inner, ast.Attribute) or (isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load))
    ]


def _money_division(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Find floor divisions, except by a literal 2 (the middle of an interval) and of seconds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.FloorDiv):
            halves = isinstance(node.right, ast.Constant) and node.right.value == 2
            seconds = any(name.endswith("_s") for name in _leaves(node.left))
            if not halves and not seconds:
                yield node.lineno, "floor division"
        elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.FloorDiv):
            yield node.lineno, "floor division"
        elif isinstance(node, ast.Call) and _dotted(node.func) == "divmod":
            yield node.lineno, "divmod"


RULES = (
    # devnet/binary.py looks for anvil before any configuration exists; lab/ hands its child an environment.
    Rule(name="environment", find=_environment, allowed=("config/", "devnet/binary.py", "lab/")),
    Rule(name="wall clock", find=_wall_clock, allowed=("domain/clock.py",)),
    Rule(name="SQL", find=_sql, allowed=("store/",)),
    # devnet/ drives its own anvil; serve/ is an HTTP server, not a client.
    Rule(name="RPC", find=_importing(HTTP_CLIENTS, except_for="aiohttp.web"), allowed=("chain/", "devnet/")),
    Rule(name="keys", find=_importing(KEY_LIBRARIES), allowed=("chain/signer.py", "chain/keystore.py", "devnet/")),
    # config/guards.py only names the method a private address wants.
    Rule(name="broadcast method", find=_broadcast_text, allowed=("chain/", "devnet/", "config/guards.py")),
    Rule(name="broadcast", find=_broadcast_call, allowed=("chain/", "send/channels/", "devnet/")),
    Rule(name="nonce", find=_nonce_choice, allowed=("chain/", "send/", "devnet/")),
    # estimate/report.py prints decided plans, with Decimal; the book keeps floats for its screen, which decides
    # nothing.
    Rule(
        name="float",
        find=_floats,
        allowed=("estimate/report.py", "lending/book/columns.py", "lending/book/screen.py"),
        rooms=DECISION_ROOMS,
    ),
    Rule(
        name="money division", find=_money_division, allowed=MONEY_DIVIDERS, rooms=(*DECISION_ROOMS, "watch/", "store/")
    ),
)

# For each rule: a file that breaks it, and the same text where it is allowed (None: nowhere).
SAMPLES: tuple[tuple[str, str, str | None, str], ...] = (
    ("environment", "send/sender.py", "config/load.py", "import os\nkey = os.environ['KEY']\n"),
    ("environment", "cli/run.py", "config/load.py", "from os import getenv\n"),
    ("wall clock", "watch/watcher.py", "domain/clock.py", "import time\nnow = time.time()\n"),
    ("wall clock", "store/rows.py", "domain/clock.py", "from datetime import datetime\nnow = datetime.now()\n"),
    ("SQL", "send/sender.py", "store/rows.py", "import sqlite3\n"),
    ("SQL", "cli/pnl.py", "store/rows.py", "query = 'SELECT hash FROM attempts'\n"),
    ("RPC", "lending/reader.py", "chain/rpc.py", "from web3 import AsyncWeb3\n"),
    ("RPC", "venues/v3.py", "chain/rpc.py", "import aiohttp\n"),
    ("RPC", "watch/heads.py", "chain/heads.py", "from urllib.request import urlopen\n"),
    ("keys", "send/sender.py", "chain/signer.py", "from eth_account import Account\n"),
    ("keys", "chain/client.py", "chain/signer.py", "import coincurve\n"),
    ("broadcast method", "send/sender.py", "chain/client.py", "method = 'eth_sendRawTransaction'\n"),
    ("broadcast", "send/sender.py", "send/channels/public.py", "async def f(c, raw):\n    await c.send_raw(raw)\n"),
    (
        "broadcast",
        "cli/deploy.py",
        "send/channels/public.py",
        "async def f(c):\n    await c.send_transaction({})\n",
    ),
    ("nonce", "estimate/planner.py", "send/nonces.py", "async def f(chain, me):\n    return await chain.nonce(me)\n"),
    ("float", "estimate/sizing.py", None, "def share(a_raw: int, b_raw: int) -> int:\n    return int(a_raw / b_raw)\n"),
    ("float", "lending/aave_v3/rules.py", None, "BONUS = 1.05\n"),
    ("float", "venues/v2.py", None, "def f(x: int) -> int:\n    return int(float(x))\n"),
    ("float", "domain/plans.py", None, "class Plan:\n    profit: float\n"),
    ("float", "send/fees.py", "lending/book/screen.py", "import numpy as np\n"),
    ("float", "lending/book/book.py", "lending/book/columns.py", "import numpy as np\n"),
    ("money division", "estimate/sizing.py", "lending/aave_v3/rules.py", "def f(a, b):\n    return a // b\n"),
    ("money division", "send/fees.py", "domain/fixed_point.py", "def f(fee):\n    return divmod(fee, 8)\n"),
    ("money division", "domain/plans.py", "venues/v2.py", "def f(a):\n    a //= 3\n"),
)
