"""Asks the deployed pool what a liquidation does, without leaving a trace on the chain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eth_abi.abi import encode
from eth_utils import keccak

from keeper.chain.client import RpcChain
from keeper.devnet.layout import Market
from keeper.domain.chain import AccountOverride, Call, Head, SimulatedCall, SimulatedOutcome
from keeper.domain.lending import LiquidationCall, Outcome, Refused
from keeper.domain.units import MAX_UINT256, Address, to_address
from keeper.lending.aave_v3 import calls
from keeper.lending.aave_v3.errors import decode_revert
from keeper.lending.aave_v3.state import NO_POSITION, Position
from keeper.lending.aave_v3.view import AaveV3View

CALLER = to_address("0x" + "ca" * 20)
_RICH_WEI = 10**40
_FUNDS_RAW = 10**36
_LIQUIDATION_TOPIC = keccak(text="LiquidationCall(address,address,address,uint256,uint256,address,bool)")
_DEFICIT_TOPIC = keccak(text="DeficitCreated(address,address,uint256)")
_ACCOUNT_DATA = keccak(text="getUserAccountData(address)")[:4]


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What one call did to the caller and to the account; `code` says why it reverted."""

    code: str | None
    repaid_raw: int = 0
    received_raw: int = 0
    health_after_wad: int = 0
    deficits: tuple[tuple[Address, int], ...] = ()
    position: Position = NO_POSITION


class PoolTruth:
    """The pool of one market, asked in simulated blocks."""

    def __init__(self, chain: RpcChain, market: Market) -> None:
        self._chain = chain
        self._market = market

    async def liquidate(
        self, sequence: Sequence[LiquidationCall], view: AaveV3View, at_s: int, *, at: Head | None = None
    ) -> list[Truth]:
        """Execute `sequence` in one block of time `at_s` on top of the view's head; return what each call did."""
        batches = [self._around(call, view) for call in sequence]
        flat = [one for batch in batches for one in batch]
        outcomes = await self._chain.simulate(
            flat,
            at=at or view.head,
            timestamp_s=at_s,
            overrides={CALLER: AccountOverride(balance_wei=_RICH_WEI)},
        )
        truths, start = [], 0
        for call, batch in zip(sequence, batches, strict=True):
            truths.append(_read(call, view, outcomes[start : start + len(batch)]))
            start += len(batch)
        return truths

    def _around(self, call: LiquidationCall, view: AaveV3View) -> list[SimulatedCall]:
        """The call between the readings that show what it did."""
        debt, collateral = view._reserve(call.debt), view._reserve(call.collateral)
        balances = [
            _view_call(call.debt, calls.balance_of(CALLER)),
            _view_call(call.collateral, calls.balance_of(CALLER)),
            _view_call(collateral.a_token, calls.balance_of(CALLER)),
        ]
        return [
            self._fund(debt.token),
            SimulatedCall(sender=CALLER, to=debt.token, data=_approve(view.pool)),
            *balances,
            SimulatedCall(sender=CALLER, to=view.pool, data=calls.encode_liquidation(call)),
            *balances,
            _view_call(view.pool, _ACCOUNT_DATA + calls.address_word(call.account)),
            _view_call(view.pool, calls.user_configuration_of(call.account)),
            _view_call(view.pool, calls.user_emode_of(call.account)),
            *(
                _view_call(token, calls.scaled_balance_of(call.account))
                for reserve in view.reserves.values()
                for token in (reserve.a_token, reserve.variable_debt_token)
            ),
        ]

    def _fund(self, token: Address) -> SimulatedCall:
        native = any(asset.token == token and asset.spec.wrapped_native for asset in self._market.assets)
        if native and self._market.kind != "bundled":
            deposit = keccak(text="deposit()")[:4]
            return SimulatedCall(sender=CALLER, to=token, data=deposit, value_wei=_FUNDS_RAW)
        data = keccak(text="mint(address,uint256)")[:4] + encode(["address", "uint256"], [CALLER, _FUNDS_RAW])
        return SimulatedCall(sender=CALLER, to=token, data=data)


def _approve(spender: Address) -> bytes:
    return keccak(text="approve(address,uint256)")[:4] + encode(["address", "uint256"], [spender, MAX_UINT256])


def _view_call(to: Address, data: bytes) -> SimulatedCall:
    return SimulatedCall(sender=CALLER, to=to, data=data)


def _read(call: LiquidationCall, view: AaveV3View, outcomes: Sequence[SimulatedOutcome]) -> Truth:
    fund, approve, debt0, coll0, atoken0, done, debt1, coll1, atoken1, data, flags, emode, *scaled = outcomes
    assert fund.ok
    assert approve.ok
    if not done.ok:
        return Truth(code=decode_revert(done.data)[0])
    log = next(log for log in done.logs if log.topics[0] == _LIQUIDATION_TOPIC)
    repaid_raw, seized_raw = calls.decode_words(log.data, 2)
    spent_raw = _word(debt0) - _word(debt1)
    gained_raw = _word(coll1) - _word(coll0)
    paid_out_raw = seized_raw if call.receive == "underlying" else 0
    if call.debt == call.collateral:
        assert spent_raw == repaid_raw - paid_out_raw
    else:
        assert (spent_raw, gained_raw) == (repaid_raw, paid_out_raw)
    received_raw = _word(atoken1) - _word(atoken0) if call.receive == "atoken" else seized_raw
    deficits = tuple(
        (to_address(log.topics[2]), calls.decode_word(log.data)) for log in done.logs if log.topics[0] == _DEFICIT_TOPIC
    )
    return Truth(
        code=None,
        repaid_raw=repaid_raw,
        received_raw=received_raw,
        health_after_wad=calls.decode_words(data.data, 6)[5],
        deficits=deficits,
        position=_position(view, _word(flags), _word(emode), [_word(one) for one in scaled]),
    )


def _word(outcome: SimulatedOutcome) -> int:
    assert outcome.ok
    return calls.decode_word(outcome.data)


def _position(view: AaveV3View, flags: int, emode: int, scaled: Sequence[int]) -> Position:
    collaterals, debts = [], []
    for index, id_ in enumerate(view.reserves):
        if flags >> (2 * id_ + 1) & 1:
            collaterals.append((id_, scaled[2 * index]))
        if flags >> (2 * id_) & 1:
            debts.append((id_, scaled[2 * index + 1]))
    return Position(emode=emode, collaterals=tuple(collaterals), debts=tuple(debts))


def assert_same(ours: Outcome | Refused, truth: Truth) -> None:
    """Fail unless our answer is the pool's, to the last unit."""
    if isinstance(ours, Refused):
        expected = {"NO_LIQUIDITY": "ARITHMETIC_OVERFLOW"}.get(ours.code, ours.code)
        assert truth.code == expected, (ours, truth)
        return
    assert truth.code is None, (ours, truth)
    found = (ours.repaid_raw, ours.received_raw, ours.health_after_wad, dict(ours.deficits))
    assert found == (truth.repaid_raw, truth.received_raw, truth.health_after_wad, dict(truth.deficits)), (ours, truth)


async def account_data(
    chain: RpcChain, view: AaveV3View, accounts: Sequence[Address]
) -> Mapping[Address, tuple[int, ...]]:
    """getUserAccountData of `accounts` at the view's block."""
    asked = [Call(to=view.pool, data=_ACCOUNT_DATA + calls.address_word(account)) for account in accounts]
    results = await chain.read(asked, view.head)
    return {account: calls.decode_words(result.data, 6) for account, result in zip(accounts, results, strict=True)}
