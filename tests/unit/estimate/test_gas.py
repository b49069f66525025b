"""What gas is guessed, learned, and worth."""

from __future__ import annotations

from keeper.domain.units import WAD
from keeper.estimate.gas import GasMemory, GasPrice, Shape


def test_a_learned_shape_is_believed_over_the_guess() -> None:
    memory, shape = GasMemory(), Shape(hops=("uniswap-v2",), funding="own")
    guessed = memory.guess(shape)
    assert not memory.is_known(shape)
    memory.learn(shape, guessed + 123)
    assert memory.guess(shape) == guessed + 123
    assert not memory.is_known(Shape(hops=("uniswap-v2",), funding="aave-flash-loan"))


def test_more_work_is_guessed_to_cost_more() -> None:
    memory = GasMemory()
    plain = memory.guess(Shape(hops=(), funding="own"))
    assert plain < memory.guess(Shape(hops=(), funding="aave-flash-loan"))
    assert plain < memory.guess(Shape(hops=("uniswap-v3",), funding="own"))
    assert plain < memory.guess(Shape(hops=(), funding="own", deficits=1))


def test_cost_is_rounded_up() -> None:
    price = GasPrice(wei_per_gas=1, native_price_base=3)
    assert price.cost_base(1) == 1
    assert price.cost_base(WAD) == 3
