"""What every command shares: the chain, the store and the parts made from the settings."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from eth_utils.crypto import keccak

from keeper.chain.backfill import backfill
from keeper.chain.client import RpcChain
from keeper.chain.connect import connect
from keeper.chain.signer import KeySigner
from keeper.config.load import environment_key, read_password
from keeper.config.model import Settings, VenueSettings
from keeper.costs import Costs
from keeper.domain.chain import AccountOverride, Call, Head, SimulatedCall
from keeper.domain.errors import ConfigError, Failed
from keeper.domain.feeds import FeedRule, SequencerRule
from keeper.domain.fixed_point import mul_div_down
from keeper.domain.l1_fee import NO_L1_FEE
from keeper.domain.swaps import VenueKind
from keeper.domain.units import BPS, DEVNET_CHAIN_IDS, WAD, ZERO_ADDRESS, Address, address_bytes, to_address
from keeper.estimate.fees import decide_fees
from keeper.estimate.gas import GasMemory
from keeper.estimate.planner import Planner
from keeper.estimate.service import Estimator
from keeper.estimate.settings import EstimateSettings
from keeper.estimate.simulate import Simulator
from keeper.estimate.situation import Situation
from keeper.lending.aave_v3.errors import decode_revert
from keeper.lending.registry import market_maker
from keeper.observe import events
from keeper.observe.logs import register_secret
from keeper.observe.progress import BackfillProgress
from keeper.observe.redact import shorten_url
from keeper.oracles.chainlink import ChainlinkFeeds
from keeper.ports import LendingMarket
from keeper.purses import check_flash_lender, read_purses
from keeper.send.evidence import read_genesis_hash
from keeper.store import Store, open_store, set_aside
from keeper.venues.book import VenueBook
from keeper.venues.pools import VenueConfig
from keeper.watch.snapshot import Snapshot
from keeper.watch.watcher import Watcher

_GET_POOL = bytes.fromhex("026b1d5f")
_IS_OPERATOR = bytes.fromhex("6d70f7ae")
_OWNER = bytes.fromhex("8da5cb5b")
_TREASURY = bytes.fromhex("2d2c5565")
_USD_UNIT = 10**8


class Session:
    """One command's view of one configuration; its parts are made when asked for."""

    def __init__(self, settings: Settings, chain: RpcChain, store: Store, state: Path | None = None) -> None:
        """Make a session whose books are kept beside `state`, where the settings name one."""
        self._state = None if settings.state is None else state
        self.settings = settings
        self.chain = chain
        self.store = store
        self.feeds = ChainlinkFeeds(
            chain, {feed.token: feed for feed in _feed_rules(settings)}, sequencer=_sequencer_rule(settings)
        )
        self.treasury: Address | None = None
        self._contracts: dict[Address, bytes] = {}
        self._signer: KeySigner | None = None
        self.costs = Costs(chain, settings)
        self._memory = GasMemory()
        self._simulator: Simulator | None = None

    @property
    def executor(self) -> Address | None:
        """The configured executor."""
        return None if self.settings.executor is None else self.settings.executor.address

    @property
    def max_gas_price_wei(self) -> int | None:
        """The operator's bound on the fee cap."""
        return self.costs.max_gas_price_wei

    def signer(self) -> KeySigner:
        """Return the signer, opening the keystore the first time. Raises ConfigError."""
        if self._signer is None:
            self._signer = _open_signer(self.settings)
        return self._signer

    def watch(self, *, with_venues: bool = False, live: bool = False) -> Watcher:
        """Return a watcher of the configured markets. Raises ConfigError when venues are wanted and none are named.

        A `live` one refuses pools whose rules are unverified, unless the market's settings allow them.
        """
        venues = None
        hubs = self.settings.policy.hub_tokens
        if with_venues:
            if not self.settings.venues:
                raise ConfigError("no [[venues]]; name at least one exchange to sell the collateral on")
            venues = VenueBook(self.chain, [_venue(each) for each in self.settings.venues], hubs)
        return Watcher(self.chain, self._markets(live=live), venues, self.feeds, hubs or ())

    async def estimator(self, snapshot: Snapshot) -> tuple[Planner, Estimator]:
        """Return a planner and its simulator for `snapshot`. Nothing is asked for while nobody is unhealthy."""
        calm = not any(view.unhealthy(snapshot.inclusion_s) for view in snapshot.markets.values())
        tip_wei, l1_fee, (balances, lendable), native_price_base = (
            (0, NO_L1_FEE, ({}, {}), None)
            if calm
            else await asyncio.gather(
                self.costs.tip_wei(snapshot.head),
                self.costs.usual_fee(snapshot.head),
                self._purses(snapshot),
                self._native_price_base(snapshot.head),
            )
        )
        fees = decide_fees(snapshot.head, suggested_tip_wei=tip_wei, max_gas_price_wei=self.max_gas_price_wei)
        if snapshot.venues is None:
            raise Failed("plans need venues")
        situation = Situation(
            head=snapshot.head,
            inclusion_s=snapshot.inclusion_s,
            markets=snapshot.markets,
            venues=snapshot.venues,
            feeds=snapshot.feeds,
            fees=fees,
            balances=balances,
            flash_lender=self.settings.funding.morpho,
            lendable=lendable,
            native_price_base=native_price_base,
            l1_fee=l1_fee,
        )
        settings = self._estimate_settings()
        planner = Planner(situation, settings, self._memory)
        return planner, Estimator(planner, self._simulator_for(snapshot, settings), fees, events.plan_differs)

    async def lending_pools(self) -> list[Address]:
        """Return the pools of the configured markets. Raises ConfigError for a provider that is none."""
        pools = []
        for market in self.settings.markets:
            provider = market.addresses_provider
            (answer,) = await self.chain.read([Call(to=provider, data=_GET_POOL)], await self.chain.head())
            if not answer.ok or len(answer.data) != 32 or not any(answer.data):
                raise ConfigError(
                    f"markets.{market.name}: addresses_provider {provider} is an address without code,"
                    " or not an addresses provider"
                )
            pools.append(to_address(answer.data))
        return pools

    def factories(self, kind: VenueKind) -> list[Address]:
        """Return the factories of all venues of one kind."""
        return [venue.factory for venue in self.settings.venues if venue.protocol == kind]

    def flash_lenders(self) -> list[Address]:
        """Return the configured lender of free flash loans, if any."""
        lender = self.settings.funding.morpho
        return [] if lender is None else [lender]

    async def gas_of_creation(self, creation: bytes, head: Head) -> int:
        """Return the gas a creation uses. Raises Failed when it reverts."""
        sender = self.signer().address
        rich = {sender: AccountOverride(balance_wei=WAD)}
        (outcome,) = await self.chain.simulate(
            [SimulatedCall(sender=sender, to=None, data=creation)], at=head, overrides=rich
        )
        if not outcome.ok:
            raise Failed("the deployment would revert; check --treasury and --owner: neither may be the zero address")
        return outcome.gas_units

    async def check_executor(self) -> None:
        """Learn the executor's treasury. Raises ConfigError when it has no code or does not know the signer."""
        executor = self.executor
        code = b"" if executor is None else await self.chain.code(executor)
        if executor is None or not code:
            raise ConfigError(f"[executor] address {executor} is an address without code; deploy one, or correct it")
        signer = self.signer().address
        questions = [_IS_OPERATOR + bytes(12) + address_bytes(signer), _OWNER, _TREASURY]
        calls = [Call(to=executor, data=question) for question in questions]
        may_operate, owner, treasury = await self.chain.read(calls, await self.chain.head())
        if not (may_operate.ok and owner.ok and treasury.ok):
            raise ConfigError(f"[executor] address {executor} is not a KeeperExecutor; deploy one, or correct it")
        if not any(may_operate.data) and owner.data[-20:] != address_bytes(signer):
            raise ConfigError(
                f"the signer {signer} is not an operator of the executor {executor}; its owner can add it"
            )
        self._contracts = {executor: keccak(code)}
        self.treasury = to_address(treasury.data[-20:])

    async def check_funding(self) -> None:
        """Raise ConfigError when the configured flash lender cannot be borrowed from."""
        await check_flash_lender(self.chain, self.settings.funding.morpho, self.executor)

    async def confirm(self, snapshot: Snapshot) -> None:
        """Return when the endpoints agree on what a plan for `snapshot` rests on. Raises Disagreement.

        That is the head, every round and every price used, and the executor's code. One endpoint is
        taken at its word.
        """
        if len(self.settings.chain.rpc_urls) == 1:
            return
        reads = dict(self.feeds.evidence(snapshot.head))
        for view in snapshot.markets.values():
            reads.update(view.price_evidence())
        await self.chain.confirm(snapshot.head, reads, self._contracts)

    def _markets(self, *, live: bool) -> list[LendingMarket]:
        return [
            market_maker(market.protocol)(
                self.chain,
                name=market.name,
                addresses_provider=market.addresses_provider,
                start_block=market.start_block,
                backfill=backfill,
                book_path=self._book_path(market.name),
                audit_accounts=market.audit_accounts,
                on_progress=BackfillProgress(market.name),
                allow_unverified=market.allow_unverified_revision or not live,
            )
            for market in self.settings.markets
        ]

    def _book_path(self, market: str) -> Path | None:
        """Return where a market's book is kept; nothing is kept without [state]."""
        if self._state is None:
            return None
        plain = "".join(char if char.isalnum() else "-" for char in market)[:40]
        mark = hashlib.blake2b(market.encode(), digest_size=4).hexdigest()
        return self._state.with_name(f"{self._state.stem}.{plain}-{mark}.book")

    def _estimate_settings(self) -> EstimateSettings:
        policy = self.settings.policy
        return EstimateSettings(
            chain_id=self.settings.chain.id,
            min_profit_usd=policy.min_profit_usd,
            sizing=policy.sizing,
            target_health_wad=int(policy.target_health * WAD),
            max_gas_price_wei=self.max_gas_price_wei,
            tip_profit_bps=int(policy.tip_profit_share * BPS),
            wrapped_native=self.settings.chain.wrapped_native,
        )

    def _simulator_for(self, snapshot: Snapshot, settings: EstimateSettings) -> Simulator:
        if self._simulator is None:
            self._simulator = Simulator(
                self.chain,
                settings,
                self._memory,
                executor=self.executor,
                sender=None if self._signer is None else self._signer.address,
                lending_pools=[view.pool for view in snapshot.markets.values()],
                v2_factories=self.factories("uniswap-v2"),
                v3_factories=self.factories("uniswap-v3"),
                flash_lenders=self.flash_lenders(),
                decode_revert=decode_revert,
                l1_fees=self.costs,
            )
        return self._simulator

    async def _purses(self, snapshot: Snapshot) -> tuple[dict[Address, int], dict[Address, int]]:
        """Return what the executor and the flash lender hold of the markets' tokens."""
        tokens = sorted({token for view in snapshot.markets.values() for token in view.tokens})
        holders = (self.executor, self.settings.funding.morpho)
        own, lendable = await read_purses(self.chain, holders, tokens, snapshot.head)
        return own, lendable

    async def _native_price_base(self, head: Head) -> int | None:
        """Return the price of 1e18 wei in US dollars with 8 decimals, None without a usable [chain] native_feed."""
        feed = self.settings.chain.native_feed
        if feed is None:
            return None
        status = (await self.feeds.read({ZERO_ADDRESS: feed}, head))[ZERO_ADDRESS]
        if not status.usable or status.answer is None or status.decimals is None:
            return None
        return mul_div_down(status.answer, _USD_UNIT, 10**status.decimals)


