"""Plans put together by hand and sent to the executor on the real contracts, and everything they could move."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

import pytest
from support.lending import address
from support.plans import plan

from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.devnet.abi import Interface
from keeper.devnet.accounts import OPERATOR, TREASURY
from keeper.devnet.builder import Contract
from keeper.devnet.tokens import mint, token_of
from keeper.devnet.world import World
from keeper.domain.chain import Receipt
from keeper.domain.errors import RpcError
from keeper.domain.lending import LiquidationCall, Outcome, Receive
from keeper.domain.plans import Fund, Funding, Plan
from keeper.domain.swaps import Hop, HopQuote, Leg, VenueKind
from keeper.domain.units import MAX_UINT256, ZERO_ADDRESS, Address
from keeper.estimate.executor import RunResult, decode_executor_revert, decode_run, encode_run
from keeper.lending.aave_v3.errors import decode_revert

ACCOUNT = address(0xACC0)
HEALTHY = address(0xACC1)
GAS_UNITS = 5_000_000
Holding = tuple[str, Address, Address]

POOL = Interface.of(
    "supply(address,uint256,address,uint16)",
    "borrow(address,uint256,uint256,uint16,address)",
    "FLASHLOAN_PREMIUM_TOTAL() (uint128)",
)
DATA = Interface.of("getReserveTokensAddresses(address) (address,address,address)")
TOKEN = Interface.of(
    "balanceOf(address) (uint256)",
    "scaledBalanceOf(address) (uint256)",
    "allowance(address,address) (uint256)",
    "transfer(address,uint256) (bool)",
)
V2_ROUTER = Interface.of("getAmountsOut(uint256,address[]) (uint256[])")
V3_QUOTER = Interface.of(
    "quoteExactInputSingle((address,address,uint256,uint24,uint160)) (uint256,uint160,uint32,uint256)"
)


@dataclass(slots=True, kw_only=True)
class RealRuns:
    """A real market with an unhealthy account in it: 10 WETH against 12,000 USDC and 7,000 DAI."""

    world: World
    chain: RpcChain
    premium_bps: int

    def token(self, symbol: str) -> Address:
        return self.world.tokens[symbol]

    def hop(self, sold: str, bought: str, venue: VenueKind, fee_pips: int = 3_000) -> Hop:
        pair = {self.token(sold), self.token(bought)}
        made = next(each for each in self.world.venues if each.protocol == venue)
        pool = next(p for p in made.pools if {p.token0, p.token1} == pair and p.fee_pips == fee_pips)
        return Hop(
            venue=venue,
            factory=made.factory,
            pool=pool.address,
            token_in=self.token(sold),
            token_out=self.token(bought),
            fee_pips=fee_pips,
        )

    async def leg(self, amount_raw: int, *hops: Hop) -> Leg:
        """The leg as the venues' own contracts quote it."""
        quotes = []
        for hop in hops:
            out_raw = await self._quote(hop, amount_raw)
            quotes.append(HopQuote(hop=hop, amount_in_raw=amount_raw, amount_out_raw=out_raw))
            amount_raw = out_raw
        return Leg(quotes=tuple(quotes))

    async def _quote(self, hop: Hop, amount_raw: int) -> int:
        builder = self.world.builder
        made = next(each for each in self.world.venues if each.factory == hop.factory)
        if hop.venue == "uniswap-v2":
            assert made.router
            router = Contract(address=made.router, interface=V2_ROUTER)
            return int((await builder.read(router, "getAmountsOut", amount_raw, [hop.token_in, hop.token_out]))[-1])
        assert made.quoter
        quoter = Contract(address=made.quoter, interface=V3_QUOTER)
        order = (hop.token_in, hop.token_out, amount_raw, hop.fee_pips, 0)
        return int((await builder.read(quoter, "quoteExactInputSingle", order))[0])

    def step(self, debt: str, cover_raw: int, receive: Receive = "underlying", account: Address = ACCOUNT) -> Outcome:
        """A liquidation for ether; what it does is for the contracts to say."""
        call = LiquidationCall(
            account=account,
            debt=self.token(debt),
            collateral=self.token("WETH"),
            cover_raw=cover_raw,
            receive=receive,
        )
        return Outcome(call=call, repaid_raw=0, received_raw=0, fee_raw=0, health_after_wad=0)

    def fund(self, source: Funding, symbol: str, amount_raw: int) -> Fund:
        lenders = {
            "own": ZERO_ADDRESS,
            "aave-flash-loan": self.world.market.pool,
            "morpho-flash": self.world.layout.morpho,
            "uniswap-v3-flash": ZERO_ADDRESS,  # the plan's first leg says which pool
        }
        lender = lenders[source]
        assert lender
        premium_raw = (amount_raw * self.premium_bps + 5_000) // 10_000 if source == "aave-flash-loan" else 0
        return Fund(
            source=source, lender=lender, token=self.token(symbol), amount_raw=amount_raw, premium_raw=premium_raw
        )

    async def plan(
        self,
        steps: Sequence[Outcome],
        legs: Sequence[Leg],
        funds: Sequence[Fund],
        *,
        min_profit_raw: int = 1,
        deadline_block: int | None = None,
    ) -> Plan:
        """A plan whose profit is counted in USDC, good for the next blocks."""
        return plan(
            chain_id=self.world.layout.chain_id,
            pool=self.world.market.pool,
            steps=tuple(steps),
            legs=tuple(legs),
            funds=tuple(funds),
            profit_token=self.token("USDC"),
            min_profit_raw=min_profit_raw,
            deadline_block=await self.world.anvil.block_number() + 5 if deadline_block is None else deadline_block,
        )

    async def ask(self, made: Plan) -> RunResult:
        """What the run would answer in the next block."""
        transaction = {"from": OPERATOR.address, "to": self.executor, "data": "0x" + encode_run(made).hex()}
        answer = await self.world.anvil.rpc.call("eth_call", transaction, "pending")
        return decode_run(bytes.fromhex(answer[2:]))

    async def refusal(self, made: Plan) -> str:
        """The code of the reason for which the run would revert in the next block."""
        with pytest.raises(RpcError) as refused:
            await self.ask(made)
        code, _ = decode_executor_revert(refused.value.data, decode_revert)
        return code

    async def send(self, made: Plan) -> Receipt:
        transaction = {
            "from": OPERATOR.address,
            "to": self.executor,
            "gas": hex(GAS_UNITS),
            "data": "0x" + encode_run(made).hex(),
        }
        async with self.world.transactions():
            sent = await self.world.anvil.rpc.call("eth_sendTransaction", transaction)
            await self.world.anvil.mine()
        receipt = await self.chain.receipt(sent)
        assert receipt is not None
        return receipt

    @property
    def executor(self) -> Address:
        assert self.world.layout.executor
        return self.world.layout.executor

    async def give(self, symbol: str, amount_raw: int) -> None:
        """Put something of our own into the executor."""
        async with self.world.transactions() as builder:
            mint(builder, self.world.market, self.world.market.asset(symbol), amount_raw, self.executor)
            await builder.flush()

    async def give_claims(self, symbol: str, amount_raw: int) -> Address:
        """Put deposit tokens into the executor, after some of the reserve was lent for a while; which token it is."""
        token = self.token(symbol)
        claim = next(claim for claim, underlying in (await self._claims()).items() if underlying == token)
        asset = self.world.market.asset(symbol)
        async with self.world.transactions() as builder:
            pool = Contract(address=self.world.market.pool, interface=POOL)
            builder.send(pool, "borrow", token, asset.to_raw(Decimal(100)), 2, 0, builder.deployer)
            await builder.flush()
            for _ in range(5):
                await self.world.anvil.mine()
            builder.send(Contract(address=claim, interface=TOKEN), "transfer", self.executor, amount_raw)
            await builder.flush()
        return claim

    async def held(self, token: Address) -> int:
        """The executor's balance."""
        return int(await self.world.builder.read(Contract(address=token, interface=TOKEN), "balanceOf", self.executor))

    async def borrow_all(self, symbol: str) -> None:
        """Somebody with much collateral takes all that the market has of it."""
        token = self.token(symbol)
        claim = next(claim for claim, underlying in (await self._claims()).items() if underlying == token)
        left = await self.world.builder.read(Contract(address=token, interface=TOKEN), "balanceOf", claim)
        async with self.world.transactions() as builder:
            pool = Contract(address=self.world.market.pool, interface=POOL)
            builder.send(pool, "borrow", token, left, 2, 0, builder.deployer)
            await builder.flush()

    async def holdings(self) -> dict[Holding, int]:
        """Every balance that a run could move, and our allowances: (what is asked, token, of whom) -> raw units.

        Deposit and debt tokens in the units that do not grow with time.
        """
        world, reserves = self.world, await self._reserve_tokens()
        grows = [token for claim, _, debt in reserves for token in (claim, debt)]
        venues = [pool.address for venue in world.venues for pool in venue.pools]
        others = [world.market.pool, *world.layout.flash_lenders, *venues]
        holders = [self.executor, TREASURY, ACCOUNT, OPERATOR.address, *others, *(claim for claim, _, _ in reserves)]
        asked: list[Holding] = [("balanceOf", token, each) for token in world.tokens.values() for each in holders]
        asked += [("scaledBalanceOf", token, each) for token in grows for each in holders]
        asked += [("allowance", token, each) for token in world.tokens.values() for each in others]
        values = await world.builder.read_many([self._question(*each) for each in asked])
        return dict(zip(asked, map(int, values), strict=True))

    def _question(self, name: str, token: Address, of: Address) -> tuple[Contract, str, tuple[Address, ...]]:
        arguments = (self.executor, of) if name == "allowance" else (of,)
        return Contract(address=token, interface=TOKEN), name, arguments

    async def _claims(self) -> dict[Address, Address]:
        reserves = await self._reserve_tokens()
        return {claim: token for (claim, _, _), token in zip(reserves, self.world.tokens.values(), strict=True)}

    async def _reserve_tokens(self) -> list[tuple[Address, Address, Address]]:
        assert self.world.market.data_provider
        provider = Contract(address=self.world.market.data_provider, interface=DATA)
        asked = [(provider, "getReserveTokensAddresses", (token,)) for token in self.world.tokens.values()]
        return await self.world.builder.read_many(asked)

    async def check_rest(self, own: dict[str, int] | None = None) -> None:
        """The executor has what we gave it and nobody may take it."""
        given = {self.token(symbol): raw for symbol, raw in (own or {}).items()}
        for (name, token, other), raw in (await self.holdings()).items():
            if name == "allowance":
                assert raw == 0, f"{other} may take {raw} of {token}"
            elif other == self.executor:
                assert raw == given.get(token, 0), f"{raw} of {token} at rest"


