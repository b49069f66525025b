// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {DebtToken} from "../../src/reference/DebtToken.sol";
import {TestToken} from "../../src/reference/TestToken.sol";
import {Market} from "./Market.sol";

/// @title Makes unhealthy accounts of every shape, and works out what a liquidation may take
/// @dev The expectations are written out here from the rules in words; they share no code with the contracts.
abstract contract RandomPosition is Market {
    TestToken[4] internal tokens;

    struct Seen {
        TestToken collateral;
        TestToken debt;
        uint256 owedRaw;
        uint256 heldRaw;
        uint256 debtPrice;
        uint256 collateralPrice;
        uint256 debtUnit;
        uint256 collateralUnit;
        uint256 collateralBase;
        uint256 debtBase;
        uint256 healthWad;
        uint256 bonusBps;
        uint256 thresholdBps;
        uint256 feeBps;
    }

    function setUp() public virtual override {
        super.setUp();
        tokens = [weth, wbtc, usdc, dai];
        // Lent-out reserves and a year of interest move every index away from one, where roundings would not show.
        for (uint256 i = 0; i < 4; ++i) {
            take(lender, tokens[i], pool.getVirtualUnderlyingBalance(address(tokens[i])) / 4);
        }
        vm.warp(block.timestamp + 365 days);
    }

    /// @dev One or two collaterals and one or two debts, worth from 300 to 3,000,000 dollars, weeks of interest,
    /// and a fall that leaves the health factor between about 0.55 and 1.
    function makePosition(uint256 seed) internal returns (Seen memory s) {
        uint256 first = draw(seed, 1) % 4;
        uint256 valueUsd = 300 * 10 ** (draw(seed, 2) % 5);
        valueUsd += draw(seed, 3) % valueUsd;
        putIn(tokens[first], valueUsd, seed);
        if (draw(seed, 4) % 2 == 0) putIn(tokens[(first + 1) % 4], valueUsd / 3 + 1, seed >> 1);

        uint256 other = (first + 2 + draw(seed, 5) % 2) % 4;
        (,, uint256 mayBorrowBase,,,) = pool.getUserAccountData(borrower);
        uint256 shareBps = 9000 + draw(seed, 6) % 1000;
        bool two = draw(seed, 7) % 2 == 0;
        borrowWorth(tokens[other], mayBorrowBase * shareBps / 10_000 / (two ? 3 : 1));
        if (two) borrowWorth(tokens[(other + 1) % 4], mayBorrowBase * shareBps / 15_000);

        vm.warp(block.timestamp + draw(seed, 8) % 60 days);
        uint256 keptBps = 5500 + draw(seed, 9) % 4300;
        setPrice(address(tokens[first]), int256(oracle.getAssetPrice(address(tokens[first])) * keptBps / 10_000));
        vm.assume(health(borrower) < 1e18);
        fundLiquidator(tokens[other]);
        return look(tokens[first], tokens[other]);
    }

    function look(TestToken collateral, TestToken debt) internal view returns (Seen memory s) {
        (s.collateral, s.debt) = (collateral, debt);
        (s.owedRaw, s.heldRaw) = (debtOf(debt, borrower), supplyOf(collateral, borrower));
        (s.debtPrice, s.collateralPrice) =
        (oracle.getAssetPrice(address(debt)), oracle.getAssetPrice(address(collateral)));
        (s.debtUnit, s.collateralUnit) = (10 ** debt.decimals(), 10 ** collateral.decimals());
        (s.collateralBase, s.debtBase,,,, s.healthWad) = pool.getUserAccountData(borrower);
        uint256 word = pool.getConfiguration(address(collateral));
        (s.thresholdBps, s.bonusBps, s.feeBps) = (word >> 16 & 0xFFFF, word >> 32 & 0xFFFF, word >> 152 & 0xFFFF);
    }

    function draw(uint256 seed, uint256 salt) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, salt)));
    }

    /// @dev What repaying `repayRaw` takes and gives: the fair price, the bonus, the cap, the protocol's share.
    function expected(Seen memory s, uint256 repayRaw)
        internal
        pure
        returns (uint256 repaidRaw, uint256 seizedRaw, uint256 feeRaw)
    {
        uint256 total = s.debtPrice * repayRaw * s.collateralUnit / (s.collateralPrice * s.debtUnit);
        total = (total * s.bonusBps + 5000) / 10_000;
        repaidRaw = repayRaw;
        if (total > s.heldRaw) {
            total = s.heldRaw;
            uint256 worth = s.collateralPrice * total * s.debtUnit / (s.debtPrice * s.collateralUnit);
            repaidRaw = (worth * 10_000 + s.bonusBps - 1) / s.bonusBps;
        }
        uint256 bonus = total - (total * 10_000 + s.bonusBps / 2) / s.bonusBps;
        feeRaw = (bonus * s.feeBps + 5000) / 10_000;
        seizedRaw = total - feeRaw;
    }

    /// @dev Under the tiered policy: whether both sides stay open and one is worth less than a thousand.
    function isDust(Seen memory s, uint256 repayRaw) internal pure returns (bool) {
        (uint256 repaidRaw, uint256 seizedRaw, uint256 feeRaw) = expected(s, repayRaw);
        uint256 goneRaw = seizedRaw + feeRaw;
        if (repaidRaw >= s.owedRaw || goneRaw >= s.heldRaw) return false;
        if ((s.heldRaw - goneRaw) * s.collateralPrice < 1000e8 * s.collateralUnit) return true;
        uint256 leftBase = ((s.owedRaw - repaidRaw) * s.debtPrice + s.debtUnit - 1) / s.debtUnit;
        return leftBase < 1000e8;
    }

    /// @dev Calls with `coverRaw` on a copy of the world, and returns what moved, or the revert's selector.
    function tryLiquidate(Seen memory s, uint256 coverRaw)
        internal
        returns (bytes4 refused, uint256 repaidRaw, uint256 seizedRaw)
    {
        uint256 world = vm.snapshotState();
        (uint256 debtBefore, uint256 heldBefore) = (s.debt.balanceOf(liquidator), s.collateral.balanceOf(liquidator));
        vm.prank(liquidator);
        try pool.liquidationCall(address(s.collateral), address(s.debt), borrower, coverRaw, false) {
            repaidRaw = debtBefore - s.debt.balanceOf(liquidator);
            seizedRaw = s.collateral.balanceOf(liquidator) - heldBefore;
        } catch (bytes memory reason) {
            refused = bytes4(reason);
        }
        vm.assertTrue(vm.revertToState(world));
    }

    /// @dev Shares the account keeps when `repayRaw` is repaid: what is taken rounds up, what is repaid rounds down,
    /// and the fee takes what is left when it does not fit.
    function scaledAfter(Seen memory s, uint256 repayRaw) internal view returns (uint256 collateral, uint256 debt) {
        if (repayRaw > s.owedRaw) repayRaw = s.owedRaw;
        (uint256 repaidRaw, uint256 seizedRaw, uint256 feeRaw) = expected(s, repayRaw);
        uint256 index = pool.getReserveNormalizedIncome(address(s.collateral));
        collateral = aTokenOf(s.collateral).scaledBalanceOf(borrower) - (seizedRaw * 1e27 + index - 1) / index;
        uint256 fee = (feeRaw * 1e27 + index - 1) / index;
        collateral -= fee < collateral ? fee : collateral;
        index = pool.getReserveNormalizedVariableDebt(address(s.debt));
        debt = debtTokenOf(s.debt).scaledBalanceOf(borrower) - repaidRaw * 1e27 / index;
    }

    function checkSharesAfter(Seen memory s, uint256 repayRaw) private {
        uint256 world = vm.snapshotState();
        (uint256 collateral, uint256 debt) = scaledAfter(s, repayRaw);
        liquidate(s.collateral, s.debt, repayRaw);
        if (pool.getReserveDeficit(address(s.debt)) != 0) debt = 0; // what was left has been written off
        vm.assertEq(aTokenOf(s.collateral).scaledBalanceOf(borrower), collateral, "collateral shares");
        vm.assertEq(debtTokenOf(s.debt).scaledBalanceOf(borrower), debt, "debt shares");
        vm.assertTrue(pool.getUserConfiguration(borrower) >> (2 * id(s.debt)) & 1 == (debt == 0 ? 0 : 1), "debt flag");
        vm.assertTrue(vm.revertToState(world));
    }

    function id(TestToken token) private view returns (uint256) {
        return pool.getReserveData(address(token)).id;
    }

    function debtTokenOf(TestToken token) private view returns (DebtToken) {
        return DebtToken(pool.getReserveData(address(token)).variableDebtTokenAddress);
    }

    /// @dev The largest amount the rule allows passes and takes what it should; a unit more is cut to the same.
    function checkMaximum(Seen memory s, uint256 maxRaw) internal {
        (uint256 wantRepaid, uint256 wantSeized,) = expected(s, maxRaw);
        uint256[3] memory covers = [maxRaw, maxRaw + 1, MAX];
        checkSharesAfter(s, maxRaw);
        for (uint256 i = 0; i < 3; ++i) {
            (bytes4 refused, uint256 repaidRaw, uint256 seizedRaw) = tryLiquidate(s, covers[i]);
            vm.assertEq(bytes32(refused), bytes32(0));
            vm.assertEq(repaidRaw, wantRepaid, "repaid");
            vm.assertEq(seizedRaw, wantSeized, "seized");
        }
    }

    function putIn(TestToken token, uint256 valueUsd, uint256 seed) private {
        uint256 raw = valueUsd * 1e8 * 10 ** token.decimals() / oracle.getAssetPrice(address(token));
        deposit(borrower, token, raw + seed % 1000 + 1);
    }

    function borrowWorth(TestToken token, uint256 valueBase) private {
        take(borrower, token, valueBase * 10 ** token.decimals() / oracle.getAssetPrice(address(token)));
    }
}
