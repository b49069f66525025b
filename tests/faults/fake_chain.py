"""A chain in memory with a pool, receipts and reorgs: what the sender sees of a node, under full control."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from keeper.domain.chain import (
    AccountOverride,
    Call,
    CallResult,
    Head,
    Log,
    Receipt,
    SimulatedCall,
    SimulatedOutcome,
)
from keeper.domain.errors import HistoryMissing, RpcError, Transient
from keeper.domain.lending import LiquidationCall, Outcome
from keeper.domain.plans import Fees, Fund, Plan, SimulatedPlan
from keeper.domain.units import Address, to_address

CHAIN_ID = 31337
GWEI = 10**9
SIGNER = to_address("0x" + "51" * 20)
EXECUTOR = to_address("0x" + "ee" * 20)
BORROWER = to_address("0x" + "b0" * 20)
DEBT = to_address("0x" + "d0" * 20)
COLLATERAL = to_address("0x" + "c0" * 20)
POOL = to_address("0x" + "70" * 20)


class FakeSigner:
    """Signs as a key would: the same fields give the same bytes and the same hash."""

    def __init__(self, address: Address = SIGNER) -> None:
        self._address = address
        self.signed = 0

    @property
    def address(self) -> Address:
        return self._address

    def sign(
        self,
        *,
        chain_id: int,
        nonce: int,
        to: Address | None,
        data: bytes,
        gas_limit: int,
        fee_cap_wei: int,
        tip_wei: int,
        value_wei: int = 0,
        legacy: bool = False,
    ) -> tuple[bytes, str]:
        self.signed += 1
        fields = {
            "chain_id": chain_id,
            "sender": self._address,
            "nonce": nonce,
            "to": to,
            "data": data.hex(),
            "gas_limit": gas_limit,
            "fee_cap_wei": fee_cap_wei,
            "tip_wei": tip_wei,
            "value_wei": value_wei,
            "legacy": legacy,
        }
        raw = json.dumps(fields, sort_keys=True).encode()
        return raw, transaction_hash(raw)


@lru_cache(maxsize=4096)
def transaction_hash(raw: bytes) -> str:
    return "0x" + hashlib.sha256(raw).hexdigest()


@lru_cache(maxsize=4096)
def fields_of(raw: bytes) -> Mapping[str, Any]:
    """Read what the signer above signed."""
    found: dict[str, Any] = json.loads(raw)
    return found


@dataclass
class Block:
    head: Head
    transactions: list[bytes] = field(default_factory=list)


class FakeChain:
    """Implements the port Chain as far as sending needs it.

    `answers` are exceptions raised, one per broadcast (None: answer as usual); `swallow` takes the bytes and loses the
    reply; `echoes` are raised after the bytes were taken; `refusing_nodes` is how often a second node refuses what the
    first takes; `keeps_old` says yes to a replacement and mines the old one; `hide_receipts` hides them all,
    `receipts_behind` those of the newest blocks; `nonce_behind` is by how many blocks nonces lag; `fails` names
    calldata that reverts; `l1_fee_wei` is what every transaction pays for its data. `turns` counts how often the blocks
    changed.
    """

    def __init__(self) -> None:
        self.blocks = [Block(_head(0, "0x" + "00" * 32, ""))]
        self.pool: dict[tuple[str, int], bytes] = {}
        self.broadcasts: list[bytes] = []
        self.answers: list[Exception | None] = []
        self.swallow = 0
        self.echoes: list[Exception] = []
        self.refusing_nodes = 0
        self.receipts_behind = 0
        self.nonce_behind = 0
        self.keeps_old = 0
        self.hide_receipts = False
        self.fails: set[bytes] = set()
        self.balances: dict[str, int] = {SIGNER: 10**20}
        self.foreign: dict[str, int] = {}
        self.base_fee_wei = GWEI
        self.l1_fee_wei = 0
        self.turns = 0

    # --- the world ------------------------------------------------------------------------------------------------

    def mine(self, blocks: int = 1, *, take: bool = True, fork: str = "") -> Head:
        """Add blocks; each takes what is next in nonce order and pays the base fee, unless `take` is off."""
        self.turns += 1
        for _ in range(blocks):
            parent = self.blocks[-1].head
            block = Block(replace(_head(parent.number + 1, parent.hash, fork), base_fee_wei=self.base_fee_wei))
            self.blocks.append(block)
            if take:
                self._fill(block)
        return self.blocks[-1].head

    def reorg(self, depth: int, *, keep_pool: bool = True, fork: str = "r", shorter: int = 0) -> Head:
        """Replace the newest `depth` blocks by `shorter` fewer empty ones.

        Their transactions go back to the pool, or are lost.
        """
        self.turns += 1
        gone = [raw for block in self.blocks[-depth:] for raw in block.transactions]
        del self.blocks[-depth:]
        if keep_pool:
            for raw in gone:
                fields = fields_of(raw)
                self.pool[fields["sender"], fields["nonce"]] = raw
        return self.mine(depth - shorter, take=False, fork=fork)

    def use_nonce_elsewhere(self) -> None:
        """Mine somebody else's transaction with our key and the next nonce."""
        nonce = self._next_nonce(SIGNER)
        self.pool.pop((SIGNER, nonce), None)
        raw, _ = FakeSigner().sign(
            chain_id=CHAIN_ID, nonce=nonce, to=POOL, data=b"rival", gas_limit=21000, fee_cap_wei=10**12, tip_wei=1
        )
        self.pool[SIGNER, nonce] = raw
        self.mine()

    def mined(self) -> list[Mapping[str, Any]]:
        return [fields_of(raw) for block in self.blocks for raw in block.transactions]

    def _fill(self, block: Block) -> None:
        for sender, nonce in sorted(self.pool):
            raw = self.pool[sender, nonce]
            if nonce == self._next_nonce(sender) and fields_of(raw)["fee_cap_wei"] >= block.head.base_fee_wei:
                block.transactions.append(self.pool.pop((sender, nonce)))

    def _next_nonce(self, sender: str, *, behind: int = 0) -> int:
        blocks = self.blocks[: len(self.blocks) - behind]
        return sum(fields_of(raw)["sender"] == sender for block in blocks for raw in block.transactions)

    # --- the port -------------------------------------------------------------------------------------------------

    async def chain_id(self) -> int:
        return CHAIN_ID

    async def head(self) -> Head:
        return self.blocks[-1].head

    async def block(self, number: int) -> Head:
        if number >= len(self.blocks):
            raise HistoryMissing(f"no block {number}")
        return self.blocks[number].head

    async def nonce(self, address: Address) -> int:
        return self._next_nonce(address, behind=self.nonce_behind)

    async def balance_wei(self, address: Address) -> int:
        return self.balances.get(address, 0)

    async def send_raw_to_all(self, raw: bytes) -> list[str | RpcError | Transient]:
        try:
            answers: list[str | RpcError | Transient] = [await self.send_raw(raw)]
        except (RpcError, Transient) as error:
            answers = [error]
        if self.refusing_nodes:
            self.refusing_nodes -= 1
            answers.append(RpcError(-32000, "txpool is full"))
        return answers

    async def gas_price_wei(self) -> int:
        return 2 * GWEI

    async def send_raw(self, raw: bytes) -> str:
        self.broadcasts.append(raw)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        self._accept(raw)
        if self.swallow:
            self.swallow -= 1
            raise Transient("the connection was reset")
        if self.echoes:
            raise self.echoes.pop()
        return transaction_hash(raw)

    def _accept(self, raw: bytes) -> None:
        fields = fields_of(raw)
        place = (fields["sender"], fields["nonce"])
        if self.pool.get(place) == raw:
            raise RpcError(-32000, "already known")
        if fields["nonce"] < self._next_nonce(fields["sender"]):
            raise RpcError(-32000, "nonce too low")
        old = fields_of(self.pool[place]) if place in self.pool else None
        if old and any(fields[name] * 8 < old[name] * 9 for name in ("fee_cap_wei", "tip_wei")):
            raise RpcError(-32000, "replacement transaction underpriced")
        if old and self.keeps_old:
            self.keeps_old -= 1  # whoever makes the blocks has not heard of the replacement
            return
        self.pool[place] = raw

    async def receipt(self, transaction_hash: str) -> Receipt | None:
        return None if self.hide_receipts else self._find(transaction_hash)

    def _find(self, wanted: str) -> Receipt | None:
        for block in self.blocks[: len(self.blocks) - self.receipts_behind]:
            for raw in block.transactions:
                if transaction_hash(raw) == wanted:
                    return self._receipt(block.head, raw, wanted)
        return None

    def _receipt(self, head: Head, raw: bytes, found: str) -> Receipt:
        fields = fields_of(raw)
        data = bytes.fromhex(fields["data"])
        return Receipt(
            transaction_hash=found,
            ok=data not in self.fails,
            block_number=head.number,
            block_hash=head.hash,
            gas_used=21_000 if not data else 300_000,
            effective_gas_price_wei=min(fields["fee_cap_wei"], head.base_fee_wei + fields["tip_wei"]),
            contract_address=POOL if fields["to"] is None else None,
            logs=(),
            l1_fee_wei=self.l1_fee_wei,
        )

    def heads(self) -> AsyncIterator[Head]:
        raise NotImplementedError

    async def pending_timestamp_s(self) -> int | None:
        return None

    async def code(self, address: Address) -> bytes:
        raise NotImplementedError

    async def logs(self, *, addresses: Sequence[Address], topics: Sequence[bytes], first: int, last: int) -> list[Log]:
        raise NotImplementedError

    async def read(self, calls: Sequence[Call], at: Head) -> list[CallResult]:
        raise NotImplementedError

    async def simulate(
        self,
        calls: Sequence[SimulatedCall],
        *,
        at: Head,
        timestamp_s: int | None = None,
        overrides: Mapping[Address, AccountOverride] | None = None,
    ) -> list[SimulatedOutcome]:
        raise NotImplementedError

    async def suggested_tip_wei(self, percentile: int = 50) -> int:
        return GWEI


