"""Asks the deployed Aave pool whether a scan told the truth. Uses none of the keeper's code but a JSON-RPC client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import eth_abi
from eth_utils import keccak, to_checksum_address

from keeper.devnet.rpc import JsonRpc

MAX_UINT256 = 2**256 - 1
HEARTBEAT_S = 90_000
_WAD = 10**18
_CALLER = "0x" + "c0ffee" * 6 + "beef"
_FUNDS_RAW = 2**120
_SLOTS_TRIED = 64
_BORROW = "0x" + keccak(text="Borrow(address,address,address,uint256,uint8,uint256,uint16)").hex()


def call_data(signature: str, *arguments: Any) -> str:
    """Return calldata for a call such as `f(address,uint256)`."""
    types = signature[signature.index("(") + 1 : -1]
    packed = eth_abi.encode([each for each in types.split(",") if each], arguments)
    return "0x" + (keccak(text=signature)[:4] + packed).hex()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """One reserve: its token, its shares, and where the token keeps balances and allowances."""

    token: str
    a_token: str
    debt_tokens: tuple[str, ...]
    feed: str
    balance_slot: int
    allowance_slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one liquidationCall did to the caller; `repaid_raw` is None when it reverted."""

    repaid_raw: int | None
    seized_raw: int
    underlying_gained_raw: int
    a_token_gained_raw: int
    spent_raw: int


