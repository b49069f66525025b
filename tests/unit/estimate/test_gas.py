"""What gas is guessed, learned, and worth."""

from __future__ import annotations

from dataclasses import replace

from keeper.domain.units import WAD
from keeper.estimate.gas import GasMemory, GasPrice, Shape


def test_a_learned_shape_is_believed_over_the_guess() -> None:
    memory, shape = GasMemory(), Shape(steps=1, legs=(("uniswap-v2",),), funding=("own",))
    guessed = memory.guess(shape)
    assert not memory.is_known(shape)
    memory.learn(shape, guessed + 123)
    assert memory.guess(shape) == guessed + 123
    assert not memory.is_known(replace(shape, funding=("aave-flash-loan",)))


def test_more_work_is_guessed_to_cost_more() -> None:
    memory = GasMemory()
    plain = Shape(steps=1, legs=(), funding=("own",))
    more = [
        replace(plain, funding=("aave-flash-loan",)),
        replace(plain, funding=("uniswap-v3-flash",)),
        replace(plain, funding=("own", "morpho-flash")),
        replace(plain, legs=(("uniswap-v3",),)),
        replace(plain, steps=2),
        replace(plain, collaterals=2),
        replace(plain, deficits=1),
        replace(plain, redeemed=1),
    ]
    assert all(memory.guess(each) > memory.guess(plain) for each in more)
    split = replace(plain, legs=(("uniswap-v2",), ("uniswap-v2",)))
    assert memory.guess(split) == memory.guess(replace(plain, legs=(("uniswap-v2", "uniswap-v2"),)))


def test_a_warm_pool_is_guessed_to_cost_less() -> None:
    memory = GasMemory()
    split = Shape(steps=1, legs=(("uniswap-v3",), ("uniswap-v3",)), funding=("own",))
    assert memory.guess(replace(split, repeats=1)) < memory.guess(split)


def test_a_guess_learns_from_the_least_that_other_shapes_came_to() -> None:
    memory = GasMemory()
    plain = Shape(steps=1, legs=(), funding=("own",))
    split = replace(plain, legs=(("uniswap-v2",),))
    before = memory.guess(split)
    memory.learn(plain, 2 * memory.guess(plain))
    assert memory.guess(split) == 2 * before
    memory.learn(replace(plain, steps=2), memory.guess(replace(plain, steps=2)) * 3 // 4)  # half as much again
    assert before * 149 // 100 <= memory.guess(split) <= before * 3 // 2
    memory.learn(replace(plain, steps=3), 10 * memory.guess(replace(plain, steps=3)))
    assert memory.guess(split) <= before * 3 // 2


def test_cost_is_rounded_up() -> None:
    price = GasPrice(wei_per_gas=1, native_price_base=3)
    assert price.cost_base(1) == 1
    assert price.cost_base(WAD) == 3


def test_a_run_pays_for_its_data_whatever_it_does() -> None:
    price = GasPrice(wei_per_gas=2, native_price_base=3, l1_fee_wei=WAD)
    assert price.cost_wei(WAD) == 3 * WAD
    assert (price.cost_base(0), price.cost_base(WAD), price.cost_base(WAD + 1)) == (3, 9, 10)
