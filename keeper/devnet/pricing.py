"""What pool reserves and square-root prices follow from prices in USD. Exact integers, rounded down."""

from math import isqrt

from keeper.devnet.layout import FEED_DECIMALS, Asset, feed_answer

MIN_TICK = -887_272
MAX_TICK = 887_272
TICK_SPACING = {100: 1, 500: 10, 3_000: 60, 10_000: 200}
_Q192 = 1 << 192
_TICK_BASE_NUMERATOR = 10_001
_TICK_BASE_DENOMINATOR = 10_000


def raw_for_usd(asset: Asset, usd: int, answer: int | None = None) -> int:
    """Return how much of the token's smallest unit is worth `usd` whole dollars at feed answer `answer`."""
    unit: int = 10**asset.spec.decimals
    return usd * int(10**FEED_DECIMALS) * unit // (answer or feed_answer(asset.spec.price_usd))


def sqrt_price_x96(answer0: int, decimals0: int, answer1: int, decimals1: int) -> int:
    """Return a Uniswap V3 square-root price: sqrt(raw token1 per raw token0) with 96 binary places."""
    return isqrt(answer0 * 10**decimals1 * _Q192 // (answer1 * 10**decimals0))


def tick_near(sqrt_price: int) -> int:
    """Return the greatest tick whose price is at most that of `sqrt_price` (exact to a tick or two; for ranges)."""
    low, high = MIN_TICK, MAX_TICK
    while low < high:
        middle = (low + high + 1) // 2
        if _price_x192(middle) <= sqrt_price * sqrt_price:
            low = middle
        else:
            high = middle - 1
    return low


def _price_x192(tick: int) -> int:
    """Return 1.0001**tick with 192 binary places, by squaring."""
    result, factor = _Q192, _Q192 * _TICK_BASE_NUMERATOR // _TICK_BASE_DENOMINATOR
    for bit in bin(abs(tick))[:1:-1]:
        if bit == "1":
            result = result * factor // _Q192
        factor = factor * factor // _Q192
    return result if tick >= 0 else _Q192 * _Q192 // result


def v2_swap_to_price(reserve0: int, reserve1: int, answers: tuple[int, int], decimals: tuple[int, int]) -> int:
    """Return how much to put in so that the pool's price follows the feeds: positive token0, negative token1.

    The fee is left out: the pool ends within it of the aim.
    """
    product = reserve0 * reserve1
    # raw1 per raw0 = answer0 * 10**decimals1 / (answer1 * 10**decimals0)
    wanted0 = isqrt(product * answers[1] * 10 ** decimals[0] // (answers[0] * 10 ** decimals[1]))
    if wanted0 > reserve0:
        return wanted0 - reserve0
    return -(product // wanted0 - reserve1)


def v2_amount_out(amount_in: int, reserve_in: int, reserve_out: int, fee_pips: int) -> int:
    """Return what a constant-product pool gives, rounded down."""
    kept = amount_in * (1_000_000 - fee_pips)
    return kept * reserve_out // (reserve_in * 1_000_000 + kept)
