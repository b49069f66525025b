"""What the executor and the flash lender hold. Part of the composition root."""

from __future__ import annotations

from collections.abc import Sequence

from keeper.domain.chain import Call, Head
from keeper.domain.errors import ConfigError
from keeper.domain.units import Address, address_bytes
from keeper.ports import Chain

_BALANCE_OF = bytes.fromhex("70a08231")
_IS_FLASH_LENDER = bytes.fromhex("c66d2ad4")


async def read_purses(
    chain: Chain, holders: Sequence[Address | None], tokens: Sequence[Address], head: Head
) -> list[dict[Address, int]]:
    """Return what each holder has of `tokens` at `head`, raw units; nothing where there is no holder.

    A token that does not answer is one of which nothing is there.
    """
    purses: list[dict[Address, int]] = [{} for _ in holders]
    asked = [
        (purse, token, Call(to=token, data=_of(_BALANCE_OF, holder)))
        for purse, holder in zip(purses, holders, strict=True)
        if holder is not None
        for token in tokens
    ]
    answers = await chain.read([call for _, _, call in asked], head) if asked else []
    for (purse, token, _), answer in zip(asked, answers, strict=True):
        if answer.ok and answer.data:
            purse[token] = int.from_bytes(answer.data[:32], "big")
    return purses


async def check_flash_lender(chain: Chain, lender: Address | None, executor: Address | None) -> None:
    """Raise ConfigError for a flash lender without code, or one that the deployed executor does not borrow from."""
    if lender is None:
        return
    if not await chain.code(lender):
        raise ConfigError(f"[funding] morpho {lender} is an address without code; correct it, or leave it out")
    if executor is None:
        return
    (answer,) = await chain.read([Call(to=executor, data=_of(_IS_FLASH_LENDER, lender))], await chain.head())
    if not (answer.ok and any(answer.data)):
        raise ConfigError(
            f"[funding] morpho {lender} is not on the executor's list of flash lenders; its owner can add it"
        )


def _of(selector: bytes, address: Address) -> bytes:
    return selector + bytes(12) + address_bytes(address)
