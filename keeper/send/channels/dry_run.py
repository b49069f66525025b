"""The sender that sends nothing: it books what would have been sent."""

from __future__ import annotations

from keeper.domain.attempts import Attempt, LedgerEntry
from keeper.domain.chain import Head
from keeper.domain.plans import SimulatedPlan
from keeper.observe import events
from keeper.send.entries import dry_run_entry
from keeper.store import Store


class DryRunSender:
    """Implements the port Sender without a key: one ledger entry per decision, no transaction, no nonce."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._new: list[LedgerEntry] = []
        self._stopping = False

    async def recover(self) -> None:
        """Do nothing: a dry run leaves nothing behind."""

    async def submit(self, plan: SimulatedPlan) -> Attempt | str:
        """Book `plan`; the same decision booked before, by whichever run, is replaced."""
        if self._stopping:
            return "stopping"
        entry = dry_run_entry(plan)
        self._store.book_dry_run(entry)
        self._new.append(entry)
        events.dry_run_booked(entry)
        return Attempt(
            intent=entry.intent,
            kind="liquidation",
            market=entry.market,
            account=entry.account,
            nonce=0,
            state="reserved",
            transaction=None,
            block=None,
            fee_cap_wei=plan.fees.fee_cap_wei,
            tip_wei=plan.fees.tip_wei,
            gas_limit=plan.gas_limit,
        )

    async def settle(self, head: Head) -> list[LedgerEntry]:  # noqa: ARG002 - the port's signature
        """Return the entries booked since the last call."""
        new, self._new = self._new, []
        return new

    def in_flight(self) -> list[Attempt]:
        """Return nothing: nothing was sent."""
        return []

    def stop(self) -> None:
        """Take no more plans."""
        self._stopping = True

    def close(self) -> None:
        """Take no more plans; there is nothing to let go of."""
        self.stop()
