"""A process that is told to end while money is on its way: it ends soon, and the next one knows everything."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keeper.devnet.anvil import AnvilOptions
from tests.support.cli import Ended, Running, until
from tests.support.proxy import Fault
from tests.support.stage import Stage, open_stage

pytestmark = pytest.mark.anvil

FALL = {"WETH": -9, "WBTC": -9, "LINK": -9}
SEND = "eth_sendRawTransaction"
TERM, INT = signal.SIGTERM, signal.SIGINT


@pytest.fixture
async def still(bundled_state: Path, tmp_path: Path) -> AsyncIterator[Stage]:
    """A market with unhealthy accounts on a chain that mines nothing until it is told to."""
    async with open_stage(bundled_state, tmp_path, anvil=AnvilOptions(no_mining=True)) as stage:
        await stage.world.shock(FALL)
        yield stage


async def stopped(running: Running, which: signal.Signals) -> Ended:
    """Send a signal; the process has to end well within five seconds, with one document."""
    running.signal(which)
    ended = await running.end(15)
    assert ended.code == 0, ended.err[-3000:]
    assert ended.seconds < 5
    assert set(ended.document) >= {"block", "attempts", "entries"}
    assert "Traceback" not in ended.err
    return ended


def raw_sent(stage: Stage) -> list[str]:
    return [seen.params[0] for seen in stage.proxy.seen if seen.method == SEND]


async def finish(stage: Stage) -> Ended:
    """Let the chain go on and start the keeper again; it has to see everything through."""
    stage.proxy.heal()
    await stage.world.anvil.set_interval_mining(1)
    ended = await stage.keeper.run("run", "--live", "--once", "--json", timeout_s=120)
    assert ended.code == 0, ended.err[-3000:]
    assert (await stage.keeper.json("estimate"))["plans"] == []
    return ended


async def check_no_double(stage: Stage) -> None:
    """Each nonce was used by one transaction only, and the books are right."""
    entries = await stage.check_ledger()
    booked = [entry["transaction"] for entry in entries]
    assert len(set(booked)) == len(booked)
    assert len(stage.calls_sent()) == len(booked)  # the same call again and again, never others


@pytest.mark.parametrize(("kind", "which"), [("hang", TERM), ("hang", INT), ("delay", TERM), ("delay", INT)])
async def test_a_signal_in_the_middle_of_a_send_loses_nothing(still: Stage, which: signal.Signals, kind: str) -> None:
    """The bytes are on their way and nobody has answered: the node has them ("delay"), or it has not ("hang")."""
    still.proxy.break_with(Fault(kind="delay" if kind == "delay" else "hang", seconds=60.0), method=SEND)
    running = await still.keeper.start("run", "--live", "--json")
    await until(lambda: still.proxy.count(SEND) == 1, running=running)
    ended = await stopped(running, which)
    (attempt,) = ended.document["attempts"]
    assert (attempt["status"], attempt["block"]) == ("signed", None)
    assert (await still.keeper.json("pnl"))["entries"] == []

    done = await finish(still)
    assert attempt["transaction"] in [entry["transaction"] for entry in done.document["entries"]]
    if kind == "hang":
        assert raw_sent(still)[0] in raw_sent(still)[1:]  # the same bytes went out again
    await check_no_double(still)


async def test_a_signal_while_transactions_wait_to_be_mined_leaves_them_in_the_journal(still: Stage) -> None:
    running = await still.keeper.start("run", "--live", "--json")
    await until(lambda: running.err().count('"sent"') >= 3, running=running)
    ended = await stopped(running, INT)
    waiting = [attempt["transaction"] for attempt in ended.document["attempts"]]
    assert len(waiting) >= 3
    assert {attempt["status"] for attempt in ended.document["attempts"]} == {"sent"}

    done = await finish(still)
    assert set(waiting) <= {entry["transaction"] for entry in done.document["entries"]}
    await check_no_double(still)


async def test_what_was_mined_while_nobody_looked_is_booked_at_the_next_start(still: Stage) -> None:
    running = await still.keeper.start("run", "--live", "--json")
    await until(lambda: running.err().count('"sent"') >= 2, running=running)
    await stopped(running, TERM)
    await still.world.anvil.mine()
    await finish(still)
    await check_no_double(still)


async def test_what_is_mined_is_booked_before_the_end(bundled_state: Path, tmp_path: Path) -> None:
    async with open_stage(bundled_state, tmp_path) as stage:
        await stage.world.shock(FALL)
        running = await stage.keeper.start("run", "--live", "--json")
        await until(lambda: '"mined"' in running.err(), running=running)
        await stopped(running, TERM)
        await stage.check_ledger()


async def test_once_leaves_what_is_not_mined_in_time_to_the_next_run(still: Stage) -> None:
    ended = await still.keeper.run("run", "--live", "--once", "--timeout", "1", "--json")
    assert ended.code == 1
    waiting = ended.document["attempts"]
    assert {attempt["status"] for attempt in waiting} == {"sent"}
    assert len(waiting) >= 3
    done = await finish(still)
    assert {attempt["transaction"] for attempt in waiting} <= {e["transaction"] for e in done.document["entries"]}
    await check_no_double(still)


async def test_what_only_waits_for_confirmations_is_mined(bundled_state: Path, tmp_path: Path) -> None:
    """The last of them has no block on top, and none will come: exit 0; the next run finds it deep enough."""
    async with open_stage(bundled_state, tmp_path) as stage:
        assert stage.keeper.config is not None
        toml = stage.keeper.config.read_text().replace("[chain]\n", "[chain]\nconfirmations = 2\n")
        stage.keeper.config.write_text(toml)
        await stage.world.shock(FALL)
        ended = await stage.keeper.run("run", "--live", "--once", "--timeout", "2", "--json")
        assert ended.code == 0
        assert [attempt["status"] for attempt in ended.document["attempts"]][-1] == "sent"
        await stage.world.anvil.mine()
        assert len((await stage.keeper.json("run", "--live", "--once"))["entries"]) == 1
        await stage.check_ledger()


@pytest.mark.parametrize(
    ("method", "which"), [("eth_chainId", TERM), ("eth_getLogs", INT), ("eth_getTransactionCount", TERM)]
)
async def test_a_signal_during_the_start_is_obeyed(
    bundled_state: Path, tmp_path: Path, which: signal.Signals, method: str
) -> None:
    async with open_stage(bundled_state, tmp_path) as stage:
        stage.proxy.break_with(Fault(kind="hang"), method=method)
        running = await stage.keeper.start("run", "--live", "--json")
        await until(lambda: stage.proxy.count(method) >= 1, running=running)
        ended = await stopped(running, which)
        assert ended.document["attempts"] == []


@pytest.mark.parametrize(("websocket", "which"), [(False, TERM), (True, INT)], ids=["http", "websocket"])
async def test_a_signal_in_the_calm_is_obeyed_at_once(
    bundled_state: Path, tmp_path: Path, which: signal.Signals, websocket: bool
) -> None:
    async with open_stage(bundled_state, tmp_path, websocket=websocket) as stage:
        running = await stage.keeper.start("run", "--json")
        await until(lambda: '"started"' in running.err(), running=running)
        await asyncio.sleep(1)
        ended = await stopped(running, which)
        assert ended.seconds < 2
        assert ended.document["entries"] == []


async def test_row_24_the_daemon_outlives_a_node_that_is_away_for_a_while(bundled_state: Path, tmp_path: Path) -> None:
    """Nothing tells the daemon that the node is back: no new block comes. It has to look by itself."""
    async with open_stage(bundled_state, tmp_path) as stage:
        async with stage.keeper.daemon("--live") as running:
            await stage.handled(within_s=20, running=running)
            fault = stage.proxy.break_with(Fault(kind="reset"))
            await stage.world.shock(FALL)
            await until(lambda: fault.hits >= 3, running=running)
            await asyncio.sleep(4)
            stage.proxy.heal()
            await until(lambda: '"mined"' in running.err(), running=running)
            await stage.handled(within_s=40, running=running)
        await stage.check_ledger()
