"""Every log once, in order, whatever page size the provider bears."""

from __future__ import annotations

import asyncio

import pytest

from keeper.chain import backfill as backfill_module
from keeper.chain.backfill import LogPage, backfill
from keeper.chain.connect import connect
from keeper.chain.replies import BadReply
from keeper.devnet.anvil import Anvil
from keeper.domain.chain import Head, Log
from keeper.domain.errors import HistoryMissing, RangeRefused, Transient
from keeper.domain.units import Address, to_address
from tests.support.proxy import Fault, RpcProxy

EMITTER = to_address(b"\xe1" * 20)
TOPIC = (43).to_bytes(32, "big")
EMITS_TOPIC_43 = bytes.fromhex("602a600052602b60206000a100")


class ScriptedNode:
    """A Chain with the two methods backfill uses: a log in every `every`th block, and limits like a provider's."""

    def __init__(self, *, head: int, every: int = 7, most_blocks: int = 10**9, most_logs: int = 10**9) -> None:
        self.head_number = head
        self.every = every
        self.most_blocks = most_blocks
        self.most_logs = most_logs
        self.asked: list[tuple[int, int]] = []
        self.answers_early = False

    async def block(self, number: int) -> Head:
        if number > self.head_number:
            raise HistoryMissing(f"the node does not have block {number}")
        return _head(number)

    async def logs(self, *, addresses: object, topics: object, first: int, last: int) -> list[Log]:
        self.asked.append((first, last))
        await asyncio.sleep(0.001 * (first % 3))
        numbers = [n for n in range(first, min(last, self.head_number) + 1) if n % self.every == 0]
        if last - first + 1 > self.most_blocks or len(numbers) > self.most_logs:
            raise RangeRefused(-32005, "too many")
        return [_log(number) for number in numbers]


def _head(number: int) -> Head:
    return Head(
        number=number,
        hash=f"0x{number:064x}",
        parent_hash=f"0x{max(number - 1, 0):064x}",
        timestamp_s=number,
        base_fee_wei=0,
        gas_used=0,
        gas_limit=0,
    )


def _log(number: int) -> Log:
    return Log(
        address=EMITTER,
        topics=(TOPIC,),
        data=b"",
        block_number=number,
        block_hash=f"0x{number:064x}",
        transaction_hash=f"0x{number:064x}",
        log_index=0,
    )


class Pages:
    """Takes pages and checks that they follow one another."""

    def __init__(self, first: int) -> None:
        self.next_block = first
        self.logs: list[Log] = []
        self.pages: list[LogPage] = []

    async def take(self, page: LogPage) -> None:
        assert page.first == self.next_block
        assert page.last_hash
        self.next_block = page.last + 1
        self.logs += page.logs
        self.pages.append(page)


async def _all(node: object, first: int, last: int) -> Pages:
    pages = Pages(first)
    progress: list[tuple[int, int]] = []
    await backfill(
        node,  # type: ignore[arg-type]
        [EMITTER],
        [TOPIC],
        first,
        last,
        on_page=pages.take,
        on_progress=lambda done, total, rate: progress.append((done, total)),
    )
    assert pages.next_block == last + 1
    assert progress[-1] == (last - first + 1, last - first + 1)
    assert progress == sorted(progress)
    return pages


@pytest.mark.parametrize(
    "limits",
    [{}, {"most_blocks": 50}, {"most_blocks": 1}, {"most_logs": 3}, {"most_blocks": 777, "most_logs": 40}],
    ids=str,
)
async def test_every_log_once_and_in_order(limits: dict[str, int]) -> None:
    node = ScriptedNode(head=3_000, **limits)
    pages = await _all(node, 5, 2_500)
    assert [log.block_number for log in pages.logs] == [n for n in range(5, 2_501) if n % 7 == 0]


