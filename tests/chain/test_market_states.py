"""Rare states of the real Aave V3: each made on chain, read by our reader, and compared pair by pair."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

import pytest

from keeper.devnet.abi import Interface
from keeper.devnet.accounts import OPERATOR
from keeper.devnet.builder import Contract
from keeper.devnet.layout import Asset
from keeper.devnet.tokens import TOKEN, mint, token_of
from keeper.domain.lending import LiquidationCall, Outcome, Refused
from keeper.domain.units import MAX_UINT256, Address, to_address
from keeper.lending.aave_v3.state import NO_POSITION
from keeper.lending.aave_v3.view import AaveV3View
from tests.chain.conftest import Watched
from tests.chain.test_liquidation_truth import (
    RECEIVES,
    check_all,
    check_health,
    check_pair,
    check_ranges,
    fall,
    unhealthy_pairs,
)
from tests.support.pool_truth import assert_same

POOL = Interface.of(
    "supply(address,uint256,address,uint16)",
    "borrow(address,uint256,uint256,uint16,address)",
    "withdraw(address,uint256,address) (uint256)",
    "repay(address,uint256,uint256,address) (uint256)",
    "setUserUseReserveAsCollateral(address,bool)",
    "setUserEMode(uint8)",
)
CONFIGURATOR = Interface.of(
    "setReservePause(address,bool)",
    "setReserveFreeze(address,bool)",
    "setReserveFlashLoaning(address,bool)",
    "setReserveStableRateBorrowing(address,bool)",
    "setLiquidationProtocolFee(address,uint256)",
    "configureReserveAsCollateral(address,uint256,uint256,uint256)",
    "setEModeCategory(uint8,uint16,uint16,uint16,address,string)",
    "setAssetEModeCategory(address,uint8)",
)
ORACLE = Interface.of("setAssetSources(address[],address[])")


@dataclass
class Hands:
    """What an administrator and a user can do to the watched market."""

    watched: Watched

    @property
    def pool(self) -> Contract:
        return Contract(address=self.watched.world.market.pool, interface=POOL)

    @property
    def configurator(self) -> Contract:
        return Contract(address=self.watched.world.market.configurator, interface=CONFIGURATOR)

    def asset(self, symbol: str) -> Asset:
        return self.watched.world.market.asset(symbol)

    async def govern(self, name: str, *arguments: object) -> None:
        async with self.watched.world.transactions() as builder:
            builder.send(self.configurator, name, *arguments)
            await builder.flush()

    async def act(self, account: Address, *steps: tuple[str, tuple[object, ...]]) -> None:
        """Call the pool as `account`."""
        async with self.watched.world.transactions() as builder:
            await builder.prepare([account])
            for name, arguments in steps:
                builder.send(self.pool, name, *arguments, sender=account)
                await builder.flush()

    async def open_position(
        self, account: Address, supplied: dict[str, Decimal], borrowed: dict[str, Decimal], *, emode: int = 0
    ) -> None:
        """Supply and borrow whole tokens as `account`."""
        world = self.watched.world
        async with world.transactions() as builder:
            await builder.prepare([account])
            for symbol, amount in supplied.items():
                asset = self.asset(symbol)
                raw = asset.to_raw(amount)
                mint(builder, world.market, asset, raw)
                builder.send(self.pool, "supply", asset.token, raw, account, 0)
            await builder.flush()
            if emode:
                builder.send(self.pool, "setUserEMode", emode, sender=account)
                await builder.flush()
            for symbol, amount in borrowed.items():
                asset = self.asset(symbol)
                raw = asset.to_raw(amount)
                builder.send(self.pool, "borrow", asset.token, raw, 2, 0, account, sender=account)
                await builder.flush()


@pytest.fixture
def hands(aave: Watched) -> Hands:
    return Hands(aave)


def someone(number: int) -> Address:
    return to_address((0xACC0_0000 + number).to_bytes(20, "big"))


async def check_account(watched: Watched, view: AaveV3View, account: Address) -> Counter[str]:
    """Every pair of one account that is unhealthy, with many amounts; return what was met."""
    seen: Counter[str] = Counter()
    await check_health(watched, view)
    for pair in view.pairs(account):
        await check_pair(watched, view, (account, *pair), random.Random(1), seen)
    return seen


async def test_paused_reserve_is_refused_and_frozen_is_not(aave: Watched, hands: Hands) -> None:
    await fall(aave, -15)
    await hands.govern("setReserveFreeze", hands.asset("WETH").token, True)
    await hands.govern("setReservePause", hands.asset("WBTC").token, True)
    view = await aave.view()
    seen: Counter[str] = Counter()
    await check_all(aave, view, 20, "paused", seen)
    at_s = view.head.timestamp_s + 12
    weth, wbtc = hands.asset("WETH").token, hands.asset("WBTC").token
    for account, debt, collateral in unhealthy_pairs(view, at_s):
        largest = view.largest(account, debt, collateral, at_s)
        if wbtc in (debt, collateral):
            assert isinstance(largest, Refused)
            assert largest.code == "RESERVE_PAUSED"
            seen["paused"] += 1
        elif weth in (debt, collateral):
            assert isinstance(largest, Outcome)
            seen["frozen"] += 1
    assert seen["paused"]
    assert seen["frozen"]


async def test_reserve_without_liquidity_pays_in_atokens(aave: Watched, hands: Hands) -> None:
    view = await fall(aave, -15)
    weth = hands.asset("WETH")
    reserve = view._reserve(weth.token)
    left_raw = weth.to_raw(Decimal("0.25"))
    worth_usd = Decimal(reserve.balance_raw // 10**18) * 2_500 * 2
    await hands.open_position(
        someone(9), {"DAI": worth_usd}, {"WETH": Decimal(reserve.balance_raw - left_raw) / 10**18}
    )
    view = await aave.view()
    assert view._reserve(weth.token).balance_raw == left_raw
    assert view.flash_fee_raw(weth.token, left_raw + 1) is None
    at_s = view.head.timestamp_s + 12
    pairs = [pair for pair in unhealthy_pairs(view, at_s) if pair[2] == weth.token][:6]
    seen: Counter[str] = Counter()
    for pair in pairs:
        await check_pair(aave, view, pair, random.Random(2), seen)
        largest = view.largest(*pair, at_s)
        assert isinstance(largest, Outcome)
        seen[largest.call.receive] += 1
        for item in view.ranges(*pair, at_s):
            call = LiquidationCall(account=pair[0], debt=pair[1], collateral=pair[2], cover_raw=item.high_raw)
            outcome = view.outcome(call, at_s)
            assert isinstance(outcome, Outcome)
            assert outcome.received_raw <= left_raw
            above = view.outcome(
                LiquidationCall(
                    account=pair[0], debt=pair[1], collateral=pair[2], cover_raw=item.high_raw * 101 // 100
                ),
                at_s,
            )
            assert isinstance(above, Refused)
            assert above.code == "NO_LIQUIDITY"
            seen["bounded"] += 1
    assert seen["atoken"]
    assert seen["bounded"]
    assert seen["NO_LIQUIDITY"]


@pytest.mark.parametrize("inside", [True, False])
async def test_emode_inside_and_outside_the_category(aave: Watched, hands: Hands, *, inside: bool) -> None:
    usdc, dai = hands.asset("USDC"), hands.asset("DAI")
    await hands.govern("setEModeCategory", 1, 9_600, 9_700, 10_100, "0x" + "00" * 20, "stable")
    for asset in (usdc, dai):
        await hands.govern("setAssetEModeCategory", asset.token, 1)
    account = someone(1)
    supplied = {"USDC": Decimal(10_000)} if inside else {"WETH": Decimal(4), "USDC": Decimal(1_000)}
    await hands.open_position(account, supplied, {"DAI": Decimal(9_200 if inside else 7_200)}, emode=1)
    if inside:
        await aave.world.set_price("USDC", Decimal("0.94"), pools_follow=False)
    else:
        await aave.world.set_price("WETH", Decimal(1850), pools_follow=False)
    view = await aave.view()
    assert view.positions[account].emode == 1
    seen = await check_account(aave, view, account)
    assert seen["taken"]
    assert any(health.account == account for health in view.unhealthy(view.head.timestamp_s))


async def test_same_asset_on_both_sides(aave: Watched, hands: Hands) -> None:
    account = someone(2)
    await hands.open_position(
        account,
        {"WETH": Decimal(3), "LINK": Decimal(200)},
        {"WETH": Decimal("1.3"), "USDC": Decimal(3_500)},
    )
    await aave.world.shock({"LINK": -60, "WETH": -20}, pools_follow=False)
    view = await aave.view()
    weth = hands.asset("WETH").token
    assert (weth, weth) in view.pairs(account)
    seen = await check_account(aave, view, account)
    assert seen["taken"]


async def test_gifts_third_party_supply_and_collateral_off_are_followed_from_logs(aave: Watched, hands: Hands) -> None:
    view = await fall(aave, -10)
    world = aave.world
    account = view.unhealthy(view.head.timestamp_s)[0].account
    before = view.epoch(account)
    collateral_id = view.positions[account].collaterals[0][0]
    reserve = view.reserves[collateral_id]
    asset = next(item for item in world.market.assets if item.token == reserve.token)
    a_token = Contract(address=reserve.a_token, interface=TOKEN)
    async with world.transactions() as builder:
        builder.send(a_token, "transfer", account, 10**6)
        mint(builder, world.market, asset, 10**6)
        builder.send(hands.pool, "supply", asset.token, 10**6, account, 0)
        await builder.flush()
    view = await aave.view()
    assert view.epoch(account) != before
    await check_health(aave, view)
    rich = someone(5)
    await hands.open_position(rich, {"WETH": Decimal(4), "LINK": Decimal(10)}, {"USDC": Decimal(1_000)})
    view = await aave.view()
    await hands.act(rich, ("setUserUseReserveAsCollateral", (hands.asset("LINK").token, False)))
    after = await aave.view()
    assert len(after.positions[rich].collaterals) == len(view.positions[rich].collaterals) - 1
    await check_health(aave, after)


async def test_new_borrowers_and_full_repayments_are_followed_from_logs(aave: Watched, hands: Hands) -> None:
    view = await aave.view()
    count = len(view.accounts())
    account = someone(3)
    await hands.open_position(account, {"WETH": Decimal(2)}, {"USDC": Decimal(2_000)})
    view = await aave.view()
    assert account in view.accounts()
    assert len(view.accounts()) == count + 1
    usdc = hands.asset("USDC")
    async with aave.world.transactions() as builder:
        mint(builder, aave.world.market, usdc, usdc.to_raw(Decimal(3_000)))
        builder.send(hands.pool, "repay", usdc.token, usdc.to_raw(Decimal(3_000)), 2, account)
        await builder.flush()
    view = await aave.view()
    assert account not in view.accounts()
    assert view.health(account, view.head.timestamp_s) is not None
    await check_health(aave, view)


async def test_liquidation_for_real_leaves_what_the_view_says(aave: Watched, hands: Hands) -> None:
    view = await fall(aave, -20)
    at_s = view.head.timestamp_s + 12
    await liquidate_for_real(aave, view, unhealthy_pairs(view, at_s)[0], at_s)


async def liquidate_for_real(
    aave: Watched, view: AaveV3View, pair: tuple[Address, Address, Address], at_s: int
) -> None:
    """Send the largest liquidation; the market read afterwards is the one we said it would be."""
    world = aave.world
    account, debt, collateral = pair
    largest = view.largest(account, debt, collateral, at_s)
    assert isinstance(largest, Outcome)
    asset = next(item for item in world.market.assets if item.token == debt)
    liquidate = Interface.of("liquidationCall(address,address,address,uint256,bool)")
    async with world.transactions() as builder:
        await builder.prepare([OPERATOR.address])
        mint(builder, world.market, asset, 2 * largest.repaid_raw)
        await builder.flush()
        builder.send(token_of(asset), "approve", view.pool, MAX_UINT256)
        builder.send(
            Contract(address=view.pool, interface=liquidate),
            "liquidationCall",
            collateral,
            debt,
            account,
            largest.call.cover_raw,
            False,
        )
        await builder.flush()
    now = await aave.view()
    expected = view.after(largest.call, now.reserves[view.ids[debt]].updated_s)
    assert now.positions.get(account) == expected.positions.get(account)
    await check_health(aave, now)


async def test_new_terms_prices_sources_and_fees_are_read_each_block(aave: Watched, hands: Hands) -> None:
    weth, link = hands.asset("WETH"), hands.asset("LINK")
    await hands.govern("setLiquidationProtocolFee", weth.token, 2_500)
    await hands.govern("configureReserveAsCollateral", weth.token, 7_000, 7_500, 11_000)
    await hands.govern("setReserveFlashLoaning", link.token, False)
    view = await aave.view()
    reserve = view._reserve(weth.token)
    assert (reserve.protocol_fee_bps, reserve.threshold_bps, reserve.liquidation_bonus_bps) == (2_500, 7_500, 11_000)
    assert view.flash_fee_raw(link.token, 1) is None
    assert view.flash_fee_raw(weth.token, 10**18) == 9 * 10**14
    await check_health(aave, view)
    seen: Counter[str] = Counter()
    await check_all(aave, await fall(aave, -5), 6, "terms", seen)


async def test_stable_debt_counts_in_health_and_is_repaid_last(aave: Watched, hands: Hands) -> None:
    usdc = hands.asset("USDC")
    await hands.govern("setReserveStableRateBorrowing", usdc.token, True)
    mixed, stable_only = someone(6), someone(7)
    for account, supplied, borrowed in (
        (mixed, {"WETH": Decimal(3)}, {"DAI": Decimal(1_000), "USDC": Decimal(1_000)}),
        (stable_only, {"WETH": Decimal(2)}, {}),
    ):
        await hands.open_position(account, supplied, borrowed)
        await hands.act(account, ("borrow", (usdc.token, 2_900 * 10**6, 1, 0, account)))
    await aave.world.anvil.rpc.call("evm_increaseTime", 30 * 86_400)
    view = await fall(aave, -35)
    await check_health(aave, view)
    at_s = view.head.timestamp_s + 12
    rng, seen = random.Random("stable"), Counter[str]()
    for account in (mixed, stable_only):
        assert view.positions[account].stable_debts
        for pair in view.pairs(account):
            await check_amounts_of(aave, view, (account, *pair), rng, seen)
    assert seen["stable part repaid"]
    assert seen["stable part left"]
    await liquidate_for_real(aave, view, (mixed, usdc.token, hands.asset("WETH").token), at_s)


async def check_amounts_of(
    aave: Watched, view: AaveV3View, pair: tuple[Address, Address, Address], rng: random.Random, seen: Counter[str]
) -> None:
    """Random amounts around the variable part: the pool does what we say."""
    account, debt, collateral = pair
    at_s = view.head.timestamp_s + 12
    largest = view.largest(*pair, at_s)
    assert isinstance(largest, Outcome)
    bound = largest.repaid_raw
    before = view.positions[account].stable_debts
    for cover in (0, 1, bound - 1, bound, bound + 1, MAX_UINT256, *(rng.randint(1, bound) for _ in range(8))):
        for receive in RECEIVES:
            call = LiquidationCall(account=account, debt=debt, collateral=collateral, cover_raw=cover, receive=receive)
            ours = view.outcome(call, at_s)
            (truth,) = await aave.truth.liquidate([call], view, at_s)
            assert_same(ours, truth)
            if isinstance(ours, Outcome):
                left = view.after(call, at_s).positions.get(account, NO_POSITION).stable_debts
                seen["stable part left" if left == before else "stable part repaid"] += 1
    check_ranges(view, pair, at_s)


async def test_oracle_without_an_answer_makes_health_unknown_not_zero(aave: Watched, hands: Hands) -> None:
    link = hands.asset("LINK")
    empty = someone(4)
    async with aave.world.transactions() as builder:
        oracle = Contract(address=aave.world.market.oracle, interface=ORACLE)
        builder.send(oracle, "setAssetSources", [link.token], [empty])
        await builder.flush()
    view = await aave.view()
    assert view.price_base(link.token) is None
    assert view.sources[link.token] == empty
    at_s = view.head.timestamp_s
    holders = [account for account in view.accounts() if link.token in view.holdings(account)]
    assert holders
    for account in holders:
        assert view.health(account, at_s) is None
        for debt, collateral in view.pairs(account):
            refused = view.largest(account, debt, collateral, at_s)
            assert isinstance(refused, Refused)
            assert refused.code == "PRICE_MISSING"
            call = LiquidationCall(account=account, debt=debt, collateral=collateral, cover_raw=MAX_UINT256)
            (truth,) = await aave.truth.liquidate([call], view, at_s + 12)
            assert truth.code is not None
    others = [account for account in view.accounts() if account not in holders]
    assert all(view.health(account, at_s) is not None for account in others)


async def test_pairs_that_do_not_exist_are_refused_as_the_pool_does(aave: Watched) -> None:
    view = await fall(aave, -15)
    at_s = view.head.timestamp_s + 12
    account = view.unhealthy(at_s)[0].account
    real = view.pairs(account)
    for debt in view.tokens:
        for collateral in view.tokens:
            if (debt, collateral) in real:
                continue
            call = LiquidationCall(account=account, debt=debt, collateral=collateral, cover_raw=MAX_UINT256)
            (truth,) = await aave.truth.liquidate([call], view, at_s)
            assert_same(view.outcome(call, at_s), truth)
    healthy = next(one for one in view.accounts() if one not in {item.account for item in view.unhealthy(at_s)})
    debt, collateral = view.pairs(healthy)[0]
    call = LiquidationCall(account=healthy, debt=debt, collateral=collateral, cover_raw=MAX_UINT256)
    (truth,) = await aave.truth.liquidate([call], view, at_s)
    assert_same(view.outcome(call, at_s), truth)
    assert truth.code == "HEALTH_FACTOR_NOT_BELOW_THRESHOLD"
