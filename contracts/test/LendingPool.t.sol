// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IFlashLoanSimpleReceiver} from "../src/interfaces/ILiquidationPool.sol";
import {AToken} from "../src/reference/AToken.sol";
import {DebtToken} from "../src/reference/DebtToken.sol";
import {LendingPool} from "../src/reference/LendingPool.sol";
import {ScaledToken} from "../src/reference/ScaledToken.sol";
import {TestToken} from "../src/reference/TestToken.sol";
import {CloseFactor} from "../src/reference/libraries/CloseFactor.sol";
import {Errors} from "../src/reference/libraries/Errors.sol";
import {ReserveConfig} from "../src/reference/libraries/ReserveConfig.sol";
import {Rounding} from "../src/reference/libraries/Rounding.sol";
import {Market} from "./support/Market.sol";

/// @title Deposits, loans, flags and administration
contract LendingPoolTest is Market {
    function test_firstDepositBecomesCollateral() public {
        weth.mint(borrower, 10e18);
        vm.startPrank(borrower);
        weth.approve(address(pool), 10e18);
        vm.expectEmit(true, true, true, true, address(pool));
        emit LendingPool.ReserveUsedAsCollateralEnabled(address(weth), borrower);
        pool.supply(address(weth), 10e18, borrower, 0);
        vm.assertEq(pool.getUserConfiguration(borrower), 1 << 1);
        vm.assertEq(supplyOf(weth, borrower), 10e18);
        (uint256 collateral, uint256 debt, uint256 mayBorrow, uint256 threshold, uint256 ltv, uint256 healthWad) =
            pool.getUserAccountData(borrower);
        vm.assertEq(collateral, 20_000e8);
        vm.assertEq(debt, 0);
        vm.assertEq(mayBorrow, 16_000e8);
        vm.assertEq(threshold, 8250);
        vm.assertEq(ltv, 8000);
        vm.assertEq(healthWad, MAX);
    }

    function test_depositWithoutThresholdIsNoCollateral() public {
        TestToken odd = list("Odd", "ODD", 18, 1e8, settings(0, 0, 0, 0));
        deposit(borrower, odd, 5e18);
        vm.assertEq(pool.getUserConfiguration(borrower), 0);
        vm.prank(borrower);
        vm.expectRevert(Errors.UserInIsolationModeOrLtvZero.selector);
        pool.setUserUseReserveAsCollateral(address(odd), true);
    }

    function test_borrowSetsTheFlagAndIsLimited() public {
        deposit(borrower, weth, 10e18);
        vm.expectEmit(true, true, true, true, address(pool));
        emit LendingPool.Borrow(address(usdc), borrower, borrower, 16_000e6, 2, 0.05e27, 0);
        take(borrower, usdc, 16_000e6);
        vm.assertEq(usdc.balanceOf(borrower), 16_000e6);
        vm.assertEq(pool.getUserConfiguration(borrower), 1 << 1 | 1 << 4);
        vm.assertEq(health(borrower), 1.03125e18);
        vm.prank(borrower);
        vm.expectRevert(Errors.CollateralCannotCoverNewBorrow.selector);
        pool.borrow(address(usdc), 1, 2, 0, borrower);
    }

    function test_borrowRefusals() public {
        deposit(borrower, weth, 10e18);
        vm.startPrank(borrower);
        vm.expectRevert(Errors.InvalidInterestRateModeSelected.selector);
        pool.borrow(address(usdc), 1e6, 1, 0, borrower);
        vm.expectRevert(Errors.BorrowingForOthersNotOffered.selector);
        pool.borrow(address(usdc), 1e6, 2, 0, lender);
        vm.expectRevert(Errors.InvalidAmount.selector);
        pool.borrow(address(usdc), 0, 2, 0, borrower);
        vm.expectRevert(Errors.AssetNotListed.selector);
        pool.borrow(address(1), 1, 2, 0, borrower);
        vm.expectRevert(PANIC_ARITHMETIC);
        pool.borrow(address(usdc), 200_000_001e6, 2, 0, borrower);
    }

    function test_repayAllClearsTheFlag() public {
        deposit(borrower, weth, 10e18);
        take(borrower, usdc, 10_000e6);
        vm.warp(block.timestamp + 30 days);
        uint256 owed = debtOf(usdc, borrower);
        vm.assertGt(owed, 10_041e6, "interest");
        usdc.mint(borrower, owed);
        vm.startPrank(borrower);
        usdc.approve(address(pool), MAX);
        vm.expectEmit(true, true, true, true, address(pool));
        emit LendingPool.Repay(address(usdc), borrower, borrower, owed, false);
        vm.assertEq(pool.repay(address(usdc), MAX, 2, borrower), owed);
        vm.assertEq(debtOf(usdc, borrower), 0);
        vm.assertEq(pool.getUserConfiguration(borrower), 1 << 1);
        vm.expectRevert(Errors.NoDebtOfSelectedType.selector);
        pool.repay(address(usdc), 1, 2, borrower);
    }

    function test_partialRepayLeavesTheRest() public {
        deposit(borrower, weth, 10e18);
        take(borrower, usdc, 10_000e6);
        vm.startPrank(borrower);
        usdc.approve(address(pool), MAX);
        vm.assertEq(pool.repay(address(usdc), 4_000e6, 2, borrower), 4_000e6);
        vm.assertEq(debtOf(usdc, borrower), 6_000e6);
    }

    function test_withdrawKeepsTheAccountHealthy() public {
        deposit(borrower, weth, 10e18);
        take(borrower, usdc, 10_000e6);
        vm.startPrank(borrower);
        vm.expectRevert(Errors.HealthFactorLowerThanLiquidationThreshold.selector);
        pool.withdraw(address(weth), 4e18, borrower);
        vm.assertEq(pool.withdraw(address(weth), 3e18, borrower), 3e18);
        vm.assertEq(weth.balanceOf(borrower), 3e18);
        vm.expectRevert(Errors.NotEnoughAvailableUserBalance.selector);
        pool.withdraw(address(weth), 8e18, borrower);
    }

    function test_withdrawAllClearsTheFlag() public {
        deposit(borrower, weth, 10e18);
        vm.startPrank(borrower);
        vm.expectEmit(true, true, true, true, address(pool));
        emit LendingPool.ReserveUsedAsCollateralDisabled(address(weth), borrower);
        vm.assertEq(pool.withdraw(address(weth), MAX, borrower), 10e18);
        vm.assertEq(pool.getUserConfiguration(borrower), 0);
        vm.expectRevert(Errors.InvalidAmount.selector);
        pool.withdraw(address(weth), MAX, borrower);
    }

    function test_collateralFlagCanBeSwitched() public {
        deposit(borrower, weth, 10e18);
        take(borrower, usdc, 1_000e6);
        vm.startPrank(borrower);
        vm.expectRevert(Errors.HealthFactorLowerThanLiquidationThreshold.selector);
        pool.setUserUseReserveAsCollateral(address(weth), false);
        usdc.approve(address(pool), MAX);
        pool.repay(address(usdc), MAX, 2, borrower);
        pool.setUserUseReserveAsCollateral(address(weth), false);
        vm.assertEq(pool.getUserConfiguration(borrower), 0);
        vm.expectRevert(Errors.UnderlyingBalanceZero.selector);
        pool.setUserUseReserveAsCollateral(address(dai), true);
    }

    function test_transferOfDepositsChecksHealth() public {
        deposit(borrower, weth, 10e18);
        take(borrower, usdc, 10_000e6);
        AToken aWeth = aTokenOf(weth);
        vm.startPrank(borrower);
        vm.expectRevert(Errors.HealthFactorLowerThanLiquidationThreshold.selector);
        aWeth.transfer(liquidator, 5e18);
        vm.assertTrue(aWeth.transfer(liquidator, 3e18));
        vm.stopPrank();
        vm.assertEq(aWeth.balanceOf(liquidator), 3e18);
        vm.assertEq(pool.getUserConfiguration(liquidator), 0, "received deposits are no collateral by themselves");
        vm.prank(liquidator);
        vm.assertTrue(aWeth.transfer(lender, 3e18));
        vm.expectRevert(Errors.CallerNotAToken.selector);
        pool.finalizeTransfer(address(weth), borrower);
    }

    function test_transferNeedsAllowance() public {
        deposit(borrower, weth, 10e18);
        AToken aWeth = aTokenOf(weth);
        vm.prank(borrower);
        aWeth.approve(lender, 1e18);
        vm.startPrank(lender);
        vm.assertTrue(aWeth.transferFrom(borrower, lender, 1e18));
        vm.expectRevert(PANIC_ARITHMETIC);
        aWeth.transferFrom(borrower, lender, 1);
    }

    function test_onlyThePoolMovesBalances() public {
        AToken aWeth = aTokenOf(weth);
        DebtToken debt = DebtToken(pool.getReserveData(address(weth)).variableDebtTokenAddress);
        bytes4 refused = Errors.CallerMustBePool.selector;
        vm.expectRevert(refused);
        aWeth.mint(borrower, borrower, 1, 1, 1e27);
        vm.expectRevert(refused);
        aWeth.burn(lender, borrower, 1, 1, 1e27);
        vm.expectRevert(refused);
        aWeth.transferOnLiquidation(lender, borrower, 1, 1, 1e27);
        vm.expectRevert(refused);
        aWeth.transferUnderlyingTo(borrower, 1);
        vm.expectRevert(refused);
        debt.mint(borrower, borrower, 1, 1, 1e27);
        vm.expectRevert(refused);
        debt.burn(borrower, 1, 1, 1e27);
    }

    function test_interestReachesDepositorsAndTreasury() public {
        deposit(borrower, weth, 1000e18);
        take(borrower, usdc, 1_000_000e6);
        vm.warp(block.timestamp + 365 days);
        uint256 interest = debtOf(usdc, borrower) - 1_000_000e6;
        vm.assertGt(interest, 51_000e6, "compounded");
        vm.assertLt(interest, 51_300e6, "compounded");
        uint256 earned = supplyOf(usdc, lender) - 200_000_000e6;
        // Deposits earn simple interest, debts compound; a tenth is the protocol's.
        vm.assertApproxEqAbs(earned, 45_000e6, 10e6, "depositors");
        deposit(lender, usdc, 1e6);
        address[] memory assets = new address[](1);
        assets[0] = address(usdc);
        pool.mintToTreasury(assets);
        vm.assertApproxEqAbs(supplyOf(usdc, treasury), interest / 10, 1e6, "treasury");
        vm.assertEq(pool.getReserveData(address(usdc)).accruedToTreasury, 0);
    }

    function test_burnBelowInterestReportsAMint() public {
        deposit(borrower, weth, 1000e18);
        take(borrower, usdc, 1_000_000e6);
        vm.warp(block.timestamp + 365 days);
        usdc.mint(borrower, 1e6);
        vm.startPrank(borrower);
        usdc.approve(address(pool), 1e6);
        DebtToken debt = DebtToken(pool.getReserveData(address(usdc)).variableDebtTokenAddress);
        vm.expectEmit(true, true, false, false, address(debt));
        emit ScaledToken.Mint(borrower, borrower, 0, 0, 0);
        pool.repay(address(usdc), 1e6, 2, borrower);
    }

    /// @dev Every rounding favours the pool: a unit taken out costs a whole share, a unit put in buys none.
    function test_roundingFavoursThePool() public {
        deposit(borrower, weth, 1000e18);
        take(borrower, usdc, 1_000_000e6);
        vm.warp(block.timestamp + 365 days);
        AToken aUsdc = aTokenOf(usdc);
        DebtToken debt = DebtToken(pool.getReserveData(address(usdc)).variableDebtTokenAddress);
        uint256 shares = aUsdc.scaledBalanceOf(lender);
        vm.prank(lender);
        pool.withdraw(address(usdc), 1, lender);
        vm.assertEq(aUsdc.scaledBalanceOf(lender), shares - 1);
        shares = debt.scaledBalanceOf(borrower);
        take(borrower, usdc, 1);
        vm.assertEq(debt.scaledBalanceOf(borrower), shares + 1);
        usdc.mint(borrower, 1);
        vm.startPrank(borrower);
        usdc.approve(address(pool), 1);
        vm.expectRevert(Errors.InvalidBurnAmount.selector);
        pool.repay(address(usdc), 1, 2, borrower);
        vm.expectRevert(Errors.InvalidMintAmount.selector);
        pool.supply(address(usdc), 1, borrower, 0);
    }

    /// @dev The smallest debt is worth one base unit, and the smallest deposit none.
    function test_valuesRoundAgainstTheAccount() public {
        deposit(borrower, usdc, 100e6);
        take(borrower, weth, 1);
        deposit(borrower, weth, 1e6);
        (uint256 collateral, uint256 debt,,,,) = pool.getUserAccountData(borrower);
        vm.assertEq(collateral, 100e8);
        vm.assertEq(debt, 1);
    }

    function test_statusBits() public {
        deposit(borrower, weth, 1e18);
        vm.prank(admin);
        pool.setReserveStatus(address(weth), true, true, false);
        weth.mint(borrower, 1e18);
        vm.startPrank(borrower);
        weth.approve(address(pool), MAX);
        vm.expectRevert(Errors.ReserveFrozen.selector);
        pool.supply(address(weth), 1e18, borrower, 0);
        vm.stopPrank();
        vm.prank(admin);
        pool.setReserveStatus(address(weth), true, false, true);
        vm.startPrank(borrower);
        vm.expectRevert(Errors.ReservePaused.selector);
        pool.withdraw(address(weth), 1, borrower);
        vm.stopPrank();
        vm.prank(admin);
        pool.setReserveStatus(address(weth), false, false, false);
        vm.prank(borrower);
        vm.expectRevert(Errors.ReserveInactive.selector);
        pool.withdraw(address(weth), 1, borrower);
    }

    function test_onlyTheAdminAdministers() public {
        ReserveConfig.Settings memory s = settings(1, 2, 10001, 0);
        bytes4 refused = Errors.CallerNotPoolAdmin.selector;
        vm.expectRevert(refused);
        pool.initReserve(address(9), address(9), address(9), s);
        vm.expectRevert(refused);
        pool.configureReserve(address(weth), s);
        vm.expectRevert(refused);
        pool.setReserveStatus(address(weth), false, false, false);
        vm.expectRevert(refused);
        pool.setCloseFactorPolicy(CloseFactor.Policy.DYNAMIC);
        vm.expectRevert(refused);
        pool.setFlashLoanPremium(1);
        vm.expectRevert(refused);
        oracle.setAssetSources(new address[](0), new address[](0));
        vm.expectRevert(refused);
        provider.setPool(address(1));
        vm.expectRevert(refused);
        provider.setPriceOracle(address(1));
        vm.expectRevert(refused);
        provider.setPoolDataProvider(address(1));
    }

    function test_unsoundSettingsAreRefused() public {
        ReserveConfig.Settings[5] memory bad;
        bad[0] = settings(8000, 7900, 10500, 0); // lends more than the threshold
        bad[1] = settings(8000, 8250, 10000, 0); // no bonus
        bad[2] = settings(9000, 9600, 10500, 0); // threshold times bonus above one
        bad[3] = settings(8000, 8250, 10500, 10001); // fee above the whole bonus
        bad[4] = settings(8000, 8250, 10500, 0);
        bad[4].reserveFactor = 10001;
        vm.startPrank(admin);
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.expectRevert(Errors.InvalidReserveParams.selector);
            pool.configureReserve(address(weth), bad[i]);
        }
        vm.expectRevert(Errors.ReserveAlreadyInitialized.selector);
        pool.initReserve(address(weth), address(1), address(1), bad[0]);
        address foreign = address(new AToken(address(1), address(weth), treasury, "", ""));
        vm.expectRevert(Errors.InvalidReserveParams.selector);
        pool.initReserve(address(foreign), foreign, foreign, bad[0]);
    }

    function test_amountsThatDoNotFitAreRefused() public {
        uint256 huge = uint256(type(uint128).max) + 1;
        weth.mint(borrower, huge);
        vm.startPrank(borrower);
        weth.approve(address(pool), huge);
        vm.expectRevert(abi.encodeWithSelector(Rounding.TooLarge.selector, huge));
        pool.supply(address(weth), huge, borrower, 0);
    }
}

