// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Batcher} from "../src/Batcher.sol";
import {IERC20} from "../src/interfaces/IERC20.sol";
import {TestToken} from "../src/reference/TestToken.sol";
import {Test} from "./support/Vm.sol";

/// @title Reads in one call, also from code that was only put in place
contract BatcherTest is Test {
    Batcher private constant PLACED = Batcher(address(0xBA7C4));

    function setUp() public {
        vm.etch(address(PLACED), address(new Batcher()).code);
    }

    function test_eachCallHasItsOwnOutcome() public {
        TestToken token = new TestToken("Token", "TKN", 6);
        token.mint(address(1), 5);
        Batcher.Call[] memory calls = new Batcher.Call[](4);
        calls[0] = Batcher.Call(address(token), abi.encodeCall(IERC20.balanceOf, (address(1))));
        calls[1] = Batcher.Call(address(token), abi.encodeCall(IERC20.transfer, (address(2), 1)));
        calls[2] = Batcher.Call(address(0xDEAD), "");
        calls[3] = Batcher.Call(address(token), abi.encodeWithSignature("symbol()"));
        Batcher.Result[] memory results = PLACED.read(calls);
        vm.assertTrue(results[0].ok);
        vm.assertEq(abi.decode(results[0].data, (uint256)), 5);
        vm.assertFalse(results[1].ok);
        vm.assertEq(results[1].data, PANIC_ARITHMETIC);
        vm.assertFalse(results[2].ok, "no code");
        vm.assertEq(results[2].data.length, 0);
        vm.assertEq(abi.decode(results[3].data, (string)), "TKN");
    }

    function test_nothingToDo() public {
        vm.assertEq(PLACED.read(new Batcher.Call[](0)).length, 0);
    }

    /// @dev Whatever is called with whatever data, the batch as a whole returns.
    function testFuzz_neverReverts(bytes[] calldata data) public {
        TestToken token = new TestToken("Token", "TKN", 6);
        Batcher.Call[] memory calls = new Batcher.Call[](data.length);
        for (uint256 i = 0; i < data.length; ++i) {
            calls[i] = Batcher.Call(address(token), data[i]);
        }
        vm.assertEq(PLACED.read(calls).length, data.length);
    }
}
