"""What every adapter of the Chain port owes, on a real node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import pytest
from eth_utils.crypto import keccak

from keeper.artifacts import load_artifact
from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.chain.rlp import create_address
from keeper.chain.signer import KeySigner
from keeper.devnet.anvil import Anvil, AnvilOptions
from keeper.domain.chain import AccountOverride, Call, Head, SimulatedCall
from keeper.domain.errors import ConfigError, HistoryMissing, RpcError, Stale
from keeper.domain.units import Address, to_address
from keeper.ports import Chain, Signer
from tests.support.proxy import Fault, RpcProxy

KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
GAS_LEFT = bytes.fromhex("5a60005260206000f3")
BURNS_ALL = bytes.fromhex("5b600056")
REVERTS_WITH_66 = bytes.fromhex("604260005260206000fd")
TIME_AND_NUMBER = bytes.fromhex("4260005243602052" + "60406000f3")
EMITS_TOPIC_43 = bytes.fromhex("602a600052602b60206000a100")
SLOT_0 = bytes.fromhex("60005460005260206000f3")
# stores the caller in slot 0 and returns SLOT_0 as the code
CREATES = bytes.fromhex("33600055" + "600b601060003960" + "0b6000f3") + SLOT_0


@pytest.fixture
async def chain(anvil: Anvil) -> AsyncIterator[RpcChain]:
    async with await connect([anvil.http_url], chain_id=31337) as connected:
        yield connected


async def _put(anvil: Anvil, code: bytes) -> Address:
    address = to_address(keccak(code)[12:])
    await anvil.set_code(address, code)
    return address


async def _mined(chain: Chain, anvil: Anvil) -> Head:
    await anvil.mine()
    return await chain.head()


def _signer() -> KeySigner:
    return KeySigner.from_hex(KEY)


async def _send(chain: Chain, *, to: Address | None, data: bytes = b"", nonce: int) -> str:
    raw, transaction_hash = _signer().sign(
        chain_id=31337,
        nonce=nonce,
        to=to,
        data=data,
        gas_limit=3_000_000,
        fee_cap_wei=5 * 10**9,
        tip_wei=10**9,
    )
    assert await chain.send_raw(raw) == transaction_hash
    return transaction_hash


def test_adapters_fit_their_ports() -> None:
    """Checked by mypy as well; here so that a port that grows is noticed."""
    for port, adapter in ((Chain, RpcChain), (Signer, KeySigner)):
        names = {name for name in vars(port) if not name.startswith("_")}
        assert names <= set(dir(adapter))


async def test_heads_and_blocks_agree(chain: Chain, anvil: Anvil) -> None:
    await anvil.mine(3)
    head = await chain.head()
    assert head.number == 3
    assert await chain.block(3) == head
    assert (await chain.block(2)).hash == head.parent_hash
    with pytest.raises(HistoryMissing, match="block 4"):
        await chain.block(4)


async def test_read_answers_in_order_with_revert_data(chain: Chain, anvil: Anvil) -> None:
    clock, reverting = await _put(anvil, TIME_AND_NUMBER), await _put(anvil, REVERTS_WITH_66)
    head = await _mined(chain, anvil)
    nowhere = to_address(b"\x77" * 20)
    answers = await chain.read([Call(to=to, data=b"any") for to in (reverting, clock, nowhere)], head)
    assert [answer.ok for answer in answers][:2] == [False, True]
    assert int.from_bytes(answers[0].data, "big") == 66
    assert answers[1].data == head.timestamp_s.to_bytes(32, "big") + head.number.to_bytes(32, "big")
    assert answers[2].data == b""
    assert await chain.read([], head) == []


async def test_read_is_true_at_the_block_asked_for(chain: Chain, anvil: Anvil) -> None:
    clock = await _put(anvil, TIME_AND_NUMBER)
    old = await _mined(chain, anvil)
    await anvil.mine(5)
    (answer,) = await chain.read([Call(to=clock, data=b"")], old)
    assert int.from_bytes(answer.data[32:], "big") == old.number


async def test_thousand_reads_take_three_requests(anvil: Anvil) -> None:
    clock = await _put(anvil, TIME_AND_NUMBER)
    async with RpcProxy(anvil.http_url) as proxy, await connect([proxy.http_url], chain_id=31337) as chain:
        head = await _mined(chain, anvil)
        answers = await chain.read([Call(to=clock, data=bytes(i % 50)) for i in range(1_000)], head)
        assert len(answers) == 1_000
        assert all(answer.ok for answer in answers)
        assert proxy.count("eth_call") == 3


async def test_read_that_burns_all_gas_does_not_harm_its_neighbours(anvil: Anvil) -> None:
    clock, burner = await _put(anvil, TIME_AND_NUMBER), await _put(anvil, BURNS_ALL)
    calls = [Call(to=burner if i in {40, 41, 99} else clock, data=b"") for i in range(120)]
    async with RpcProxy(anvil.http_url) as proxy, await connect([proxy.http_url], chain_id=31337) as chain:
        answers = await chain.read(calls, await _mined(chain, anvil))
        assert [i for i, answer in enumerate(answers) if not answer.ok] == [40, 41, 99]
        assert all(len(answer.data) == 64 for answer in answers if answer.ok)
        assert proxy.count("eth_call") < 20


async def test_reads_that_together_exceed_the_gas_are_spread(chain: Chain, anvil: Anvil) -> None:
    # counts down from 20,000: about 0.6M gas a call, 120M in all where a call may use 30M
    worker = await _put(anvil, bytes.fromhex("614e205b6001900380600357604260005260206000f3"))
    answers = await chain.read([Call(to=worker, data=b"")] * 200, await _mined(chain, anvil))
    assert [int.from_bytes(answer.data, "big") for answer in answers] == [66] * 200


async def test_block_that_was_reorganised_away_is_stale(chain: Chain, anvil: Anvil) -> None:
    clock = await _put(anvil, TIME_AND_NUMBER)
    await anvil.mine(3)
    gone = await chain.head()
    await anvil.rpc.call("anvil_reorg", 2, [])
    assert (await chain.head()).number == gone.number
    assert (await chain.head()).hash != gone.hash
    with pytest.raises(Stale):
        await chain.read([Call(to=clock, data=b"")], gone)


async def test_node_that_knows_blocks_only_by_number_is_served(anvil: Anvil) -> None:
    clock = await _put(anvil, TIME_AND_NUMBER)
    async with RpcProxy(anvil.http_url) as proxy, await connect([proxy.http_url], chain_id=31337) as chain:
        head = await _mined(chain, anvil)
        refusal = {"code": -32602, "message": "invalid argument 1: cannot unmarshal object into a number"}
        proxy.break_with(Fault(kind="error", value=refusal), method="eth_call", times=1)
        for _ in range(2):
            (answer,) = await chain.read([Call(to=clock, data=b"")], head)
            assert answer.ok
        assert [seen.params[1] for seen in proxy.seen if seen.method == "eth_call"][1:] == [hex(head.number)] * 2
        await anvil.rpc.call("anvil_reorg", 1, [])
        with pytest.raises(Stale):
            await chain.read([Call(to=clock, data=b"")], head)


async def test_lost_state_is_missing_history(tmp_path: object, anvil: Anvil) -> None:
    async with Anvil(AnvilOptions(fork_url=anvil.http_url)) as fork:
        async with await connect([fork.http_url], chain_id=31337) as chain:
            head = await chain.head()
            async with RpcProxy(fork.http_url) as proxy, await connect([proxy.http_url], chain_id=31337) as broken:
                pruned = {"code": -32000, "message": "missing trie node 12ab (path ) state 0x34 is not available"}
                proxy.break_with(Fault(kind="error", value=pruned), method="eth_call")
                with pytest.raises(HistoryMissing, match=f"block {head.number}"):
                    await broken.read([Call(to=to_address(b"\x01" * 20), data=b"")], head)


async def test_simulated_calls_see_one_another_and_the_time_asked_for(chain: Chain, anvil: Anvil) -> None:
    clock, emitter, reverting = [await _put(anvil, code) for code in (TIME_AND_NUMBER, EMITS_TOPIC_43, REVERTS_WITH_66)]
    slot = to_address(b"\x51" * 20)
    head = await _mined(chain, anvil)
    sender = to_address(b"\x61" * 20)
    outcomes = await chain.simulate(
        [SimulatedCall(sender=sender, to=to, data=b"") for to in (clock, emitter, reverting, slot)],
        at=head,
        timestamp_s=head.timestamp_s + 1_000,
        overrides={slot: AccountOverride(code=SLOT_0, storage={0: 7})},
    )
    assert [outcome.ok for outcome in outcomes] == [True, True, False, True]
    time_s, number = outcomes[0].data[:32], outcomes[0].data[32:]
    assert int.from_bytes(time_s, "big") == head.timestamp_s + 1_000
    assert int.from_bytes(number, "big") == head.number + 1
    assert [log.topics[0][-1] for log in outcomes[1].logs] == [43]
    assert int.from_bytes(outcomes[2].data, "big") == 66
    assert int.from_bytes(outcomes[3].data, "big") == 7
    assert outcomes[0].gas_units > 21_000


async def test_simulation_that_burns_its_gas_leaves_the_next_call_alone(chain: Chain, anvil: Anvil) -> None:
    clock, burner = await _put(anvil, TIME_AND_NUMBER), await _put(anvil, BURNS_ALL)
    head = await _mined(chain, anvil)
    sender = to_address(b"\x61" * 20)
    calls = [SimulatedCall(sender=sender, to=burner, data=b"", gas_units=40_000_000)]
    calls += [SimulatedCall(sender=sender, to=clock, data=b"")] * 2
    outcomes = await chain.simulate(calls, at=head)
    assert [outcome.ok for outcome in outcomes] == [False, True, True]
    assert outcomes[0].gas_units == 40_000_000


async def test_simulated_creation_costs_and_does_what_the_real_one_does(chain: Chain) -> None:
    """Creation included, a plan's gas is the gas it will use; storage set by the constructor is there."""
    sender = _signer().address
    bytecode = load_artifact("TestToken").bytecode + bytes.fromhex(
        "0000000000000000000000000000000000000000000000000000000000000060"
        "00000000000000000000000000000000000000000000000000000000000000a0"
        "0000000000000000000000000000000000000000000000000000000000000006"
        "0000000000000000000000000000000000000000000000000000000000000001"
        "4100000000000000000000000000000000000000000000000000000000000000"
        "0000000000000000000000000000000000000000000000000000000000000001"
        "4200000000000000000000000000000000000000000000000000000000000000"
    )
    head = await chain.head()
    small, token = create_address(sender, 0), create_address(sender, 1)
    calls = [
        SimulatedCall(sender=sender, to=None, data=CREATES),
        SimulatedCall(sender=sender, to=None, data=bytecode),
        SimulatedCall(sender=sender, to=small, data=b""),
        SimulatedCall(sender=sender, to=token, data=bytes.fromhex("313ce567")),
    ]
    outcomes = await chain.simulate(calls, at=head)
    assert [outcome.ok for outcome in outcomes] == [True] * 4
    assert to_address(outcomes[2].data) == sender
    assert int.from_bytes(outcomes[3].data, "big") == 6
    for nonce, (outcome, address) in enumerate(((outcomes[0], small), (outcomes[1], token))):
        receipt = await _receipt(chain, await _send(chain, to=None, data=calls[nonce].data, nonce=nonce))
        assert receipt.contract_address == address
        assert receipt.gas_used == outcome.gas_units
        assert await chain.code(address) == outcome.data


