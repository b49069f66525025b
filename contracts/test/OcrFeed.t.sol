// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Forwarder} from "../src/reference/Forwarder.sol";
import {OcrFeed} from "../src/reference/OcrFeed.sol";
import {Test} from "./support/Vm.sol";

/// @title Reports of off-chain oracles: what is written, and what is refused
contract OcrFeedTest is Test {
    OcrFeed private _feed;

    function setUp() public {
        vm.warp(1_700_000_000);
        _feed = new OcrFeed(8, "ETH / USD", address(this), 1, 1e13);
    }

    function test_middleObservationIsWritten() public {
        _transmit(_feed, 1, 2000e8);
        (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredIn) = _feed.latestRoundData();
        vm.assertEq(id, 1);
        vm.assertEq(answer, 2000e8);
        vm.assertEq(startedAt, block.timestamp - 5);
        vm.assertEq(updatedAt, block.timestamp);
        vm.assertEq(answeredIn, 1);
        vm.assertEq(_feed.latestAnswer(), 2000e8);
    }

    function test_anEpochIsReportedOnce() public {
        _transmit(_feed, 3, 2000e8);
        vm.expectRevert(OcrFeed.StaleReport.selector);
        _transmit(_feed, 3, 1900e8);
        vm.assertEq(_feed.latestAnswer(), 2000e8);
    }

    function test_answerOutOfRangeFreezesTheFeed() public {
        _transmit(_feed, 1, 2000e8);
        vm.expectRevert(abi.encodeWithSelector(OcrFeed.MedianOutOfRange.selector, int192(2e13)));
        _transmit(_feed, 2, 2e13);
        vm.assertEq(_feed.latestAnswer(), 2000e8);
    }

    function test_onlyTheTransmitterReports() public {
        vm.prank(address(0xBAD));
        vm.expectRevert(OcrFeed.NotTransmitter.selector);
        _transmit(_feed, 1, 2000e8);
    }

    function test_forwarderPassesOnAndHandsRevertsBack() public {
        Forwarder forwarder = new Forwarder(address(this));
        OcrFeed feed = new OcrFeed(8, "ETH / USD", address(forwarder), 1, 1e13);
        forwarder.forward(address(feed), _calldata(1, 1234e8));
        vm.assertEq(feed.latestAnswer(), 1234e8);
        vm.expectRevert(OcrFeed.StaleReport.selector);
        forwarder.forward(address(feed), _calldata(1, 1234e8));
        vm.prank(address(0xBAD));
        vm.expectRevert(Forwarder.NotOwner.selector);
        forwarder.forward(address(feed), _calldata(2, 1234e8));
    }

    function _transmit(OcrFeed feed, uint40 epoch, int192 answer) private {
        (bytes32[3] memory context, bytes memory report) = _report(epoch, answer);
        feed.transmit(context, report, new bytes32[](0), new bytes32[](0), 0);
    }

    function _calldata(uint40 epoch, int192 answer) private view returns (bytes memory) {
        (bytes32[3] memory context, bytes memory report) = _report(epoch, answer);
        return abi.encodeCall(OcrFeed.transmit, (context, report, new bytes32[](0), new bytes32[](0), 0));
    }

    function _report(uint40 epoch, int192 answer) private view returns (bytes32[3] memory context, bytes memory report) {
        context[0] = bytes32(uint256(1));
        context[1] = bytes32(uint256(epoch));
        int192[] memory observations = new int192[](3);
        (observations[0], observations[1], observations[2]) = (answer - 1, answer, answer + 1);
        report = abi.encode(uint32(block.timestamp - 5), bytes32(0), observations, int192(0));
    }
}
