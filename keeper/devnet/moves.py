"""Prices: what the feeds report, and pools that follow them as arbitrage would make them."""

from collections.abc import Mapping
from decimal import Decimal

from keeper.devnet.builder import Builder, Contract
from keeper.devnet.layout import FEED_DECIMALS, Asset, Layout, Pool, Venue, feed_answer
from keeper.devnet.pricing import raw_for_usd, sqrt_price_x96, v2_amount_out, v2_swap_to_price
from keeper.devnet.tokens import aggregator_of, approve_all, mint, token_of
from keeper.devnet.uniswap import V2_PAIR, v3_pool_price, v3_swap_to_price
from keeper.domain.units import Address

_ARBITRAGE_USD = 500_000_000  # more than any pool here takes


async def read_answers(builder: Builder, layout: Layout) -> dict[str, int]:
    """Return each feed's newest answer (8 decimals) by symbol."""
    assets = layout.market.assets
    answers = await builder.read_many([(aggregator_of(asset), "latestAnswer", ()) for asset in assets])
    return {asset.symbol: answer for asset, answer in zip(assets, answers, strict=True)}


def queue_prices(builder: Builder, layout: Layout, prices_usd: Mapping[str, Decimal]) -> dict[str, int]:
    """Queue one report per feed named; return the answers by symbol."""
    answers = {symbol: feed_answer(price) for symbol, price in prices_usd.items()}
    for symbol, answer in answers.items():
        builder.send(aggregator_of(layout.market.asset(symbol)), "transmit", answer, gas_units=300_000)
    return answers


def changed(answers: Mapping[str, int], percent: Mapping[str, int | Decimal]) -> dict[str, Decimal]:
    """Return new prices in USD: each named one changed by so many percent, -10 being a fall by a tenth."""
    return {
        symbol: Decimal(answers[symbol]) / 10**FEED_DECIMALS * (100 + Decimal(change)) / 100
        for symbol, change in percent.items()
    }


async def queue_arbitrage(builder: Builder, layout: Layout, answers: Mapping[str, int]) -> None:
    """Queue the trades that bring every pool to the ratio of the feeds' `answers`."""
    assets = {asset.token: asset for asset in layout.market.assets}
    for venue in layout.venues:
        if venue.protocol == "uniswap-v3" and venue.router is not None:
            approve_all(builder, layout.market.assets, venue.router)
        for pool in venue.pools:
            pair = (assets[pool.token0], assets[pool.token1])
            quoted = (answers[pair[0].symbol], answers[pair[1].symbol])
            if venue.protocol == "uniswap-v2":
                await _follow_v2(builder, layout, pool, pair, quoted)
            else:
                await _follow_v3(builder, layout, venue, pool, pair, quoted)


async def _follow_v2(
    builder: Builder, layout: Layout, pool: Pool, pair: tuple[Asset, Asset], answers: tuple[int, int]
) -> None:
    contract = Contract(address=pool.address, interface=V2_PAIR)
    reserve0, reserve1, _ = await builder.read(contract, "getReserves")
    signed = v2_swap_to_price(reserve0, reserve1, answers, (pair[0].spec.decimals, pair[1].spec.decimals))
    if signed > 0:
        asset, amount, out = pair[0], signed, (0, v2_amount_out(signed, reserve0, reserve1, pool.fee_pips))
    else:
        asset, amount, out = pair[1], -signed, (v2_amount_out(-signed, reserve1, reserve0, pool.fee_pips), 0)
    if amount == 0 or max(out) == 0:
        return
    mint(builder, layout.market, asset, amount)
    builder.send(token_of(asset), "transfer", pool.address, amount)
    builder.send(contract, "swap", *out, builder.deployer, b"")


async def _follow_v3(
    builder: Builder, layout: Layout, venue: Venue, pool: Pool, pair: tuple[Asset, Asset], answers: tuple[int, int]
) -> None:
    wanted = sqrt_price_x96(answers[0], pair[0].spec.decimals, answers[1], pair[1].spec.decimals)
    current = await v3_pool_price(builder, pool)
    if current == wanted or venue.router is None:
        return
    asset = pair[0] if wanted < current else pair[1]  # putting in token0 lowers its price
    most_in = raw_for_usd(asset, _ARBITRAGE_USD)
    mint(builder, layout.market, asset, most_in)
    v3_swap_to_price(builder, venue.router, pool, Address(asset.token), most_in, wanted)
