"""The seams between rooms, as Protocols.

`async def` may reach the chain or the disk; plain `def` must not. Adapters live in `chain/`,
`lending/`, `venues/`, `oracles/` and `store/`; `app.py` puts them together.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol

from keeper.domain.attempts import Attempt, LedgerEntry
from keeper.domain.chain import (
    AccountOverride,
    Call,
    CallResult,
    Head,
    Log,
    Receipt,
    SimulatedCall,
    SimulatedOutcome,
)
from keeper.domain.errors import RpcError, Transient
from keeper.domain.feeds import FeedStatus
from keeper.domain.l1_fee import L1Fee
from keeper.domain.lending import Health, LiquidationCall, Outcome, Refused, RepayRange
from keeper.domain.plans import SimulatedPlan
from keeper.domain.swaps import HopQuote, Route, Sale
from keeper.domain.units import Address


class Chain(Protocol):
    """One chain as the keeper reads it. Every read names the block it is true at.

    Errors: Transient after bounded retries, RpcError for what the node refused, HistoryMissing
    for a block or state the node does not have, ChainUnreachable when nobody answers at start.
    """

    async def chain_id(self) -> int: ...
    async def head(self) -> Head:
        """Return the newest block's header."""

    async def block(self, number: int) -> Head:
        """Return the header at `number`. Raises HistoryMissing."""

    async def pending_timestamp_s(self) -> int | None:
        """Return the time the node would give the next block, None where it does not say."""

    def heads(self) -> AsyncIterator[Head]:
        """Yield new heads, newest wins: heads passed over while the reader was busy are skipped."""

    async def code(self, address: Address) -> bytes: ...
    async def balance_wei(self, address: Address) -> int: ...
    async def nonce(self, address: Address) -> int:
        """Return the number of mined transactions of `address` at the newest block."""

    async def logs(self, *, addresses: Sequence[Address], topics: Sequence[bytes], first: int, last: int) -> list[Log]:
        """Return logs of `addresses` whose topic 0 is one of `topics` (any, when empty), in order.

        Raises RangeRefused when the provider wants a smaller range or result.
        """

    async def confirm(
        self, head: Head, reads: Mapping[Call, bytes], contracts: Mapping[Address, bytes] | None = None
    ) -> None:
        """Return when all endpoints agree on `head`, these answers of views at it, and these code hashes.

        Raises Disagreement.
        """

    async def read(self, calls: Sequence[Call], at: Head) -> list[CallResult]:
        """Execute `calls` as views at the block with hash `at.hash`, in few requests, in order."""

    async def simulate(
        self,
        calls: Sequence[SimulatedCall],
        *,
        at: Head,
        timestamp_s: int | None = None,
        overrides: Mapping[Address, AccountOverride] | None = None,
    ) -> list[SimulatedOutcome]:
        """Execute `calls` one after another in a block on top of `at` (eth_simulateV1)."""

    async def suggested_tip_wei(self, percentile: int = 50) -> int:
        """Return the tip per gas to offer: at `percentile` (1 to 99) of what recent gas paid."""

    async def gas_price_wei(self) -> int:
        """Return the price per gas the node suggests where blocks carry no base fee."""

    async def send_raw(self, raw: bytes) -> str:
        """Broadcast signed bytes; return the hash the node answers. Raises RpcError, Transient."""

    async def send_raw_to_all(self, raw: bytes) -> list[str | RpcError | Transient]:
        """Broadcast signed bytes through every endpoint; return each one's hash or what went wrong, never raise.

        One that has accepted ends the wait for the others.
        """

    async def receipt(self, transaction_hash: str) -> Receipt | None: ...


class Signer(Protocol):
    """The only holder of a key."""

    @property
    def address(self) -> Address: ...
    def sign(
        self,
        *,
        chain_id: int,
        nonce: int,
        to: Address | None,
        data: bytes,
        gas_limit: int,
        fee_cap_wei: int,
        tip_wei: int,
        value_wei: int = 0,
        legacy: bool = False,
    ) -> tuple[bytes, str]:
        """Return the signed transaction's bytes and hash (0x, lower-case).

        It is one of EIP-1559, or when `legacy` of type 0 with the fee cap as its gas price.
        """


