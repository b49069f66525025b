// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AToken} from "../src/reference/AToken.sol";
import {DebtToken} from "../src/reference/DebtToken.sol";
import {PoolBase} from "../src/reference/PoolBase.sol";
import {PriceFeed} from "../src/reference/PriceFeed.sol";
import {TestToken} from "../src/reference/TestToken.sol";
import {Market} from "./support/Market.sol";
import {PoolActors} from "./support/PoolActors.sol";
import {InvariantTest, Test} from "./support/Vm.sol";

/// @title The pool stays solvent and its books agree, whatever its users do
contract PoolInvariantsTest is Market, InvariantTest {
    PoolActors private _actors;
    TestToken[4] private _tokens;

    function setUp() public override {
        super.setUp();
        _tokens = [weth, wbtc, usdc, dai];
        PriceFeed[4] memory all;
        for (uint256 i = 0; i < 4; ++i) {
            all[i] = feeds[address(_tokens[i])];
        }
        _actors = new PoolActors(pool, admin, _tokens, all);
        _target(address(_actors));
    }

    /// @dev What the pool holds, is owed and has written off covers what it owes to depositors and the treasury. Each
    /// rounding favours the pool, except that an index is rounded to the nearest ray: less than a unit of any token.
    function invariant_solvent() public view {
        for (uint256 i = 0; i < 4; ++i) {
            address asset = address(_tokens[i]);
            PoolBase.ReserveData memory r = pool.getReserveData(asset);
            uint256 has = uint256(pool.getVirtualUnderlyingBalance(asset)) + pool.getReserveDeficit(asset)
                + DebtToken(r.variableDebtTokenAddress).totalSupply();
            uint256 accrued = uint256(r.accruedToTreasury) * pool.getReserveNormalizedIncome(asset) / 1e27;
            vm.assertGe(has + 1, AToken(r.aTokenAddress).totalSupply() + accrued, "solvency");
        }
    }

    /// @dev What the pool counts is what its deposit token really holds.
    function invariant_countedBalanceIsHeld() public view {
        for (uint256 i = 0; i < 4; ++i) {
            uint256 counted = pool.getVirtualUnderlyingBalance(address(_tokens[i]));
            vm.assertEq(_tokens[i].balanceOf(address(aTokenOf(_tokens[i]))), counted);
        }
    }

    /// @dev Every share belongs to somebody, a debt flag stands exactly where there is debt, and no collateral flag
    /// stands over nothing.
    function invariant_booksAgree() public view {
        for (uint256 i = 0; i < 4; ++i) {
            PoolBase.ReserveData memory r = pool.getReserveData(address(_tokens[i]));
            (AToken aToken, DebtToken debt) = (AToken(r.aTokenAddress), DebtToken(r.variableDebtTokenAddress));
            uint256 supplied = aToken.scaledBalanceOf(lender) + aToken.scaledBalanceOf(treasury);
            uint256 owed;
            for (uint256 j = 0; j < 5; ++j) {
                address actor = _actors.actors(j);
                uint256 flags = pool.getUserConfiguration(actor) >> (2 * i);
                supplied += aToken.scaledBalanceOf(actor);
                owed += debt.scaledBalanceOf(actor);
                vm.assertTrue((flags & 1 != 0) == (debt.scaledBalanceOf(actor) != 0), "debt flag");
                if (flags & 2 != 0) vm.assertGt(aToken.scaledBalanceOf(actor), 0, "collateral flag");
            }
            vm.assertEq(supplied, aToken.scaledTotalSupply(), "deposits");
            vm.assertEq(owed, debt.scaledTotalSupply(), "debts");
        }
    }

    /// @dev The interest promised to depositors in a year is at most what borrowers pay, also after a write-off.
    function invariant_interestIsBacked() public view {
        for (uint256 i = 0; i < 4; ++i) {
            PoolBase.ReserveData memory r = pool.getReserveData(address(_tokens[i]));
            uint256 promised =
                AToken(r.aTokenAddress).scaledTotalSupply() * r.liquidityIndex / 1e27 * r.currentLiquidityRate / 1e27;
            uint256 paid = DebtToken(r.variableDebtTokenAddress).scaledTotalSupply() * r.variableBorrowIndex / 1e27
                * r.currentVariableBorrowRate / 1e27;
            vm.assertLe(promised, paid * 9 / 10 + 1, "interest");
        }
    }

    /// @dev A fixed game that uses every action, to show that the random one can.
    function test_everyActionCanHappen() public {
        _actors.supply(0, 0, 99_999);
        _actors.supply(1, 2, 99_998);
        _actors.borrow(0, 2, 5000);
        _actors.pass(20 days);
        _actors.flash(2, 10);
        _actors.transferDeposit(1, 2, 2, 10);
        _actors.flag(2, 2, true);
        _actors.repay(0, 2, 1);
        _actors.withdraw(1, 2, 3);
        _actors.movePrice(0, 3000);
        _actors.liquidate(3, 0, 8, 2, false);
        _actors.payTreasury(2);
        bytes4[9] memory all = [
            pool.supply.selector,
            pool.withdraw.selector,
            pool.borrow.selector,
            pool.repay.selector,
            pool.liquidationCall.selector,
            AToken.transfer.selector,
            pool.setUserUseReserveAsCollateral.selector,
            pool.flashLoanSimple.selector,
            pool.mintToTreasury.selector
        ];
        for (uint256 i = 0; i < all.length; ++i) {
            vm.assertGt(_actors.passed(all[i]), 0, "an action never passed");
        }
        invariant_solvent();
        invariant_countedBalanceIsHeld();
        invariant_booksAgree();
    }
}
