// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {LendingPool} from "../src/reference/LendingPool.sol";
import {TestToken} from "../src/reference/TestToken.sol";
import {CloseFactor} from "../src/reference/libraries/CloseFactor.sol";
import {Errors} from "../src/reference/libraries/Errors.sol";
import {Market} from "./support/Market.sol";

/// @title The order of the checks, and what a liquidation leaves behind
contract LiquidationTest is Market {
    function refused(TestToken collateral, TestToken debt, uint256 coverRaw, bytes4 reason) private {
        vm.prank(liquidator);
        vm.expectRevert(reason);
        pool.liquidationCall(address(collateral), address(debt), borrower, coverRaw, false);
    }

    function test_checksInOrder() public {
        makeUnhealthy(1700e8);
        fundLiquidator(usdc);
        vm.prank(borrower);
        vm.expectRevert(Errors.SelfLiquidation.selector);
        pool.liquidationCall(address(weth), address(usdc), borrower, 1, false);

        vm.prank(admin);
        pool.setReserveStatus(address(weth), true, false, true);
        vm.prank(admin);
        pool.setReserveStatus(address(usdc), false, false, false);
        refused(weth, usdc, 1, Errors.ReserveInactive.selector);
        vm.prank(admin);
        pool.setReserveStatus(address(usdc), true, false, false);
        refused(weth, usdc, 1, Errors.ReservePaused.selector);
        vm.prank(admin);
        pool.setReserveStatus(address(weth), true, true, false); // frozen is no obstacle

        setPrice(address(weth), 2000e8);
        refused(dai, dai, 1, Errors.HealthFactorNotBelowThreshold.selector);
        setPrice(address(weth), 1700e8);
        refused(dai, dai, 1, Errors.CollateralCannotBeLiquidated.selector);
        refused(weth, dai, 1, Errors.SpecifiedCurrencyNotBorrowedByUser.selector);
        refused(weth, usdc, 0, Errors.InvalidBurnAmount.selector);
    }

    function test_aUnitWorthNoCollateralIsRefused() public {
        deposit(borrower, wbtc, 1e8);
        take(borrower, dai, 29_000e18);
        setPrice(address(wbtc), 36_000e8);
        fundLiquidator(dai);
        refused(wbtc, dai, 1, Errors.InvalidBurnAmount.selector);
    }

    function test_eventNamesWhatMoved() public {
        makeUnhealthy(1700e8);
        fundLiquidator(usdc);
        // 1,000 dollars buy 0.588... ether; 5 % bonus, of which the protocol keeps a tenth.
        uint256 total = (uint256(1_000e18) / 1700 * 10500 + 5000) / 10000;
        uint256 fee = ((total - (total * 10000 + 5250) / 10500) * 1000 + 5000) / 10000;
        vm.expectEmit(true, true, true, true, address(pool));
        emit LendingPool.LiquidationCall(
            address(weth), address(usdc), borrower, 1_000e6, total - fee, liquidator, false
        );
        (uint256 repaid, uint256 seized) = measured(weth, usdc, 1_000e6);
        vm.assertEq(repaid, 1_000e6);
        vm.assertEq(seized, total - fee);
        vm.assertEq(supplyOf(weth, treasury), fee);
        vm.assertEq(supplyOf(weth, borrower), 10e18 - total);
    }

    function test_depositTokensInsteadOfTheUnderlying() public {
        makeUnhealthy(1700e8);
        fundLiquidator(usdc);
        vm.prank(liquidator);
        pool.liquidationCall(address(weth), address(usdc), borrower, 1_000e6, true);
        vm.assertEq(weth.balanceOf(liquidator), 0);
        vm.assertGt(supplyOf(weth, liquidator), 0.6e18, "deposit tokens");
        vm.assertEq(pool.getUserConfiguration(liquidator), 0, "no collateral by itself");
    }

    function test_lentOutCollateralPanicsUnlessTakenAsDeposit() public {
        makeUnhealthy(1700e8);
        fundLiquidator(usdc);
        address whale = address(0x3A1E);
        deposit(whale, usdc, 400_000_000e6);
        take(whale, weth, pool.getVirtualUnderlyingBalance(address(weth)));
        vm.prank(liquidator);
        vm.expectRevert(PANIC_ARITHMETIC);
        pool.liquidationCall(address(weth), address(usdc), borrower, 1_000e6, false);
        vm.prank(liquidator);
        pool.liquidationCall(address(weth), address(usdc), borrower, 1_000e6, true);
        vm.assertGt(supplyOf(weth, liquidator), 0.6e18, "deposit tokens");
    }

    function test_withoutCollateralTheTieredPolicyWritesOffEveryDebt() public {
        deposit(borrower, weth, 10e18);
        take(borrower, usdc, 9_000e6);
        take(borrower, dai, 6_000e18);
        setPrice(address(weth), 800e8);
        fundLiquidator(usdc);
        setPolicy(CloseFactor.Policy.TIERED);
        vm.expectEmit(true, true, true, true, address(pool));
        emit LendingPool.DeficitCreated(borrower, address(dai), 6_000e18);
        (uint256 repaid,) = measured(weth, usdc, MAX);
        vm.assertLt(repaid, 9_000e6, "the collateral limits it");
        vm.assertEq(debtOf(usdc, borrower) + debtOf(dai, borrower), 0);
        vm.assertEq(pool.getReserveDeficit(address(usdc)), 9_000e6 - repaid);
        vm.assertEq(pool.getReserveDeficit(address(dai)), 6_000e18);
        vm.assertEq(pool.getUserConfiguration(borrower), 0);
    }

    /// @dev What was written off still belongs to depositors, but earns nothing: nobody pays interest on it.
    function test_aWrittenOffDebtEarnsNothing() public {
        deposit(lender, weth, 100e18);
        take(lender, dai, 1_000_000e18);
        deposit(borrower, weth, 50_000e18);
        take(borrower, dai, 79_000_000e18);
        setPrice(address(weth), 100e8);
        fundLiquidator(dai);
        setPolicy(CloseFactor.Policy.TIERED);
        liquidate(weth, dai, MAX);
        vm.assertGt(pool.getReserveDeficit(address(dai)), 70_000_000e18, "written off");
        uint256 supplied = aTokenOf(dai).totalSupply();
        uint256 owed = debtOf(dai, lender);
        vm.warp(block.timestamp + 365 days);
        uint256 earned = aTokenOf(dai).totalSupply() - supplied;
        vm.assertLe(earned, (debtOf(dai, lender) - owed) * 9 / 10, "earned");
    }

    function test_otherPoliciesLeaveTheDebtStanding() public {
        makeUnhealthy(800e8);
        fundLiquidator(usdc);
        (uint256 repaid,) = measured(weth, usdc, MAX);
        vm.assertEq(debtOf(usdc, borrower), 15_000e6 - repaid);
        vm.assertEq(supplyOf(weth, borrower), 0);
        vm.assertEq(pool.getReserveDeficit(address(usdc)), 0);
        vm.assertEq(health(borrower), 0);
    }

    function test_oneTokenOnBothSides() public {
        deposit(borrower, weth, 10e18);
        take(borrower, weth, 7.9e18);
        vm.warp(block.timestamp + 365 days);
        vm.assertLt(health(borrower), 1e18, "unhealthy by interest alone");
        fundLiquidator(weth);
        uint256 before = weth.balanceOf(liquidator);
        liquidate(weth, weth, 1e18);
        vm.assertEq(weth.balanceOf(liquidator), before + 0.045e18);
    }

    function test_withoutAPriceNothingIsLiquidated() public {
        makeUnhealthy(1700e8);
        setPrice(address(weth), 0);
        vm.prank(liquidator);
        vm.expectRevert(abi.encodeWithSelector(Errors.NoPrice.selector, address(weth)));
        pool.liquidationCall(address(weth), address(usdc), borrower, 1, false);
    }
}
