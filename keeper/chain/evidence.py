"""Who is right when two endpoints contradict each other: what the agreed block's state root proves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keeper.chain import decode
from keeper.chain.endpoint import Endpoint
from keeper.chain.priority import Priority
from keeper.chain.proofs import AccountState, ProofError, read_account, read_slot
from keeper.chain.replies import BadReply
from keeper.chain.rpc import RpcClient
from keeper.domain.chain import Call
from keeper.domain.errors import RpcError, Transient
from keeper.domain.units import Address, to_address

_MOST_SLOTS = 64
_ANSWER_BITS = 192
_TIME_BITS = 32

Slots = dict[Address, frozenset[bytes]]


class Evidence:
    """Looks for proofs at one block, whose header all voters agree on."""

    def __init__(self, rpc: RpcClient, voters: Sequence[Endpoint], *, number: int, state_root: bytes) -> None:
        self._rpc = rpc
        self._voters = voters
        self._block = hex(number)
        self._state_root = state_root

    async def account(self, account: Address) -> AccountState | None:
        """Return what is proven of `account`, None when nobody gives a proof that holds."""
        for voter in self._voters:
            answer = await self._ask(voter, "eth_getProof", (account, [], self._block))
            try:
                return read_account(self._state_root, account, _nodes(answer, "accountProof"))
            except (ProofError, BadReply):
                continue
        return None

    async def stored_numbers(self, call: Call) -> frozenset[int]:
        """Return the proven contents of every slot that all voters say `call` reads, as the numbers they may hold.

        A voter that lies can leave slots away but not bring in others, and it cannot forge a content.
        """
        lists = [await self._slots(voter, call) for voter in self._voters]
        if not lists or any(each is None for each in lists):
            return frozenset()
        known = [each for each in lists if each is not None]
        numbers: set[int] = set()
        for account in frozenset.intersection(*(frozenset(each) for each in known)):
            slots = frozenset.intersection(*(each[account] for each in known))
            for word in await self._contents(account, sorted(slots)[:_MOST_SLOTS]):
                numbers |= _numbers_in(word)
        return frozenset(numbers)

    async def _slots(self, voter: Endpoint, call: Call) -> Slots | None:
        transaction = {"to": call.to, "data": "0x" + call.data.hex()}
        answer = await self._ask(voter, "eth_createAccessList", (transaction, self._block))
        try:
            entries = decode.items(answer["accessList"]) if isinstance(answer, dict) else []
            return {
                to_address(decode.data(entry["address"])): frozenset(map(decode.data, entry["storageKeys"]))
                for entry in entries
            } or None
        except (KeyError, TypeError, ValueError, BadReply):
            return None

    async def _contents(self, account: Address, slots: Sequence[bytes]) -> list[int]:
        keys = ["0x" + slot.hex() for slot in slots]
        for voter in self._voters if keys else ():
            answer = await self._ask(voter, "eth_getProof", (account, keys, self._block))
            try:
                root = read_account(self._state_root, account, _nodes(answer, "accountProof")).storage_root
                proofs = decode.items(answer["storageProof"])
                return [
                    read_slot(root, slot, _nodes(proof, "proof")) for slot, proof in zip(slots, proofs, strict=True)
                ]
            except (ProofError, BadReply, ValueError, KeyError):
                continue
        return []

    async def _ask(self, voter: Endpoint, method: str, params: Sequence[Any]) -> Any:
        try:
            return await self._rpc.ask_one(voter, method, params, _anything, priority=Priority.PRICE)
        except (RpcError, Transient):
            return None


def _anything(value: Any) -> Any:
    return value


def _nodes(answer: Any, name: str) -> list[bytes]:
    if not isinstance(answer, dict):
        raise BadReply("not a proof")
    return [decode.data(node) for node in decode.items(answer.get(name))]


def _numbers_in(word: int) -> set[int]:
    """Return what a slot may hold: one number, or an answer of 192 bits with one or two times above it."""
    above = word >> _ANSWER_BITS
    low, high = above & ((1 << _TIME_BITS) - 1), above >> _TIME_BITS
    return {_signed(word, 256), _signed(word & ((1 << _ANSWER_BITS) - 1), _ANSWER_BITS), above, low, high}


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value
