"""Counters behind the events. The registry is our own, so that a page shows the keeper and nothing else."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY: Final = CollectorRegistry()

HEADS = Counter("keeper_heads_total", "Heads taken up.", registry=REGISTRY)
HEAD_NUMBER = Gauge("keeper_head_number", "Number of the newest head.", registry=REGISTRY)
REORGS = Counter("keeper_reorgs_total", "Heads whose parent was not the head before.", registry=REGISTRY)
OPPORTUNITIES = Counter("keeper_opportunities_total", "Unhealthy positions seen.", ["market"], registry=REGISTRY)
PLANS = Counter("keeper_plans_total", "Plans made.", ["market"], registry=REGISTRY)
REJECTIONS = Counter("keeper_rejections_total", "Positions without a plan.", ["market", "reason"], registry=REGISTRY)
REFUSALS = Counter("keeper_refusals_total", "Plans the gate or a node did not take.", ["code"], registry=REGISTRY)
BROADCASTS = Counter("keeper_broadcasts_total", "Signed bytes handed to a node.", ["result"], registry=REGISTRY)
CANCELS = Counter("keeper_cancels_total", "Transactions replaced by one that does nothing.", registry=REGISTRY)
MINED = Counter("keeper_mined_total", "Transactions mined, by how they ended.", ["status"], registry=REGISTRY)
WITHDRAWN = Counter("keeper_withdrawn_total", "Ledger entries taken back by a reorg.", registry=REGISTRY)
GAS_PAID = Counter("keeper_gas_paid_gwei_total", "Paid for gas, in gwei, rounded down.", registry=REGISTRY)
UNUSABLE_FEEDS = Counter("keeper_unusable_feeds_total", "Feed answers not used.", ["reason"], registry=REGISTRY)
IN_FLIGHT = Gauge("keeper_in_flight", "Nonces promised and not yet seen used.", registry=REGISTRY)
BACKFILL_BLOCK = Gauge("keeper_backfill_block", "Block the backfill has reached.", ["scope"], registry=REGISTRY)
FAILED_STEPS = Counter("keeper_failed_steps_total", "Heads whose work was dropped.", registry=REGISTRY)
DIFFERENCES = Counter(
    "keeper_profit_differences_total", "Plans whose simulated profit differed.", ["market"], registry=REGISTRY
)
