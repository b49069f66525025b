"""One function per event of the business: a log line and a count in one call.

Amounts stand in the unit of their name. Nothing here may hold signed bytes, calldata or keys.
"""

from __future__ import annotations

from keeper.domain.attempts import Attempt, LedgerEntry
from keeper.domain.chain import Head
from keeper.domain.feeds import FeedStatus
from keeper.domain.plans import Plan, Rejected
from keeper.domain.units import Address
from keeper.observe import metrics
from keeper.observe.logs import get_logger

_WEI_PER_GWEI = 10**9


def started(*, command: str, chain_id: int, mode: str, signer: Address | None) -> None:
    """The daemon is about to take up its first head."""
    get_logger().info("started", command=command, chain_id=chain_id, mode=mode, signer=signer)


def head_seen(head: Head) -> None:
    """A new head was taken up."""
    metrics.HEADS.inc()
    metrics.HEAD_NUMBER.set(head.number)
    get_logger().debug("head", block=head.number, hash=head.hash, timestamp_s=head.timestamp_s)


def reorg_seen(*, block: int, old_hash: str, new_hash: str) -> None:
    """A block we built on is no longer canonical."""
    metrics.REORGS.inc()
    get_logger().warning("reorg", block=block, old_hash=old_hash, new_hash=new_hash)


def revision_unverified(*, market: str, revision: int, version: str) -> None:
    """A pool's rules were never compared with a compiled contract: what is said of the market may be a little off."""
    get_logger().warning("unverified pool revision", market=market, revision=revision, version=version)


def book_differs(*, market: str, account: Address | None, field: str, ours: int, theirs: int, block: int) -> None:
    """The mirror of an account (None: a sum over all) is not what the chain says; it is read again."""
    metrics.BOOK_DIFFERENCES.labels(market=market).inc()
    get_logger().error(
        "the book differs from the chain",
        market=market,
        account=account,
        field=field,
        ours=str(ours),
        theirs=str(theirs),
        block=block,
    )


def book_incomplete(*, market: str, tokens: int, block: int) -> None:
    """Some of a market's tokens belong to accounts that no log since its start_block names."""
    get_logger().warning(
        "accounts are missing: is start_block later than the market's first deposit?",
        market=market,
        tokens=tokens,
        block=block,
    )


def book_rebuilt(*, market: str, block: int, first: int) -> None:
    """The chain left every block the book could go back to: it is built anew from `first` on."""
    get_logger().warning("the book is built anew", market=market, block=block, first=first)


def book_unreadable(*, market: str, path: str, error: str) -> None:
    """The saved book is of no use; the logs are read from the first block on."""
    get_logger().warning("the saved book cannot be used", market=market, path=path, error=error)


def book_not_saved(*, market: str, path: str, error: str) -> None:
    """The book could not be written; the next start reads more logs."""
    get_logger().warning("the book could not be saved", market=market, path=path, error=error)


def opportunity_found(*, market: str, account: Address, health_factor_wad: int, block: int) -> None:
    """A position may be liquidated."""
    metrics.OPPORTUNITIES.labels(market=market).inc()
    get_logger().info(
        "opportunity", market=market, account=account, health_factor_wad=str(health_factor_wad), block=block
    )


def plan_made(plan: Plan) -> None:
    """A liquidation pays."""
    metrics.PLANS.labels(market=plan.market).inc()
    get_logger().info(
        "plan",
        market=plan.market,
        account=plan.account,
        debt=plan.call.debt,
        collateral=plan.call.collateral,
        repay_raw=str(plan.repay_raw),
        profit_raw=str(plan.profit_raw),
        steps=len(plan.steps),
        legs=len(plan.legs),
        funding=plan.funds[0].source,
        block=plan.head.number,
    )


def plan_rejected(rejected: Rejected) -> None:
    """There is no plan for a position, and this is why."""
    metrics.REJECTIONS.labels(market=rejected.market, reason=rejected.reason).inc()
    get_logger().info(
        "rejected", market=rejected.market, account=rejected.account, reason=rejected.reason, detail=rejected.detail
    )


def state_set_aside(*, path: str, chain_id: int) -> None:
    """The state file was about an earlier devnet of the same id; it was renamed and a new one begun."""
    get_logger().warning("state of an earlier devnet set aside", path=path, chain_id=chain_id)


