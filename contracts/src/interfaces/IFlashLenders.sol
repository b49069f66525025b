// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Morpho's flash loan, which costs nothing
interface IMorphoFlashLender {
    /// @notice Lends `assets` of `token` for the length of the call and pulls them back from the caller.
    function flashLoan(address token, uint256 assets, bytes calldata data) external;
}

/// @title What Morpho calls on whoever took a flash loan
interface IMorphoFlashLoanCallback {
    function onMorphoFlashLoan(uint256 assets, bytes calldata data) external;
}
