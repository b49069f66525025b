"""Liquidations that are really mined, measured, and taken back by a snapshot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from eth_utils import keccak

from keeper.devnet.tokens import mint, token_of
from keeper.devnet.world import World
from keeper.domain.errors import RpcError
from keeper.domain.lending import LiquidationCall
from keeper.domain.units import MAX_UINT256, Address, to_address
from keeper.lending.aave_v3 import calls
from keeper.lending.aave_v3.errors import decode_revert
from keeper.lending.aave_v3.view import AaveV3View
from tests.support.revision_probe import CALLER, FUNDS_USD, TREASURY, Probe, Truth

_LIQUIDATION_TOPIC = "0x" + keccak(text="LiquidationCall(address,address,address,uint256,uint256,address,bool)").hex()
_TRANSFER_TOPIC = "0x" + keccak(text="Transfer(address,address,uint256)").hex()
_DEFICIT_TOPIC = "0x" + keccak(text="DeficitCreated(address,address,uint256)").hex()
_GAS = 10_000_000


class Transactions:
    """Sends as an account of its own, which holds tokens of every reserve."""

    def __init__(self, world: World, probe: Probe) -> None:
        self._world = world
        self._probe = probe

    @classmethod
    async def prepare(cls, world: World, probe: Probe) -> Transactions:
        """Fund the caller and let the pool take its tokens."""
        async with world.transactions() as builder:
            await builder.prepare([CALLER])
            for asset in world.market.assets:
                unit: int = 10**asset.spec.decimals
                mint(builder, world.market, asset, int(FUNDS_USD / asset.spec.price_usd) * unit, CALLER)
                builder.send(token_of(asset), "approve", world.market.pool, MAX_UINT256, sender=CALLER)
            await builder.flush()
        return cls(world, probe)

    async def liquidate(self, call: LiquidationCall, view: AaveV3View, at_s: int) -> Truth:
        """Mine `call` in a block of time `at_s`, read what it did, and go back to where the chain was."""
        rpc = self._world.anvil.rpc
        before = await self._state(call)
        snapshot = await self._world.anvil.snapshot()
        try:
            await rpc.call("evm_setNextBlockTimestamp", at_s)
            data = "0x" + calls.encode_liquidation(call).hex()
            fields = {"from": CALLER, "to": view.pool, "data": data, "gas": hex(_GAS)}
            sent = await rpc.call("eth_sendTransaction", fields)
            await rpc.call("evm_mine")
            receipt = await rpc.call("eth_getTransactionReceipt", sent)
            assert (await self._world.anvil.timestamp()) == at_s
            if receipt["status"] == "0x0":
                return Truth(code=await self._reason(fields, view, at_s))
            truth = self._probe.compare(call, view, before, await self._state(call))
        finally:
            await self._world.anvil.revert(snapshot)
        return _with_events(truth, receipt, call, view)

    async def _state(self, call: LiquidationCall) -> tuple[int, ...]:
        contract = self._probe.contract
        words: tuple[int, ...] = await self._world.builder.read(
            contract, "state", CALLER, call.account, call.collateral, call.debt
        )
        return words

    async def _reason(self, fields: dict[str, str], view: AaveV3View, at_s: int) -> str:
        """Ask the block before the transaction, at the transaction's time, what it said."""
        try:
            await self._world.anvil.rpc.call("eth_call", fields, hex(view.head.number), {}, {"time": hex(at_s)})
        except RpcError as error:
            return decode_revert(error.data)[0]
        raise AssertionError("the transaction failed, the same call does not")


def _with_events(truth: Truth, receipt: dict[str, Any], call: LiquidationCall, view: AaveV3View) -> Truth:
    """Return the truth with the fee that an event tells; the other events have to tell what the balances do."""
    liquidated, lost, fee_raw = [], {}, 0
    a_token = view.reserves[view.ids[call.collateral]].a_token
    for log in receipt["logs"]:
        topics, data = log["topics"], bytes.fromhex(log["data"][2:])
        if topics[0] == _LIQUIDATION_TOPIC:
            liquidated.append(calls.decode_words(data, 2))
        elif topics[0] == _DEFICIT_TOPIC:
            lost[view.ids[_address(topics[2])]] = calls.decode_word(data)
        elif topics[0] == _TRANSFER_TOPIC and to_address(log["address"]) == a_token:
            fee_raw = calls.decode_word(data) if _address(topics[2]) == TREASURY else fee_raw
    ((repaid_raw, seized_raw),) = liquidated
    paid_out_raw = seized_raw if call.receive == "underlying" else 0
    assert truth.spent_raw == repaid_raw - (paid_out_raw if call.debt == call.collateral else 0)
    assert lost == dict(truth.deficits)
    return replace(truth, fee_raw=fee_raw)


def _address(topic: str) -> Address:
    return calls.decode_address(bytes.fromhex(topic[2:]))