@asynccontextmanager
async def open_session(settings: Settings, *, state: Path | None) -> AsyncIterator[Session]:
    """Open chain and store, and close them again. Raises ConfigError and ChainUnreachable."""
    for url in (*settings.chain.rpc_urls, settings.chain.ws_url or ""):
        if shorten_url(url) != url.rstrip("/"):  # a bare host is no secret, and errors have to name it
            register_secret(url)
    store = open_store(state)
    try:
        chain = await connect(
            settings.chain.rpc_urls,
            chain_id=settings.chain.id,
            ws_url=settings.chain.ws_url,
            requests_per_second=settings.chain.requests_per_second,
            quorum=settings.chain.quorum,
        )
        async with chain:
            store = await _store_of_this_chain(settings.chain.id, chain, store, state)
            yield Session(settings, chain, store, state)
    finally:
        store.close()


async def _store_of_this_chain(chain_id: int, chain: RpcChain, store: Store, state: Path | None) -> Store:
    """Return `store`, bound to the chain; on a devnet that was started anew, an empty one in its place.

    Devnets share their id and live for minutes: what was kept about an earlier one is set aside,
    not lost, and not in the way. Raises ConfigError for any other chain the file is not about.
    """
    genesis = None if state is None else await read_genesis_hash(chain)
    if genesis is None or state is None:
        return store
    known = store.genesis_hash(chain_id)
    if known not in {None, genesis} and chain_id in DEVNET_CHAIN_IDS:
        store.close()
        aside = set_aside(state, mark=str(known)[2:10])
        events.state_set_aside(path=str(aside), chain_id=chain_id)
        store = open_store(state)
    store.bind_chain(chain_id, genesis)
    return store