async def test_page_size_is_learnt() -> None:
    """A provider that bears 50 blocks refuses a few times, not each time."""
    node = ScriptedNode(head=20_000, most_blocks=50)
    await _all(node, 0, 20_000)
    refused = sum(1 for first, last in node.asked if last - first + 1 > 50)
    assert refused < len(node.asked) / 5
    generous = ScriptedNode(head=2_000_000, every=10**7)
    await _all(generous, 1, 2_000_000)
    assert len(generous.asked) < 40


async def test_refusal_of_a_single_block_is_raised() -> None:
    with pytest.raises(RangeRefused):
        await _all(ScriptedNode(head=10, every=1, most_logs=0), 0, 10)


async def test_empty_answer_beyond_the_head_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill_module, "_BEHIND_PAUSES_S", (0.01, 0.05, 0.05))
    node = ScriptedNode(head=99)

    async def catch_up() -> None:
        await asyncio.sleep(0.03)
        node.head_number = 200

    behind = asyncio.create_task(catch_up())
    pages = await _all(node, 0, 150)
    await behind
    assert [log.block_number for log in pages.logs] == list(range(0, 151, 7))
    node.head_number = 120
    with pytest.raises(HistoryMissing, match="150"):
        await _all(node, 0, 150)


async def test_backfill_resumes_where_a_page_was_taken() -> None:
    node = ScriptedNode(head=9_000, most_blocks=100)
    taken = Pages(0)

    async def take_three(page: LogPage) -> None:
        if len(taken.pages) == 3:
            raise ConnectionError("crash")
        await taken.take(page)

    with pytest.raises(ConnectionError):
        await backfill(node, [EMITTER], [TOPIC], 0, 9_000, on_page=take_three)  # type: ignore[arg-type]
    before = len(node.asked)
    await backfill(node, [EMITTER], [TOPIC], taken.next_block, 9_000, on_page=taken.take)  # type: ignore[arg-type]
    assert [log.block_number for log in taken.logs] == list(range(0, 9_001, 7))
    assert all(first >= taken.pages[2].last + 1 for first, _ in node.asked[before:])
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("logs-")]


async def test_nothing_to_do_asks_nothing() -> None:
    node = ScriptedNode(head=5)
    await backfill(node, [EMITTER], [TOPIC], 6, 5, on_page=Pages(6).take)  # type: ignore[arg-type]
    assert not node.asked


async def _emit(anvil: Anvil, times: int) -> None:
    await anvil.set_code(EMITTER, EMITS_TOPIC_43)
    (sender, *_) = await anvil.accounts()
    for _ in range(times):
        await anvil.rpc.call("eth_sendTransaction", {"from": sender, "to": EMITTER, "gas": "0x10000"})
        await anvil.mine(3)
    async with asyncio.timeout(10):
        while len(await _found(anvil.http_url, [EMITTER])) < times:  # noqa: ASYNC110 - the node tells nobody
            await asyncio.sleep(0.02)


async def _found(url: str, addresses: list[Address]) -> list[Log]:
    async with await connect([url], chain_id=31337) as chain:
        pages = Pages(0)
        await backfill(chain, addresses, [TOPIC], 0, (await chain.head()).number, on_page=pages.take)
        return pages.logs


async def test_real_node_that_refuses_lies_and_fails_gives_the_same_logs(anvil: Anvil) -> None:
    await _emit(anvil, 12)
    honest = await _found(anvil.http_url, [EMITTER])
    assert len(honest) == 12
    async with RpcProxy(anvil.http_url) as proxy:
        refusal = {"code": -32005, "message": "query returned more than 10000 results"}
        proxy.break_with(Fault(kind="error", value=refusal), method="eth_getLogs", times=3)
        proxy.break_with(Fault(kind="truncate"), method="eth_getLogs", times=2)
        proxy.break_with(Fault(kind="reset"), method="eth_getLogs", times=1)
        assert await _found(proxy.http_url, [EMITTER]) == honest
        proxy.break_with(Fault(kind="result", value=None), method="eth_getLogs")
        with pytest.raises((BadReply, Transient)):
            await _found(proxy.http_url, [EMITTER])