class PairView(Protocol):
    """One debt and one collateral of one account at one block time, to be asked many amounts."""

    @property
    def owed_raw(self) -> int:
        """Return all that is owed of the debt."""

    @property
    def held_raw(self) -> int:
        """Return all that there is of the collateral."""

    @property
    def rate(self) -> tuple[int, int]:
        """Return (collateral, debt): what is received for what is repaid, in raw units before roundings.

        The same numbers for all accounts that are treated alike.
        """

    def ranges(self) -> list[RepayRange]:
        """Return all repay amounts the pool accepts against underlying, lowest first."""

    def taken(self, cover_raw: int) -> tuple[int, int] | None:
        """Return (repaid, received) in raw units, None where the pool refuses."""

    def outcome(self, cover_raw: int) -> Outcome | Refused:
        """Return exactly what the pool would do."""

    def turns(self) -> list[int]:
        """Return repay amounts around which what may be done to the account afterwards changes, ascending."""


class MarketView(Protocol):
    """One lending market, whole and unchanging, true at one block.

    `at_s` is the block time an answer is for (>= the head's); indices are projected to it.
    """

    @property
    def name(self) -> str: ...
    @property
    def protocol(self) -> str: ...
    @property
    def revision(self) -> int: ...
    @property
    def policy(self) -> str:
        """Return the close-factor policy's name: binary, fixed-share, tiered, dynamic."""

    @property
    def pool(self) -> Address: ...
    @property
    def head(self) -> Head: ...
    @property
    def base_unit(self) -> int:
        """Return the integer that stands for one unit of the base currency (US dollar)."""

    @property
    def tokens(self) -> Sequence[Address]:
        """Return the reserves' underlying tokens."""

    @property
    def sources(self) -> Mapping[Address, Address]:
        """Return each token's price source."""

    def decimals(self, token: Address) -> int: ...
    def price_base(self, token: Address) -> int | None:
        """Return the oracle's price of one whole token, None when the oracle has no answer."""

    def price_evidence(self) -> Mapping[Call, bytes]:
        """Return the oracle's answers the view rests on, as reads that can be repeated (empty: it reverted).

        One for each token, in the order of `tokens`.
        """

    def accounts(self) -> Sequence[Address]:
        """Return all accounts with debt, sorted."""

    def holdings(self, account: Address) -> frozenset[Address]:
        """Return the tokens whose prices decide the account's health."""

    def epoch(self, account: Address) -> str:
        """Return a name for the position's present state: it changes with the position."""

    def health(self, account: Address, at_s: int) -> Health | None:
        """Return the account's standing; None when a price it needs is missing."""

    def unhealthy(self, at_s: int) -> list[Health]:
        """Return every account whose health factor is below 1, sorted by address."""

    def pairs(self, account: Address) -> list[tuple[Address, Address]]:
        """Return (debt, collateral) for each non-zero debt and each enabled collateral."""

    def largest(self, account: Address, debt: Address, collateral: Address, at_s: int) -> Outcome | Refused:
        """Return the outcome of the call that repays most, or the code of the refusal."""

    def ranges(self, account: Address, debt: Address, collateral: Address, at_s: int) -> list[RepayRange]:
        """Return all repay amounts the pool accepts against underlying, lowest first.

        Explicit amounts are chosen so that they stay valid at any later time within minutes.
        """

    def pair(self, account: Address, debt: Address, collateral: Address, at_s: int) -> PairView | Refused:
        """Return one pair of an account at `at_s`, or why the pool accepts no amount at all."""

    def outcome(self, call: LiquidationCall, at_s: int) -> Outcome | Refused:
        """Return exactly what the pool would do with `call` in a block of time `at_s`."""

    def after(self, call: LiquidationCall, at_s: int) -> MarketView:
        """Return the market as `call` leaves it. The call must be one that succeeds."""

    def with_prices(self, prices: Mapping[Address, int]) -> MarketView:
        """Return the market as it would be with other oracle prices, in base units per whole token."""

    def has_unpriced(self, at_s: int) -> bool:
        """Return whether the health of any account may be unknown for want of a price."""

    def flash_fee_raw(self, token: Address, amount_raw: int) -> int | None:
        """Return the premium of borrowing `amount_raw` from this pool, None when it will not lend."""

    def during_flash_loan(self, token: Address, amount_raw: int) -> MarketView:
        """Return the market while it has lent `amount_raw` of `token` for the length of a call."""

    def after_flash_loan(self, token: Address, amount_raw: int, premium_raw: int, at_s: int) -> MarketView:
        """Return the market of `during_flash_loan` once loan and premium are given back in a block of time `at_s`."""


