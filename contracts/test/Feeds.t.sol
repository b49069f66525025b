// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FeedProxy} from "../src/reference/FeedProxy.sol";
import {PriceFeed} from "../src/reference/PriceFeed.sol";
import {PriceOracle} from "../src/reference/PriceOracle.sol";
import {Errors} from "../src/reference/libraries/Errors.sol";
import {Test} from "./support/Vm.sol";

/// @title Rounds, phases, and the oracle on top
contract FeedsTest is Test {
    PriceFeed private _feed;
    FeedProxy private _proxy;
    PriceOracle private _oracle;
    address private constant ASSET = address(0xA55E7);

    function setUp() public {
        vm.warp(1_700_000_000);
        _feed = new PriceFeed(8, "ETH / USD", address(this));
        _proxy = new FeedProxy(_feed, address(this));
        _oracle = new PriceOracle(address(this));
        (address[] memory assets, address[] memory sources) = (new address[](1), new address[](1));
        (assets[0], sources[0]) = (ASSET, address(_proxy));
        _oracle.setAssetSources(assets, sources);
    }

    function test_roundsAreKept() public {
        vm.expectRevert(PriceFeed.NoDataPresent.selector);
        _feed.latestRoundData();
        vm.expectEmit(true, true, true, true, address(_feed));
        emit PriceFeed.NewRound(1, address(this), block.timestamp);
        vm.expectEmit(true, true, true, true, address(_feed));
        emit PriceFeed.AnswerUpdated(2000e8, 1, block.timestamp);
        _feed.transmit(2000e8);
        vm.warp(block.timestamp + 60);
        _feed.transmit(1900e8);
        (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredIn) = _feed.latestRoundData();
        vm.assertEq(id, 2);
        vm.assertEq(answer, 1900e8);
        vm.assertEq(startedAt, block.timestamp);
        vm.assertEq(updatedAt, block.timestamp);
        vm.assertEq(answeredIn, 2);
        (, answer,, updatedAt,) = _feed.getRoundData(1);
        vm.assertEq(answer, 2000e8);
        vm.assertEq(updatedAt, block.timestamp - 60);
        vm.assertEq(_feed.getAnswer(1), 2000e8);
        vm.assertEq(_feed.getTimestamp(2), block.timestamp);
        vm.expectRevert(PriceFeed.NoDataPresent.selector);
        _feed.getRoundData(3);
    }

    function test_feedCanBeStaleOrOpen() public {
        _feed.transmitAt(2000e8, block.timestamp - 2 days);
        vm.assertEq(_feed.latestTimestamp(), block.timestamp - 2 days);
        _feed.transmitAt(2000e8, 0);
        (,,, uint256 updatedAt,) = _proxy.latestRoundData();
        vm.assertEq(updatedAt, 0);
    }

    function test_onlyTheOwnerReports() public {
        vm.startPrank(address(1));
        vm.expectRevert(PriceFeed.NotOwner.selector);
        _feed.transmit(1);
        vm.expectRevert(PriceFeed.NotOwner.selector);
        _feed.transmitAt(1, 1);
        vm.expectRevert(FeedProxy.NotOwner.selector);
        _proxy.proposeAggregator(_feed);
        vm.expectRevert(FeedProxy.NotOwner.selector);
        _proxy.confirmAggregator(_feed);
    }

    function test_phasesNumberTheRounds() public {
        _feed.transmit(2000e8);
        vm.assertEq(_proxy.latestRound(), 1 << 64 | 1);
        PriceFeed next = new PriceFeed(8, "ETH / USD", address(this));
        next.transmit(1800e8);
        vm.expectRevert(FeedProxy.NotProposed.selector);
        _proxy.confirmAggregator(next);
        _proxy.proposeAggregator(next);
        vm.assertEq(_proxy.latestAnswer(), 2000e8);
        _proxy.confirmAggregator(next);

        vm.assertEq(_proxy.phaseId(), 2);
        vm.assertEq(address(_proxy.aggregator()), address(next));
        vm.assertEq(address(_proxy.phaseAggregators(1)), address(_feed));
        vm.assertEq(address(_proxy.proposedAggregator()), address(0));
        vm.assertEq(_proxy.latestAnswer(), 1800e8);
        (uint80 id, int256 answer,,, uint80 answeredIn) = _proxy.getRoundData(uint80(1) << 64 | 1);
        vm.assertEq(id, 1 << 64 | 1);
        vm.assertEq(answer, 2000e8);
        vm.assertEq(answeredIn, id);
        (id, answer,,,) = _proxy.latestRoundData();
        vm.assertEq(id, 2 << 64 | 1);
        vm.assertEq(answer, 1800e8);
        vm.expectRevert(FeedProxy.NoDataPresent.selector);
        _proxy.getRoundData(uint80(3) << 64 | 1);
    }

    function test_proxyShowsTheFeed() public {
        _feed.transmit(5);
        vm.assertEq(_proxy.decimals(), 8);
        vm.assertEq(_proxy.description(), "ETH / USD");
        vm.assertEq(_proxy.version(), 4);
        vm.assertEq(_proxy.latestTimestamp(), block.timestamp);
    }

    function test_oracleTakesPositiveAnswersOnly() public {
        _feed.transmit(1234e8);
        vm.assertEq(_oracle.getAssetPrice(ASSET), 1234e8);
        vm.assertEq(_oracle.getSourceOfAsset(ASSET), address(_proxy));
        vm.assertEq(_oracle.BASE_CURRENCY_UNIT(), 1e8);
        vm.assertEq(_oracle.getFallbackOracle(), address(0));
        address[] memory assets = new address[](2);
        (assets[0], assets[1]) = (ASSET, ASSET);
        vm.assertEq(_oracle.getAssetsPrices(assets)[1], 1234e8);
        for (int256 bad = -1; bad <= 0; ++bad) {
            _feed.transmit(bad);
            vm.expectRevert(abi.encodeWithSelector(Errors.NoPrice.selector, ASSET));
            _oracle.getAssetPrice(ASSET);
        }
        vm.expectRevert(abi.encodeWithSelector(Errors.NoPrice.selector, address(7)));
        _oracle.getAssetPrice(address(7));
    }
}
