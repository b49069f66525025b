"""SIGKILL between any two steps of sending: nothing is sent twice, nothing is lost, nothing is unjournalled."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from keeper.chain.signer import KeySigner
from keeper.devnet.anvil import Anvil, AnvilOptions
from keeper.store import open_store
from tests.conftest import TestSize
from tests.faults.fake_chain import CHAIN_ID
from tests.faults.kill_driver import ANY_INSTANT
from tests.faults.parts import note, seeds
from tests.support.proxy import Fault, RpcProxy

ROOT = Path(__file__).resolve().parents[2]
KEY = "5a" * 32
SIGNER = KeySigner.from_hex(KEY).address
SEED = 20
FAULTS = [
    Fault(kind="status", status=503),
    Fault(kind="reset"),
    Fault(kind="swallow"),
    Fault(kind="delay", seconds=0.1),
    Fault(kind="truncate"),
    Fault(kind="body", body=b"<html>bad gateway</html>"),
    Fault(kind="id"),
]


async def drive(
    node: Anvil, state: Path, *, kills: int, seed: int = SEED, url: str = "", defect: str = "none"
) -> dict[str, Any]:
    """Kill runs that reach the node by way of `url`, or directly."""
    await node.set_balance(SIGNER, 10**24)
    driver = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.faults.kill_driver",
        *(str(state), url or node.http_url, node.http_url, KEY, str(seed), str(kills), defect),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await driver.communicate()
    found: dict[str, Any] = json.loads(out.splitlines()[-1]) if driver.returncode == 0 else {}
    return {**found, "words": err.decode()[-2000:]}


async def mined(node: Anvil) -> list[dict[str, Any]]:
    """Every transaction of the signer on the chain."""
    found = []
    for number in range(await node.block_number() + 1):
        block = await node.rpc.call("eth_getBlockByNumber", hex(number), True)
        found += [one for one in block["transactions"] if one["from"].lower() == SIGNER.lower()]
    return found


def journalled(state: Path) -> tuple[set[str], list[str | None], list[str | None]]:
    """Hashes of everything signed, of everything booked, and of everything still open."""
    store = open_store(state)
    rows = store._database.rows("SELECT transaction_hash FROM attempts")
    live = store.journal(chain_id=CHAIN_ID, sender=SIGNER).live()
    booked = [entry.transaction for entry in store.entries()]
    store.close()
    return {row["transaction_hash"] for row in rows}, booked, [slot.transaction for slot in live]


async def one_part(state: Path, mining: str, *, seed: int, kills: int) -> Counter[str]:
    """Kill that often on a chain and a state file of its own; return where, or fail at what was doubled or lost."""
    async with (
        Anvil(AnvilOptions(chain_id=CHAIN_ID, no_mining=mining == "on demand")) as node,
        RpcProxy(node.http_url) as proxy,
    ):
        weather = proxy.break_some(FAULTS, share=0.05, seed=seed)
        result = await drive(node, state, kills=kills, seed=seed, url=proxy.http_url)
        found = await mined(node)
    assert "places" in result, result["words"]
    signed, booked, live = journalled(state)
    print(
        f"seed {seed}, {kills} kills in {result['runs']} runs ({result['troubled']} given up by themselves)"
        f" with {weather.hits} faults in {proxy.count()} requests; {len(found)} mined; at {result['places']}"
    )
    places = Counter[str](result["places"])
    assert places.total() == kills
    assert places[ANY_INSTANT] >= kills // 10
    plans = Counter(one["input"] for one in found if one["input"] != "0x")
    assert plans == {"0x" + f"plan {number}".encode().hex(): 1 for number in range(result["asked"])}
    assert {one["hash"] for one in found} <= signed
    assert sorted(booked, key=str) == sorted((one["hash"] for one in found), key=str)
    assert live == []
    assert sorted(int(one["nonce"], 16) for one in found) == list(range(len(found)))
    counts = {"runs": result["runs"], "mined": len(found), "faults": weather.hits, "requests": proxy.count()}
    note(f"kills, mined {mining}", seed, {"kills": kills, **counts, **places})
    return places


@pytest.mark.timeout(86_400)
@pytest.mark.parametrize("mining", ["at once", "on demand"])
async def test_row_01_a_kill_at_any_step_or_instant_neither_doubles_nor_loses(
    size: TestSize, tmp_path: Path, mining: str
) -> None:
    kills, parts = size.pick(quick=40, prove=250, soak=250), size.pick(quick=1, prove=1, soak=40)
    places = Counter[str]()
    for seed in seeds(SEED, parts):
        places += await one_part(tmp_path / str(seed) / "state.db", mining, seed=seed, kills=kills)
    assert len(places) >= size.pick(quick=6, prove=8, soak=12)


async def test_the_harness_finds_a_sender_that_journals_after_sending(tmp_path: Path) -> None:
    """Whether a kill falls between the two is chance: the mistake has to show in one of a few runs."""
    for seed in range(SEED, SEED + 8):
        state = tmp_path / str(seed) / "state.db"
        async with Anvil(AnvilOptions(chain_id=CHAIN_ID)) as node:
            result = await drive(node, state, kills=20, seed=seed, defect="journal-after-send")
            found = await mined(node)
        signed, _, _ = journalled(state)
        doubles = [count for count in Counter(one["input"] for one in found).values() if count > 1]
        unjournalled = {one["hash"] for one in found} - signed
        print(f"seed {seed}: {len(doubles)} doubles, {len(unjournalled)} unjournalled; {result['words']}")
        if doubles or unjournalled:
            return
    pytest.fail("the mistake was never seen")
