"""Endpoints of which one lies in a decisive read: nothing is decided on it, the liar is named and set aside."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from eth_utils.crypto import keccak

from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.chain.health import EndpointState
from keeper.chain.urls import mask_url
from keeper.devnet.accounts import OPERATOR
from keeper.devnet.settings import SettingsOptions
from keeper.devnet.world import World
from keeper.domain.chain import Call, Head
from keeper.domain.errors import Disagreement, Transient
from keeper.domain.units import Address
from tests.support.cli import Keeper, Running, until
from tests.support.proxy import Fault, RpcProxy

LATEST_ROUND_DATA = bytes.fromhex("feaf968c")
BLOCK, NONCE, CODE, CALL = "eth_getBlockByNumber", "eth_getTransactionCount", "eth_getCode", "eth_call"


@dataclass(slots=True)
class Scene:
    """A chain behind several endpoints, and what a decision on it would rest on."""

    world: World
    proxies: list[RpcProxy]
    chain: RpcChain
    head: Head
    reads: dict[Call, bytes]
    codes: dict[Address, bytes]

    async def confirm(self) -> None:
        await self.chain.confirm(self.head, self.reads, self.codes)

    def state(self, index: int) -> EndpointState:
        return self.chain._rpc.endpoints[index].health.state

    def label(self, index: int) -> str:
        return mask_url(self.proxies[index].http_url)


async def _open(stack: AsyncExitStack, world: World, endpoints: int, **options: Any) -> Scene:
    proxies = [await stack.enter_async_context(RpcProxy(world.anvil.http_url)) for _ in range(endpoints)]
    chain = await connect([proxy.http_url for proxy in proxies], chain_id=31337, **options)
    await stack.enter_async_context(chain)
    await world.anvil.mine()  # anvil's first header after loading names the root of the saved state, not of its own
    head = await chain.head()
    calls = [Call(to=feed, data=LATEST_ROUND_DATA) for feed in world.feeds.values()]
    answers = await chain.read(calls, head)
    executor = world.layout.executor
    assert executor is not None
    return Scene(
        world=world,
        proxies=proxies,
        chain=chain,
        head=head,
        reads={call: answer.data for call, answer in zip(calls, answers, strict=True)},
        codes={executor: keccak(await chain.code(executor))},
    )


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as opened:
        yield opened


def _other_price(scene: Scene) -> Callable[[Any], Any]:
    """A lie in every answer of a feed, wherever it stands in the reply."""
    answer = next(iter(scene.reads.values()))[32:64].hex()
    false = (int(answer, 16) * 9 // 10).to_bytes(32, "big").hex()
    return lambda result: result.replace(answer, false)


def _other_time(scene: Scene) -> Callable[[Any], Any]:
    data = next(iter(scene.reads.values()))
    return lambda result: result.replace(
        data[96:128].hex(), (int.from_bytes(data[96:128], "big") + 9).to_bytes(32, "big").hex()
    )


LIES: dict[str, tuple[str, str, Callable[[Scene], Callable[[Any], Any]]]] = {
    "chain id": ("eth_chainId", "chain id", lambda _: lambda _result: "0x1"),
    "head hash": (BLOCK, "head hash", lambda _: lambda block: block | {"hash": "0x" + "ab" * 32}),
    "head with another state": (
        BLOCK,
        "head hash",
        lambda _: lambda block: block | {"hash": "0x" + "ab" * 32, "stateRoot": "0x" + "cd" * 32},
    ),
    "oracle round": (CALL, "oracle round", _other_price),
    "time of the round": (CALL, "oracle round", _other_time),
    "contract code": (CODE, "contract code", lambda _: lambda code: code[:-2] + "00"),
}


@pytest.mark.parametrize("liar", [0, 1])
@pytest.mark.parametrize("lie", LIES)
async def test_of_two_the_one_that_lies_is_named_and_nothing_is_decided(
    bundled_world: World, stack: AsyncExitStack, lie: str, liar: int, caplog: pytest.LogCaptureFixture
) -> None:
    scene = await _open(stack, bundled_world, 2)
    await scene.confirm()
    method, what, make = LIES[lie]
    scene.proxies[liar].break_with(Fault(kind="result", value=make(scene)), method=method)
    await scene.world.anvil.mine()
    scene.head = await _honest(scene, liar)
    with pytest.raises(Disagreement, match=what if what != "chain id" else "head hash"):
        await scene.confirm()
    assert scene.state(liar) is (EndpointState.WRONG_CHAIN if what == "chain id" else EndpointState.LYING)
    assert scene.state(1 - liar) is EndpointState.ALIVE
    with pytest.raises(Disagreement):
        await scene.confirm()  # the honest one alone decides nothing
    assert (await scene.chain.block(scene.head.number)).hash == scene.head.hash  # but it is read from


async def _honest(scene: Scene, liar: int) -> Head:
    chain = await connect([scene.proxies[1 - liar].http_url], chain_id=31337)
    async with chain:
        return await chain.head()


@pytest.mark.parametrize("liar", [0, 1])
async def test_of_two_the_one_that_lies_about_the_nonce_is_proven_false(
    bundled_world: World, stack: AsyncExitStack, liar: int
) -> None:
    scene = await _open(stack, bundled_world, 2)
    nonce = await scene.chain.nonce(OPERATOR.address)
    scene.proxies[liar].break_with(Fault(kind="result", value=hex(nonce + 3)), method=NONCE)
    with pytest.raises(Disagreement, match=f"account nonce; set aside: {scene.label(liar)}"):
        await scene.chain.nonce(OPERATOR.address)
    assert scene.state(liar) is EndpointState.LYING
    assert scene.state(1 - liar) is EndpointState.ALIVE


async def test_lie_that_nothing_disproves_makes_both_suspect(bundled_world: World, stack: AsyncExitStack) -> None:
    """Without proofs two words stand against each other; nobody is set aside, and nothing is decided."""
    scene = await _open(stack, bundled_world, 2)
    for proxy in scene.proxies:
        proxy.break_with(
            Fault(kind="error", value={"code": -32601, "message": "no such method"}), method="eth_getProof"
        )
    scene.proxies[0].break_with(Fault(kind="result", value="0x99"), method=NONCE)
    with pytest.raises(Disagreement, match="disagree on the account nonce"):
        await scene.chain.nonce(OPERATOR.address)
    assert [scene.state(0), scene.state(1)] == [EndpointState.ALIVE, EndpointState.ALIVE]
    scene.proxies[0].heal()
    assert await scene.chain.nonce(OPERATOR.address) == await _nonce_by_node(scene)


async def _nonce_by_node(scene: Scene) -> int:
    return int(await scene.world.anvil.rpc.call(NONCE, OPERATOR.address, "latest"), 16)


@pytest.mark.parametrize("liar", [0, 2])
async def test_of_three_the_majority_goes_on(bundled_world: World, stack: AsyncExitStack, liar: int) -> None:
    scene = await _open(stack, bundled_world, 3)
    for proxy in scene.proxies:
        proxy.break_with(
            Fault(kind="error", value={"code": -32601, "message": "no such method"}), method="eth_getProof"
        )
    scene.proxies[liar].break_with(Fault(kind="result", value="0x99"), method=NONCE)
    assert await scene.chain.nonce(OPERATOR.address) == await _nonce_by_node(scene)
    assert scene.state(liar) is EndpointState.LYING
    await scene.confirm()


async def test_dead_endpoint_has_no_vote(bundled_world: World, stack: AsyncExitStack) -> None:
    scene = await _open(stack, bundled_world, 2)
    scene.proxies[1].break_with(Fault(kind="reset"))
    with pytest.raises(Disagreement):
        await scene.confirm()  # it was heard until now
    await scene.confirm()
    assert scene.state(1) is EndpointState.DEAD


async def test_quorum_of_the_operator_is_kept_even_so(bundled_world: World, stack: AsyncExitStack) -> None:
    scene = await _open(stack, bundled_world, 2, quorum=2)
    scene.proxies[1].break_with(Fault(kind="reset"))
    for _ in range(3):
        with pytest.raises(Disagreement, match="1 of 2"):
            await scene.confirm()


async def test_what_was_decided_on_must_be_what_they_agree_on(bundled_world: World, stack: AsyncExitStack) -> None:
    """A lie told once, to the read that counted, and not again when asked."""
    scene = await _open(stack, bundled_world, 2)
    call = next(iter(scene.reads))
    scene.reads[call] = scene.reads[call][:40] + b"\x01" + scene.reads[call][41:]
    with pytest.raises(Disagreement, match="in use"):
        await scene.confirm()


async def test_node_that_is_behind_holds_the_decision_up_and_recovers(
    bundled_world: World, stack: AsyncExitStack
) -> None:
    scene = await _open(stack, bundled_world, 2)
    scene.proxies[1].break_with(Fault(kind="result", value=None), method=BLOCK, times=1)
    with pytest.raises(Disagreement, match="1 of 2"):
        await scene.confirm()
    await scene.confirm()


async def test_liar_that_tells_the_truth_again_is_taken_back(
    bundled_world: World, stack: AsyncExitStack, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("keeper.chain.health._LIAR_REST_S", 0.2)
    scene = await _open(stack, bundled_world, 2)
    scene.proxies[0].break_with(Fault(kind="result", value="0x99"), method=NONCE, times=2)
    with caplog.at_level(logging.INFO), pytest.raises(Transient):
        await scene.chain.nonce(OPERATOR.address)
    await asyncio.sleep(0.25)
    assert await scene.chain.nonce(OPERATOR.address) == await _nonce_by_node(scene)
    assert scene.state(0) is EndpointState.ALIVE


async def test_one_endpoint_is_believed_without_further_questions(bundled_world: World, stack: AsyncExitStack) -> None:
    scene = await _open(stack, bundled_world, 1)
    before = scene.proxies[0].count()
    await scene.confirm()
    assert scene.proxies[0].count() == before


# --- through the command --------------------------------------------------------------------------------------------


COMMAND_LIES: dict[str, tuple[str, Callable[[int], Callable[[Any], Any]]]] = {
    "chain id": ("eth_chainId", lambda _: lambda _result: "0x1"),
    "head hash": (BLOCK, lambda _: lambda block: block and block | {"hash": "0x" + "ab" * 32}),
    "account nonce": (NONCE, lambda _: lambda nonce: hex(int(nonce, 16) + 3)),
    "oracle round": (CALL, lambda answer: lambda data: data.replace(f"{answer:064x}", f"{answer * 97 // 100:064x}")),
    "contract code": (CODE, lambda _: lambda code: code and code + "00"),
}


@pytest.mark.parametrize("liar", [0, 1])
@pytest.mark.parametrize("lie", COMMAND_LIES)
async def test_nothing_is_sent_while_one_of_two_lies(bundled_world: World, tmp_path: Path, lie: str, liar: int) -> None:
    """The whole daemon: plans that pay are there, and stay unsent; the log names who lied."""
    method, make = COMMAND_LIES[lie]
    async with RpcProxy(bundled_world.anvil.http_url) as first, RpcProxy(bundled_world.anvil.http_url) as second:
        proxies = [first, second]
        keeper = Keeper.at(
            tmp_path, bundled_world.config_toml(SettingsOptions(rpc_urls=[proxy.http_url for proxy in proxies]))
        )
        async with keeper.daemon("--live") as running:
            await until(lambda: first.count("eth_getLogs") > 0, running=running)
            await asyncio.sleep(1.0)
            answer = int((await bundled_world.prices())["WETH"] * 10**8) * 80 // 100
            rule = proxies[liar].break_with(Fault(kind="result", value=make(answer)), method=method)
            await bundled_world.shock({"WETH": -20})
            assert await bundled_world.unhealthy()
            label = mask_url(proxies[liar].http_url)
            await until(lambda: label in _told(running, "endpoint"), timeout_s=25, running=running)
            for _ in range(4):
                await bundled_world.anvil.mine()
                await asyncio.sleep(0.5)
            assert rule.hits > 0
            assert [proxy.count("eth_sendRawTransaction") for proxy in proxies] == [0, 0]
            assert mask_url(proxies[1 - liar].http_url) not in _told(running, "endpoint lied")


def _told(running: Running, event: str) -> str:
    """The log lines that convict or set aside."""
    lines = [orjson.loads(line) for line in running.err().splitlines() if line.startswith("{")]
    return "\n".join(
        str(line["endpoint"])
        for line in lines
        if line.get("event") == "endpoint lied"
        or (line.get("event") == event and line.get("state") in {"lying", "wrong-chain"})
    )


async def test_both_honest_again_everything_is_sent(bundled_world: World, tmp_path: Path) -> None:
    async with RpcProxy(bundled_world.anvil.http_url) as first, RpcProxy(bundled_world.anvil.http_url) as second:
        keeper = Keeper.at(
            tmp_path, bundled_world.config_toml(SettingsOptions(rpc_urls=[first.http_url, second.http_url]))
        )
        await bundled_world.shock({"WETH": -20})
        report = await keeper.json("run", "--live", "--once")
        assert report["entries"]
        assert all(entry["status"] == "success" for entry in report["entries"])
