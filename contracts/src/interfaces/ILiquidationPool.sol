// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title What a liquidator asks of an Aave-V3-like lending pool
interface ILiquidationPool {
    /// @notice Repays part of an unhealthy account's debt and receives its collateral at a bonus.
    /// @param debtToCover Debt to repay in the debt token's smallest unit; 2^256-1 asks for the most the pool allows.
    /// @param receiveAToken True to be paid in the pool's deposit token instead of the underlying one.
    function liquidationCall(
        address collateralAsset,
        address debtAsset,
        address user,
        uint256 debtToCover,
        bool receiveAToken
    ) external;

    /// @notice Lends one asset for the length of the call and takes it back with a premium.
    function flashLoanSimple(
        address receiverAddress,
        address asset,
        uint256 amount,
        bytes calldata params,
        uint16 referralCode
    ) external;

    /// @notice Pays out `amount` of `asset` for as much of the caller's deposit tokens; 2^256-1 asks for all of it.
    function withdraw(address asset, uint256 amount, address to) external returns (uint256 withdrawnRaw);

    /// @notice What the pool keeps about `asset`: the part of the answer up to the address of its deposit token,
    /// which lies at the same place in every version.
    function getReserveData(address asset)
        external
        view
        returns (
            uint256 configuration,
            uint256 liquidityIndex,
            uint256 currentLiquidityRate,
            uint256 variableBorrowIndex,
            uint256 currentVariableBorrowRate,
            uint256 currentStableBorrowRate,
            uint256 lastUpdateTimestamp,
            uint256 id,
            address aTokenAddress
        );
}

/// @title What the lending pool calls on whoever took a simple flash loan
interface IFlashLoanSimpleReceiver {
    /// @return True when the loan and its premium may be pulled from the receiver.
    function executeOperation(address asset, uint256 amount, uint256 premium, address initiator, bytes calldata params)
        external
        returns (bool);
}