def plan_differs(plan: Plan, difference_raw: int) -> None:
    """The contracts made another profit of a plan than our arithmetic; theirs counts."""
    metrics.DIFFERENCES.labels(market=plan.market).inc()
    get_logger().warning(
        "simulated profit differs",
        market=plan.market,
        account=plan.account,
        planned_raw=str(plan.profit_raw),
        difference_raw=str(difference_raw),
    )


def step_failed(*, block: int, error: str) -> None:
    """The work on a head was dropped; it is taken up again with the newest one."""
    metrics.FAILED_STEPS.inc()
    get_logger().warning("step failed", block=block, error=error)


def submit_refused(*, code: str, market: str | None, account: Address | None, detail: str = "") -> None:
    """A plan was not sent, and this is why."""
    metrics.REFUSALS.labels(code=code).inc()
    get_logger().warning("not sent", code=code, market=market, account=account, detail=detail)


def attempt_sent(attempt: Attempt, *, result: str, answer: str, again: bool) -> None:
    """Signed bytes were handed to a node; `result` is what its answer means."""
    metrics.BROADCASTS.labels(result=result).inc()
    log = get_logger().debug if again else get_logger().info
    log(
        "sent again" if again else "sent",
        market=attempt.market,
        account=attempt.account,
        nonce=attempt.nonce,
        transaction=attempt.transaction,
        result=result,
        answer=answer,
    )


def attempt_bumped(*, nonce: int, transaction: str, fee_cap_wei: int, tip_wei: int) -> None:
    """A transaction is being replaced by itself at a higher price."""
    metrics.BUMPS.inc()
    get_logger().info(
        "offering more",
        nonce=nonce,
        transaction=transaction,
        fee_cap_wei=str(fee_cap_wei),
        tip_wei=str(tip_wei),
    )


def mode_changed(*, mode: str, reason: str) -> None:
    """New work is taken no more, or again."""
    log = get_logger().info if mode == "active" else get_logger().warning
    log("mode changed", mode=mode, reason=reason)


def nonce_filled(*, nonce: int) -> None:
    """A nonce nobody holds stands before ours; a transaction that does nothing will use it."""
    get_logger().warning("filling a nonce", nonce=nonce)


def keystore_is_weak(*, path: str, work: int) -> None:
    """A keystore opens with less work than is advised to guess its password."""
    get_logger().warning("weak keystore", path=path, work=work, advice="write it again with `keeper wallet import`")


def attempt_cancelled(*, nonce: int, transaction: str, fee_cap_wei: int, reason: str) -> None:
    """A transaction is being replaced by one that does nothing."""
    metrics.CANCELS.inc()
    get_logger().warning(
        "cancelling", nonce=nonce, transaction=transaction, fee_cap_wei=str(fee_cap_wei), reason=reason
    )


def attempt_stuck(*, nonce: int, transaction: str | None, reason: str) -> None:
    """A transaction can neither be mined nor replaced within the limits set."""
    get_logger().warning("stuck", nonce=nonce, transaction=transaction, reason=reason)


