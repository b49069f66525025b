// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {CloseFactor} from "../src/reference/libraries/CloseFactor.sol";
import {Reserves} from "../src/reference/libraries/Reserves.sol";
import {Rounding} from "../src/reference/libraries/Rounding.sol";
import {Test} from "./support/Vm.sol";

/// @title The tiered policy against figures measured on the real Aave V3.6 contracts
/// @dev Each row is [asset, price, scaled deposit, supply index, scaled debt, debt index] at the block's time. The
/// account's sums are computed here a second time, from the rows; the amounts come from the library under test.
contract AaveVectorsTest is Test {
    using Rounding for uint256;

    uint256 private constant MAX = type(uint256).max;
    uint256 private constant WETH = 0;
    uint256 private constant WBTC = 1;
    uint256 private constant USDC = 2;
    uint256 private constant DAI = 3;

    uint256[4] private _unit = [uint256(1e18), 1e8, 1e6, 1e18];
    uint256[4] private _threshold = [uint256(8250), 7800, 7800, 7700];
    uint256[4] private _bonus = [uint256(10500), 10625, 10450, 10400];
    uint256[4] private _fee = [uint256(1000), 1000, 1000, 0];

    uint256 private _collateral;
    uint256 private _debt;
    uint256 private _cover;
    uint256 private _collateralBase;
    uint256 private _debtBase;
    uint256 private _weighted;
    uint256 private _healthWad;
    uint256 private _scaledCollateral;
    uint256 private _scaledDebt;
    uint256 private _supplyIndex;
    uint256 private _debtIndex;
    CloseFactor.Pair private _pair;
    CloseFactor.Amounts private _amounts;

    function test_vectorA() public {
        begin(WETH, USDC, MAX);
        row(WETH, 176012345678, 9999224460220569604, 1000080275589922149468799116, 0, 0);
        row(USDC, 100000000, 0, 0, 14876595991, 1008586731445297970543502967);
        account(1760128236195, 1500433732600, 967790688326247644);
        taken(7502168663, 4454100206798676875, false);
        scaled(0, 21309773588409953, 5524172006654479439, 7438297996);
    }

    function test_vectorC() public {
        begin(WETH, USDC, MAX);
        row(WETH, 154321000000, 9999224460220569604, 1000089197960753075061255570, 0, 0);
        row(USDC, 100000000, 0, 0, 14876595991, 1009545254286835524690704549);
        account(1543227958435, 1501859688300, 847724375071286744);
        taken(14697409128, 9952496768886526243, true);
        scaled(0, 47615354572478903, 0, 0);
    }

    function test_vectorD() public {
        begin(WBTC, DAI, 2345678901234567890123);
        row(WETH, 160000000000, 3999689784088227841, 1000078009209831616904416778, 0, 0);
        row(WBTC, 3550000000000, 14999390, 1000040871520508675182811053, 0, 0);
        row(USDC, 100000000, 0, 0, 3967092265, 1008343289416571826932939591);
        row(DAI, 100123456, 0, 0, 5458508397313828020202, 1007645332655252618118169889);
        account(1172500393976, 950722175074, 992246047236958360);
        taken(2345678901234567890123, 6987836, false);
        scaled(0, 41347, 7970492, 3130626924322279977903);
    }

    function test_vectorF() public {
        begin(WBTC, DAI, 3333333333333333333333);
        row(WBTC, 3500012345678, 49997968, 1000040926536980977201155891, 0, 0);
        row(DAI, 100000000, 0, 0, 13894385011344289505969, 1007655751766548081917860697);
        account(1750006662840, 1400075697394, 974950996975322333);
        taken(3333333333333333333333, 10059487, false);
        scaled(10059076, 59522, 39879370, 10586376966444453359898);
    }

    function test_vectorI() public {
        begin(WETH, DAI, MAX);
        row(WETH, 110055555555, 2999767338066170881, 1000081054185942900410977123, 0, 0);
        row(USDC, 100000000, 0, 0, 1487659600, 1008669283864565465563232079);
        row(DAI, 100000000, 0, 0, 3175859431164409029936, 1007943878983226243671583791);
        account(330167820241, 470164461816, 579347172788710006);
        taken(3144455430871958742020, 2985724717566891288, true);
        scaled(0, 14284606371743671, 0, 0);
    }

    function test_vectorJ() public {
        begin(WETH, USDC, MAX);
        row(WETH, 178000000000, 9999224460220569604, 1000077947924538171730978387, 0, 0);
        row(USDC, 100000000, 0, 0, 6942411463, 1008336766807659473619759396);
        row(DAI, 100000000, 0, 0, 7939648577911022574840, 1007639357428672390084940101);
        account(1780000690464, 1500059112026, 978961800811584945);
        taken(7000288729, 4109720068429775280, false);
        scaled(0, 19662199757168535, 5870162511215177371, 0);
    }

    function test_vectorO() public {
        begin(WETH, USDC, 1);
        row(WETH, 176012345678, 9999224460220569604, 1000080275589922149468799116, 0, 0);
        row(USDC, 100000000, 0, 0, 14876595991, 1008586731445297970543502967);
        account(1760128236195, 1500433732600, 967790688326247644);
        refusedAsNothingBurnt();
    }

    function test_vectorCC1() public {
        begin(WETH, USDC, MAX);
        row(WETH, 178500000000, 1399891424430879744, 1000077560262616870544250653, 0, 0);
        row(WBTC, 4000000000000, 2717389, 1000040636359114085830786064, 0, 0);
        row(USDC, 100000000, 0, 0, 2975319199, 1008295206688974956532380604);
        account(358599960067, 300000008700, 969844868058748826);
        refusedAsDust();
    }

    function test_vectorCC2() public {
        begin(WETH, USDC, 1427000000);
        row(WETH, 178500000000, 1399891424430879744, 1000077560262616870544250653, 0, 0);
        row(WBTC, 4000000000000, 2717389, 1000040636359114085830786064, 0, 0);
        row(USDC, 100000000, 0, 0, 2975319199, 1008295206688974956532380604);
        account(358599960067, 300000008700, 969844868058748826);
        taken(1427000000, 835414565826330531, false);
        scaled(0, 3996888879800654, 560544759672742626, 1560059075);
    }
    // ------------------------------------------------------------------ the steps

    function begin(uint256 collateral, uint256 debt, uint256 cover) private {
        (_collateral, _debt, _cover) = (collateral, debt, cover);
    }

    function row(uint256 asset, uint256 price, uint256 sa, uint256 ni, uint256 sv, uint256 nd) private {
        uint256 suppliedRaw = sa.rayMulDown(ni);
        uint256 owedRaw = sv.rayMulUp(nd);
        uint256 valueBase = suppliedRaw * price / _unit[asset];
        _collateralBase += valueBase;
        _weighted += valueBase * _threshold[asset];
        _debtBase += owedRaw.mulDivUp(price, _unit[asset]);
        if (asset == _collateral) {
            (_scaledCollateral, _supplyIndex) = (sa, ni);
            (_pair.collateralRaw, _pair.collateralPrice, _pair.collateralUnit) = (suppliedRaw, price, _unit[asset]);
        }
        if (asset == _debt) {
            (_scaledDebt, _debtIndex) = (sv, nd);
            (_pair.debtRaw, _pair.debtPrice, _pair.debtUnit) = (owedRaw, price, _unit[asset]);
        }
        _pair.bonusBps = _bonus[_collateral];
        _pair.thresholdBps = _threshold[_collateral];
        _pair.feeBps = _fee[_collateral];
    }

    /// @dev Checks the account, then works out the liquidation as the pool does.
    function account(uint256 collateralBase, uint256 debtBase, uint256 healthWad) private {
        _healthWad = _weighted.wadDivNearest(_debtBase) / 1e4;
        vm.assertEq(_collateralBase, collateralBase, "collateral value");
        vm.assertEq(_debtBase, debtBase, "debt value");
        vm.assertEq(_healthWad, healthWad, "health factor");
        uint256 maxRaw = CloseFactor.maxRepay(CloseFactor.Policy.TIERED, _pair, _debtBase, _healthWad);
        _amounts = CloseFactor.amounts(_pair, _cover < maxRaw ? _cover : maxRaw);
    }

    function refusedAsDust() private view {
        vm.assertTrue(CloseFactor.leavesDust(_pair, _amounts), "leaves dust");
    }

    function refusedAsNothingBurnt() private view {
        vm.assertEq(_amounts.repaidRaw.rayDivDown(_debtIndex), 0, "nothing to burn");
    }

    function taken(uint256 repaidRaw, uint256 seizedRaw, bool deficit) private view {
        vm.assertFalse(CloseFactor.leavesDust(_pair, _amounts), "leaves dust");
        vm.assertEq(_amounts.repaidRaw, repaidRaw, "repaid");
        vm.assertEq(_amounts.seizedRaw, seizedRaw, "seized");
        uint256 goneBase = (seizedRaw + _amounts.feeRaw) * _pair.collateralPrice / _pair.collateralUnit;
        vm.assertTrue((goneBase == _collateralBase) == deficit, "deficit");
    }

    /// @dev With `aScaled` the liquidator took deposit tokens. The fee takes what is left when it does not fit.
    function scaled(uint256 aScaled, uint256 feeScaled, uint256 leftCollateral, uint256 leftDebt) private view {
        uint256 moved = _amounts.seizedRaw.rayDivUp(_supplyIndex);
        if (aScaled != 0) vm.assertEq(moved, aScaled, "deposit tokens moved");
        uint256 fee = _amounts.feeRaw.rayDivUp(_supplyIndex);
        if (fee > _scaledCollateral - moved) fee = _scaledCollateral - moved;
        vm.assertEq(fee, feeScaled, "fee");
        vm.assertEq(_scaledCollateral - moved - fee, leftCollateral, "collateral left");
        uint256 burnt = _amounts.repaidRaw.rayDivDown(_debtIndex);
        // A written-off debt burns the rest; the vectors with one say zero is left.
        if (leftDebt != 0) vm.assertEq(_scaledDebt - burnt, leftDebt, "debt left");
    }
}

