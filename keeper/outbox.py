"""Settings become a sender: guards, channel, lock and the re-run of plans in flight. Part of the composition root."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from contextlib import AsyncExitStack
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from keeper.chain.relay import PrivateRelay
from keeper.config.guards import CapSettings
from keeper.config.keys import lock_folder
from keeper.config.model import Settings
from keeper.domain.attempts import Realised
from keeper.domain.chain import Head, Receipt, SimulatedCall
from keeper.domain.units import DEVNET_CHAIN_IDS, WAD, ZERO_ADDRESS, Address
from keeper.estimate.executor import decode_run, left_over, realised_raw
from keeper.observe.logs import register_secret
from keeper.ports import Chain, L1Fees
from keeper.send.channels import Channel
from keeper.send.channels.private import FallbackPolicy, PrivateChannel
from keeper.send.channels.public import PublicChannel
from keeper.send.guards import Caps, Guards
from keeper.send.replacing import Rerun, Resimulate
from keeper.send.sender import Expected, Realise, TransactionSender
from keeper.send.settings import SendSettings
from keeper.session import Session
from keeper.store.records import Slot

_USD_E8 = 10**8


async def make_sender(opened: AsyncExitStack, session: Session, expected: Expected) -> TransactionSender:
    """Return the live sender of a session; what it opens is closed with `opened`. Raises ConfigError."""
    chain = session.settings.chain
    forbid_core_dumps()
    return TransactionSender(
        chain=session.chain,
        chain_id=chain.id,
        signer=session.signer(),
        store=session.store,
        channel=await _channel(opened, session),
        settings=send_settings(session.settings, session.max_gas_price_wei),
        realise=_realiser(session),
        expected=expected,
        resimulate=make_rerunner(session.chain, session.costs, session.signer().address),
    )


def send_settings(settings: Settings, max_gas_price_wei: int | None) -> SendSettings:
    """Return the sender's limits. Devnets share their ids and keys, so there one signer may run more than once."""
    private = settings.send.private_url is not None
    return SendSettings(
        confirmations=settings.chain.confirmations,
        max_gas_price_wei=max_gas_price_wei,
        # Builders keep what they are given for a block or two, pools for hours.
        resend_after_blocks=1 if private else 2,
        bump_after_blocks=settings.send.bump_after_blocks,
        guards=make_guards(settings),
        halt_file=settings.guards.halt_file,
        lock_folder=None if settings.chain.id in DEVNET_CHAIN_IDS else lock_folder(),
    )


def make_guards(settings: Settings) -> Guards:
    """Return the guards of the configuration; what an operator wrote is rounded to the safe side."""
    given = settings.guards
    return Guards(
        transaction=_caps(given.transaction),
        account=_caps(given.account),
        market=_caps(given.market),
        hour=_caps(given.hour),
        day=_caps(given.day),
        max_consecutive_reverts=given.max_consecutive_reverts,
        max_drawdown_usd_e8=_floor(given.max_drawdown_usd, _USD_E8),
        balance_floor_wei=int((given.balance_floor_native * WAD).to_integral_value(rounding=ROUND_CEILING)),
        allow_markets=None if given.allow_markets is None else frozenset(given.allow_markets),
        deny_markets=frozenset(given.deny_markets),
        allow_tokens=None if given.allow_tokens is None else frozenset(given.allow_tokens),
        deny_tokens=frozenset(given.deny_tokens),
        allow_accounts=None if given.allow_accounts is None else frozenset(given.allow_accounts),
        deny_accounts=frozenset(given.deny_accounts),
        unarmed_markets=frozenset(market.name for market in settings.markets if not market.armed),
    )


def forbid_core_dumps() -> None:
    """Keep the key out of files the kernel would write when the process crashes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _caps(given: CapSettings) -> Caps:
    return Caps(
        notional_usd_e8=_floor(given.notional_usd, _USD_E8),
        gas_wei=_floor(given.gas_native, WAD),
        loss_usd_e8=_floor(given.loss_usd, _USD_E8),
    )


def _floor(amount: Decimal | None, unit: int) -> int | None:
    return None if amount is None else int((amount * unit).to_integral_value(rounding=ROUND_FLOOR))


async def _channel(opened: AsyncExitStack, session: Session) -> Channel:
    public = PublicChannel(session.chain)
    wanted = session.settings.send
    if wanted.private_url is None:
        return public
    register_secret(wanted.private_url)
    relay = await opened.enter_async_context(PrivateRelay(wanted.private_url, wanted.private_method))
    return PrivateChannel(
        relay, public, FallbackPolicy(kind=wanted.public_fallback, blocks=wanted.fallback_blocks or 0)
    )


def _realiser(session: Session) -> Realise:
    def realise(receipt: Receipt) -> Realised | None:
        executor, treasury = session.executor, session.treasury
        if executor is None:
            return None
        rest = () if treasury is None else left_over(receipt, executor, treasury)
        return Realised(profit_raw=realised_raw(receipt, executor), left_over=rest)

    return realise


def make_rerunner(chain: Chain, l1_fees: L1Fees, sender: Address) -> Resimulate:
    """Return what runs a plan in flight again, as `sender`, and counts its data where that is charged as gas."""

    async def rerun(slot: Slot, earlier: Sequence[bytes], head: Head) -> Rerun:
        executor, data = slot.payload.to or ZERO_ADDRESS, slot.payload.data
        calls = [SimulatedCall(sender=sender, to=executor, data=each) for each in (*earlier, data)]
        # not earlier than the plan was made for: a step that only just opens the next one would not open it yet
        planned_s = slot.intent.detail.get("inclusion_s")
        at_s = max(planned_s if isinstance(planned_s, int) else 0, head.timestamp_s + 1)
        outcome = (await chain.simulate(calls, at=head, timestamp_s=at_s))[-1]
        if not outcome.ok:
            return Rerun(ok=False)
        l1_fee = await l1_fees.fee(executor, data, head)
        gas_units = outcome.gas_units + l1_fee.gas_units
        return Rerun(ok=True, profit_raw=decode_run(outcome.data).profit_raw, gas_units=gas_units)

    return rerun
