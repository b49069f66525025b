// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {KeeperExecutor} from "../../src/KeeperExecutor.sol";
import {SwapPair} from "../../src/reference/SwapPair.sol";
import {TestToken} from "../../src/reference/TestToken.sol";
import {FixedPriceFactory, FixedPricePool} from "./FixedPricePool.sol";
import {Market} from "./Market.sol";
import {MorphoStandIn} from "./MorphoStandIn.sol";
import {Plans} from "./Plans.sol";

/// @title The market with an executor, and pools at the fallen price
abstract contract ExecutorMarket is Market {
    address internal owner = address(0x0411E4);
    address internal operator = address(0x0BE4);
    address internal vault = address(0xF417);
    uint256 internal constant FALLEN = 1700;

    KeeperExecutor internal executor;
    FixedPriceFactory internal v3;
    FixedPricePool internal v3Pool;
    MorphoStandIn internal morpho;
    SwapPair internal wethUsdc;
    SwapPair internal wethDai;
    SwapPair internal daiUsdc;

    function setUp() public virtual override {
        super.setUp();
        wethUsdc = makePair(weth, usdc, 10_000e18, 10_000 * FALLEN * 1e6);
        wethDai = makePair(weth, dai, 10_000e18, 10_000 * FALLEN * 1e18);
        daiUsdc = makePair(dai, usdc, 30_000_000e18, 30_000_000e6);
        v3 = new FixedPriceFactory();
        v3Pool = new FixedPricePool(address(weth), address(usdc), FALLEN * 1e6);
        v3.add(v3Pool, 500);
        usdc.mint(address(v3Pool), 1e9 * 1e6);
        morpho = new MorphoStandIn();
        usdc.mint(address(morpho), 1e6 * 1e6);
        executor = newExecutor(owner);
        makeUnhealthy(int256(FALLEN * 1e8));
    }

    function newExecutor(address owner_) internal returns (KeeperExecutor) {
        return new KeeperExecutor(
            owner_,
            vault,
            one(operator),
            one(address(pool)),
            one(address(swaps)),
            one(address(v3)),
            one(address(morpho))
        );
    }

    function one(address account) internal pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = account;
    }

    function tokens(TestToken a, TestToken b) internal pure returns (address[] memory list) {
        list = new address[](2);
        (list[0], list[1]) = (address(a), address(b));
    }

    function tokens(TestToken a, TestToken b, TestToken c) internal pure returns (address[] memory list) {
        list = new address[](3);
        (list[0], list[1], list[2]) = (address(a), address(b), address(c));
    }

    /// @dev Flash-funded, all of the debt, sold on the WETH/USDC pair.
    function plan() internal view returns (Plans.Single memory p) {
        p.pool = address(pool);
        p.account = borrower;
        p.collateral = address(weth);
        p.debt = address(usdc);
        p.coverRaw = MAX;
        (p.funding, p.lender) = (1, address(pool));
        (p.fundRaw, p.mostPremiumRaw) = (15_000e6, 10e6);
        p.route = new Plans.Hop[](1);
        p.route[0] = v2Hop(usdc);
        p.deadlineBlock = block.number;
    }

    function v2Hop(TestToken to) internal view returns (Plans.Hop memory) {
        return Plans.Hop(0, address(swaps), address(to), 3000);
    }

    function v3Hop(TestToken to) internal view returns (Plans.Hop memory) {
        return Plans.Hop(1, address(v3), address(to), 500);
    }

    /// @dev Runs a plan with one liquidation: repaid, seized, proceeds and profit.
    function run(Plans.Single memory p) internal returns (uint256, uint256, uint256, uint256) {
        (KeeperExecutor.StepResult[] memory results, uint256 proceedsRaw, uint256 profitRaw) = run(Plans.encode(p));
        vm.assertEq(results.length, 1, "one liquidation");
        return (results[0].repaidRaw, results[0].seizedRaw, proceedsRaw, profitRaw);
    }

    function run(bytes memory p) internal returns (KeeperExecutor.StepResult[] memory, uint256, uint256) {
        vm.prank(operator);
        return executor.run(p);
    }

    function runRefused(Plans.Single memory p, bytes memory reason) internal {
        runRefused(Plans.encode(p), reason);
    }

    function runRefused(bytes memory p, bytes memory reason) internal {
        vm.prank(operator);
        vm.expectRevert(reason);
        executor.run(p);
    }

    /// @dev Nothing stays behind and nobody keeps an allowance.
    function checkAtRest() internal view {
        TestToken[4] memory all = [weth, wbtc, usdc, dai];
        address[4] memory spenders = [address(pool), address(morpho), address(wethUsdc), address(v3Pool)];
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertEq(all[i].balanceOf(address(executor)), 0, "balance at rest");
            for (uint256 j = 0; j < 4; ++j) {
                vm.assertEq(all[i].allowance(address(executor), spenders[j]), 0, "allowance at rest");
            }
        }
    }
}
