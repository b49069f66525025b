"""Whatever a node, a contract, a configuration file or a damaged journal says, a decoder answers, or raises what it
declares, and is never long about it.

Inputs are made from well-formed ones by seeded damage: most of the way through a decoder is only seen by what is
nearly right.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keeper.chain import decode, proofs, replies
from keeper.chain.rlp import rlp_encode
from keeper.chain.simulate import _outcomes
from keeper.config.load import load_settings
from keeper.domain.chain import CallResult, Log
from keeper.domain.errors import ConfigError, Failed, RpcError, Transient
from keeper.domain.units import to_address
from keeper.estimate.executor import (
    LIQUIDATED_TOPIC,
    SETTLED_TOPIC,
    decode_executor_revert,
    decode_liquidated,
    decode_run,
    decode_settled,
)
from keeper.lending.aave_v3.calls import decode_address_list, decode_words
from keeper.lending.aave_v3.errors import decode_revert
from keeper.lending.book import saved
from keeper.lending.book.book import Book
from keeper.lending.book.rows import Row
from keeper.oracles.chainlink import _read_answers
from keeper.oracles.pending import decode_transmit, read_transmission
from keeper.oracles.pushes import read_push
from keeper.store.rows import to_entry, to_slot
from keeper.watch.tokens import decode_symbol
from tests.conftest import TestSize

SEED = 9
LONGEST_S = 0.05
ACCOUNT = to_address("0x" + "a1" * 20)
WORD = "0x" + "ab" * 32


@dataclass(frozen=True, slots=True)
class Target:
    """A decoder: how an input for it is made, what it may raise."""

    name: str
    make: Callable[[random.Random], Any]
    read: Callable[[Any], object]
    declared: tuple[type[Exception], ...] = ()


def fuzz(targets: list[Target], count: int, seed: int) -> Counter[str]:
    """Give `count` inputs to the targets in turn; return how many were answered and how many refused."""
    dice = random.Random(seed)
    told: Counter[str] = Counter()
    for number in range(count):
        target = targets[number % len(targets)]
        made = target.make(dice)
        started_s = time.thread_time()
        try:
            target.read(made)
            told["answered"] += 1
        except target.declared:
            told["refused"] += 1
        except Exception as error:
            raise AssertionError(f"{target.name}, seed {seed}, input {number}: {made!r:.400}") from error
        if time.thread_time() - started_s > LONGEST_S:
            assert fastest_s(target, made) <= LONGEST_S, f"{target.name} is long about {made!r:.400}"
    return told


def fastest_s(target: Target, made: Any) -> float:
    """A collection of garbage may have come in between: look again."""
    taken = []
    for _ in range(3):
        started_s = time.thread_time()
        with contextlib.suppress(*target.declared):
            target.read(made)
        taken.append(time.thread_time() - started_s)
    return min(taken)


# --- damage -----------------------------------------------------------------------------------------------------------

ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 1.5, "", "0x", "0x0", "0x1", "-0x1", "0x-1", "0x_1", "0xzz",
    "0x" + "f" * 64, "0x" + "f" * 65, "0x" + "ab" * 20, WORD, "x" * 100_000, [], {}, [[]], [None], "\x00", "\u202e",
    "0x" + "00" * 50_000, {"data": {"data": {}}}, "Reverted 0x", "execution reverted", [1] * 1_000,
]  # fmt: skip


def damage(dice: random.Random, value: Any, depth: int = 0) -> Any:
    """Change one place of a JSON value."""
    if depth > 4 or dice.random() < 0.15 or not isinstance(value, (dict, list)) or not value:
        return dice.choice(ODD) if dice.random() < 0.7 else damage_text(dice, value)
    if isinstance(value, dict):
        key = dice.choice(sorted(value))
        if dice.random() < 0.15:
            return {name: kept for name, kept in value.items() if name != key}
        return {**value, key: damage(dice, value[key], depth + 1)}
    at = dice.randrange(len(value))
    if dice.random() < 0.2:
        return value[:at] if dice.random() < 0.5 else (value * dice.randint(0, 50))[:200]
    return [*value[:at], damage(dice, value[at], depth + 1), *value[at + 1 :]]


def damage_text(dice: random.Random, value: Any) -> Any:
    if not isinstance(value, str) or not value:
        return dice.choice(ODD)
    at = dice.randrange(len(value))
    return (
        value[:at] + dice.choice(["", "g", "_", " ", "0" * 64, value, "\x00", "é"]) + value[at + dice.randint(0, 2) :]
    )


def damage_bytes(dice: random.Random, data: bytes) -> bytes:
    """Cut, stretch, flip, or put a huge word somewhere."""
    turn = dice.randrange(6)
    at = dice.randrange(len(data) + 1)
    if turn == 0:
        return data[:at]
    if turn == 1:
        return data + dice.randbytes(dice.randint(1, 100))
    if turn == 2:
        return data[:at] + bytes((dice.randrange(256),)) + data[at + 1 :]
    if turn == 3:
        word = dice.choice([0, 1, 31, 32, 33, 2**31, 2**64, 2**255, 2**256 - 1, dice.randrange(400)])
        place = 32 * (at // 32) + dice.choice([0, 4])
        return data[:place] + word.to_bytes(32, "big") + data[place + 32 :]
    if turn == 4:
        return dice.randbytes(dice.randrange(300))
    return data * dice.randint(1, 200)


# --- replies of nodes -------------------------------------------------------------------------------------------------

LOG = {
    "address": ACCOUNT, "topics": [WORD, WORD], "data": "0x" + "01" * 64, "blockNumber": "0x10", "blockHash": WORD,
    "transactionHash": WORD, "logIndex": "0x0", "removed": False,
}  # fmt: skip
HEAD = {
    "number": "0x10", "hash": WORD, "parentHash": WORD, "timestamp": "0x65000000", "baseFeePerGas": "0x7",
    "gasUsed": "0x0", "gasLimit": "0x1c9c380",
}  # fmt: skip
RECEIPT = {
    "transactionHash": WORD, "status": "0x1", "blockNumber": "0x10", "blockHash": WORD, "gasUsed": "0x5208",
    "effectiveGasPrice": "0x7", "contractAddress": None, "logs": [LOG],
}  # fmt: skip
SIMULATED = [{"calls": [{"status": "0x1", "returnData": "0x01", "gasUsed": "0x5208", "logs": [LOG]}]}]
ERROR = {"code": -32000, "message": "nonce too low", "data": {"data": "0x08c379a0"}}
SINGLE = {"jsonrpc": "2.0", "id": 7, "result": "0x1"}
BATCH = [{"jsonrpc": "2.0", "id": 7, "result": "0x1"}, {"jsonrpc": "2.0", "id": 8, "error": ERROR}]
PENDING = {"hash": WORD, "input": "0xc9807539" + "00" * 64, "to": ACCOUNT, "from": ACCOUNT, "nonce": "0x1"}
BAD_REPLY = (Transient, RpcError)


def json_of(sample: Any) -> Callable[[random.Random], Any]:
    def make(dice: random.Random) -> Any:
        value = sample
        for _ in range(dice.choice([1, 1, 1, 2, 3])):
            value = damage(dice, value)
        return value

    return make


def head_and_logs(dice: random.Random) -> list[Any]:
    """Two results: how many there are is checked before."""
    return [damage(dice, HEAD), [LOG]] if dice.random() < 0.5 else [HEAD, damage(dice, [LOG])]


def body_of(sample: Any) -> Callable[[random.Random], bytes]:
    def make(dice: random.Random) -> bytes:
        if dice.random() < 0.6:
            return json.dumps(json_of(sample)(dice)).encode()
        text = json.dumps(sample).encode()
        return dice.choice(
            [damage_bytes(dice, text), b"[" * dice.randint(1, 5_000), b'{"id":' * dice.randint(1, 2_000)]
        )

    return make


def judge_error(value: Any) -> None:
    """The error of a node goes through every question that is asked about errors."""
    error = replies.error_of(value)
    if isinstance(error, RpcError):
        for ask in (
            replies.is_range_refusal, replies.is_block_missing, replies.is_too_much, replies.is_hash_refused,
            replies.is_method_missing, replies.is_creation_refused,
        ):  # fmt: skip
            ask(error)


REPLIES = [
    Target("single reply", body_of(SINGLE), lambda body: replies.read_reply(body, 7), BAD_REPLY),
    Target("batch", body_of(BATCH), lambda body: replies.read_batch(body, 7, 2), BAD_REPLY),
    Target("error object", json_of(ERROR), judge_error),
    Target("head", json_of(HEAD), decode.head_or_none, BAD_REPLY),
    Target("log", json_of(LOG), decode.log, BAD_REPLY),
    Target("logs", json_of([LOG, LOG]), decode.logs_between(16, 16), BAD_REPLY),
    Target("logs of known blocks", head_and_logs, decode.logs_of_known_blocks(16, 16), BAD_REPLY),
    Target("receipt", json_of(RECEIPT), decode.receipt_of(WORD), BAD_REPLY),
    Target("simulation", json_of(SIMULATED), _outcomes([1]), BAD_REPLY),
    Target("quantity", json_of("0x10"), decode.quantity, BAD_REPLY),
    Target("push of a price", json_of(LOG), read_push),
    Target("pending transaction", json_of(PENDING), read_transmission),
]  # fmt: skip

# --- data of contracts ------------------------------------------------------------------------------------------------

WORDS = b"".join(value.to_bytes(32, "big") for value in (32, 2, 10**18, 3, 7, 0, 2**160 - 1, 1))
TEXT = bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + (5).to_bytes(32, "big") + b"hello" + bytes(27)
LEAF = rlp_encode([bytes.fromhex("20") + bytes(32), rlp_encode([b"\x01", b"\x02", bytes(32), bytes(32)])])
SELECTORS = [bytes.fromhex(text) for text in ("08c379a0", "4e487b71", "c9807539", "b1dc65a4", "ba0cb29e", "6fadcf72")]


def data_of(*samples: bytes) -> Callable[[random.Random], bytes]:
    return lambda dice: damage_bytes(dice, dice.choice(samples))


def call_data(dice: random.Random) -> bytes:
    return dice.choice(SELECTORS) + damage_bytes(dice, WORDS * dice.randint(1, 8))


def result_of(dice: random.Random) -> CallResult:
    return CallResult(ok=dice.random() < 0.9, data=damage_bytes(dice, dice.choice([WORDS, TEXT[4:], b""])))


def read_proof(node: bytes) -> None:
    """A node that hashes to the root may hold anything."""
    root = proofs.keccak(node)
    proofs.read_account(root, ACCOUNT, [node])


def made_log(dice: random.Random) -> Log:
    topics = tuple(dice.randbytes(32) for _ in range(dice.randrange(5)))
    name = dice.choice((LIQUIDATED_TOPIC, SETTLED_TOPIC))
    return Log(ACCOUNT, (name, *topics)[: dice.randint(1, 5)], damage_bytes(dice, WORDS), 1, WORD, WORD, 0)


ABI = [
    Target("words", data_of(WORDS), lambda data: decode_words(data, 8), (ValueError,)),
    Target("addresses", data_of(WORDS), decode_address_list, (ValueError,)),
    Target("answer of a run", data_of(WORDS), decode_run, (ValueError,)),
    Target("liquidated", made_log, decode_liquidated, (ValueError,)),
    Target("settled", made_log, decode_settled, (ValueError,)),
    Target("revert of the pool", data_of(TEXT, WORDS, *SELECTORS), decode_revert),
    Target("revert of the executor", data_of(TEXT, WORDS), lambda data: decode_executor_revert(data, decode_revert)),
    Target("symbol", result_of, decode_symbol),
    Target("feed", lambda dice: [result_of(dice) for _ in range(4)], _read_answers),
    Target("transmission", call_data, lambda data: decode_transmit(ACCOUNT, data), (ValueError,)),
    Target("proof", data_of(LEAF, rlp_encode([b"\x01"] * 17)), read_proof, (proofs.ProofError,)),
]

# --- files ------------------------------------------------------------------------------------------------------------

EXAMPLE = (Path(__file__).resolve().parents[2] / "keeper.example.toml").read_text(encoding="utf-8")
VALUES = [
    "-1", "0", "1e400", "nan", "inf", "true", '""', "[]", "{}", "[[]]", "1979-05-27", "99999999999999999999999", '"0x"',
    '"https://[::1"', '"http://x:99999999"', '"\\u0000"', "0.000000000000000000000000001", '"~/x"', "'''",
    '"' + "a" * 5_000 + '"',
]  # fmt: skip


def config_text(dice: random.Random) -> bytes:
    lines = EXAMPLE.splitlines()
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(lines))
        key, equals, _ = lines[at].removeprefix("# ").partition("=")
        turn = dice.random()
        if turn < 0.6 and equals:
            lines[at] = f"{key}= {dice.choice(VALUES)}"
        elif turn < 0.8:
            lines[at] = str(damage_text(dice, lines[at]))[:2_000]
        else:
            lines.insert(at, dice.choice(["[chain]", "[[markets]]", "x = 1", "[a.b.c]", "]", "[policy]", "\x00"]))
    text = "\n".join(lines).encode(errors="replace")
    return damage_bytes(dice, text) if dice.random() < 0.05 else text


NUMBERS = ["nonce", "slot_id", "gas_limit", "deadline_block", "mined_block", "legacy", "reserved_at_s", "chain_id"]
AMOUNTS = [
    "fee_cap_wei",
    "tip_wei",
    "notional_usd_e8",
    "profit_usd_e8",
    "native_usd_e8",
    "fee_ceiling_wei",
    "reserved_wei",
    "expected_raw",
    "realised_raw",
    "gas_cost_wei",
]
ROW: dict[str, Any] = {
    **dict.fromkeys(NUMBERS, 1), **dict.fromkeys(AMOUNTS, "1"), "intent": "k", "state": "sent", "recipient": ACCOUNT,
    "data": b"plan", "mined_transaction": None, "mined_block_hash": None, "sender": ACCOUNT, "kind": "liquidation",
    "market": "m", "account": ACCOUNT, "profit_token": ACCOUNT, "detail": "{}", "transaction_hash": WORD, "raw": b"x",
    "broadcast": "accepted", "maybe_known": 1, "last_sent_block": 1, "signed_block": 1, "entry_id": 1, "block": 1,
    "status": "success",
}  # fmt: skip
CELLS: list[Any] = [
    None, 0, -1, 2**62, "", "x", "1.5", "1e9", " 1", "٣", b"", b"\xff", "0x1", ACCOUNT.lower(), "[", "{}", '{"a":', 1.5,
    "9" * 4_301, "[" * 3_000, "9" * 300,
]  # fmt: skip
MEMORY = sqlite3.connect(":memory:")
MEMORY.row_factory = sqlite3.Row


def row(dice: random.Random) -> sqlite3.Row:
    names = sorted(ROW)
    spoilt = set(dice.sample(names, dice.choice([0, 1, 1, 1, 2])))
    lost = {dice.choice(names)} if dice.random() < 0.05 else set()
    kept = [name for name in names if name not in lost or name in {"nonce", "entry_id"}]
    values = [dice.choice(CELLS) if name in spoilt else ROW[name] for name in kept]
    columns = ", ".join(f"? AS {name}" for name in kept)
    found: sqlite3.Row = MEMORY.execute(f"SELECT {columns}", values).fetchone()
    return found


def saved_book(dice: random.Random) -> bytes:
    """A book whose checksum is right and whose content is not."""
    book = Book(16, WORD)
    book.put(book.number(bytes(20)), Row(0, ((0, 5),), ((1, 7),), ()))
    content = saved.dump_book(book, scope="s", unsure=frozenset({0}))
    body = damage_bytes(dice, content[: -saved._CHECKSUM])
    return body + hashlib.blake2b(body, digest_size=saved._CHECKSUM).digest()


JOURNAL = [
    Target("slot", lambda dice: (row(dice), [row(dice)]), lambda rows: to_slot(*rows), (Failed,)),
    Target("ledger entry", row, to_entry, (Failed,)),
]


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("targets", [REPLIES, ABI, JOURNAL], ids=["replies", "abi", "journal"])
def test_row_35_decoders_answer_or_raise_what_they_declare(targets: list[Target], size: TestSize) -> None:
    count = size.pick(quick=5_000, prove=50_000)
    told = fuzz(targets, count * (len(targets) if size.name != "quick" else 1), SEED)
    print(f"seed {SEED}: {dict(told)}")
    assert min(told["answered"], told["refused"]) > sum(told.values()) // 50


@pytest.mark.timeout(7200)
def test_row_40_a_configuration_is_read_or_refused_in_one_line(tmp_path: Path, size: TestSize) -> None:
    path = tmp_path / "keeper.toml"

    def read(text: bytes) -> object:
        path.write_bytes(text)
        try:
            return load_settings(path)
        except ConfigError as error:
            if "\n" in str(error):
                raise ValueError("more than one line") from error
            raise

    target = Target("configuration", config_text, read, (ConfigError,))
    told = fuzz([target], size.pick(quick=2_000, prove=50_000), SEED)
    print(f"seed {SEED}: {dict(told)}")
    assert min(told["answered"], told["refused"]) > 0


@pytest.mark.timeout(7200)
def test_a_saved_book_is_read_or_refused(size: TestSize) -> None:
    target = Target("saved book", saved_book, saved.parse_book, (saved.UnreadableBookError,))
    told = fuzz([target], size.pick(quick=1_000, prove=50_000), SEED)
    print(f"seed {SEED}: {dict(told)}")
    assert min(told["answered"], told["refused"]) > 0


def test_the_fuzzer_finds_a_decoder_that_raises_something_else() -> None:
    target = Target("careless", json_of(HEAD), lambda value: int(value["number"], 16), BAD_REPLY)
    with pytest.raises(AssertionError, match="careless"):
        fuzz([target], 1_000, SEED)
