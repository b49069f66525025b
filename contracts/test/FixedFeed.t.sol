// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedFeed} from "../src/reference/FixedFeed.sol";
import {Test} from "./support/Vm.sol";

/// @title A feed put in the place of another one
contract FixedFeedTest is Test {
    address private constant PLACE = address(0xFEED);

    /// @notice Whatever the place held before, the three words written from outside are what the feed says.
    function testFuzz_saysWhatIsWritten(int256 answer, uint64 time, uint8 decimals, uint256 leftover) public {
        for (uint256 slot = 0; slot < 8; ++slot) {
            vm.store(PLACE, bytes32(slot), bytes32(leftover));
        }
        vm.etch(PLACE, type(FixedFeed).runtimeCode);
        // The same 256 bits, whatever the sign.
        // forge-lint: disable-next-line(unsafe-typecast)
        vm.store(PLACE, bytes32(uint256(0)), bytes32(uint256(answer)));
        vm.store(PLACE, bytes32(uint256(1)), bytes32(uint256(time)));
        vm.store(PLACE, bytes32(uint256(2)), bytes32(uint256(decimals)));
        FixedFeed feed = FixedFeed(PLACE);
        vm.assertEq(feed.latestAnswer(), answer);
        vm.assertEq(feed.latestTimestamp(), time);
        vm.assertEq(feed.decimals(), decimals);
        (uint80 id, int256 told, uint256 startedAt, uint256 updatedAt, uint80 answeredIn) = feed.latestRoundData();
        vm.assertEq(told, answer);
        vm.assertEq(startedAt, time);
        vm.assertEq(updatedAt, time);
        vm.assertEq(id, feed.latestRound());
        vm.assertEq(id, answeredIn);
        vm.assertEq(feed.getAnswer(id), answer);
        vm.assertEq(feed.getTimestamp(id), time);
    }

    function test_thereIsOneRoundOnly() public {
        FixedFeed feed = new FixedFeed();
        vm.expectRevert(FixedFeed.NoDataPresent.selector);
        feed.getRoundData(2);
        vm.assertEq(feed.getAnswer(2), 0);
        vm.assertEq(feed.getTimestamp(2), 0);
    }
}