def _feed_rules(settings: Settings) -> list[FeedRule]:
    return [
        FeedRule(
            token=feed.token,
            heartbeat_s=feed.heartbeat_s,
            min_answer=feed.min,
            max_answer=feed.max,
            max_jump_bps=feed.max_jump_bps,
            second_source=feed.second_source,
            jump_blocks=feed.jump_blocks,
        )
        for feed in settings.feeds
    ]


def _sequencer_rule(settings: Settings) -> SequencerRule | None:
    feed = settings.chain.sequencer_feed
    return None if feed is None else SequencerRule(feed=feed, grace_s=settings.chain.sequencer_grace_s)


def _venue(settings: VenueSettings) -> VenueConfig:
    return VenueConfig(
        protocol=settings.protocol,
        factory=settings.factory,
        fee_tiers=settings.fee_tiers or (),
        router=settings.router,
        quoter=settings.quoter,
    )


def _open_signer(settings: Settings) -> KeySigner:
    signer = settings.signer
    if signer is None:
        raise ConfigError("[signer] is missing; name a keystore, or allow_env_key on a devnet")
    if signer.keystore is not None:
        if signer.password_file is None:
            raise ConfigError("[signer] keystore needs password_file: a file with its password, chmod 600")
        password = read_password(signer.password_file).get_secret_value()
        register_secret(password)
        return KeySigner.from_keystore(signer.keystore, password)
    if not signer.allow_env_key:
        raise ConfigError("[signer] names no keystore; name one, or set allow_env_key = true on a devnet")
    if settings.chain.id not in DEVNET_CHAIN_IDS:
        raise ConfigError(
            f"[signer] allow_env_key works on devnets only, and chain {settings.chain.id} is none; use a keystore"
        )
    key = environment_key()
    if key is None:
        raise ConfigError("[signer] allow_env_key is set, but KEEPER_PRIVATE_KEY is empty; export the key")
    register_secret(key.get_secret_value())
    try:
        return KeySigner.from_hex(key.get_secret_value())
    except ConfigError as error:
        raise ConfigError(f"KEEPER_PRIVATE_KEY: {error}") from None
