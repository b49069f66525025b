// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {BoundedCall} from "../src/libraries/BoundedCall.sol";
import {SafeToken} from "../src/libraries/SafeToken.sol";
import {OddToken} from "./support/OddToken.sol";
import {Test} from "./support/Vm.sol";

/// @title Token calls, seen from a contract that makes them
contract SafeTokenTest is Test {
    OddToken private _token;

    function setUp() public {
        _token = new OddToken();
        _token.mint(address(this), 100);
    }

    function send(address token, uint256 raw) external {
        SafeToken.send(token, address(1), raw);
    }

    function allow(uint256 raw) external {
        SafeToken.allow(address(_token), address(1), raw);
    }

    function disallow() external returns (uint256) {
        return SafeToken.disallow(address(_token), address(1));
    }

    function held(address token) external view returns (uint256) {
        return SafeToken.held(token);
    }

    function test_anAllowanceGoesThroughZero() public {
        _token.behave(OddToken.Habit.NO_RETURN);
        this.allow(5);
        vm.expectRevert();
        this.allow(7);
        vm.assertEq(this.disallow(), 5);
        vm.assertEq(_token.allowance(address(this), address(1)), 0);
        this.allow(7);
        vm.assertEq(_token.allowance(address(this), address(1)), 7);
        vm.assertEq(this.disallow(), 7);
        vm.assertEq(this.disallow(), 0);
    }

    function test_aBalanceIsAWord() public {
        vm.assertEq(this.held(address(_token)), 100);
        vm.etch(address(0xBEEF), hex"600160005360016000f3"); // answers with one byte
        vm.expectRevert(abi.encodeWithSelector(BoundedCall.CallFailed.selector, address(0xBEEF)));
        this.held(address(0xBEEF));
        vm.expectRevert(abi.encodeWithSelector(BoundedCall.CallFailed.selector, address(0xDEAD))); // no code
        this.held(address(0xDEAD));
    }

    function test_refusalsAreNoticed() public {
        _token.behave(OddToken.Habit.FALSE_RETURN);
        vm.expectRevert(abi.encodeWithSelector(SafeToken.TokenRefused.selector, address(_token)));
        this.send(address(_token), 1);
        vm.expectRevert(abi.encodeWithSelector(SafeToken.TokenRefused.selector, address(_token)));
        this.allow(1);
        vm.expectRevert(abi.encodeWithSelector(BoundedCall.NoCode.selector, address(0xDEAD)));
        this.send(address(0xDEAD), 1);
        _token.behave(OddToken.Habit.PLAIN);
        vm.expectRevert(PANIC_ARITHMETIC);
        this.send(address(_token), 101);
    }

    function test_anAnswerThatIsNoBooleanIsARefusal() public {
        vm.etch(address(0xBEEF), hex"600260005260206000f3"); // answers every call with the word 2
        vm.expectRevert(abi.encodeWithSelector(SafeToken.TokenRefused.selector, address(0xBEEF)));
        this.send(address(0xBEEF), 1);
        vm.etch(address(0xBEEF), hex"600160005360016000f3"); // answers with one byte
        vm.expectRevert(abi.encodeWithSelector(SafeToken.TokenRefused.selector, address(0xBEEF)));
        this.send(address(0xBEEF), 1);
    }
}
