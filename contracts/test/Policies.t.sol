// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {CloseFactor} from "../src/reference/libraries/CloseFactor.sol";
import {Errors} from "../src/reference/libraries/Errors.sol";
import {RandomPosition} from "./support/RandomPosition.sol";

/// @title The four close-factor policies, on random unhealthy accounts
contract PoliciesTest is RandomPosition {
    uint256 private constant TARGET_WAD = 1.05e18;

    /// @dev Binary: the whole debt, whatever the health.
    function testFuzz_binaryTakesTheWholeDebt(uint256 seed) public {
        Seen memory s = makePosition(seed);
        setPolicy(CloseFactor.Policy.BINARY);
        checkMaximum(s, s.owedRaw);
    }

    /// @dev Fixed share: half of the debt, rounded half up, whatever the health.
    function testFuzz_fixedShareTakesHalf(uint256 seed) public {
        Seen memory s = makePosition(seed);
        setPolicy(CloseFactor.Policy.FIXED_SHARE);
        checkMaximum(s, (s.owedRaw * 5000 + 5000) / 10_000);
    }

    /// @dev Tiered: half of all debts while both sides are worth 2,000 and the health is above 0.95, else all of it;
    /// refused when it would leave less than a thousand on either side.
    function testFuzz_tieredTakesHalfOfAllOrAllOfOne(uint256 seed) public {
        Seen memory s = makePosition(seed);
        setPolicy(CloseFactor.Policy.TIERED);
        uint256 maxRaw = tieredMax(s);
        if (!isDust(s, maxRaw)) return checkMaximum(s, maxRaw);
        (bytes4 refused,,) = tryLiquidate(s, MAX);
        vm.assertEq(bytes32(refused), bytes32(Errors.MustNotLeaveDust.selector));
        (refused,,) = tryLiquidate(s, maxRaw);
        vm.assertEq(bytes32(refused), bytes32(Errors.MustNotLeaveDust.selector));
    }

    /// @dev Tiered: the largest amount that leaves a thousand on both sides passes, and one unit more is refused.
    function testFuzz_tieredRefusesOneUnitBeyondTheDustLine(uint256 seed) public {
        Seen memory s = makePosition(seed);
        setPolicy(CloseFactor.Policy.TIERED);
        (uint256 low, uint256 high) = (1, tieredMax(s));
        if (!isDust(s, high)) high -= 1;
        vm.assume(isDust(s, high) && !isDust(s, low));
        while (high - low > 1) {
            uint256 middle = (low + high) / 2;
            if (isDust(s, middle)) high = middle;
            else low = middle;
        }
        (bytes4 refused, uint256 repaidRaw,) = tryLiquidate(s, low);
        // A fraction of the debt that is worth less than one scaled unit cannot be burnt at all.
        vm.assume(refused != Errors.InvalidBurnAmount.selector);
        vm.assertEq(bytes32(refused), bytes32(0));
        vm.assertEq(repaidRaw, low);
        (refused,,) = tryLiquidate(s, high);
        vm.assertEq(bytes32(refused), bytes32(Errors.MustNotLeaveDust.selector));
    }

    /// @dev Dynamic: what brings the health to the target, or the whole debt where nothing can.
    function testFuzz_dynamicTakesWhatRestoresTheTarget(uint256 seed) public {
        Seen memory s = makePosition(seed);
        setPolicy(CloseFactor.Policy.DYNAMIC);
        checkMaximum(s, dynamicMax(s));
    }

    /// @dev Paid in deposit tokens, the liquidator receives whole shares, rounded up, and the pool pays out nothing.
    function testFuzz_depositTokensRoundUp(uint256 seed) public {
        Seen memory s = makePosition(seed);
        (, uint256 seizedRaw,) = expected(s, s.owedRaw);
        uint256 index = pool.getReserveNormalizedIncome(address(s.collateral));
        uint256 available = pool.getVirtualUnderlyingBalance(address(s.collateral));
        vm.prank(liquidator);
        pool.liquidationCall(address(s.collateral), address(s.debt), borrower, MAX, true);
        vm.assertEq(aTokenOf(s.collateral).scaledBalanceOf(liquidator), (seizedRaw * 1e27 + index - 1) / index);
        vm.assertEq(pool.getVirtualUnderlyingBalance(address(s.collateral)), available);
    }

    /// @dev Dynamic: after the largest repayment the health is the target, to the granularity of a unit.
    function testFuzz_dynamicReachesTheTarget(uint256 seed) public {
        Seen memory s = makePosition(seed);
        setPolicy(CloseFactor.Policy.DYNAMIC);
        uint256 maxRaw = dynamicMax(s);
        (uint256 repaidRaw,,) = expected(s, maxRaw);
        vm.assume(maxRaw < s.owedRaw && repaidRaw == maxRaw);
        liquidate(s.collateral, s.debt, MAX);
        // A unit of bitcoin is worth 0.0004 dollars, and the smallest account here owes about 70.
        vm.assertApproxEqAbs(health(borrower), TARGET_WAD, 5e13, "health after");
    }

    /// @dev Tiered: the edges themselves. At 0.95 all may be closed, above it half; a debt that is exactly half of all
    /// debts may be closed to the last unit; at 2,000 an account is large, one unit below it is small.
    function test_tieredEdges() public pure {
        CloseFactor.Pair memory p;
        (p.debtRaw, p.debtPrice, p.debtUnit) = (4e18 + 1, 2000e8, 1e18);
        (p.collateralRaw, p.collateralPrice, p.collateralUnit) = (9000e6, 1e8, 1e6);
        uint256 debtBase = 8000e8 + 1;
        vm.assertEq(CloseFactor.maxRepay(CloseFactor.Policy.TIERED, p, debtBase, 0.95e18), p.debtRaw);
        vm.assertEq(CloseFactor.maxRepay(CloseFactor.Policy.TIERED, p, debtBase, 0.95e18 + 1), 2e18 + 5e6);
        vm.assertEq(CloseFactor.maxRepay(CloseFactor.Policy.TIERED, p, 2 * debtBase, 0.99e18), p.debtRaw);
        vm.assertLt(CloseFactor.maxRepay(CloseFactor.Policy.TIERED, p, 2 * debtBase - 2, 0.99e18), p.debtRaw, "half");
        p.collateralRaw = 2000e6;
        vm.assertLt(CloseFactor.maxRepay(CloseFactor.Policy.TIERED, p, debtBase, 0.99e18), p.debtRaw, "large");
        p.collateralRaw = 2000e6 - 1;
        vm.assertEq(CloseFactor.maxRepay(CloseFactor.Policy.TIERED, p, debtBase, 0.99e18), p.debtRaw);
    }

    /// @dev Dynamic: what a collateral of 77 % by 104 % gives up cannot heal an account that is worse than that.
    function test_dynamicEdges() public pure {
        CloseFactor.Pair memory p;
        (p.debtRaw, p.debtPrice, p.debtUnit) = (1000e6, 1e8, 1e6);
        (p.thresholdBps, p.bonusBps) = (7700, 10_400);
        vm.assertEq(CloseFactor.maxRepay(CloseFactor.Policy.DYNAMIC, p, 1000e8, 0.8008e18), p.debtRaw);
        vm.assertEq(CloseFactor.maxRepay(CloseFactor.Policy.DYNAMIC, p, 1000e8, 0.1e18), p.debtRaw);
        // 1000 * (1.05 - 0.99) / (1.05 - 0.8008) = 240.770465...
        vm.assertEq(CloseFactor.maxRepay(CloseFactor.Policy.DYNAMIC, p, 1000e8, 0.99e18), 240_770_466);
        (p.thresholdBps, p.bonusBps) = (10_000, 10_500);
        vm.assertEq(CloseFactor.maxRepay(CloseFactor.Policy.DYNAMIC, p, 1000e8, 0.99e18), p.debtRaw);
    }

    function test_dynamicLeavesAHealthyRest() public {
        makeUnhealthy(1800e8);
        fundLiquidator(usdc);
        setPolicy(CloseFactor.Policy.DYNAMIC);
        liquidate(weth, usdc, MAX);
        vm.assertApproxEqAbs(health(borrower), TARGET_WAD, 1e10, "health after");
        vm.expectRevert(Errors.HealthFactorNotBelowThreshold.selector);
        liquidate(weth, usdc, MAX);
    }

    function tieredMax(Seen memory s) private pure returns (uint256) {
        uint256 owedBase = (s.owedRaw * s.debtPrice + s.debtUnit - 1) / s.debtUnit;
        bool large = owedBase >= 2000e8 && s.heldRaw * s.collateralPrice / s.collateralUnit >= 2000e8;
        uint256 halfBase = (s.debtBase * 5000 + 5000) / 10_000;
        if (!large || s.healthWad <= 0.95e18 || owedBase <= halfBase) return s.owedRaw;
        return halfBase * s.debtUnit / s.debtPrice;
    }

    function dynamicMax(Seen memory s) private pure returns (uint256) {
        uint256 c = s.thresholdBps * s.bonusBps * 1e10;
        if (s.healthWad <= c || c >= TARGET_WAD) return s.owedRaw;
        uint256 gap = TARGET_WAD - c;
        uint256 needBase = (s.debtBase * (TARGET_WAD - s.healthWad) + gap - 1) / gap;
        uint256 needRaw = (needBase * s.debtUnit + s.debtPrice - 1) / s.debtPrice;
        return needRaw < s.owedRaw ? needRaw : s.owedRaw;
    }
}
