// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Why the bundled market refuses
/// @dev Named after the errors of the protocol whose surface it has, so that one decoder serves both.
library Errors {
    /// @notice The caller may not administer this contract.
    error CallerNotPoolAdmin();
    /// @notice The caller is not the deposit token of the reserve.
    error CallerNotAToken();
    /// @notice Only the pool may call this.
    error CallerMustBePool();
    /// @notice The asset has no reserve here.
    error AssetNotListed();
    /// @notice The reserve exists already.
    error ReserveAlreadyInitialized();
    /// @notice No more reserves fit.
    error NoMoreReservesAllowed();
    /// @notice The reserve's parameters contradict one another.
    error InvalidReserveParams();
    /// @notice The amount must not be zero.
    error InvalidAmount();
    /// @notice The reserve is not active.
    error ReserveInactive();
    /// @notice The reserve is frozen: it takes no new deposits and gives no new loans.
    error ReserveFrozen();
    /// @notice The reserve is paused.
    error ReservePaused();
    /// @notice The reserve does not lend.
    error BorrowingNotEnabled();
    /// @notice Only the variable rate (mode 2) exists.
    error InvalidInterestRateModeSelected();
    /// @notice Borrowing on somebody else's account is not offered.
    error BorrowingForOthersNotOffered();
    /// @notice The account has no deposit of this asset.
    error UnderlyingBalanceZero();
    /// @notice The account holds less than that.
    error NotEnoughAvailableUserBalance();
    /// @notice The account owes nothing of this asset.
    error NoDebtOfSelectedType();
    /// @notice The collateral does not carry the new debt.
    error CollateralCannotCoverNewBorrow();
    /// @notice The account would become unhealthy.
    error HealthFactorLowerThanLiquidationThreshold();
    /// @notice Deposits of this asset cannot serve as collateral.
    error UserInIsolationModeOrLtvZero();
    /// @notice The amount is too small to mint anything.
    error InvalidMintAmount();
    /// @notice The amount is too small to burn anything.
    error InvalidBurnAmount();
    /// @notice An account may not liquidate itself.
    error SelfLiquidation();
    /// @notice The account is healthy.
    error HealthFactorNotBelowThreshold();
    /// @notice The account does not use that asset as collateral.
    error CollateralCannotBeLiquidated();
    /// @notice The account owes nothing of the named debt asset.
    error SpecifiedCurrencyNotBorrowedByUser();
    /// @notice The liquidation would leave a position too small to be worth liquidating later.
    error MustNotLeaveDust();
    /// @notice Flash loans of this asset are off.
    error FlashloanDisabled();
    /// @notice The receiver of the flash loan did not answer true.
    error InvalidFlashloanExecutorReturn();
    /// @notice The oracle has no usable price for the asset.
    error NoPrice(address asset);
}