async def _receipt(chain: Chain, transaction_hash: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - a helper
    for _ in range(200):
        if (receipt := await chain.receipt(transaction_hash)) is not None:
            return receipt
        await asyncio.sleep(0.02)
    raise AssertionError("not mined")


async def test_failing_constructor_is_an_outcome(chain: Chain, anvil: Anvil) -> None:
    clock = await _put(anvil, TIME_AND_NUMBER)
    sender = _signer().address
    calls = [
        SimulatedCall(sender=sender, to=None, data=REVERTS_WITH_66),
        SimulatedCall(sender=sender, to=clock, data=b""),
    ]
    outcomes = await chain.simulate(calls, at=await chain.head())
    assert [outcome.ok for outcome in outcomes] == [False, True]
    assert int.from_bytes(outcomes[0].data, "big") == 66


async def test_node_without_simulation_is_named(anvil: Anvil) -> None:
    async with RpcProxy(anvil.http_url) as proxy, await connect([proxy.http_url], chain_id=31337) as chain:
        missing = {"code": -32601, "message": "the method eth_simulateV1 does not exist/is not available"}
        proxy.break_with(Fault(kind="error", value=missing), method="eth_simulateV1")
        call = SimulatedCall(sender=to_address(b"\x61" * 20), to=to_address(b"\x62" * 20), data=b"")
        with pytest.raises(ConfigError, match="eth_simulateV1"):
            await chain.simulate([call], at=await chain.head())


async def test_sent_transaction_is_mined_and_its_logs_are_found(chain: Chain, anvil: Anvil) -> None:
    emitter = await _put(anvil, EMITS_TOPIC_43)
    sender = _signer().address
    before = await chain.balance_wei(sender)
    receipt = await _receipt(chain, await _send(chain, to=emitter, nonce=await chain.nonce(sender)))
    assert receipt.ok
    assert await chain.nonce(sender) == 1
    assert await chain.balance_wei(sender) == before - receipt.gas_used * receipt.effective_gas_price_wei
    topic = (43).to_bytes(32, "big")
    last = (await chain.head()).number
    found = await chain.logs(addresses=[emitter], topics=[topic], first=0, last=last)
    assert tuple(found) == receipt.logs
    assert found[0].block_hash == receipt.block_hash
    assert await chain.logs(addresses=[emitter], topics=[], first=0, last=last) == found
    assert await chain.logs(addresses=[emitter], topics=[bytes(32)], first=0, last=last) == []
    assert await chain.receipt("0x" + "00" * 32) is None


async def test_nonce_counts_mined_transactions_only(anvil: Anvil, chain: Chain) -> None:
    await anvil.set_automine(False)
    sender = _signer().address
    await _send(chain, to=sender, nonce=0)
    assert await chain.nonce(sender) == 0
    await anvil.mine()
    assert await chain.nonce(sender) == 1


async def test_refused_transaction_is_an_rpc_error(chain: Chain) -> None:
    await _send(chain, to=_signer().address, nonce=0)
    await asyncio.sleep(0.2)
    with pytest.raises(RpcError, match="nonce"):
        await _send(chain, to=_signer().address, nonce=0)


async def test_fees_and_pending_time(chain: Chain, anvil: Anvil) -> None:
    assert await chain.suggested_tip_wei() > 0
    await anvil.set_next_timestamp((await chain.head()).timestamp_s + 500)
    assert await chain.chain_id() == 31337
    assert (await chain.pending_timestamp_s() or 0) >= (await chain.head()).timestamp_s


async def _offer_tips(chain: Chain, tips_gwei: Sequence[int], *, first_nonce: int) -> None:
    for nonce, tip_gwei in enumerate(tips_gwei, first_nonce):
        raw, _ = _signer().sign(
            chain_id=31337,
            nonce=nonce,
            to=_signer().address,
            data=b"",
            gas_limit=21_000,
            fee_cap_wei=20 * 10**9,
            tip_wei=tip_gwei * 10**9,
        )
        await chain.send_raw(raw)


async def _until_told(anvil: Anvil, block: int) -> None:
    """Wait until the node's fee history knows what `block` was paid: that comes a moment after the block."""
    for _ in range(200):
        told = await anvil.rpc.call("eth_feeHistory", "0x1", hex(block), [50])
        if any(int(paid, 16) for row in told.get("reward") or () for paid in row):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"the node never told the tips of block {block}")


