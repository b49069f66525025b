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
        funding=plan.funding,
        block=plan.head.number,
    )


def plan_rejected(rejected: Rejected) -> None:
    """There is no plan for a position, and this is why."""
    metrics.REJECTIONS.labels(market=rejected.market, reason=rejected.reason).inc()
    get_logger().info(
        "rejected", market=rejected.market, account=rejected.account, reason=rejected.reason, detail=rejected.detail
    )


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