class VenueView(Protocol):
    """All pools that may be sold into, true at one block."""

    def routes(self, token_in: Address, token_out: Address) -> Sequence[Route]:
        """Return the known routes of up to three hops, fewest hops first; one empty route when the tokens are equal."""

    def quote(self, route: Route, amount_in_raw: int) -> tuple[HopQuote, ...] | None:
        """Return exact amounts hop by hop; None when a pool cannot take the whole amount."""

    def sell(
        self,
        token_in: Address,
        token_out: Address,
        amount_in_raw: int,
        leg_cost_raw: Callable[[Route], int],
        avoid: frozenset[Address] = frozenset(),
        rebate_raw: int = 0,
    ) -> Sale | None:
        """Return the sale that brings most after the gas of its legs, `leg_cost_raw` each in raw units of `token_out`.

        At most five legs, in order, each quoted exactly on the pools as the earlier ones leave them; each further
        use of a pool costs `rebate_raw` less gas; pools in `avoid` are left alone. () where nothing has to be sold,
        None when the pools cannot take the whole amount.
        """

    def promise(self, token_in: Address, token_out: Address, amount_in_raw: int) -> int:
        """Return about the most that selling an amount can bring before gas, or as much of it as the pools take.

        Cheap, from the pools' curves: a bound that needs no quotes.
        """

    def asks(self, token_in: Address, token_out: Address, amount_out_raw: int) -> int | None:
        """Return about the least that has to be sold to bring an amount before gas; None when nothing does.

        The inverse of `promise`.
        """

    def apart(self) -> VenueView:
        """Return the same pools with the shortest routes alone, on which sales of different tokens hardly meet."""

    def peaks(
        self,
        token_in: Address,
        token_out: Address,
        least_out_raw: int,
        per_in_raw: int,
        leg_cost_raw: Callable[[Route], int],
    ) -> tuple[int, ...]:
        """Return the amounts at which sales gain most over a price of least_out / per_in, the best gain first.

        One for each of the better choices of routes, whose legs' gas counts; () where nothing is gained, or
        nothing sold.
        """

    def after(self, quotes: Sequence[HopQuote]) -> VenueView:
        """Return the pools as these swaps leave them."""


class FeedReader(Protocol):
    """Reads and judges price feeds."""

    async def read(self, sources: Mapping[Address, Address], at: Head) -> Mapping[Address, FeedStatus]: ...


class L1Fees(Protocol):
    """What a chain charges for a transaction's data."""

    async def fee(self, to: Address, data: bytes, at: Head) -> L1Fee:
        """Return the fee of a transaction that carries `data` to `to`, at the prices of block `at`.

        Raises Transient and RpcError while it cannot be told, ConfigError where it never can.
        """


class LendingMarket(Protocol):
    """A lending deployment that is kept true, head by head."""

    @property
    def name(self) -> str: ...
    @property
    def log_addresses(self) -> Sequence[Address]:
        """Return the contracts whose logs `advance` wants to see."""

    async def start(self, at: Head) -> None:
        """Check the deployment and find its accounts up to `at`. Raises ConfigError."""

    async def advance(self, at: Head, logs: Sequence[Log] | None, *, since: Head | None = None) -> MarketView:
        """Return the market at `at`, given all its logs after `since` (None: after the last view).

        `since` is a head this market was given before, and lies below the last one after a
        reorganisation. Without logs the market finds by itself what it missed.
        """


class Venues(Protocol):
    """The pools of the configured venues, kept true, head by head."""

    @property
    def log_addresses(self) -> Sequence[Address]: ...
    async def start(self, tokens: Sequence[Address], at: Head) -> None:
        """Find the pools between any two of `tokens`."""

    async def advance(self, at: Head, logs: Sequence[Log] | None) -> VenueView: ...


class Ledger(Protocol):
    """What was earned and what it cost."""

    def entries(self) -> list[LedgerEntry]: ...
    def attempts(self) -> list[Attempt]: ...


class Sender(Protocol):
    """Takes simulated plans to the chain, one nonce each, and sees them through."""

    async def recover(self) -> None:
        """Take over what an earlier run left. Raises Failed when it cannot be reconciled."""

    async def submit(self, plan: SimulatedPlan) -> Attempt | str:
        """Journal, sign, send; return the attempt, or the code of the gate's refusal."""

    async def settle(self, head: Head) -> list[LedgerEntry]:
        """Look for receipts of everything in flight; return the entries that are new."""

    def in_flight(self) -> list[Attempt]: ...
