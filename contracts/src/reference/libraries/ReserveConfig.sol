// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title The packed configuration word of a reserve
/// @dev Bits: 0-15 LTV, 16-31 liquidation threshold, 32-47 liquidation bonus (all bps), 48-55 decimals, 56 active,
/// 57 frozen, 58 borrowing, 60 paused, 63 flash loans, 64-79 reserve factor (bps), 152-167 protocol's share of the
/// bonus (bps), 252 balances are counted by the pool and not read from the token.
library ReserveConfig {
    uint256 internal constant ACTIVE = 1 << 56;
    uint256 internal constant FROZEN = 1 << 57;
    uint256 internal constant BORROWING = 1 << 58;
    uint256 internal constant PAUSED = 1 << 60;
    uint256 internal constant FLASH_LOANS = 1 << 63;
    uint256 internal constant COUNTED_BALANCE = 1 << 252;

    /// @notice What the admin chooses per reserve; all but the rate and the switches in bps.
    struct Settings {
        uint16 ltv;
        uint16 liquidationThreshold;
        uint16 liquidationBonus;
        uint16 reserveFactor;
        uint16 liquidationProtocolFee;
        uint128 borrowRateRay;
        bool borrowing;
        bool flashLoans;
    }

    function pack(Settings memory s, uint8 decimals) internal pure returns (uint256 word) {
        word = uint256(s.ltv) | uint256(s.liquidationThreshold) << 16 | uint256(s.liquidationBonus) << 32;
        word |= uint256(decimals) << 48 | uint256(s.reserveFactor) << 64 | uint256(s.liquidationProtocolFee) << 152;
        word |= ACTIVE | COUNTED_BALANCE;
        if (s.borrowing) word |= BORROWING;
        if (s.flashLoans) word |= FLASH_LOANS;
    }

    function ltv(uint256 word) internal pure returns (uint256) {
        return word & 0xFFFF;
    }

    function liquidationThreshold(uint256 word) internal pure returns (uint256) {
        return word >> 16 & 0xFFFF;
    }

    function liquidationBonus(uint256 word) internal pure returns (uint256) {
        return word >> 32 & 0xFFFF;
    }

    /// @notice 10 to the power of the token's decimals.
    function unit(uint256 word) internal pure returns (uint256) {
        return 10 ** (word >> 48 & 0xFF);
    }

    function reserveFactor(uint256 word) internal pure returns (uint256) {
        return word >> 64 & 0xFFFF;
    }

    function liquidationProtocolFee(uint256 word) internal pure returns (uint256) {
        return word >> 152 & 0xFFFF;
    }
}