/// @title Indices against figures measured on the real contracts
contract IndexVectorsTest is Test {
    using Reserves for Reserves.Reserve;

    Reserves.Reserve private _r;

    function test_indicesGrowAsMeasured() public {
        vm.warp(1_700_000_000);
        _r.updatedAt = uint40(block.timestamp);
        (_r.borrowRate, _r.borrowIndex) = (15074766026736724987833846, 1008295177827501733382252443);
        (_r.liquidityRate, _r.liquidityIndex) = (1300515336057276851446040, 1000702210234641883888126866);
        vm.warp(block.timestamp + 2_592_005);
        vm.assertEq(_r.borrowIndexNow(), 1009545254286835338458302857);
        vm.assertEq(_r.liquidityIndexNow(), 1000809177172864487663609083);
    }

    /// @dev Later is never less, and both start at the stored index.
    function testFuzz_indicesNeverFall(uint256 rate, uint256 first, uint256 second) public {
        vm.warp(1_700_000_000);
        _r.updatedAt = uint40(block.timestamp);
        (_r.borrowRate, _r.liquidityRate) = (uint128(bound(rate, 0, 10e27)), uint128(bound(rate, 0, 10e27)));
        (_r.borrowIndex, _r.liquidityIndex) = (1.1e27, 1.05e27);
        vm.assertEq(_r.borrowIndexNow(), 1.1e27);
        vm.assertEq(_r.liquidityIndexNow(), 1.05e27);
        vm.warp(block.timestamp + bound(first, 0, 365 days));
        (uint256 borrow1, uint256 supply1) = (_r.borrowIndexNow(), _r.liquidityIndexNow());
        vm.warp(block.timestamp + bound(second, 0, 365 days));
        vm.assertGe(_r.borrowIndexNow(), borrow1, "debt index");
        vm.assertGe(_r.liquidityIndexNow(), supply1, "supply index");
    }
}