class ScanTruth:
    """One deployment of the real protocol, at one block. Made by `read`."""

    def __init__(self, rpc: JsonRpc, pool: str, block: int, reserves: Sequence[Reserve]) -> None:
        self._rpc = rpc
        self._pool = pool
        self._tag = hex(block)
        self._time_s = 0
        self.reserves = {reserve.token: reserve for reserve in reserves}

    @classmethod
    async def read(cls, rpc: JsonRpc, provider: str, block: int) -> ScanTruth:
        """Read the reserves, and find their tokens' storage by trying."""
        empty = cls(rpc, "", block, ())
        pool = await empty.ask_one(provider, "getPool()", "address")
        oracle = await empty.ask_one(provider, "getPriceOracle()", "address")
        tokens = await empty.ask_one(pool, "getReservesList()", "address[]")
        reserves = []
        for token in tokens:
            words = (await empty._raw(pool, call_data("getReserveData(address)", token)))[2:]
            shares = [to_checksum_address("0x" + words[64 * index + 24 : 64 * index + 64]) for index in (8, 9, 10)]
            reserves.append(
                Reserve(
                    token=to_checksum_address(token),
                    a_token=shares[0],
                    debt_tokens=(shares[1], shares[2]),
                    feed=await empty.ask_one(oracle, "getSourceOfAsset(address)", "address", token),
                    balance_slot=await empty._probe(token, call_data("balanceOf(address)", _CALLER), _balance_slot),
                    allowance_slot=await empty._probe(
                        token, call_data("allowance(address,address)", _CALLER, pool), _allowance_slot(pool)
                    ),
                )
            )
        truth = cls(rpc, pool, block, reserves)
        truth._time_s = int((await rpc.call("eth_getBlockByNumber", hex(block), False))["timestamp"], 16)
        return truth

    async def ask_one(self, to: str, signature: str, output: str, *arguments: Any) -> Any:
        """Return the one value a view answers at the block."""
        (value,) = eth_abi.decode([output], bytes.fromhex((await self._raw(to, call_data(signature, *arguments)))[2:]))
        return value

    async def ask_many(self, calls: Sequence[tuple[str, str]]) -> list[tuple[int, ...]]:
        """Return the words of many answers at the block."""
        asked = [("eth_call", ({"to": to, "data": data}, self._tag)) for to, data in calls]
        return [_words(answer) for answer in await self._rpc.batch(asked)]

    # --- who ---------------------------------------------------------------------------------------------------------

    async def borrowers(self) -> list[str]:
        """Return every account that ever borrowed up to the block, by the pool's own events."""
        query = {"address": self._pool, "fromBlock": "0x0", "toBlock": self._tag, "topics": [_BORROW]}
        logs = await self._rpc.call("eth_getLogs", query)
        return sorted({to_checksum_address("0x" + log["topics"][2][26:]) for log in logs})

    async def check_accounts(self, market: dict[str, Any], liquidatable: Sequence[dict[str, Any]]) -> None:
        """Fail unless the scan lists exactly the unhealthy accounts, with the pool's own figures."""
        accounts = await self.borrowers()
        indebted = [account for account in accounts if any(await self._debts(account))]
        assert market["accounts"] == len(indebted)
        rows = await self.ask_many([(self._pool, call_data("getUserAccountData(address)", each)) for each in accounts])
        expected = [
            (account, str(row[5]), str(row[0]), str(row[1]))
            for account, row in zip(accounts, rows, strict=True)
            if row[5] < _WAD
        ]
        found = [
            (item["account"], item["health_factor_wad"], item["collateral_base"], item["debt_base"])
            for item in liquidatable
        ]
        assert found == expected
        for item in liquidatable:
            await self._check_pairs_listed(item)

    async def _check_pairs_listed(self, item: dict[str, Any]) -> None:
        """Each non-zero debt with each enabled collateral, no other; stale when a feed they need is."""
        account = item["account"]
        (flags,) = (await self.ask_many([(self._pool, call_data("getUserConfiguration(address)", account))]))[0]
        order = list(self.reserves)
        enabled = [token for index, token in enumerate(order) if flags >> (2 * index + 1) & 1]
        owed = [token for token, raw in zip(order, await self._debts(account), strict=True) if raw]
        wanted = sorted((debt, collateral) for debt in owed for collateral in enabled)
        assert [(pair["debt"], pair["collateral"]) for pair in item["pairs"]] == wanted
        used = sorted({*owed, *enabled})
        rounds = await self.ask_many([(self.reserves[token].feed, call_data("latestRoundData()")) for token in used])
        assert item["stale"] is any(self._time_s - one[3] > HEARTBEAT_S for one in rounds)

    async def _debts(self, account: str) -> list[int]:
        calls = [
            (token, call_data("balanceOf(address)", account))
            for reserve in self.reserves.values()
            for token in reserve.debt_tokens
        ]
        amounts = [one for (one,) in await self.ask_many(calls)]
        return [stable + variable for stable, variable in zip(amounts[::2], amounts[1::2], strict=True)]

    # --- what --------------------------------------------------------------------------------------------------------

    async def check_pair(self, account: str, pair: dict[str, Any], seen: Counter[str]) -> None:
        """Fail unless the pool takes and gives exactly what `pair` says, and nobody gets it to take more."""
        debt, collateral = pair["debt"], pair["collateral"]
        if "rejected" in pair:
            covers = (MAX_UINT256, 1, 10**6, 10**18)
            for effect in await self.liquidate(
                account, debt, collateral, [(c, r) for c in covers for r in (True, False)]
            ):
                assert effect.repaid_raw is None, (account, pair)
            seen[pair["rejected"]] += 1
            return
        cover, most = int(pair["cover_raw"]), int(pair["max_repay_raw"])
        as_shares = pair["receive"] == "atoken"
        asked = [(cover, as_shares)]
        asked += [(more, shares) for more in (most + 1, 2 * most, MAX_UINT256) for shares in (True, False)]
        exact, *others = await self.liquidate(account, debt, collateral, asked)
        assert exact.repaid_raw == most, (account, pair, exact)
        gained = exact.a_token_gained_raw if as_shares else exact.seized_raw
        assert gained == int(pair["seize_raw"]), (account, pair, exact)
        paid_out = 0 if as_shares else exact.seized_raw
        if debt == collateral:
            assert exact.spent_raw == most - paid_out
        else:
            assert (exact.spent_raw, exact.underlying_gained_raw) == (most, paid_out)
        for effect in others:
            assert effect.repaid_raw is None or effect.repaid_raw <= most, (account, pair, effect)
        seen[pair["receive"]] += 1
        seen["explicit cover"] += cover != MAX_UINT256
        seen["same asset"] += debt == collateral

    async def liquidate(
        self, account: str, debt: str, collateral: str, asked: Sequence[tuple[int, bool]]
    ) -> list[Effect]:
        """Return what each (cover, receive shares) would do at the block, each tried alone by a fresh, rich caller."""
        requests = [("eth_simulateV1", (self._block(account, debt, collateral, *one), self._tag)) for one in asked]
        return [_effect(blocks[0]["calls"]) for blocks in await self._rpc.batch(requests)]

    def _block(self, account: str, debt: str, collateral: str, cover: int, as_shares: bool) -> dict[str, Any]:
        owed, seized = self.reserves[debt], self.reserves[collateral]
        balances = [
            {"from": _CALLER, "to": token, "input": call_data("balanceOf(address)", _CALLER)}
            for token in (debt, collateral, seized.a_token)
        ]
        signature = "liquidationCall(address,address,address,uint256,bool)"
        data = call_data(signature, collateral, debt, account, cover, as_shares)
        return {
            "blockStateCalls": [
                {
                    "blockOverrides": {"time": hex(self._time_s)},
                    "stateOverrides": self._funds(owed),
                    "calls": [*balances, {"from": _CALLER, "to": self._pool, "input": data}, *balances],
                }
            ]
        }

    def _funds(self, reserve: Reserve) -> dict[str, Any]:
        words = {
            _balance_slot(reserve.balance_slot): _FUNDS_RAW,
            _allowance_slot(self._pool)(reserve.allowance_slot): MAX_UINT256,
        }
        slots = {slot: f"0x{word:064x}" for slot, word in words.items()}
        return {reserve.token: {"stateDiff": slots}, _CALLER: {"balance": hex(10**24)}}

    # --- probing -----------------------------------------------------------------------------------------------------

    async def _probe(self, token: str, data: str, place: Any) -> int:
        """Return the number of the mapping whose entry at `place` shows up in the answer to `data`."""
        word = f"0x{_FUNDS_RAW:064x}"
        requests = [
            ("eth_call", ({"to": token, "data": data}, self._tag, {token: {"stateDiff": {place(slot): word}}}))
            for slot in range(_SLOTS_TRIED)
        ]
        answers = await self._rpc.batch_answers(requests)
        found = [slot for slot, answer in enumerate(answers) if answer.get("result") == word]
        assert len(found) == 1, (token, found)
        return found[0]

    async def _raw(self, to: str, data: str) -> str:
        answer: str = await self._rpc.call("eth_call", {"to": to, "data": data}, self._tag)
        return answer


