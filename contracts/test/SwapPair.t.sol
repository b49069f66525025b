// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SwapFactory} from "../src/reference/SwapFactory.sol";
import {SwapPair} from "../src/reference/SwapPair.sol";
import {TestToken} from "../src/reference/TestToken.sol";
import {OddToken} from "./support/OddToken.sol";
import {Test} from "./support/Vm.sol";

/// @title The constant-product pool
contract SwapPairTest is Test {
    SwapFactory private _factory;
    SwapPair private _pair;
    TestToken private _token0;
    TestToken private _token1;

    function setUp() public {
        _factory = new SwapFactory();
        (_token0, _token1) = (new TestToken("A", "A", 18), new TestToken("B", "B", 6));
        if (address(_token0) > address(_token1)) (_token0, _token1) = (_token1, _token0);
        _pair = SwapPair(_factory.createPair(address(_token1), address(_token0)));
    }

    function fill(uint256 raw0, uint256 raw1) private returns (uint256) {
        _token0.mint(address(_pair), raw0);
        _token1.mint(address(_pair), raw1);
        return _pair.mint(address(this));
    }

    function test_factoryKnowsEachPairOnce() public {
        vm.assertEq(_factory.getPair(address(_token0), address(_token1)), address(_pair));
        vm.assertEq(_factory.getPair(address(_token1), address(_token0)), address(_pair));
        vm.assertEq(_factory.allPairs(0), address(_pair));
        vm.assertEq(_factory.allPairsLength(), 1);
        vm.assertEq(_pair.token0(), address(_token0));
        vm.assertEq(_pair.token1(), address(_token1));
        vm.assertEq(_pair.factory(), address(_factory));
        vm.expectRevert(SwapFactory.PairExists.selector);
        _factory.createPair(address(_token0), address(_token1));
        vm.expectRevert(SwapFactory.BadTokens.selector);
        _factory.createPair(address(_token0), address(_token0));
        vm.expectRevert(SwapFactory.BadTokens.selector);
        _factory.createPair(address(_token0), address(0));
    }

    function test_sharesFollowTheDeposit() public {
        vm.assertEq(fill(1e18, 4e18), 2e18 - 1000);
        vm.assertEq(fill(0.5e18, 2e18), 1e18);
        vm.assertEq(_pair.totalSupply(), 3e18);
        vm.assertTrue(_pair.transfer(address(_pair), 1e18));
        (uint256 out0, uint256 out1) = _pair.burn(address(this));
        vm.assertEq(out0, 0.5e18);
        vm.assertEq(out1, 2e18);
        (uint112 reserve0, uint112 reserve1,) = _pair.getReserves();
        vm.assertEq(reserve0, 1e18);
        vm.assertEq(reserve1, 4e18);
    }

    function test_refusals() public {
        vm.expectRevert(SwapPair.TooSmall.selector);
        _pair.mint(address(this));
        fill(1e18, 1e18);
        vm.expectRevert(SwapPair.TooSmall.selector);
        _pair.burn(address(this));
        vm.expectRevert(SwapPair.BadOutput.selector);
        _pair.swap(0, 0, address(this), "");
        vm.expectRevert(SwapPair.BadOutput.selector);
        _pair.swap(1e18, 0, address(this), "");
        vm.expectRevert(SwapPair.NoInput.selector);
        _pair.swap(1, 0, address(this), "");
        vm.expectRevert(SwapPair.BadReceiver.selector);
        _pair.swap(1, 0, address(_token0), "");
        vm.expectRevert(SwapPair.NoFlashSwaps.selector);
        _pair.swap(1, 0, address(this), "x");
        _token0.mint(address(_pair), type(uint112).max);
        vm.expectRevert(SwapPair.BalanceTooLarge.selector);
        _pair.sync();
    }

    function test_skimAndSync() public {
        fill(1e18, 1e18);
        _token0.mint(address(_pair), 5);
        _pair.skim(address(this));
        vm.assertEq(_token0.balanceOf(address(this)), 5);
        _token1.mint(address(_pair), 7);
        vm.expectEmit(true, true, true, true, address(_pair));
        emit SwapPair.Sync(1e18, 1e18 + 7);
        _pair.sync();
    }

    function test_sharesAreAToken() public {
        fill(1e18, 1e18);
        vm.assertTrue(_pair.approve(address(1), 10));
        vm.startPrank(address(1));
        vm.assertTrue(_pair.transferFrom(address(this), address(2), 10));
        vm.assertEq(_pair.balanceOf(address(2)), 10);
        vm.expectRevert(PANIC_ARITHMETIC);
        _pair.transferFrom(address(this), address(2), 1);
    }

    /// @dev A token that calls back while it is paid out finds every action shut.
    function test_nothingOpensDuringASwap() public {
        OddToken odd = new OddToken();
        SwapPair pair = SwapPair(_factory.createPair(address(odd), address(_token0)));
        odd.mint(address(pair), 1e18);
        _token0.mint(address(pair), 1e18);
        pair.mint(address(this));
        bytes[5] memory calls = [
            abi.encodeCall(pair.swap, (1, 1, address(1), "")),
            abi.encodeCall(pair.mint, (address(1))),
            abi.encodeCall(pair.burn, (address(1))),
            abi.encodeCall(pair.sync, ()),
            abi.encodeCall(pair.skim, (address(1)))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            odd.hook(address(pair), calls[i]);
            _token0.mint(address(pair), 1e15);
            if (pair.token0() == address(odd)) pair.swap(1e14, 0, address(this), "");
            else pair.swap(0, 1e14, address(this), "");
            vm.assertEq(bytes32(bytes4(odd.lastFailure())), bytes32(SwapPair.Locked.selector));
        }
        vm.assertEq(odd.hooksPassed(), 0);
    }

    /// @dev The formula's amount is paid for, a unit more is not, in both directions.
    function testFuzz_formulaIsTheLimit(uint256 raw0, uint256 raw1, uint256 raw, bool zeroForOne) public {
        (raw0, raw1) = (bound(raw0, 1e6, 1e30), bound(raw1, 1e6, 1e30));
        fill(raw0, raw1);
        (uint256 reserveIn, uint256 reserveOut) = zeroForOne ? (raw0, raw1) : (raw1, raw0);
        uint256 inRaw = bound(raw, 1, reserveIn * 2);
        uint256 outRaw = inRaw * 997 * reserveOut / (reserveIn * 1000 + inRaw * 997);
        TestToken tokenIn = zeroForOne ? _token0 : _token1;
        TestToken tokenOut = zeroForOne ? _token1 : _token0;
        tokenIn.mint(address(_pair), inRaw);
        vm.expectRevert(outRaw + 1 >= reserveOut ? SwapPair.BadOutput.selector : SwapPair.ProductFell.selector);
        swap(zeroForOne, outRaw + 1);
        if (outRaw == 0) return;
        swap(zeroForOne, outRaw);
        vm.assertEq(tokenOut.balanceOf(address(2)), outRaw);
        (uint112 now0, uint112 now1,) = _pair.getReserves();
        vm.assertGe(uint256(now0) * now1, raw0 * raw1, "product");
    }

    function swap(bool zeroForOne, uint256 outRaw) private {
        if (zeroForOne) _pair.swap(0, outRaw, address(2), "");
        else _pair.swap(outRaw, 0, address(2), "");
    }
}
