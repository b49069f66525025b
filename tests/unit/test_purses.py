"""What executor and flash lender hold, and which lenders are refused at the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from support.lending import address
from support.pool_chain import head

from keeper.domain.chain import Call, CallResult, Head
from keeper.domain.errors import ConfigError
from keeper.domain.units import Address
from keeper.purses import check_flash_lender, read_purses

ONE, TWO = address(0xA1), address(0xA2)
EXECUTOR, LENDER = address(0xE0), address(0x3071)


@dataclass
class Holdings:
    """Answers balanceOf from a table, and isFlashLender with yes for the listed."""

    balances: Mapping[tuple[Address, Address], int] = field(default_factory=dict)
    with_code: frozenset[Address] = frozenset()
    listed: frozenset[Address] = frozenset()
    asked: int = 0

    async def head(self) -> Head:
        return head()

    async def code(self, at: Address) -> bytes:
        return b"\x01" if at in self.with_code else b""

    async def read(self, calls: Sequence[Call], at: Head) -> list[CallResult]:
        self.asked += 1
        return [self._answer(call) for call in calls]

    def _answer(self, call: Call) -> CallResult:
        about = next(each for each in (EXECUTOR, LENDER) if call.data.endswith(bytes.fromhex(each[2:])))
        if call.to == EXECUTOR:
            return CallResult(ok=True, data=int(about in self.listed).to_bytes(32, "big"))
        raw = self.balances.get((about, call.to))
        return CallResult(ok=raw is not None, data=b"" if raw is None else raw.to_bytes(32, "big"))


async def test_all_balances_are_read_in_one_question() -> None:
    chain = Holdings({(EXECUTOR, ONE): 5, (LENDER, ONE): 7, (LENDER, TWO): 2**255})
    purses = await read_purses(chain, (EXECUTOR, LENDER), [ONE, TWO], head())  # type: ignore[arg-type]
    assert purses == [{ONE: 5}, {ONE: 7, TWO: 2**255}]
    assert chain.asked == 1


async def test_nobody_holds_nothing_and_is_not_asked() -> None:
    chain = Holdings()
    assert await read_purses(chain, (None, None), [ONE], head()) == [{}, {}]  # type: ignore[arg-type]
    assert chain.asked == 0


async def test_a_lender_has_to_be_there_and_on_the_executors_list() -> None:
    there = frozenset({LENDER})
    await check_flash_lender(Holdings(), None, EXECUTOR)  # type: ignore[arg-type]
    await check_flash_lender(Holdings(with_code=there), LENDER, None)  # type: ignore[arg-type]
    await check_flash_lender(Holdings(with_code=there, listed=there), LENDER, EXECUTOR)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="without code"):
        await check_flash_lender(Holdings(), LENDER, None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not on the executor's list"):
        await check_flash_lender(Holdings(with_code=there), LENDER, EXECUTOR)  # type: ignore[arg-type]
