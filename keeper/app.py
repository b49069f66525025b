"""Composition root: settings become objects, objects do a command's work.

Together with `session` the only module that may import everything. Each function is one command:
it opens what it needs, works, closes, and returns the document the command prints.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from keeper.config.load import load_settings, state_file
from keeper.daemon import Daemon
from keeper.domain.attempts import Attempt, LedgerEntry
from keeper.domain.errors import ConfigError, Failed, RpcError, Stale, Transient, UsageError
from keeper.domain.plans import Rejected
from keeper.domain.units import DEVNET_CHAIN_IDS, ZERO_ADDRESS, Address, typed_address
from keeper.estimate.executor import encode_creation
from keeper.estimate.fees import decide_fees, gas_limit_for, l1_reserve_wei
from keeper.estimate.profile_report import profiles_json
from keeper.estimate.report import estimate_report
from keeper.observe import events
from keeper.observe.latency import STAGE_CLOCK
from keeper.outbox import make_sender
from keeper.ports import Sender
from keeper.send.channels.dry_run import DryRunSender
from keeper.send.sender import TransactionSender
from keeper.session import Session, open_session
from keeper.sight import EarlySight
from keeper.store import open_store
from keeper.store.ledger import entry_json, pnl_json
from keeper.watch.forecast import Question, find_tokens, with_forecast
from keeper.watch.report import scan_report
from keeper.watch.snapshot import Snapshot
from keeper.watch.tokens import read_tokens

_GRACE_S = 2.5
_CUT_OFF_S = 1.0
_DEPLOY_WAIT_S = 120.0
_POLL_S = 0.1
_LOOK_AGAIN_S = (0.1, 0.3, 1.0)

T = TypeVar("T")


async def scan(config: Path, block: int | None, question: Question | None = None) -> dict[str, Any]:
    """Return what is liquidatable at `block` (the newest when None), or would be as `question` asks.

    Raises HistoryMissing, and UsageError for a question about a token that is no reserve.
    """
    settings = load_settings(config)
    async with open_session(settings, state=_kept_state(settings, config)) as session:
        return await _on_a_steady_chain(lambda: _scan(session, block, question))


async def _scan(session: Session, block: int | None, question: Question | None) -> dict[str, Any]:
    chain_id = session.settings.chain.id
    head = await session.chain.head() if block is None else await session.chain.block(block)
    snapshot = await session.watch().start(head)
    names = await _names(session, snapshot)
    if question is None:
        return {**scan_report(chain_id, snapshot), "tokens": names}
    forecast = find_tokens(question, snapshot, names)
    supposed = with_forecast(snapshot, forecast)
    report = scan_report(chain_id, supposed, later_s=forecast.horizon_s)
    return {**report, "forecast": forecast.report(), "tokens": names}


async def _on_a_steady_chain(look: Callable[[], Awaitable[T]]) -> T:
    """Return what `look` returns, after another look or two where the chain changed meanwhile. Raises Stale."""
    for pause_s in _LOOK_AGAIN_S:
        try:
            return await look()
        except Stale:
            await asyncio.sleep(pause_s)
    return await look()


async def estimate(config: Path, account: str | None, *, profiles: int = 0) -> dict[str, Any]:
    """Return the best plan, or the rejection, of each unhealthy account (or of `account` alone).

    Of so many accounts, the best first, "profiles" tells what decided about them; without any it is not there.
    """
    settings = load_settings(config)
    wanted = None if account is None else _address("--account", account)
    async with open_session(settings, state=_kept_state(settings, config)) as session:
        await session.check_funding()
        return await _on_a_steady_chain(lambda: _estimate(session, wanted, profiles))


async def _estimate(session: Session, wanted: Address | None, profiles: int) -> dict[str, Any]:
    snapshot = await session.watch(with_venues=True).start(await session.chain.head())
    planner, estimator = await session.estimator(snapshot)
    if wanted is None:
        keys = list(planner.candidates())
    else:
        keys = [(name, wanted) for name, view in snapshot.markets.items() if wanted in view.accounts()]
    plans, rejected = await estimator.each(keys)
    looked_at = {(each.market, each.account) for each in rejected}
    unpriced = [
        each
        for each in planner.rejections()
        if (each.market, each.account) not in looked_at and wanted in (None, each.account)
    ]
    if wanted is not None and not keys:
        rejected = [*rejected, *_without_debt(snapshot.markets, wanted)]
    report = estimate_report(session.settings.chain.id, snapshot.head, plans, [*rejected, *unpriced])
    if profiles:
        report["profiles"] = profiles_json(planner, plans, rejected, most=profiles)
    return {**report, "tokens": await _names(session, snapshot)}


async def _names(session: Session, snapshot: Snapshot) -> dict[str, Any]:
    tokens = {token for view in snapshot.markets.values() for token in view.tokens}
    return await read_tokens(session.chain, tokens, snapshot.head)


def _without_debt(markets: Any, account: Address) -> list[Rejected]:
    detail = "the account has no debt in this market"
    return [Rejected(market=name, account=account, reason="no_debt", detail=detail) for name in markets]


async def run(config: Path, *, live: bool, once: bool, timeout_s: float) -> tuple[dict[str, Any], int]:
    """Run the daemon; return what it did and the exit code (1 when --once leaves something that is not mined)."""
    settings = load_settings(config)
    if live:
        _require_live_settings(settings)
    async with AsyncExitStack() as opened:
        stopped = opened.enter_context(_stopping_on_signals())
        opening = _open_daemon(opened, settings, config, live=live, timeout_s=timeout_s, stop=stopped)
        made = await _finish(opening, stopped, grace_s=0.0)
        if made is None:
            return {"block": None, "attempts": [], "entries": []}, 0
        session, daemon, sender = made
        await _finish(daemon.once() if once else daemon.forever(), stopped, grace_s=_GRACE_S)
        left = sender.in_flight()
        events.shutdown(reason="signal" if stopped.is_set() else "done", in_flight=len(left))
        is_done = not once or stopped.is_set() or await _are_mined(session, left)
        return _run_document(session, daemon, left), 0 if is_done else 1


async def _are_mined(session: Session, attempts: Sequence[Attempt]) -> bool:
    """Whether all that is in flight waits for nothing but confirmations; what cannot be asked for is not mined."""
    try:
        receipts = [await session.chain.receipt(each.transaction) for each in attempts if each.transaction is not None]
    except (Transient, RpcError):
        return False
    return len(receipts) == len(attempts) and None not in receipts


async def deploy_executor(config: Path, *, treasury: str, owner: str | None) -> dict[str, Any]:
    """Deploy the executor for the configured markets and venues, and wait until it is there."""
    settings = load_settings(config)
    receiver = _address("--treasury", treasury)
    async with open_session(settings, state=state_file(settings, config)) as session:
        signer = session.signer()
        if owner is None and settings.chain.id not in DEVNET_CHAIN_IDS:
            raise ConfigError("--owner is required off a devnet; name the address that will manage the executor")
        manager = signer.address if owner is None else _address("--owner", owner)
        creation = encode_creation(
            owner=manager,
            treasury=receiver,
            operators=[signer.address],
            lending_pools=await session.lending_pools(),
            v2_factories=session.factories("uniswap-v2"),
            v3_factories=session.factories("uniswap-v3"),
            flash_lenders=session.flash_lenders(),
        )
        async with AsyncExitStack() as opened:
            sender = await make_sender(opened, session, lambda _intent, _time: None)
            opened.callback(sender.close)
            await sender.recover()
            entry = await _deploy(session, sender, creation)
    return {
        "address": entry.detail["contract_address"],
        "transaction": entry.transaction,
        "owner": manager,
        "operator": signer.address,
        "treasury": receiver,
    }


async def pnl(config: Path) -> dict[str, Any]:
    """Return the ledger. Needs no chain."""
    settings = load_settings(config)
    path = state_file(settings, config)
    store = open_store(path if path.exists() else None)
    try:
        return pnl_json(store.entries())
    finally:
        store.close()


def chain_needing_confirmation(config: Path) -> int | None:
    """Return the configured chain id when sending on it has to be confirmed, None on a devnet."""
    chain_id = load_settings(config).chain.id
    return None if chain_id in DEVNET_CHAIN_IDS else chain_id


def _kept_state(settings: Any, config: Path) -> Path | None:
    """Return the state file for commands that only profit from one: none unless configured."""
    return None if settings.state is None else state_file(settings, config)


def _address(option: str, text: str) -> Address:
    try:
        return typed_address(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} {error}") from None


def _require_live_settings(settings: Any) -> None:
    if settings.signer is None:
        raise ConfigError("--live needs [signer]: a keystore, or allow_env_key on a devnet")
    if settings.executor is None:
        raise ConfigError("--live needs [executor] address; deploy one with `keeper deploy executor`")


async def _open_daemon(
    opened: AsyncExitStack, settings: Any, config: Path, *, live: bool, timeout_s: float, stop: asyncio.Event
) -> tuple[Session, Daemon, Any]:
    """Return a daemon that is ready to start; what it needs is closed with `opened`."""
    session = await opened.enter_async_context(open_session(settings, state=state_file(settings, config)))
    daemon: Daemon | None = None

    def expected(intent: Any, block_time_s: int) -> int | None:
        return None if daemon is None else daemon.expected_raw(intent.key, block_time_s)

    sender: Any = DryRunSender(session.store)
    if live:
        await session.check_executor()
    await session.check_funding()
    await session.costs.prepare()
    if live:
        sender = await make_sender(opened, session, expected)
        await _require_gas_money(session)
    opened.callback(sender.close)
    await sender.recover()
    daemon = Daemon(
        chain=session.chain,
        watcher=session.watch(with_venues=True, live=live),
        sender=sender,
        make_estimator=session.estimator,
        live=live,
        patience_s=timeout_s,
        stop=stop,
        note_runner_up=session.store.note_runner_up,
        confirm=session.confirm,
        sight=EarlySight(session.chain, session.feeds, session.estimator),
    )
    signer = session.signer().address if live else None
    mode = "live" if live else "dry-run"
    events.started(command="run", chain_id=session.settings.chain.id, mode=mode, signer=signer)
    return session, daemon, sender


async def _require_gas_money(session: Session) -> None:
    signer = session.signer().address
    if await session.chain.balance_wei(signer) == 0:
        raise Failed(f"the signer {signer} has no native currency to pay for gas; send it some")


async def _finish(work: Coroutine[Any, Any, T], stopped: asyncio.Event, *, grace_s: float) -> T | None:
    """Return what `work` returns. Once stopped it has `grace_s` to end by itself; then it is cut off (None).

    Cutting it off loses nothing: whatever left the process is in the journal.
    """
    task = asyncio.create_task(work, name="work")
    waiting = asyncio.create_task(stopped.wait(), name="wait-for-signal")
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await asyncio.wait((task,), timeout=grace_s)
        if not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=_CUT_OFF_S)
        return task.result() if task.done() and not task.cancelled() else None
    finally:
        waiting.cancel()
        task.cancel()


@contextmanager
def _stopping_on_signals() -> Iterator[asyncio.Event]:
    """Yield an event that SIGINT and SIGTERM set, instead of ending the process.

    The second one ends it at once: the journal is on the disk before anything leaves, so nothing is lost by that.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    handled = (signal.SIGINT, signal.SIGTERM)

    def stop(number: int) -> None:
        if stopped.is_set():
            os._exit(128 + number)
        stopped.set()

    for number in handled:
        loop.add_signal_handler(number, stop, number)
    try:
        yield stopped
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


