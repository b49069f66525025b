"""Counters behind the events. The registry is our own, so that a page shows the keeper and nothing else."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY: Final = CollectorRegistry()

HEADS = Counter("keeper_heads_total", "Heads taken up.", registry=REGISTRY)
HEAD_NUMBER = Gauge("keeper_head_number", "Number of the newest head.", registry=REGISTRY)
REORGS = Counter("keeper_reorgs_total", "Heads whose parent was not the head before.", registry=REGISTRY)
OPPORTUNITIES = Counter("keeper_opportunities_total", "Unhealthy positions seen.", ["market"], registry=REGISTRY)
PLANS = Counter("keeper_plans_total", "Plans made.", ["market"], registry=REGISTRY)
REJECTIONS = Counter("keeper_rejections_total", "Positions without a plan.", ["market", "reason"], registry=REGISTRY)
REFUSALS = Counter("keeper_refusals_total", "Plans the gate or a node did not take.", ["code"], registry=REGISTRY)
BROADCASTS = Counter("keeper_broadcasts_total", "Signed bytes handed to a node.", ["result"], registry=REGISTRY)
BUMPS = Counter("keeper_bumps_total", "Transactions offered again at a higher price.", registry=REGISTRY)
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
REQUESTS = Counter(
    "keeper_rpc_requests_total",
    "Requests that left; each of a batch counts.",
    ["endpoint", "priority"],
    registry=REGISTRY,
)
REQUESTS_PER_BLOCK = Gauge("keeper_rpc_requests_per_block", "Requests that left for the last block.", registry=REGISTRY)
ENDPOINT_STATE = Gauge(
    "keeper_endpoint_state", "1 for the state an endpoint is in.", ["endpoint", "state"], registry=REGISTRY
)
LIES = Counter(
    "keeper_endpoint_lies_total", "False answers an endpoint was convicted of.", ["endpoint"], registry=REGISTRY
)
DISAGREEMENTS = Counter(
    "keeper_disagreements_total", "Decisive reads on which endpoints did not agree.", ["what"], registry=REGISTRY
)
BOOK_DIFFERENCES = Counter(
    "keeper_book_differences_total", "Things the mirror had otherwise than the chain.", ["market"], registry=REGISTRY
)
REPOINTED = Counter("keeper_feeds_repointed_total", "Feed proxies pointed at another aggregator.", registry=REGISTRY)
PRICE_PUSHES = Counter("keeper_price_pushes_total", "Answers announced by aggregators.", registry=REGISTRY)
TRANSMISSIONS = Counter(
    "keeper_pending_transmissions_total",
    "Oracle transactions in the mempool, by what became of them.",
    ["end"],
    registry=REGISTRY,
)
READY = Counter("keeper_plans_ready_total", "Plans prepared for a price not yet mined.", ["market"], registry=REGISTRY)
STAGE_SECONDS = Histogram(
    "keeper_stage_seconds",
    "Time from the stage before to this one.",
    ["stage"],
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
    registry=REGISTRY,
)
