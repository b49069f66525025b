"""Names of tokens are other people's words: taken when they are sound, and never missed when they are not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from eth_abi import encode

from keeper.domain.chain import Call, CallResult, Head
from keeper.domain.errors import RpcError, Transient
from keeper.watch.tokens import decode_symbol, read_tokens
from tests.support.branches import Branches
from tests.support.lending import address

TOKEN, ODD, NONE = address(0x11), address(0x12), address(0x13)


def text(value: str) -> CallResult:
    return CallResult(ok=True, data=encode(["string"], [value]))


def word(number: int) -> CallResult:
    return CallResult(ok=True, data=number.to_bytes(32, "big"))


class Answering:
    """A chain that answers reads from a table of (token, first byte of the selector)."""

    def __init__(self, answers: dict[tuple[str, int], CallResult], error: Exception | None = None) -> None:
        self.answers, self.error = answers, error

    async def read(self, calls: Sequence[Call], at: Head) -> list[CallResult]:
        if self.error is not None:
            raise self.error
        return [self.answers.get((call.to, call.data[0]), CallResult(ok=False, data=b"")) for call in calls]


def head() -> Head:
    return Branches().grow()


@pytest.mark.parametrize(
    ("answer", "symbol"),
    [
        (text("WETH"), "WETH"),
        (CallResult(ok=True, data=b"MKR".ljust(32, b"\0")), "MKR"),
        (text("A\x1b[31mred\nline"), "A[31mredline"),
        (text("a" * 500), "a" * 16),
        (text(""), ""),
        (text("€uro"), "uro"),
        (CallResult(ok=False, data=b""), ""),
        (CallResult(ok=True, data=b""), ""),
        (CallResult(ok=True, data=(2**255).to_bytes(32, "big") * 2), ""),
        (CallResult(ok=True, data=(32).to_bytes(32, "big") + (2**255).to_bytes(32, "big") + b"X"), "X"),
    ],
)
def test_symbols(answer: CallResult, symbol: str) -> None:
    assert decode_symbol(answer) == symbol


async def test_a_token_that_does_not_answer_is_left_out() -> None:
    chain = Answering({(TOKEN, 0x95): text("WETH"), (TOKEN, 0x31): word(18), (ODD, 0x95): text("ODD")})
    found = await read_tokens(chain, [NONE, ODD, TOKEN], head())  # type: ignore[arg-type]
    assert found == {TOKEN: {"symbol": "WETH", "decimals": 18}}


async def test_decimals_that_cannot_be_are_no_decimals() -> None:
    chain = Answering({(TOKEN, 0x95): text("WETH"), (TOKEN, 0x31): word(256)})
    assert await read_tokens(chain, [TOKEN], head()) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [Transient("no answer"), RpcError(-32000, "no")])
async def test_nothing_fails_for_want_of_names(error: Exception) -> None:
    assert await read_tokens(Answering({}, error), [TOKEN], head()) == {}  # type: ignore[arg-type]