async def _deploy(session: Session, sender: TransactionSender, creation: bytes) -> LedgerEntry:
    head = await session.chain.head()
    tip = await session.costs.tip_wei(head)
    fees = decide_fees(head, suggested_tip_wei=tip, max_gas_price_wei=session.max_gas_price_wei)
    if fees is None:
        raise Failed("the base fee exceeds [policy] max_gas_price_gwei; wait, or raise it")
    gas_units = await session.gas_of_creation(creation, head)
    l1_fee = await session.costs.fee(ZERO_ADDRESS, creation, head)
    attempt = await sender.submit_deploy(
        creation, gas_limit_for(gas_units + l1_fee.gas_units), fees, l1_reserve_wei(l1_fee)
    )
    if isinstance(attempt, str):
        raise Failed(f"the deployment was not sent: {attempt}")
    return await _mined(session, sender, attempt)


async def _mined(session: Session, sender: Sender, attempt: Attempt) -> LedgerEntry:
    """Return the ledger entry of `attempt` once it is mined. Raises Failed when it reverted or takes too long."""
    for _ in range(int(_DEPLOY_WAIT_S / _POLL_S)):
        for entry in await sender.settle(await session.chain.head()):
            if entry.intent == attempt.intent:
                if entry.status != "success":
                    raise Failed(f"the deployment {entry.transaction} ended as {entry.status}")
                return entry
        await asyncio.sleep(_POLL_S)
    raise Failed(f"the deployment {attempt.transaction} is not mined yet; run the command again to wait for it")


def _run_document(session: Session, daemon: Daemon, left: Sequence[Attempt]) -> dict[str, Any]:
    head = daemon.head
    # A send that was cut off is known to the journal alone.
    intents = daemon.intents | {attempt.intent for attempt in left}
    attempts = [each for each in session.store.attempts() if each.intent in intents]
    entries = [each for each in session.store.entries() if (each.intent, each.transaction) in daemon.booked]
    return {
        "block": None if head is None else {"number": head.number, "hash": head.hash, "timestamp": head.timestamp_s},
        "attempts": [_attempt_json(each) for each in attempts],
        "entries": [entry_json(entry) for entry in entries],
        "latency_ms": STAGE_CLOCK.report(),
    }


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "transaction": attempt.transaction,
        "nonce": attempt.nonce,
        "kind": attempt.kind,
        "market": attempt.market,
        "account": attempt.account,
        "status": attempt.state,
        "block": attempt.block,
        "gas_limit": attempt.gas_limit,
        "fee_cap_wei": str(attempt.fee_cap_wei),
        "tip_wei": str(attempt.tip_wei),
    }