def _head(number: int, parent_hash: str, fork: str) -> Head:
    digest = hashlib.sha256(f"{number}{parent_hash}{fork}".encode()).hexdigest()
    return Head(
        number=number,
        hash="0x" + digest,
        parent_hash=parent_hash,
        timestamp_s=1_700_000_000 + 12 * number,
        base_fee_wei=GWEI,
        gas_used=0,
        gas_limit=30_000_000,
    )


def make_plan(
    *,
    account: Address = BORROWER,
    epoch: str = "e0",
    head: Head | None = None,
    calldata: bytes = b"plan",
    deadline_block: int = 1_000,
    fee_cap_wei: int = 3 * GWEI,
    tip_wei: int = GWEI,
    executor: Address = EXECUTOR,
    chain_id: int = CHAIN_ID,
    gas_limit: int = 400_000,
) -> SimulatedPlan:
    """A plan that would earn 1,000 units of the debt token."""
    plan = Plan(
        chain_id=chain_id,
        market="main",
        pool=POOL,
        epoch=epoch,
        steps=(
            Outcome(
                call=LiquidationCall(account=account, debt=DEBT, collateral=COLLATERAL, cover_raw=50_000),
                repaid_raw=50_000,
                received_raw=52_500,
                fee_raw=0,
                health_after_wad=10**18,
            ),
        ),
        legs=(),
        funds=(Fund(source="aave-flash-loan", lender=POOL, token=DEBT, amount_raw=50_000, premium_raw=25),),
        profit_token=DEBT,
        proceeds_raw=51_025,
        profit_raw=1_000,
        min_profit_raw=500,
        deadline_block=deadline_block,
        head=head or _head(1, "", ""),
        inclusion_s=1_700_000_012,
        health_before_wad=9 * 10**17,
    )
    return SimulatedPlan(
        plan=plan,
        executor=executor,
        calldata=calldata,
        gas_units=300_000,
        gas_limit=gas_limit,
        fees=Fees(fee_cap_wei=fee_cap_wei, tip_wei=tip_wei, expected_wei=2 * GWEI),
        gas_cost_wei=600_000 * GWEI,
        gas_cost_base=100,
        profit_base=1_000,
        net_profit_base=900,
        base_unit=10**8,
        notional_base=50_000,
        native_price_base=1,
    )