async def test_the_tip_is_what_recent_blocks_were_paid(anvil: Anvil, chain: Chain) -> None:
    await anvil.set_automine(False)
    for nonce, tip_gwei in enumerate((1, 2, 3)):
        await _offer_tips(chain, [tip_gwei], first_nonce=nonce)
        await anvil.mine(2)  # each second block is empty, and says nothing
        await _until_told(anvil, await anvil.block_number() - 1)
    assert await chain.suggested_tip_wei() == 2 * 10**9


async def test_the_percentile_looks_into_the_block(anvil: Anvil, chain: Chain) -> None:
    await anvil.set_automine(False)
    await _offer_tips(chain, [9, 7, 5, 3, 1], first_nonce=0)
    await anvil.mine()
    await _until_told(anvil, 1)
    tips = [await chain.suggested_tip_wei(percentile) for percentile in (1, 50, 99)]
    assert tips == sorted(set(tips)), "a higher percentile is a higher tip"
    assert {tips[0], tips[-1]} == {10**9, 9 * 10**9}


async def test_without_a_fee_history_the_node_is_asked(anvil: Anvil) -> None:
    async with RpcProxy(anvil.http_url) as proxy, await connect([proxy.http_url], chain_id=31337) as chain:
        missing = Fault(kind="error", value={"code": -32601, "message": "Method not found"})
        history = {"reward": [["0x5"], ["0x0"], ["0x9"], ["0x7"]], "oldestBlock": "0x0"}
        proxy.break_with(Fault(kind="result", value=history), method="eth_feeHistory", times=1)
        assert await chain.suggested_tip_wei() == 7
        proxy.break_with(Fault(kind="result", value="0x3"), method="eth_maxPriorityFeePerGas", times=2)
        unpaid = {"reward": [["0x0"], ["0x0"]], "oldestBlock": "0x0"}
        proxy.break_with(Fault(kind="result", value=unpaid), method="eth_feeHistory", times=1)
        assert await chain.suggested_tip_wei() == 3
        proxy.break_with(missing, method="eth_feeHistory")
        assert await chain.suggested_tip_wei() == 3
        proxy.break_with(missing, method="eth_maxPriorityFeePerGas")
        assert await chain.suggested_tip_wei() == 10**9


