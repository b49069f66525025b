// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {KeeperExecutor} from "../src/KeeperExecutor.sol";
import {ExecutorAccess} from "../src/libraries/ExecutorAccess.sol";
import {FlashFunds} from "../src/libraries/FlashFunds.sol";
import {HopSwaps} from "../src/libraries/HopSwaps.sol";
import {SwapPair} from "../src/reference/SwapPair.sol";
import {ExecutorMarket} from "./support/ExecutorMarket.sol";
import {FixedPricePool} from "./support/FixedPricePool.sol";
import {MorphoStandIn} from "./support/MorphoStandIn.sol";
import {Plans} from "./support/Plans.sol";

/// @title Where the money for a run comes from, and lenders that do not keep to the rules
contract ExecutorFundingTest is ExecutorMarket {
    uint256 private constant REPAID = 15_000e6;
    uint256 private constant FOR_THE_SWAP = 9e18;

    function seized() private pure returns (uint256) {
        uint256 total = (uint256(15_000e18) / 1700 * 10500 + 5000) / 10000;
        return total - ((total - (total * 10000 + 5250) / 10500) * 1000 + 5000) / 10000;
    }

    function sold(SwapPair pair, address tokenIn, uint256 inRaw) private view returns (uint256) {
        (uint112 reserve0, uint112 reserve1,) = pair.getReserves();
        (uint256 reserveIn, uint256 reserveOut) = pair.token0() == tokenIn ? (reserve0, reserve1) : (reserve1, reserve0);
        return inRaw * 997 * reserveOut / (reserveIn * 1000 + inRaw * 997);
    }

    function fromMorpho() private view returns (Plans.Single memory p) {
        p = plan();
        (p.funding, p.lender) = (3, address(morpho));
    }

    /// @dev Nine ether of what will be seized are sold to the V3 pool first, the rest to the pair.
    function fromSwap() private view returns (Plans.Single memory p) {
        p = plan();
        (p.funding, p.lender, p.flashFeePips, p.fundRaw) = (2, address(v3), 500, FOR_THE_SWAP);
    }

    function bySwap(uint256 inRaw) private view returns (uint256) {
        bool inOrder = v3Pool.token0() == address(weth);
        uint256 perUnit = inOrder ? FALLEN * 1e6 : 1e36 / (FALLEN * 1e6);
        return inOrder ? inRaw * perUnit / 1e18 : inRaw * 1e18 / perUnit;
    }

    // ------------------------------------------------------------------ the three lenders

    function test_aFlashLoanOfMorphoIsFree() public {
        uint256 brought = sold(wethUsdc, address(weth), seized());
        uint256 lent = usdc.balanceOf(address(morpho));
        (uint256 repaidRaw,, uint256 proceeds, uint256 profit) = run(fromMorpho());
        vm.assertEq(repaidRaw, REPAID);
        vm.assertEq(proceeds, brought);
        vm.assertEq(profit, brought - REPAID);
        vm.assertEq(usdc.balanceOf(vault), profit);
        vm.assertEq(usdc.balanceOf(address(morpho)), lent);
        checkAtRest();
    }

    function test_aFlashSwapIsPaidOutOfTheCollateral() public {
        uint256 rest = sold(wethUsdc, address(weth), seized() - FOR_THE_SWAP);
        (uint256 repaidRaw, uint256 seizedRaw, uint256 proceeds, uint256 profit) = run(fromSwap());
        vm.assertEq(repaidRaw, REPAID);
        vm.assertEq(seizedRaw, seized());
        vm.assertEq(proceeds, bySwap(FOR_THE_SWAP) + rest);
        vm.assertEq(profit, proceeds - REPAID);
        vm.assertEq(usdc.balanceOf(vault), profit);
        vm.assertEq(weth.balanceOf(address(v3Pool)), FOR_THE_SWAP);
        checkAtRest();
    }

    function test_aFlashSwapAloneLeavesTheRestOfTheCollateralToTheTreasury() public {
        Plans.Single memory p = fromSwap();
        p.route = new Plans.Hop[](0);
        (,,, uint256 profit) = run(p);
        vm.assertEq(profit, bySwap(FOR_THE_SWAP) - REPAID);
        vm.assertEq(weth.balanceOf(vault), seized() - FOR_THE_SWAP);
        checkAtRest();
    }

    function test_aFlashSwapMustCoverTheDebtAndBeCoveredByTheCollateral() public {
        Plans.Single memory p = fromSwap();
        p.fundRaw = 8e18; // brings 13,600 dollars
        runRefused(p, PANIC_ARITHMETIC);
        p.fundRaw = seized() + 1;
        p.route = new Plans.Hop[](0);
        runRefused(p, PANIC_ARITHMETIC);
        p.route = new Plans.Hop[](1);
        p.route[0] = v2Hop(usdc);
        runRefused(p, abi.encodeWithSelector(KeeperExecutor.NothingLeft.selector, address(weth)));
    }

    function test_anUnknownPoolLendsNothing() public {
        Plans.Single memory p = fromSwap();
        p.flashFeePips = 3000;
        runRefused(p, abi.encodeWithSelector(HopSwaps.NoPool.selector, address(v3), address(weth), address(usdc)));
    }

    function test_thePremiumIsBounded() public {
        Plans.Single memory p = plan();
        p.mostPremiumRaw = 7.5e6 - 1;
        runRefused(p, abi.encodeWithSelector(FlashFunds.PremiumTooHigh.selector, 7.5e6, 7.5e6 - 1));
        p.mostPremiumRaw = 7.5e6;
        run(p);
    }

    function test_aListedLenderMayBeRemoved() public {
        vm.prank(owner);
        executor.setFlashLender(address(morpho), false);
        runRefused(fromMorpho(), abi.encodeWithSelector(FlashFunds.FlashLenderNotAllowed.selector, address(morpho)));
        vm.prank(owner);
        vm.expectRevert(ExecutorAccess.ZeroAddress.selector);
        executor.setFlashLender(address(0), true);
    }

    // ------------------------------------------------------------------ lenders that lie

    function test_morphoMayNotLie() public {
        morpho.behave(MorphoStandIn.Manner.SILENT);
        runRefused(fromMorpho(), abi.encodeWithSelector(FlashFunds.CallbackMissing.selector, address(morpho)));
        bytes memory unexpected = abi.encodeWithSelector(ExecutorAccess.UnexpectedCallback.selector, address(morpho));
        morpho.behave(MorphoStandIn.Manner.OTHER_AMOUNT);
        runRefused(fromMorpho(), unexpected);
        morpho.behave(MorphoStandIn.Manner.OTHER_DATA);
        runRefused(fromMorpho(), unexpected);
        morpho.behave(MorphoStandIn.Manner.TWICE);
        runRefused(fromMorpho(), unexpected);
        checkAtRest();
    }

    function test_whatALenderDoesNotTakeIsNotLeftAllowed() public {
        morpho.behave(MorphoStandIn.Manner.LENIENT);
        uint256 brought = sold(wethUsdc, address(weth), seized());
        (,,, uint256 profit) = run(fromMorpho());
        vm.assertEq(profit, brought - REPAID + 1);
        checkAtRest();
    }

    function test_aLendingPoolOfSwapsMayNotLie() public {
        v3Pool.misbehave(FixedPricePool.Manner.ASK_TWICE);
        runRefused(fromSwap(), abi.encodeWithSelector(ExecutorAccess.UnexpectedCallback.selector, address(v3Pool)));
        v3Pool.misbehave(FixedPricePool.Manner.ASK_MORE);
        runRefused(fromSwap(), abi.encodeWithSelector(HopSwaps.PartialFill.selector, FOR_THE_SWAP, FOR_THE_SWAP + 1));
        v3Pool.misbehave(FixedPricePool.Manner.ASK_NOTHING);
        runRefused(fromSwap(), abi.encodeWithSelector(FlashFunds.CallbackMissing.selector, address(v3Pool)));
        v3Pool.misbehave(FixedPricePool.Manner.HONEST);
        v3Pool.setDepth(1e18);
        runRefused(fromSwap(), abi.encodeWithSelector(HopSwaps.PartialFill.selector, FOR_THE_SWAP, 1e18));
        v3Pool.setDepth(type(uint256).max);
        run(fromSwap());
        checkAtRest();
    }

    /// @dev Each lender's callback, played by another lender that is on the list: the kind is checked as well.
    function testFuzz_callbacksOutsideARunAreRefused(address caller, uint256 assets, bytes calldata data) public {
        address[4] memory callers = [caller, address(morpho), address(pool), address(v3Pool)];
        for (uint256 i = 0; i < callers.length; ++i) {
            vm.prank(callers[i]);
            vm.expectRevert(abi.encodeWithSelector(ExecutorAccess.UnexpectedCallback.selector, callers[i]));
            executor.onMorphoFlashLoan(assets, data);
        }
    }
}
