"""The calls and events of the market's contracts: bytes out, words in. Pure."""

from __future__ import annotations

from typing import Final

from eth_utils import keccak

from keeper.domain.lending import LiquidationCall
from keeper.domain.units import ZERO_ADDRESS, Address, address_bytes, to_address


def _selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


GET_POOL: Final = _selector("getPool()")
GET_PRICE_ORACLE: Final = _selector("getPriceOracle()")
GET_SENTINEL: Final = _selector("getPriceOracleSentinel()")
POOL_REVISION: Final = _selector("POOL_REVISION()")
GET_RESERVES: Final = _selector("getReservesList()")
FLASH_PREMIUM: Final = _selector("FLASHLOAN_PREMIUM_TOTAL()")
PREMIUM_TO_PROTOCOL: Final = _selector("FLASHLOAN_PREMIUM_TO_PROTOCOL()")
BASE_UNIT: Final = _selector("BASE_CURRENCY_UNIT()")
TOTAL_SUPPLY: Final = _selector("totalSupply()")
SCALED_TOTAL: Final = _selector("scaledTotalSupply()")
LATEST_ROUND: Final = _selector("latestRoundData()")
SEQUENCER_ORACLE: Final = _selector("getSequencerOracle()")
SENTINEL_GRACE: Final = _selector("getGracePeriod()")
LIQUIDATION_ALLOWED: Final = _selector("isLiquidationAllowed()")

_RESERVE_DATA: Final = _selector("getReserveData(address)")
_USER_CONFIGURATION: Final = _selector("getUserConfiguration(address)")
_ACCOUNT_DATA: Final = _selector("getUserAccountData(address)")
_USER_EMODE: Final = _selector("getUserEMode(address)")
_GRACE_PERIOD: Final = _selector("getLiquidationGracePeriod(address)")
_VIRTUAL_BALANCE: Final = _selector("getVirtualUnderlyingBalance(address)")
_ASSET_PRICE: Final = _selector("getAssetPrice(address)")
_ASSET_SOURCE: Final = _selector("getSourceOfAsset(address)")
_BALANCE: Final = _selector("balanceOf(address)")
_SCALED_BALANCE: Final = _selector("scaledBalanceOf(address)")
_STABLE_PRINCIPAL: Final = _selector("principalBalanceOf(address)")
_STABLE_RATE: Final = _selector("getUserStableRate(address)")
_STABLE_SINCE: Final = _selector("getUserLastUpdated(address)")
_EMODE_DATA: Final = _selector("getEModeCategoryData(uint8)")
_EMODE_CONFIG: Final = _selector("getEModeCategoryCollateralConfig(uint8)")
_EMODE_BITMAP: Final = _selector("getEModeCategoryCollateralBitmap(uint8)")
_LIQUIDATION_CALL: Final = _selector("liquidationCall(address,address,address,uint256,bool)")

_WORD: Final = 32  # bytes


def address_word(address: Address) -> bytes:
    """Return `address` as a 32-byte word, as in calldata and topics."""
    return address_bytes(address).rjust(32, b"\0")


def _of(selector: bytes, address: Address) -> bytes:
    return selector + address_word(address)


def reserve_data_of(token: Address) -> bytes:
    """Ask the pool for a reserve's fifteen words."""
    return _of(_RESERVE_DATA, token)


def user_configuration_of(account: Address) -> bytes:
    """Ask the pool for an account's flags: bit 2i borrows reserve i, bit 2i+1 uses it as collateral."""
    return _of(_USER_CONFIGURATION, account)


def user_emode_of(account: Address) -> bytes:
    """Ask the pool for an account's efficiency mode."""
    return _of(_USER_EMODE, account)


def account_data_of(account: Address) -> bytes:
    """Ask the pool for an account's six words; the last one is its health factor."""
    return _of(_ACCOUNT_DATA, account)


def grace_period_of(token: Address) -> bytes:
    """Ask the pool until when a reserve is in its grace period."""
    return _of(_GRACE_PERIOD, token)


def virtual_balance_of(token: Address) -> bytes:
    """Ask the pool for its own count of a reserve's underlying."""
    return _of(_VIRTUAL_BALANCE, token)


def asset_price_of(token: Address) -> bytes:
    """Ask the oracle for a price in base units."""
    return _of(_ASSET_PRICE, token)


def asset_source_of(token: Address) -> bytes:
    """Ask the oracle for a price's source."""
    return _of(_ASSET_SOURCE, token)


def balance_of(account: Address) -> bytes:
    """Ask a token for a balance."""
    return _of(_BALANCE, account)


def scaled_balance_of(account: Address) -> bytes:
    """Ask an aToken or debt token for a balance without interest."""
    return _of(_SCALED_BALANCE, account)


def stable_principal_of(account: Address) -> bytes:
    """Ask a stable debt token for a principal."""
    return _of(_STABLE_PRINCIPAL, account)


def stable_rate_of(account: Address) -> bytes:
    """Ask a stable debt token for an account's own rate."""
    return _of(_STABLE_RATE, account)


def stable_since_of(account: Address) -> bytes:
    """Ask a stable debt token since when an account's balance accrues."""
    return _of(_STABLE_SINCE, account)


def emode_data_of(category: int) -> bytes:
    """Ask the pool for a category: threshold, bonus, price source (before bitmaps)."""
    return _EMODE_DATA + category.to_bytes(32, "big")


def emode_config_of(category: int) -> bytes:
    """Ask the pool for a category: LTV, threshold, bonus (with bitmaps)."""
    return _EMODE_CONFIG + category.to_bytes(32, "big")


def emode_bitmap_of(category: int) -> bytes:
    """Ask the pool which reserves are collateral of a category."""
    return _EMODE_BITMAP + category.to_bytes(32, "big")


def encode_liquidation(call: LiquidationCall) -> bytes:
    """Return the calldata of `liquidationCall` on the pool."""
    return b"".join(
        (
            _LIQUIDATION_CALL,
            address_word(call.collateral),
            address_word(call.debt),
            address_word(call.account),
            call.cover_raw.to_bytes(32, "big"),
            int(call.receive == "atoken").to_bytes(32, "big"),
        )
    )


def decode_words(data: bytes, count: int) -> tuple[int, ...]:
    """Return the first `count` words. Raises ValueError for a shorter answer."""
    if len(data) < _WORD * count:
        raise ValueError(f"the answer has {len(data)} bytes where {_WORD * count} were expected")
    return tuple(int.from_bytes(data[start : start + _WORD], "big") for start in range(0, _WORD * count, _WORD))


def decode_word(data: bytes) -> int:
    """Return the first word. Raises ValueError for a shorter answer."""
    if len(data) < _WORD:
        raise ValueError(f"the answer has {len(data)} bytes where {_WORD} were expected")
    return int.from_bytes(data[:_WORD], "big")


def decode_address(data: bytes) -> Address:
    """Return the first word as an address. Raises ValueError when it is none."""
    return word_address(decode_word(data))


def word_address(word: int) -> Address:
    """Return a word as an address. Raises ValueError when it is none."""
    if word >> 160:
        raise ValueError("a word that should be an address is longer than one")
    return to_address(word.to_bytes(20, "big")) if word else ZERO_ADDRESS


def decode_address_list(data: bytes) -> tuple[Address, ...]:
    """Return an address[]. Raises ValueError when the bytes are not one."""
    offset, count = decode_words(data, 2)
    if offset != _WORD or len(data) < (2 + count) * _WORD:
        raise ValueError("the answer is not a list of addresses")
    return tuple(word_address(word) for word in decode_words(data[2 * _WORD :], count))