def attempt_mined(entry: LedgerEntry, *, nonce: int) -> None:
    """One of our transactions ended, and its ledger entry is booked."""
    metrics.MINED.labels(status=entry.status).inc()
    metrics.GAS_PAID.inc(entry.gas_cost_wei // _WEI_PER_GWEI)
    log = get_logger().info if entry.status == "success" else get_logger().warning
    log(
        "mined",
        status=entry.status,
        kind=entry.kind,
        market=entry.market,
        account=entry.account,
        nonce=nonce,
        transaction=entry.transaction,
        block=entry.block,
        expected_raw=str(entry.expected_raw),
        realised_raw=str(entry.realised_raw),
        gas_cost_wei=str(entry.gas_cost_wei),
    )


def dry_run_booked(entry: LedgerEntry) -> None:
    """A plan was written down instead of sent."""
    get_logger().info(
        "dry run", market=entry.market, account=entry.account, expected_raw=str(entry.expected_raw), status=entry.status
    )


def entry_withdrawn(*, nonce: int, transaction: str | None, block: int | None) -> None:
    """A reorg took a mined transaction back; its ledger entry went with it."""
    metrics.WITHDRAWN.inc()
    get_logger().warning("withdrawn", nonce=nonce, transaction=transaction, block=block)


def profit_unreadable(*, transaction: str) -> None:
    """A successful liquidation's receipt does not show its profit."""
    get_logger().error("profit not in the receipt", transaction=transaction)


def in_flight(count: int) -> None:
    """So many nonces are promised and not yet seen used."""
    metrics.IN_FLIGHT.set(count)


def recovered(*, taken_over: int, nonce: int) -> None:
    """An earlier run's transactions were taken over."""
    get_logger().info("recovered", taken_over=taken_over, nonce=nonce)


def feed_unusable(market: str, status: FeedStatus) -> None:
    """A price may not be decided on."""
    metrics.UNUSABLE_FEEDS.labels(reason=status.reason or "").inc()
    get_logger().warning(
        "feed unusable",
        market=market,
        token=status.token,
        source=status.source,
        reason=status.reason,
        detail=status.detail,
    )


def backfill_progress(*, scope: str, done: int, total: int, blocks_per_s: int) -> None:
    """The search for accounts went on; blocks done of blocks to do."""
    metrics.BACKFILL_BLOCK.labels(scope=scope).set(done)
    get_logger().info("backfill", scope=scope, done=done, total=total, blocks_per_s=blocks_per_s)


def names_unreadable(*, error: str) -> None:
    """Tokens could not be asked for their symbols; reports show addresses instead."""
    get_logger().warning("token names unreadable", error=error)


def shutdown(*, reason: str, in_flight: int) -> None:
    """The daemon stops; what is in flight stays in the journal."""
    get_logger().info("stopping", reason=reason, in_flight=in_flight)


def endpoint_changed(*, endpoint: str, before: str, after: str, reason: str) -> None:
    """What is thought of an endpoint changed."""
    log = get_logger().info if after == "alive" else get_logger().warning
    log("endpoint", endpoint=endpoint, before=str(before), state=str(after), reason=reason)


def endpoint_lied(*, endpoint: str, what: str) -> None:
    """An endpoint was convicted of a false answer and is set aside."""
    metrics.LIES.labels(endpoint=endpoint).inc()
    get_logger().error("endpoint lied", endpoint=endpoint, what=what)


def endpoints_disagree(*, what: str, endpoints: list[str], detail: str) -> None:
    """Endpoints contradict one another in a decisive read: nothing is sent."""
    metrics.DISAGREEMENTS.labels(what=what).inc()
    get_logger().error("endpoints disagree", what=what, endpoints=endpoints, detail=detail)


def feed_repointed(*, source: Address, before: Address, after: Address, block: int) -> None:
    """A feed's proxy names another aggregator: its events are looked for there from now on."""
    metrics.REPOINTED.inc()
    get_logger().warning("feed repointed", source=source, before=before, after=after, block=block)


def price_pushed(*, aggregator: Address, answer: int, block: int) -> None:
    """An aggregator announced a new answer."""
    metrics.PRICE_PUSHES.inc()
    get_logger().debug("price", aggregator=aggregator, answer=str(answer), block=block)


def transmission_seen(*, transaction: str, aggregator: Address, answer: int, block: int) -> None:
    """An oracle's transaction waits in the mempool; it would write `answer`."""
    metrics.TRANSMISSIONS.labels(end="seen").inc()
    get_logger().info("pending price", transaction=transaction, aggregator=aggregator, answer=str(answer), block=block)


def transmission_ended(*, transaction: str, end: str) -> None:
    """A transmission waits no longer: mined, replaced, expired or reverting."""
    metrics.TRANSMISSIONS.labels(end=end).inc()
    get_logger().info("pending price ended", transaction=transaction, end=end)


def plan_ready(plan: Plan, *, transactions: list[str], took_ms: int) -> None:
    """A liquidation will pay once these pending transmissions are mined. It is not sent."""
    metrics.READY.labels(market=plan.market).inc()
    get_logger().info(
        "plan ready",
        market=plan.market,
        account=plan.account,
        profit_raw=str(plan.profit_raw),
        transactions=transactions,
        block=plan.head.number,
        took_ms=took_ms,
    )


def foresight_failed(*, error: str) -> None:
    """Nothing could be prepared for a pending price; the block that brings it is worked on as any other."""
    get_logger().warning("nothing prepared", error=error)