@asynccontextmanager
async def open_runs(world: World) -> AsyncIterator[RealRuns]:
    """Open the accounts, deploy the executor, let ether fall by 15 %."""
    ether, pool = world.market.asset("WETH"), Contract(address=world.market.pool, interface=POOL)
    usdc, dai = world.tokens["USDC"], world.tokens["DAI"]
    async with world.transactions() as builder:
        await builder.prepare([ACCOUNT, HEALTHY])
        for account in (ACCOUNT, HEALTHY):
            mint(builder, world.market, ether, 10 * 10**18, account)
        await builder.flush()
        for account in (ACCOUNT, HEALTHY):
            builder.send(token_of(ether), "approve", pool.address, MAX_UINT256, sender=account)
            builder.send(pool, "supply", ether.token, 10 * 10**18, account, 0, sender=account)
        builder.send(pool, "borrow", usdc, 12_000 * 10**6, 2, 0, ACCOUNT, sender=ACCOUNT)
        builder.send(pool, "borrow", dai, 7_000 * 10**18, 2, 0, ACCOUNT, sender=ACCOUNT)
        builder.send(pool, "borrow", usdc, 10**6, 2, 0, HEALTHY, sender=HEALTHY)
        await builder.flush()
    if world.layout.executor is None:
        await world.deploy_executor()
    await world.shock({"WETH": Decimal(-15)})
    async with await connect([world.anvil.http_url], chain_id=world.layout.chain_id) as chain:
        premium_bps = await world.builder.read(pool, "FLASHLOAN_PREMIUM_TOTAL")
        yield RealRuns(world=world, chain=chain, premium_bps=premium_bps)