@pytest.mark.parametrize("pushed", [False, True], ids=["polling", "subscription"])
async def test_heads_follow_blocks_and_reorganisations(anvil: Anvil, pushed: bool) -> None:
    ws_url = anvil.ws_url if pushed else None
    async with (
        await connect([anvil.http_url], chain_id=31337, ws_url=ws_url) as chain,
        aclosing(chain.heads()) as heads,
    ):
        assert (await anext(heads)).number == 0
        await anvil.mine()
        assert (await _next(heads)).number == 1
        await anvil.mine(3)
        await asyncio.sleep(0.6)
        newest = await _next(heads)
        assert newest == await chain.head()  # the two between were passed over
        await anvil.rpc.call("anvil_reorg", 1, [])
        sideways = await _next(heads)
        assert sideways.number == newest.number
        assert sideways.hash != newest.hash


async def test_shorter_chain_is_seen_though_nothing_announces_it(anvil: Anvil) -> None:
    await anvil.mine(5)
    connection = connect([anvil.http_url], chain_id=31337, ws_url=anvil.ws_url)
    async with await connection as chain, aclosing(chain.heads()) as heads:
        assert (await anext(heads)).number == 5
        await anvil.rpc.call("anvil_rollback", 2)
        assert (await _next(heads)).number == 3


async def _next(heads: AsyncIterator[Head]) -> Head:
    async with asyncio.timeout(15):
        return await anext(heads)
