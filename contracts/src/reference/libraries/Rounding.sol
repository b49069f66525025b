// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Fixed-point arithmetic with the direction of rounding in every name
/// @dev bps: 1e4 is one. wad: 1e18 is one. ray: 1e27 is one. "Nearest" rounds a half up. An overflow reverts.
library Rounding {
    uint256 internal constant BPS = 1e4;
    uint256 internal constant HALF_BPS = 5e3;
    uint256 internal constant WAD = 1e18;
    uint256 internal constant RAY = 1e27;
    uint256 internal constant HALF_RAY = 5e26;

    /// @notice The value does not fit its storage.
    error TooLarge(uint256 value);

    function toUint128(uint256 value) internal pure returns (uint128) {
        if (value > type(uint128).max) revert TooLarge(value);
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint128(value);
    }

    function mulDivUp(uint256 a, uint256 b, uint256 divisor) internal pure returns (uint256) {
        return divUp(a * b, divisor);
    }

    function divUp(uint256 a, uint256 b) internal pure returns (uint256) {
        return a == 0 ? 0 : (a - 1) / b + 1;
    }

    function bpsMulNearest(uint256 value, uint256 bps) internal pure returns (uint256) {
        return (value * bps + HALF_BPS) / BPS;
    }

    function bpsMulDown(uint256 value, uint256 bps) internal pure returns (uint256) {
        return value * bps / BPS;
    }

    function bpsMulUp(uint256 value, uint256 bps) internal pure returns (uint256) {
        return mulDivUp(value, bps, BPS);
    }

    function bpsDivNearest(uint256 value, uint256 bps) internal pure returns (uint256) {
        return (value * BPS + bps / 2) / bps;
    }

    function bpsDivUp(uint256 value, uint256 bps) internal pure returns (uint256) {
        return mulDivUp(value, BPS, bps);
    }

    function rayMulNearest(uint256 a, uint256 b) internal pure returns (uint256) {
        return (a * b + HALF_RAY) / RAY;
    }

    function rayMulDown(uint256 a, uint256 b) internal pure returns (uint256) {
        return a * b / RAY;
    }

    function rayMulUp(uint256 a, uint256 b) internal pure returns (uint256) {
        return mulDivUp(a, b, RAY);
    }

    function rayDivDown(uint256 a, uint256 b) internal pure returns (uint256) {
        return a * RAY / b;
    }

    function rayDivUp(uint256 a, uint256 b) internal pure returns (uint256) {
        return mulDivUp(a, RAY, b);
    }

    function wadDivNearest(uint256 a, uint256 b) internal pure returns (uint256) {
        return (a * WAD + b / 2) / b;
    }
}