/// @title Flash loans of the bundled pool
contract FlashLoanTest is Market, IFlashLoanSimpleReceiver {
    uint256 private _premium;
    bool private _answer = true;

    function executeOperation(address asset, uint256 amount, uint256 premium, address initiator, bytes calldata params)
        external
        returns (bool)
    {
        vm.assertEq(msg.sender, address(pool));
        vm.assertEq(initiator, address(this));
        vm.assertEq(params, bytes("params"));
        vm.assertEq(TestToken(asset).balanceOf(address(this)), amount);
        _premium = premium;
        TestToken(asset).mint(address(this), premium);
        TestToken(asset).approve(msg.sender, amount + premium);
        return _answer;
    }

    function test_premiumGoesToTheProtocol() public {
        take(lender, usdc, 1_000e6);
        uint256 index = pool.getReserveNormalizedIncome(address(usdc));
        uint256 before = pool.getVirtualUnderlyingBalance(address(usdc));
        vm.expectEmit(true, true, true, true, address(pool));
        emit LendingPool.FlashLoan(address(this), address(this), address(usdc), 1_000_001, 0, 501, 7);
        pool.flashLoanSimple(address(this), address(usdc), 1_000_001, "params", 7);
        vm.assertEq(_premium, 501, "rounded up");
        vm.assertEq(pool.getVirtualUnderlyingBalance(address(usdc)), before + 501);
        vm.assertEq(pool.getReserveData(address(usdc)).accruedToTreasury, 501);
        vm.assertEq(pool.getReserveNormalizedIncome(address(usdc)), index, "depositors' index is not moved");
    }

    function test_refusals() public {
        vm.expectRevert(Errors.InvalidAmount.selector);
        pool.flashLoanSimple(address(this), address(usdc), 0, "params", 0);
        vm.expectRevert(Errors.InvalidAmount.selector);
        pool.flashLoanSimple(address(this), address(usdc), 200_000_001e6, "params", 0);
        _answer = false;
        vm.expectRevert(Errors.InvalidFlashloanExecutorReturn.selector);
        pool.flashLoanSimple(address(this), address(usdc), 1e6, "params", 0);
        ReserveConfig.Settings memory s = settings(7500, 7800, 10450, 1000);
        s.flashLoans = false;
        vm.startPrank(admin);
        pool.configureReserve(address(usdc), s);
        vm.expectRevert(Errors.FlashloanDisabled.selector);
        pool.flashLoanSimple(address(this), address(usdc), 1e6, "params", 0);
        vm.expectRevert(Errors.InvalidReserveParams.selector);
        pool.setFlashLoanPremium(10_001);
    }
}
