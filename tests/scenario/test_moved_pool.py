"""Somebody else trades between the plan and its block: the run earns at least its minimum, or reverts."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from eth_abi.abi import encode
from eth_utils import keccak

from keeper.devnet.accounts import OPERATOR, TREASURY
from keeper.devnet.tokens import TOKEN, approve_all, mint
from keeper.devnet.world import World
from keeper.domain.chain import Receipt
from keeper.domain.plans import SimulatedPlan
from keeper.domain.swaps import Hop
from keeper.domain.units import Address
from keeper.estimate.executor import realised_raw
from keeper.estimate.planner import Planner
from keeper.estimate.reprice import carry_out
from keeper.estimate.service import Estimator
from keeper.estimate.situation import Situation
from tests.conftest import TestSize
from tests.support.desk import Desk, open_desk

FALL = {"WETH": -25, "WBTC": -25, "LINK": -25}
SHARES = (-200, -20, -2, 2, 20, 200)
"""What the other trade sells, in percent of what the plan sells in that pool; the other way round when negative."""
V3_ORDER = "(address,address,uint24,address,uint256,uint256,uint256,uint160)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """Somebody else's sale of `amount_raw` of one token into one pool."""

    hop: Hop
    token_in: Address
    token_out: Address
    amount_raw: int


def other_trades(plan: SimulatedPlan, situation: Situation) -> list[Trade]:
    """Trades in the pool of the plan's first hop, in both directions."""
    first = plan.plan.legs[0].quotes[0]
    trades = []
    for share in SHARES:
        sides = (first.hop.token_in, first.hop.token_out) if share > 0 else (first.hop.token_out, first.hop.token_in)
        part_raw = first.amount_in_raw if share > 0 else first.amount_out_raw
        trade = Trade(hop=first.hop, token_in=sides[0], token_out=sides[1], amount_raw=part_raw * abs(share) // 100)
        if trade.amount_raw and situation.venues.quote((turned(trade),), trade.amount_raw):
            trades.append(trade)
    return trades


def turned(trade: Trade) -> Hop:
    hop = trade.hop
    return Hop(
        venue=hop.venue,
        factory=hop.factory,
        pool=hop.pool,
        token_in=trade.token_in,
        token_out=trade.token_out,
        fee_pips=hop.fee_pips,
    )


async def prepare_trader(world: World) -> None:
    """Give the deployer plenty of every token, and the routers his approval."""
    async with world.transactions() as builder:
        await world.anvil.set_balance(builder.deployer, 10**30)
        for asset in world.market.assets:
            mint(builder, world.market, asset, 10**26)
        for venue in world.venues:
            assert venue.router is not None
            approve_all(builder, world.market.assets, venue.router)
        await builder.flush()


def trade_data(trade: Trade, receiver: Address) -> bytes:
    if trade.hop.venue == "uniswap-v3":
        order = (trade.token_in, trade.token_out, trade.hop.fee_pips, receiver, 2**64, trade.amount_raw, 0, 0)
        return bytes(keccak(text=f"exactInputSingle({V3_ORDER})")[:4]) + encode([V3_ORDER], [order])
    types = ["uint256", "uint256", "address[]", "address", "uint256"]
    values = [trade.amount_raw, 0, [trade.token_in, trade.token_out], receiver, 2**64]
    return bytes(keccak(text=f"swapExactTokensForTokens({','.join(types)})")[:4]) + encode(types, values)


async def mine_after(world: World, trade: Trade, plan: SimulatedPlan) -> tuple[str, str]:
    """Mine one block with the trade ahead of the plan; return both hashes."""
    router = next(venue.router for venue in world.venues if venue.factory == trade.hop.factory)
    async with world.transactions() as builder:
        deployer = builder.deployer
        sent = [
            (deployer, router, trade_data(trade, deployer), 3_000_000, 50 * 10**9),
            (OPERATOR.address, plan.executor, plan.calldata, plan.gas_limit, plan.fees.tip_wei),
        ]
        hashes = [
            await world.anvil.rpc.call(
                "eth_sendTransaction",
                {
                    "from": sender,
                    "to": to,
                    "data": "0x" + data.hex(),
                    "gas": hex(gas),
                    "maxFeePerGas": hex(100 * 10**9),
                    "maxPriorityFeePerGas": hex(tip),
                },
            )
            for sender, to, data, gas, tip in sent
        ]
        await world.anvil.mine()
    return hashes[0], hashes[1]


async def holdings(world: World, holder: Address) -> dict[Address, int]:
    data = "0x" + TOKEN.encode("balanceOf", holder).hex()
    tokens = sorted(world.tokens.values())
    answers = await world.anvil.rpc.batch([("eth_call", ({"to": token, "data": data}, "latest")) for token in tokens])
    return {token: int(answer, 16) for token, answer in zip(tokens, answers, strict=True)}


async def receipt_of(desk: Desk, transaction: str) -> Receipt:
    receipt = await desk.chain.receipt(transaction)
    assert receipt is not None
    return receipt


async def check_trade(desk: Desk, situation: Situation, plan: SimulatedPlan, trade: Trade) -> str:
    """Run the plan behind the trade and return how it ended; the chain is put back afterwards."""
    world = desk.world
    snapshot = await world.anvil.snapshot()
    before = [await holdings(world, holder) for holder in (TREASURY, plan.executor)]
    first, second = await mine_after(world, trade, plan)
    assert (await receipt_of(desk, first)).ok
    ours = await receipt_of(desk, second)
    after = [await holdings(world, holder) for holder in (TREASURY, plan.executor)]
    moved = situation.venues.after(situation.venues.quote((turned(trade),), trade.amount_raw) or ())
    mined_s = (await desk.chain.block(ours.block_number)).timestamp_s
    carried = carry_out(plan.plan, situation.markets[plan.plan.market], moved, mined_s)
    await world.anvil.revert(snapshot)
    assert after[1] == before[1]  # the executor keeps nothing, and loses nothing
    if not ours.ok:
        assert carried is None or carried.plan.profit_raw < plan.plan.min_profit_raw
        assert after[0] == before[0]
        return "reverted"
    assert carried is not None
    token, least_raw = plan.plan.profit_token, plan.plan.min_profit_raw
    earned_raw = realised_raw(ours, plan.executor)
    assert earned_raw == after[0][token] - before[0][token] == carried.plan.profit_raw
    assert earned_raw >= least_raw
    assert all(after[0][each] >= before[0][each] for each in before[0])
    return "more" if earned_raw > plan.plan.profit_raw else "less"


async def test_a_moved_pool_costs_no_more_than_the_minimum_allows(aave_world: World, size: TestSize) -> None:
    """Every plan behind trades of six sizes: what is earned is what the moved pools pay, or nothing happens at all."""
    seen: Counter[str] = Counter()
    dice = random.Random("moved pool")
    async with open_desk(aave_world) as desk:
        await aave_world.shock(FALL)
        await prepare_trader(aave_world)
        settings = desk.settings()
        situation = await desk.situation(settings)
        planner = Planner(situation, settings, desk.memory)
        estimator = Estimator(planner, desk.simulator(settings, deployed=True), situation.fees)
        plans, _ = await estimator.each(planner.candidates())
        sold = [each for each in plans if each.plan.legs]
        for plan in dice.sample(sold, min(len(sold), size.pick(quick=6, prove=60))):
            for trade in other_trades(plan, situation):
                seen[await check_trade(desk, situation, plan, trade)] += 1
    print(dict(seen))
    assert min(seen["reverted"], seen["more"], seen["less"]) > 0
