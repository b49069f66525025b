// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IFlashLoanSimpleReceiver, ILiquidationPool} from "../src/interfaces/ILiquidationPool.sol";
import {AToken} from "../src/reference/AToken.sol";
import {LendingPool} from "../src/reference/LendingPool.sol";
import {PriceFeed} from "../src/reference/PriceFeed.sol";
import {PriceOracle} from "../src/reference/PriceOracle.sol";
import {PoolBase} from "../src/reference/PoolBase.sol";
import {ScaledToken} from "../src/reference/ScaledToken.sol";
import {SwapPair} from "../src/reference/SwapPair.sol";
import {Errors} from "../src/reference/libraries/Errors.sol";
import {CloseFactor} from "../src/reference/libraries/CloseFactor.sol";
import {Reserves} from "../src/reference/libraries/Reserves.sol";
import {Market} from "./support/Market.sol";

/// @title The bundled market answers to the names the real protocols use
contract SurfaceTest is Market {
    function same(bytes4 left, bytes4 right) private pure {
        vm.assertEq(bytes32(left), bytes32(right));
    }

    function test_selectors() public pure {
        same(LendingPool.liquidationCall.selector, 0x00a718a9);
        same(ILiquidationPool.liquidationCall.selector, 0x00a718a9);
        same(ILiquidationPool.flashLoanSimple.selector, 0x42b0b77c);
        same(LendingPool.flashLoanSimple.selector, 0x42b0b77c);
        same(IFlashLoanSimpleReceiver.executeOperation.selector, 0x1b11d0ff);
        same(PoolBase.getUserAccountData.selector, 0xbf92857c);
        same(PoolBase.POOL_REVISION.selector, 0x0148170e);
        same(PoolBase.getReserveData.selector, 0x35ea6a75);
        same(PoolBase.getReservesList.selector, 0xd1946dbc);
        same(PoolBase.getUserConfiguration.selector, 0x4417a583);
        same(LendingPool.supply.selector, 0x617ba037);
        same(LendingPool.withdraw.selector, 0x69328dec);
        same(LendingPool.borrow.selector, 0xa415bcad);
        same(LendingPool.repay.selector, 0x573ade81);
        same(LendingPool.setUserUseReserveAsCollateral.selector, 0x5a3b74b9);
        same(PriceOracle.getAssetPrice.selector, 0xb3596f07);
        same(PriceFeed.latestRoundData.selector, 0xfeaf968c);
        same(PriceFeed.latestAnswer.selector, 0x50d25bcd);
    }

    function test_errorSelectors() public pure {
        same(Errors.SelfLiquidation.selector, 0x44511af1);
        same(Errors.ReserveInactive.selector, 0x90cd6f24);
        same(Errors.ReservePaused.selector, 0xd37f5f1c);
        same(Errors.HealthFactorNotBelowThreshold.selector, 0x930bb771);
        same(Errors.CollateralCannotBeLiquidated.selector, 0x979b5ce8);
        same(Errors.SpecifiedCurrencyNotBorrowedByUser.selector, 0x3653732b);
        same(Errors.MustNotLeaveDust.selector, 0xb629b0e4);
        same(Errors.InvalidBurnAmount.selector, 0x2075cc10);
    }

    function test_eventTopics() public pure {
        vm.assertEq(
            LendingPool.LiquidationCall.selector, 0xe413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286
        );
        vm.assertEq(
            Reserves.ReserveDataUpdated.selector, 0x804c9b842b2748a22bb64b345453a3de7ca54a6ca45ce00d415894979e22897a
        );
        vm.assertEq(LendingPool.Borrow.selector, 0xb3d084820fb1a9decffb176436bd02558d15fac9b0ddfed8c465bc7359d7dce0);
        vm.assertEq(LendingPool.Repay.selector, 0xa534c8dbe71f871f9f3530e97a74601fea17b426cae02e1c5aee42c96c784051);
        vm.assertEq(LendingPool.Supply.selector, 0x2b627736bca15cd5381dcf80b0bf11fd197d01a037c52b927a881a10fb73ba61);
        vm.assertEq(LendingPool.Withdraw.selector, 0x3115d1449a7b732c986cba18244e897a450f61e1bb8d589cd2e69e6c8924f9f7);
        vm.assertEq(
            LendingPool.DeficitCreated.selector, 0x2bccfb3fad376d59d7accf970515eb77b2f27b082c90ed0fb15583dd5a942699
        );
        vm.assertEq(
            LendingPool.ReserveUsedAsCollateralEnabled.selector,
            0x00058a56ea94653cdf4f152d227ace22d4c00ad99e2a43f58cb7d9e3feb295f2
        );
        vm.assertEq(
            LendingPool.ReserveUsedAsCollateralDisabled.selector,
            0x44c58d81365b66dd4b1a7f36c25aa97b8c71c361ee4937adc1a00000227db5dd
        );
        vm.assertEq(AToken.BalanceTransfer.selector, 0x4beccb90f994c31aced7a23b5611020728a23d8ec5cddd1a3e9d97b96fda8666);
        vm.assertEq(ScaledToken.Mint.selector, 0x458f5fa412d0f69b08dd84872b0215675cc67bc1d5b6fd93300a1c3878b86196);
        vm.assertEq(ScaledToken.Burn.selector, 0x4cf25bc1d991c17529c25213d3cc0cda295eeaad5f13f361969b12ea48015f90);
        vm.assertEq(
            PriceFeed.AnswerUpdated.selector, 0x0559884fd3a460db3073b7fc896cc77986f16e378210ded43186175bf646fc5f
        );
        vm.assertEq(SwapPair.Sync.selector, 0x1c411e9a96e071241c2f21f7726b17ae89e3cab4c78be50e062b03a9fffbbad1);
        vm.assertEq(
            LendingPool.FlashLoan.selector, keccak256("FlashLoan(address,address,address,uint256,uint8,uint256,uint16)")
        );
    }

    /// @dev The fifteen words, each where a reader of the real protocol looks for it.
    function test_reserveDataHasFifteenWords() public {
        take(lender, usdc, 1000e6);
        vm.warp(block.timestamp + 1 days);
        deposit(lender, usdc, 1e6);
        (bool ok, bytes memory data) =
            address(pool).staticcall(abi.encodeCall(PoolBase.getReserveData, (address(usdc))));
        vm.assertTrue(ok);
        vm.assertEq(data.length, 15 * 32);
        uint256[15] memory words = abi.decode(data, (uint256[15]));
        vm.assertEq(words[0], pool.getConfiguration(address(usdc)));
        vm.assertEq(words[1], pool.getReserveNormalizedIncome(address(usdc)));
        vm.assertGt(words[2], 0, "supply rate");
        vm.assertEq(words[3], pool.getReserveNormalizedVariableDebt(address(usdc)));
        vm.assertEq(words[4], 0.05e27);
        vm.assertEq(words[5], 0);
        vm.assertEq(words[6], block.timestamp);
        vm.assertEq(words[7], 2);
        vm.assertEq(address(uint160(words[8])), address(aTokenOf(usdc)));
        vm.assertEq(words[9], 0);
        vm.assertGt(words[10], 0, "debt token");
        vm.assertEq(words[11], 0);
        vm.assertGt(words[12], 0, "accrued to treasury");
        vm.assertEq(words[13] + words[14], 0);
    }

    function test_configurationBits() public view {
        uint256 word = pool.getConfiguration(address(wbtc));
        vm.assertEq(word & 0xFFFF, 7300);
        vm.assertEq(word >> 16 & 0xFFFF, 7800);
        vm.assertEq(word >> 32 & 0xFFFF, 10625);
        vm.assertEq(word >> 48 & 0xFF, 8);
        vm.assertEq(word >> 56 & 0xFF, 0x85, "active, borrowing, flash loans");
        vm.assertEq(word >> 64 & 0xFFFF, 1000);
        vm.assertEq(word >> 80 & type(uint72).max, 0, "no caps");
        vm.assertEq(word >> 152 & 0xFFFF, 1000);
        vm.assertEq(word >> 168, 1 << 84, "only the counted-balance bit above");
    }

    function test_revisionFollowsThePolicy() public {
        for (uint256 i = 0; i < 4; ++i) {
            setPolicy(CloseFactor.Policy(i));
            vm.assertEq(pool.POOL_REVISION(), 1000 + i);
        }
    }

    function test_providerNamesTheParts() public view {
        vm.assertEq(provider.getPool(), address(pool));
        vm.assertEq(provider.getPriceOracle(), address(oracle));
        vm.assertEq(provider.getPriceOracleSentinel(), address(0));
        vm.assertEq(provider.getPoolDataProvider(), address(0));
        vm.assertEq(address(pool.ADDRESSES_PROVIDER()), address(provider));
        vm.assertEq(pool.getReservesList().length, 4);
        vm.assertEq(pool.getReservesList()[3], address(dai));
        vm.assertEq(pool.getUserEMode(borrower), 0);
    }
}
