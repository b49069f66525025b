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
