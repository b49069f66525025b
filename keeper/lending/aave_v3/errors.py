"""Every way the pool can say no: codes that stay, sentences for people, and their bytes."""

from __future__ import annotations

import re
from typing import Final

from eth_utils import keccak

from keeper.domain.lending import Refused

_ERROR_STRING: Final = bytes.fromhex("08c379a0")
_PANIC: Final = bytes.fromhex("4e487b71")
_PANIC_BYTES: Final = 36
_STRING_HEAD_BYTES: Final = 68
_LONGEST_TEXT: Final = 200

_SENTENCES: Final[dict[str, str]] = {
    # what a liquidation can meet
    "HEALTH_FACTOR_NOT_BELOW_THRESHOLD": "the account is healthy: its health factor is 1 or more",
    "COLLATERAL_CANNOT_BE_LIQUIDATED": "the account does not use this asset as collateral",
    "SPECIFIED_CURRENCY_NOT_BORROWED_BY_USER": "the account owes nothing in this debt asset",
    "RESERVE_INACTIVE": "one of the two reserves is not active",
    "RESERVE_PAUSED": "one of the two reserves is paused",
    "RESERVE_FROZEN": "the reserve is frozen",
    "MUST_NOT_LEAVE_DUST": "the call would leave debt or collateral worth less than the pool's minimum",
    "INVALID_BURN_AMOUNT": "the amount is so small that nothing would be burnt",
    "INVALID_MINT_AMOUNT": "the amount is so small that nothing would be minted",
    "INVALID_AMOUNT": "the amount is zero or more than there is",
    "PRICE_ORACLE_SENTINEL_CHECK_FAILED": "the sequencer is down or has come back too recently",
    "LIQUIDATION_GRACE_SENTINEL_CHECK_FAILED": "one of the two reserves is in its grace period after a pause",
    "SELF_LIQUIDATION": "the caller is the account itself",
    "NO_LIQUIDITY": "the collateral's reserve holds less underlying than the call would pay out",
    "PRICE_MISSING": "the oracle gives no price for an asset that the account holds or owes",
    "DIVISION_BY_ZERO": "the oracle's price of one of the two assets is zero",
    "NO_LIQUIDATION_BONUS": "the collateral carries no liquidation bonus, so nothing would be paid for the debt",
    "NO_AMOUNT_ACCEPTED": "the pool accepts no amount for this pair",
    # flash loans
    "FLASHLOAN_DISABLED": "flash loans of this asset are switched off",
    "INVALID_FLASHLOAN_EXECUTOR_RETURN": "the receiver of the flash loan did not confirm it",
    "INCONSISTENT_FLASHLOAN_PARAMS": "the flash loan's parameters contradict one another",
    # other answers of the pool and its tokens
    "ASSET_NOT_LISTED": "the asset has no reserve in this market",
    "BORROWING_NOT_ENABLED": "the reserve does not lend",
    "CALLER_MUST_BE_POOL": "only the pool may call this",
    "CALLER_NOT_A_TOKEN": "only the reserve's aToken may call this",
    "CALLER_NOT_POOL_ADMIN": "only the pool's administrator may call this",
    "COLLATERAL_CANNOT_COVER_NEW_BORROW": "the collateral does not carry the new debt",
    "HEALTH_FACTOR_LOWER_THAN_LIQUIDATION_THRESHOLD": "the account would become unhealthy",
    "INVALID_INTEREST_RATE_MODE_SELECTED": "the interest rate mode does not exist here",
    "NO_DEBT_OF_SELECTED_TYPE": "the account has no debt of this kind",
    "NOT_ENOUGH_AVAILABLE_USER_BALANCE": "the account holds less than that",
    "NO_PRICE": "the oracle has no usable price for the asset",
    "OPERATION_NOT_SUPPORTED": "the operation is not supported",
    "UNDERLYING_BALANCE_ZERO": "the account has no deposit of this asset",
    "USER_IN_ISOLATION_MODE_OR_LTV_ZERO": "the asset may not serve as collateral of this account",
    "ZERO_ADDRESS_NOT_VALID": "the zero address is not valid here",
    # the machine beneath
    "ARITHMETIC_OVERFLOW": "an arithmetic over- or underflow (panic 0x11), usually a balance smaller than the amount",
    "PANIC": "a panic of the virtual machine",
    "REVERTED": "reverted with a message",
    "UNKNOWN_ERROR": "reverted with an error this keeper does not know",
    "EMPTY_REVERT": "reverted without saying why",
}

