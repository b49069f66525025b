"""Asks the deployed pool what hundreds of liquidations do, each from the same state, in one simulated transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eth_abi.abi import decode, encode
from eth_utils import keccak

from keeper.chain.client import RpcChain
from keeper.devnet.builder import Contract
from keeper.devnet.npm import deploy_fixture
from keeper.devnet.tokens import mint
from keeper.devnet.world import World
from keeper.domain.chain import Head, SimulatedCall
from keeper.domain.lending import LiquidationCall
from keeper.domain.units import Address, to_address
from keeper.lending.aave_v3.errors import decode_revert
from keeper.lending.aave_v3.state import Position
from keeper.lending.aave_v3.view import AaveV3View

CALLER = to_address("0x" + "ca" * 20)
TREASURY = to_address("0x" + "7e" * 20)
FUNDS_USD = 50_000_000
_MEASURED = keccak(text="Measured(uint256[],uint256[])")[:4]
_RUN = keccak(text="run((address,address,address,uint256,bool)[])")[:4]
_HEALTH = keccak(text="health(address[])")[:4]
_PER_CALL, _CALLS_AT_ONCE, _ACCOUNTS_AT_ONCE = 25, 8, 400
_WORD = 32
_FIXED, _PER_RESERVE = 9, 3

Standing = tuple[int, int, int]
"""Collateral and debt in base units, and health."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What one call did to the caller, the protocol and the account; `code` says why it reverted instead.

    `deficits` are by reserve id. `standing` and `position` are the account's afterwards.
    """

    code: str | None
    spent_raw: int = 0
    gained_raw: int = 0
    a_tokens_raw: int = 0
    a_tokens_scaled: int = 0
    fee_scaled: int = 0
    fee_raw: int | None = None  # known of mined transactions, from an event
    standing: Standing = (0, 0, 0)
    position: Position | None = None
    deficits: tuple[tuple[int, int], ...] = ()


class Probe:
    """The probe contract on one world, with tokens of every reserve."""

    def __init__(self, chain: RpcChain, contract: Contract, reserve_ids: Sequence[int]) -> None:
        self._chain = chain
        self.contract = contract
        self._ids = reserve_ids

    @classmethod
    async def deploy(cls, world: World, chain: RpcChain, view: AaveV3View) -> Probe:
        """Deploy the probe and fund it."""
        keeps_deficits = view.deployment.deficit is not None
        async with world.transactions() as builder:
            contract = deploy_fixture(builder, "probe/LiquidationProbe", world.market.pool, TREASURY, keeps_deficits)
            for asset in world.market.assets:
                unit: int = 10**asset.spec.decimals
                mint(builder, world.market, asset, int(FUNDS_USD / asset.spec.price_usd) * unit, contract.address)
            await builder.flush()
        return cls(chain, contract, list(view.reserves))

    async def liquidate(self, calls: Sequence[LiquidationCall], view: AaveV3View, at: Head, at_s: int) -> list[Truth]:
        """Return what each call alone does in a block of time `at_s` on top of `at`."""
        batches = [calls[start : start + _PER_CALL] for start in range(0, len(calls), _PER_CALL)]
        truths: list[Truth] = []
        for start in range(0, len(batches), _CALLS_AT_ONCE):
            chunk = batches[start : start + _CALLS_AT_ONCE]
            for batch, answer in zip(
                chunk, await self._ask([_encode_run(one) for one in chunk], at, at_s), strict=True
            ):
                (outcomes,) = decode(["bytes[]"], answer)
                truths += [self._read(call, view, outcome) for call, outcome in zip(batch, outcomes, strict=True)]
        return truths

    async def health(self, accounts: Sequence[Address], at: Head, at_s: int) -> dict[Address, Standing]:
        """Return getUserAccountData's collateral, debt and health of each account in a block of time `at_s`."""
        chunks = [accounts[start : start + _ACCOUNTS_AT_ONCE] for start in range(0, len(accounts), _ACCOUNTS_AT_ONCE)]
        answers = await self._ask([_HEALTH + encode(["address[]"], [chunk]) for chunk in chunks], at, at_s)
        words = [word for answer in answers for word in decode(["uint256[]"], answer)[0]]
        return {account: (words[3 * i], words[3 * i + 1], words[3 * i + 2]) for i, account in enumerate(accounts)}

    async def _ask(self, payloads: Sequence[bytes], at: Head, at_s: int) -> list[bytes]:
        calls = [SimulatedCall(sender=CALLER, to=self.contract.address, data=data) for data in payloads]
        outcomes = await self._chain.simulate(calls, at=at, timestamp_s=at_s, overrides={})
        assert all(outcome.ok for outcome in outcomes), [outcome.data[:4].hex() for outcome in outcomes]
        return [outcome.data for outcome in outcomes]

    def _read(self, call: LiquidationCall, view: AaveV3View, outcome: bytes) -> Truth:
        if outcome[:4] != _MEASURED:
            return Truth(code=decode_revert(outcome)[0])
        words = [int.from_bytes(outcome[start : start + _WORD], "big") for start in range(4, len(outcome), _WORD)]
        count = words[2]
        return self.compare(call, view, words[3 : 3 + count], words[4 + count : 4 + 2 * count])

    def compare(self, call: LiquidationCall, view: AaveV3View, before: Sequence[int], after: Sequence[int]) -> Truth:
        """Return what happened between two readings of the probe's `state`."""
        rows = {id_: _FIXED + _PER_RESERVE * index for index, id_ in enumerate(self._ids)}
        flags = after[8]
        deficits = ((id_, after[row + 2] - before[row + 2]) for id_, row in rows.items())
        ids = sorted(rows)
        return Truth(
            code=None,
            spent_raw=before[0] - after[0],
            gained_raw=after[1] - before[1],
            a_tokens_raw=after[2] - before[2],
            a_tokens_scaled=after[3] - before[3],
            fee_scaled=after[4] - before[4],
            standing=(after[5], after[6], after[7]),
            position=Position(
                emode=view.positions[call.account].emode,
                collaterals=tuple((id_, after[rows[id_]]) for id_ in ids if flags >> 2 * id_ & 2),
                debts=tuple((id_, after[rows[id_] + 1]) for id_ in ids if flags >> 2 * id_ & 1),
            ),
            deficits=tuple((id_, lost) for id_, lost in sorted(deficits) if lost),
        )


def _encode_run(calls: Sequence[LiquidationCall]) -> bytes:
    rows = [(call.collateral, call.debt, call.account, call.cover_raw, call.receive == "atoken") for call in calls]
    return _RUN + encode(["(address,address,address,uint256,bool)[]"], [rows])
