"""Retries, failover, patience, and bad replies: a real node behind a proxy that breaks."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator

import pytest

from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.chain.limits import LIMITS
from keeper.chain.urls import mask_url
from keeper.devnet.anvil import Anvil, AnvilOptions
from keeper.domain.errors import (
    ChainUnreachable,
    ConfigError,
    RangeRefused,
    RateLimited,
    RpcError,
    Transient,
)
from keeper.domain.units import to_address
from tests.support.proxy import Fault, RpcProxy

NOBODY = "http://127.0.0.1:9/secret-path?key=canary"
HEAD = "eth_getBlockByNumber"


@pytest.fixture
async def proxy(anvil: Anvil) -> AsyncIterator[RpcProxy]:
    async with RpcProxy(anvil.http_url) as broken:
        yield broken


@pytest.fixture
async def chain(proxy: RpcProxy) -> AsyncIterator[RpcChain]:
    async with await connect([proxy.http_url], chain_id=31337) as connected:
        yield connected


BAD = [
    Fault(kind="id"),
    Fault(kind="truncate"),
    Fault(kind="result", value=None),
    Fault(kind="result", value=[]),
    Fault(kind="result", value=lambda head: head | {"number": "-0x1"}),
    Fault(kind="result", value=lambda head: head | {"number": "0x" + "f" * 200}),
    Fault(kind="result", value=lambda head: head | {"timestamp": None}),
    Fault(kind="result", value=lambda head: head | {"hash": "0x12"}),
    Fault(kind="body", body=b"<html>502</html>"),
    Fault(kind="body", body=b'{"jsonrpc":"2.0","id":null,"result":"0x1"}'),
    Fault(kind="status", status=502),
    Fault(kind="status", status=404),
    Fault(kind="reset"),
    Fault(kind="swallow"),
]


@pytest.mark.parametrize("fault", BAD, ids=lambda fault: f"{fault.kind}-{fault.status}")
async def test_bad_reply_is_asked_again_and_never_believed(chain: RpcChain, proxy: RpcProxy, fault: Fault) -> None:
    rule = proxy.break_with(fault, method=HEAD, times=2)
    assert (await chain.head()).number == 0
    assert rule.hits == 2


async def test_retries_are_bounded(chain: RpcChain, proxy: RpcProxy) -> None:
    rule = proxy.break_with(Fault(kind="reset"), method=HEAD)
    with pytest.raises(Transient):
        await chain.head()
    assert rule.hits == 4


async def test_error_of_the_node_is_not_repeated(chain: RpcChain, proxy: RpcProxy) -> None:
    rule = proxy.break_with(Fault(kind="error", value={"code": -32000, "message": "no"}), method=HEAD)
    with pytest.raises(RpcError, match="no"):
        await chain.head()
    assert rule.hits == 1


@pytest.mark.parametrize("kind", ["swallow", "reset", "truncate", "id"])
async def test_transaction_of_unknown_fate_is_never_repeated(chain: RpcChain, proxy: RpcProxy, kind: str) -> None:
    rule = proxy.break_with(Fault(kind=kind), method="eth_sendRawTransaction")  # type: ignore[arg-type]
    with pytest.raises((Transient, RpcError)):
        await chain.send_raw(b"\x02\xc0")
    assert proxy.count("eth_sendRawTransaction") == 1
    assert rule.hits == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_obeyed(chain: RpcChain, proxy: RpcProxy, status: int) -> None:
    proxy.break_with(Fault(kind="status", status=status, headers={"Retry-After": "1"}), method=HEAD, times=1)
    await asyncio.gather(*(chain.head() for _ in range(3)))
    first, *later = [seen.at_s for seen in proxy.seen if seen.method == HEAD]
    assert len(later) >= 3
    # those already under way may still arrive; what comes after the refusal waits
    assert sum(1 for at_s in later if at_s - first < 0.95) <= 2


async def test_endless_patience_is_not_ours(chain: RpcChain, proxy: RpcProxy) -> None:
    proxy.break_with(Fault(kind="status", status=429, headers={"Retry-After": "3600"}), method=HEAD)
    started_s = time.monotonic()
    with pytest.raises(RateLimited) as caught:
        await chain.head()
    assert time.monotonic() - started_s < 5
    assert caught.value.retry_after_s > 30


async def test_second_endpoint_takes_over_and_the_first_is_left_alone(anvil: Anvil, proxy: RpcProxy) -> None:
    await anvil.mine(2)
    async with RpcProxy(anvil.http_url) as second:
        async with await connect([proxy.http_url, second.http_url], chain_id=31337) as chain:
            proxy.break_with(Fault(kind="reset"))
            before = proxy.count()
            for _ in range(5):
                assert (await chain.head()).number == 2
            assert proxy.count() == before + 1
            assert second.count(HEAD) == 5


async def test_endpoint_is_taken_back_when_its_rest_is_over(
    anvil: Anvil, proxy: RpcProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RpcProxy(anvil.http_url) as second:
        async with await connect([proxy.http_url, second.http_url], chain_id=31337) as chain:
            proxy.break_with(Fault(kind="status", status=500), times=1)
            await chain.head()
            (resting, _) = chain._rpc.endpoints
            assert 0 < resting.resting_s() <= 2
            await asyncio.sleep(resting.resting_s() + 0.01)
            await chain.head()  # finds out on the way that the first one is well again
            await asyncio.sleep(0.2)
            count = second.count()
            await chain.head()
            assert second.count() == count
            assert resting.resting_s() == 0


async def test_hanging_endpoint_costs_one_timeout(
    anvil: Anvil, proxy: RpcProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LIMITS, "total_s", 0.3)
    async with await connect([proxy.http_url, anvil.http_url], chain_id=31337) as chain:
        proxy.break_with(Fault(kind="hang"))
        started_s = time.monotonic()
        for _ in range(10):
            await chain.head()
        assert time.monotonic() - started_s < 1.5


async def test_slow_drip_is_cut_off(chain: RpcChain, proxy: RpcProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LIMITS, "total_s", 0.3)
    proxy.break_with(Fault(kind="drip", seconds=0.01), method=HEAD, times=1)
    started_s = time.monotonic()
    assert (await chain.head()).number == 0
    assert time.monotonic() - started_s < 3


async def test_reply_over_the_limit_is_not_read(
    chain: RpcChain, proxy: RpcProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LIMITS, "reply_bytes", 10_000)
    proxy.break_with(Fault(kind="body", body=b"x" * 5_000_000), method=HEAD, times=1)
    assert (await chain.head()).number == 0
    proxy.break_with(Fault(kind="body", body=b"x" * 5_000_000), method="eth_getLogs")
    with pytest.raises(RangeRefused):
        await chain.logs(addresses=[], topics=[], first=0, last=0)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="error", value={"code": -32005, "message": "query returned more than 10000 results"}),
        Fault(kind="error", value={"code": -32600, "message": "block range is too wide"}),
        Fault(kind="status", status=413),
    ],
)
async def test_range_refusal_has_its_own_name(chain: RpcChain, proxy: RpcProxy, fault: Fault) -> None:
    proxy.break_with(fault, method="eth_getLogs")
    with pytest.raises(RangeRefused):
        await chain.logs(addresses=[to_address(b"\x01" * 20)], topics=[], first=0, last=0)


async def test_logs_of_other_blocks_are_a_bad_reply(chain: RpcChain, proxy: RpcProxy) -> None:
    log = {
        "address": "0x" + "11" * 20,
        "topics": [],
        "data": "0x",
        "blockNumber": "0x9",
        "blockHash": "0x" + "22" * 32,
        "transactionHash": "0x" + "33" * 32,
        "logIndex": "0x0",
    }
    proxy.break_with(Fault(kind="result", value=[log]), method="eth_getLogs")
    with pytest.raises(Transient, match="outside"):
        await chain.logs(addresses=[], topics=[], first=0, last=0)


async def test_batches_are_matched_and_repeated_as_a_whole(chain: RpcChain, proxy: RpcProxy) -> None:
    rule = proxy.break_with(Fault(kind="id"), method="eth_chainId", times=1)
    wanted = [("eth_chainId", ()), ("no_such_method", ()), ("eth_blockNumber", ())]
    chain_id, refused, number = await chain._rpc.batch(wanted, list)
    assert (chain_id, number) == ("0x7a69", "0x0")
    assert isinstance(refused, RpcError)
    assert rule.hits == 1


async def test_node_that_is_behind_does_not_say_that_there_are_no_logs(chain: RpcChain, proxy: RpcProxy) -> None:
    """Real nodes answer about blocks they have not seen with an empty list."""
    with pytest.raises(Transient, match="block 5"):
        await chain.logs(addresses=[], topics=[], first=0, last=5)
    assert await chain.logs(addresses=[], topics=[], first=0, last=0) == []


async def test_node_without_batches_is_asked_one_by_one(chain: RpcChain, proxy: RpcProxy) -> None:
    refusal = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batches are not supported"}}'
    rule = proxy.break_with(Fault(kind="body", body=refusal), method="eth_getLogs", times=1)
    assert await chain.logs(addresses=[], topics=[], first=0, last=0) == []
    assert rule.hits == 1
    with pytest.raises(Transient, match="block 5"):
        await chain.logs(addresses=[], topics=[], first=0, last=5)


async def test_wrong_chain_id_names_both(anvil: Anvil) -> None:
    with pytest.raises(ConfigError, match=r"is 1, .* chain 31337") as caught:
        await connect([anvil.http_url], chain_id=1)
    assert caught.value.exit_code == 3


async def test_endpoint_that_changes_its_chain_is_not_used(anvil: Anvil, proxy: RpcProxy) -> None:
    """A node that failed is asked for its chain id before it is believed again."""
    async with Anvil(AnvilOptions(chain_id=999)) as other, RpcProxy(anvil.http_url) as second:
        async with await connect([proxy.http_url, second.http_url], chain_id=31337) as chain:
            proxy.break_with(Fault(kind="reset"), times=1)
            await chain.head()
            proxy._target = other.http_url
            await asyncio.sleep(chain._rpc.endpoints[0].resting_s() + 0.01)
            await other.mine(7)
            assert (await chain.head()).number == 0


async def test_nobody_answering_names_hosts_and_hides_keys(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(ChainUnreachable) as caught:
        await connect([NOBODY], chain_id=1)
    message = str(caught.value)
    assert "127.0.0.1:9" in message
    assert "\n" not in message
    assert caught.value.exit_code == 4
    for text in (message, repr(caught.value.__cause__), caplog.text):
        assert "canary" not in text
        assert "secret-path" not in text


async def test_dead_endpoint_at_the_start_is_tolerated_beside_a_live_one(anvil: Anvil) -> None:
    async with await connect([NOBODY, anvil.http_url], chain_id=31337) as chain:
        assert (await chain.head()).number == 0
        assert "canary" not in repr(chain)


@pytest.mark.parametrize("url", ["", "localhost:8545", "ftp://host", "http://", "http://host:port/canary-key", "ws://"])
async def test_address_that_is_none_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await connect([url], chain_id=1)
    assert "canary" not in str(caught.value)


def test_masked_address_keeps_scheme_host_and_a_digest() -> None:
    masked = mask_url("https://user:canary@node.example:8443/v2/canary?key=canary#canary")
    assert masked.startswith("https://node.example:8443/")
    assert "canary" not in masked
    assert len(masked.rsplit("/", 1)[1]) == 8
    assert mask_url("https://a.example/1") != mask_url("https://a.example/2")


async def test_errors_of_requests_hide_the_address(chain: RpcChain, proxy: RpcProxy) -> None:
    for fault in (Fault(kind="reset"), Fault(kind="status", status=500), Fault(kind="body", body=b"?")):
        proxy.heal()
        proxy.break_with(fault, method=HEAD)
        with pytest.raises(Transient) as caught:
            await chain.head()
        assert proxy.http_url + "/" not in str(caught.value).replace(mask_url(proxy.http_url), "")
