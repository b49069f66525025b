// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title What a run remembers about each token of its plan, and about each liquidation
/// @dev In transient storage, because lenders' calls stand between the steps and each callback is a frame of its own.
/// A key is never below 256, so it meets none of the transient variables, which the compiler numbers from zero.
library RunBook {
    /// @dev What this contract held before the first step.
    uint256 internal constant BEFORE = 0;
    /// @dev What flash funds take back at the end.
    uint256 internal constant OWED = 1;
    /// @dev What may still be repaid to lending pools.
    uint256 internal constant BUDGET = 2;
    /// @dev The address of a claim.
    uint256 internal constant CLAIM = 3;
    /// @dev By number of the liquidation, not of a token: repaid in the upper half, received in the lower.
    uint256 internal constant RESULT = 4;

    function get(uint256 field, uint256 index) internal view returns (uint256 value) {
        assembly ("memory-safe") {
            value := tload(or(shl(8, add(index, 1)), field))
        }
    }

    function set(uint256 field, uint256 index, uint256 value) internal {
        assembly ("memory-safe") {
            tstore(or(shl(8, add(index, 1)), field), value)
        }
    }

    /// @notice Opens the book of one token at the start of a run: another run may have used it in this transaction.
    function open(uint256 index, uint256 beforeRaw) internal {
        set(BEFORE, index, beforeRaw);
        set(OWED, index, 0);
        set(BUDGET, index, 0);
    }
}