def _balance_slot(slot: int) -> str:
    return "0x" + keccak(eth_abi.encode(["address", "uint256"], [_CALLER, slot])).hex()


def _allowance_slot(spender: str) -> Any:
    def place(slot: int) -> str:
        inner = keccak(eth_abi.encode(["address", "uint256"], [_CALLER, slot]))
        return "0x" + keccak(eth_abi.encode(["address", "bytes32"], [spender, inner])).hex()

    return place


def _words(answer: str) -> tuple[int, ...]:
    return tuple(int(answer[start : start + 64], 16) for start in range(2, len(answer), 64))


def _effect(calls: Sequence[dict[str, Any]]) -> Effect:
    debt0, held0, shares0, done, debt1, held1, shares1 = calls
    if done["status"] != "0x1":
        return Effect(repaid_raw=None, seized_raw=0, underlying_gained_raw=0, a_token_gained_raw=0, spent_raw=0)
    topic = "0x" + keccak(text="LiquidationCall(address,address,address,uint256,uint256,address,bool)").hex()
    (log,) = [each for each in done["logs"] if each["topics"][0] == topic]
    repaid_raw, seized_raw, *_ = _words(log["data"])
    before_debt, after_debt, before_held, after_held, before_shares, after_shares = (
        _words(one["returnData"])[0] for one in (debt0, debt1, held0, held1, shares0, shares1)
    )
    return Effect(
        repaid_raw=repaid_raw,
        seized_raw=seized_raw,
        underlying_gained_raw=after_held - before_held,
        a_token_gained_raw=after_shares - before_shares,
        spent_raw=before_debt - after_debt,
    )
