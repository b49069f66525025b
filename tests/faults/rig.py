"""A sender on a fake chain, with a state file that outlives it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from keeper.domain.attempts import Realised
from keeper.domain.chain import Receipt
from keeper.domain.plans import SimulatedPlan
from keeper.domain.units import Address, to_address
from keeper.send.channels.public import PublicChannel
from keeper.send.replacing import Resimulate, assume_unchanged
from keeper.send.sender import TransactionSender
from keeper.send.settings import SendSettings
from keeper.store import Store, open_store
from keeper.store.records import Intent
from tests.faults.fake_chain import CHAIN_ID, FakeChain, FakeSigner, make_plan


def realise(_receipt: Receipt) -> Realised:
    return Realised(profit_raw=1_001)


def expected(_intent: Intent, _block_time_s: int) -> None:
    return None


class Rig:
    """Starts, stops and restarts a sender on one chain and one state file."""

    def __init__(self, path: Path, *, settings: SendSettings | None = None) -> None:
        self.path = path
        self.settings = settings or SendSettings()
        self.chain = FakeChain()
        self.signer = FakeSigner()
        self.resimulate: Resimulate = assume_unchanged
        self.store: Store
        self.sender: TransactionSender

    async def start(self) -> TransactionSender:
        """Open the state file and recover, as a process does."""
        self.store = open_store(self.path)
        self.sender = TransactionSender(
            chain=self.chain,
            chain_id=CHAIN_ID,
            signer=self.signer,
            store=self.store,
            channel=PublicChannel(self.chain),
            settings=self.settings,
            realise=realise,
            expected=expected,
            resimulate=self.resimulate,
        )
        await self.sender.recover()
        return self.sender

    def stop(self) -> None:
        self.sender.close()
        self.store.close()

    async def restart(self) -> TransactionSender:
        self.stop()
        return await self.start()


def account(number: int) -> Address:
    return to_address((0xB000 + number).to_bytes(20, "big"))


def plan_for(number: int, **changes: object) -> SimulatedPlan:
    """The plan for borrower `number`, told apart by its calldata."""
    plan = make_plan(account=account(number), calldata=f"plan {number}".encode())
    inner = {name: changes.pop(name) for name in list(changes) if name in {"epoch", "deadline_block", "head"}}
    return replace(plan, plan=replace(plan.plan, **inner), **changes)  # type: ignore[arg-type]