_NUMBERS: Final[dict[str, str]] = {
    "1": "CALLER_NOT_POOL_ADMIN",
    "11": "CALLER_NOT_A_TOKEN",
    "13": "INVALID_FLASHLOAN_EXECUTOR_RETURN",
    "23": "CALLER_MUST_BE_POOL",
    "24": "INVALID_MINT_AMOUNT",
    "25": "INVALID_BURN_AMOUNT",
    "26": "INVALID_AMOUNT",
    "27": "RESERVE_INACTIVE",
    "28": "RESERVE_FROZEN",
    "29": "RESERVE_PAUSED",
    "30": "BORROWING_NOT_ENABLED",
    "32": "NOT_ENOUGH_AVAILABLE_USER_BALANCE",
    "33": "INVALID_INTEREST_RATE_MODE_SELECTED",
    "35": "HEALTH_FACTOR_LOWER_THAN_LIQUIDATION_THRESHOLD",
    "36": "COLLATERAL_CANNOT_COVER_NEW_BORROW",
    "39": "NO_DEBT_OF_SELECTED_TYPE",
    "43": "UNDERLYING_BALANCE_ZERO",
    "45": "HEALTH_FACTOR_NOT_BELOW_THRESHOLD",
    "46": "COLLATERAL_CANNOT_BE_LIQUIDATED",
    "47": "SPECIFIED_CURRENCY_NOT_BORROWED_BY_USER",
    "49": "INCONSISTENT_FLASHLOAN_PARAMS",
    "59": "PRICE_ORACLE_SENTINEL_CHECK_FAILED",
    "62": "USER_IN_ISOLATION_MODE_OR_LTV_ZERO",
    "77": "ZERO_ADDRESS_NOT_VALID",
    "80": "OPERATION_NOT_SUPPORTED",
    "82": "ASSET_NOT_LISTED",
    "91": "FLASHLOAN_DISABLED",
    "97": "LIQUIDATION_GRACE_SENTINEL_CHECK_FAILED",
    "103": "MUST_NOT_LEAVE_DUST",
}

_CUSTOM_NAMES: Final = (
    "AssetNotListed",
    "BorrowingNotEnabled",
    "CallerMustBePool",
    "CallerNotAToken",
    "CallerNotPoolAdmin",
    "CollateralCannotBeLiquidated",
    "CollateralCannotCoverNewBorrow",
    "FlashloanDisabled",
    "HealthFactorLowerThanLiquidationThreshold",
    "HealthFactorNotBelowThreshold",
    "InconsistentFlashloanParams",
    "InvalidAmount",
    "InvalidBurnAmount",
    "InvalidFlashloanExecutorReturn",
    "InvalidInterestRateModeSelected",
    "InvalidMintAmount",
    "LiquidationGraceSentinelCheckFailed",
    "MustNotLeaveDust",
    "NoDebtOfSelectedType",
    "NotEnoughAvailableUserBalance",
    "OperationNotSupported",
    "PriceOracleSentinelCheckFailed",
    "ReserveFrozen",
    "ReserveInactive",
    "ReservePaused",
    "SelfLiquidation",
    "SpecifiedCurrencyNotBorrowedByUser",
    "UnderlyingBalanceZero",
    "UserInIsolationModeOrLtvZero",
    "ZeroAddressNotValid",
)

_CODE_OF_NAME: Final = {"CallerNotAToken": "CALLER_NOT_A_TOKEN"}


def _code(name: str) -> str:
    return _CODE_OF_NAME.get(name) or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


_CUSTOM: Final[dict[bytes, str]] = {
    **{keccak(text=f"{name}()")[:4]: _code(name) for name in _CUSTOM_NAMES},
    keccak(text="NoPrice(address)")[:4]: "NO_PRICE",
}

_PANICS: Final = {0x11: "ARITHMETIC_OVERFLOW", 0x12: "DIVISION_BY_ZERO"}


def refuse(code: str) -> Refused:
    """Return the refusal `code` with its sentence. Raises KeyError for a code that is not known."""
    return Refused(code=code, detail=_SENTENCES[code])


def decode_revert(data: bytes) -> tuple[str, str]:
    """Return (code, sentence) of revert data from the pool, its tokens or its oracle.

    Never fails: bytes that mean nothing to it come back as UNKNOWN_ERROR with their selector.
    A pool's arithmetic panic is ARITHMETIC_OVERFLOW; in a liquidation that is what NO_LIQUIDITY
    foretells.
    """
    if not data:
        return "EMPTY_REVERT", _SENTENCES["EMPTY_REVERT"]
    if data[:4] == _ERROR_STRING:
        return _decode_string(data)
    if data[:4] == _PANIC and len(data) >= _PANIC_BYTES:
        number = int.from_bytes(data[4:_PANIC_BYTES], "big")
        code = _PANICS.get(number, "PANIC")
        sentence = _SENTENCES[code] if code != "PANIC" else f"{_SENTENCES[code]} ({number:#x})"
        return code, sentence
    known = _CUSTOM.get(data[:4])
    if known is not None:
        return known, _SENTENCES[known]
    return "UNKNOWN_ERROR", f"{_SENTENCES['UNKNOWN_ERROR']} (0x{data[:4].hex()})"


def _decode_string(data: bytes) -> tuple[str, str]:
    start = _STRING_HEAD_BYTES
    length = int.from_bytes(data[36:start], "big") if len(data) >= start else 0
    text = data[start : start + min(length, _LONGEST_TEXT)].decode("utf-8", errors="replace")
    code = _NUMBERS.get(text)
    if code is not None:
        return code, _SENTENCES[code]
    printable = "".join(char if char.isprintable() else "?" for char in text)
    return "REVERTED", f"{_SENTENCES['REVERTED']}: {printable!r}"
