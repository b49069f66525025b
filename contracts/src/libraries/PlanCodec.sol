// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title The plan of a run, as packed bytes
/// @dev Big-endian, no padding. Amounts are in the smallest unit of the token they are of.
///
/// header
/// | offset | bytes  | field                                                                         |
/// |--------|--------|-------------------------------------------------------------------------------|
/// | 0      | 1      | version: 1                                                                    |
/// | 1      | 5      | last block in which the run may happen                                        |
/// | 6      | 16     | least gain of the profit token                                                |
/// | 22     | 1      | n: tokens                                                                     |
/// | 23     | 1      | m: claims                                                                     |
/// | 24     | 20 n   | the tokens that the run touches; the first is the profit token                |
/// |        | 21 m   | claims: lending pool (20), index of the underlying token (1)                  |
///
/// A claim is a lending pool's deposit token, which the pool itself is asked for. Steps name a token by its index,
/// claims follow the tokens. A token that is not in the table cannot be named, and all in the table are settled.
///
/// steps, one after the other up to the end
/// | code | step         | fields after the code                                                       |
/// |------|--------------|-----------------------------------------------------------------------------|
/// | 0    | FUND_OWN     | token 1, amount 16                                                          |
/// | 1    | FUND_AAVE    | lending pool 20, token 1, amount 16, highest premium 16                     |
/// | 2    | FUND_V3      | factory 20, fee 3, token to pay 1, token to receive 1, amount to pay 16     |
/// | 3    | FUND_MORPHO  | flash lender 20, token 1, amount 16                                         |
/// | 4    | LIQUIDATE    | lending pool 20, account 20, collateral 1, debt 1, received 1, cover 16     |
/// | 5    | REDEEM       | claim 1                                                                     |
/// | 6    | SWAP         | token 1, amount 16 (0: the rest), h 1, then h hops of 25                    |
/// | hop  |              | kind 1, factory 20, token to receive 1, fee 3                               |
///
/// LIQUIDATE: `received` is the collateral, or this pool's claim on it to be paid in deposit tokens; a cover of 2^128-1
/// stands for 2^256-1. Fees are in millionths.
library PlanCodec {
    uint256 internal constant VERSION = 1;

    uint256 internal constant FUND_OWN = 0;
    uint256 internal constant FUND_AAVE = 1;
    uint256 internal constant FUND_V3 = 2;
    uint256 internal constant FUND_MORPHO = 3;
    uint256 internal constant LIQUIDATE = 4;
    uint256 internal constant REDEEM = 5;
    uint256 internal constant SWAP = 6;

    uint256 internal constant FUND_OWN_BYTES = 18;
    uint256 internal constant FUND_AAVE_BYTES = 54;
    uint256 internal constant FUND_V3_BYTES = 42;
    uint256 internal constant FUND_MORPHO_BYTES = 38;
    uint256 internal constant LIQUIDATE_BYTES = 60;
    uint256 internal constant REDEEM_BYTES = 2;
    uint256 internal constant SWAP_BYTES = 19;
    uint256 internal constant HOP_BYTES = 25;

    uint256 private constant HEADER_BYTES = 24;
    uint256 private constant TOKEN_BYTES = 20;
    uint256 private constant CLAIM_BYTES = 21;

    /// @notice The plan is of a version this contract does not know.
    error UnknownVersion(uint256 version);
    /// @notice There is no step with this code.
    error UnknownStep(uint256 code);
    /// @notice The plan's table has no token, or no claim, with this index.
    error UnknownToken(uint256 index);
    /// @notice The plan ends in the middle of its header or of a step.
    error PlanCutShort();

    /// @dev What lies past the end reads as anything: `within` comes first.
    function byteAt(bytes calldata plan, uint256 pos) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := byte(0, calldataload(add(plan.offset, pos)))
        }
    }

    function addressAt(bytes calldata plan, uint256 pos) internal pure returns (address value) {
        assembly ("memory-safe") {
            value := shr(96, calldataload(add(plan.offset, pos)))
        }
    }

    function amountAt(bytes calldata plan, uint256 pos) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(128, calldataload(add(plan.offset, pos)))
        }
    }

    function feeAt(bytes calldata plan, uint256 pos) internal pure returns (uint24 value) {
        assembly ("memory-safe") {
            value := shr(232, calldataload(add(plan.offset, pos)))
        }
    }

    /// @notice The position `size` bytes after `pos`; reverts when the plan ends before it.
    function within(bytes calldata plan, uint256 pos, uint256 size) internal pure returns (uint256 next) {
        next = pos + size;
        if (next > plan.length) revert PlanCutShort();
    }

    /// @notice Checks the version and the length of the header. The getters below read a plan that passed.
    function check(bytes calldata plan) internal pure {
        within(plan, 0, HEADER_BYTES);
        if (byteAt(plan, 0) != VERSION) revert UnknownVersion(byteAt(plan, 0));
        if (tokens(plan) == 0) revert UnknownToken(0);
        within(plan, 0, firstStep(plan));
    }

    function deadlineBlock(bytes calldata plan) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(216, calldataload(add(plan.offset, 1)))
        }
    }

    function minProfitRaw(bytes calldata plan) internal pure returns (uint256) {
        return amountAt(plan, 6);
    }

    function tokens(bytes calldata plan) internal pure returns (uint256) {
        return byteAt(plan, 22);
    }

    function claims(bytes calldata plan) internal pure returns (uint256) {
        return byteAt(plan, 23);
    }

    /// @notice The token at `index`, which must be below `tokens`.
    function token(bytes calldata plan, uint256 index) internal pure returns (address) {
        return addressAt(plan, HEADER_BYTES + TOKEN_BYTES * index);
    }

    /// @notice The lending pool of a claim and its underlying token; `index` counts from the first token.
    function claim(bytes calldata plan, uint256 index) internal pure returns (address pool, address underlying) {
        uint256 count = tokens(plan);
        if (index < count || index >= count + claims(plan)) revert UnknownToken(index);
        uint256 pos = HEADER_BYTES + TOKEN_BYTES * count + CLAIM_BYTES * (index - count);
        pool = addressAt(plan, pos);
        uint256 base = byteAt(plan, pos + TOKEN_BYTES);
        if (base >= count) revert UnknownToken(base);
        underlying = token(plan, base);
    }

    /// @notice Where the steps begin.
    function firstStep(bytes calldata plan) internal pure returns (uint256) {
        return HEADER_BYTES + TOKEN_BYTES * tokens(plan) + CLAIM_BYTES * claims(plan);
    }
}
