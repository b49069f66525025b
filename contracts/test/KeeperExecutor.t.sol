// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {KeeperExecutor} from "../src/KeeperExecutor.sol";
import {BoundedCall} from "../src/libraries/BoundedCall.sol";
import {FlashFunds} from "../src/libraries/FlashFunds.sol";
import {HopSwaps} from "../src/libraries/HopSwaps.sol";
import {SwapPair} from "../src/reference/SwapPair.sol";
import {Errors} from "../src/reference/libraries/Errors.sol";
import {ExecutorMarket} from "./support/ExecutorMarket.sol";
import {FixedPricePool} from "./support/FixedPricePool.sol";
import {Plans} from "./support/Plans.sol";

/// @title What a run does, and when it refuses
contract KeeperExecutorTest is ExecutorMarket {
    // 15,000 dollars at 1,700 buy 8.8235... ether; 5 % bonus, of which the protocol keeps a tenth.
    uint256 private constant REPAID = 15_000e6;
    uint256 private constant PREMIUM = 7.5e6;

    function seized() private pure returns (uint256) {
        uint256 total = (uint256(15_000e18) / 1700 * 10500 + 5000) / 10000;
        return total - ((total - (total * 10000 + 5250) / 10500) * 1000 + 5000) / 10000;
    }

    function soldV2(SwapPair pair, address tokenIn, uint256 inRaw) private view returns (uint256) {
        (uint112 reserve0, uint112 reserve1,) = pair.getReserves();
        (uint256 reserveIn, uint256 reserveOut) = pair.token0() == tokenIn ? (reserve0, reserve1) : (reserve1, reserve0);
        return inRaw * 997 * reserveOut / (reserveIn * 1000 + inRaw * 997);
    }

    function checkRun(Plans.Single memory p, uint256 proceeds, uint256 premium) private {
        uint256 gain = proceeds - REPAID - premium;
        vm.expectEmit(true, true, true, true, address(executor));
        emit KeeperExecutor.Liquidated(borrower, address(usdc), address(weth), REPAID, seized());
        vm.expectEmit(true, true, true, true, address(executor));
        emit KeeperExecutor.Settled(address(usdc), gain);
        (uint256 repaidRaw, uint256 seizedRaw, uint256 proceedsRaw, uint256 profitRaw) = run(p);
        vm.assertEq(repaidRaw, REPAID, "repaid");
        vm.assertEq(seizedRaw, seized(), "seized");
        vm.assertEq(proceedsRaw, proceeds, "proceeds");
        vm.assertEq(profitRaw, gain, "profit");
        vm.assertEq(usdc.balanceOf(vault), gain, "treasury");
    }

    function test_flashFundedRunPaysTheTreasury() public {
        checkRun(plan(), soldV2(wethUsdc, address(weth), seized()), PREMIUM);
        checkAtRest();
    }

    function test_ownerMayRunToo() public {
        vm.prank(owner);
        executor.run(Plans.encode(plan()));
        vm.assertGt(usdc.balanceOf(vault), 0, "treasury");
    }

    function test_aLargerLoanThanNeededIsReturned() public {
        Plans.Single memory p = plan();
        p.fundRaw = 20_000e6;
        checkRun(p, soldV2(wethUsdc, address(weth), seized()), 10e6);
        checkAtRest();
    }

    function test_ownBalanceIsKept() public {
        usdc.mint(address(executor), 40_000e6);
        weth.mint(address(executor), 3e18);
        Plans.Single memory p = plan();
        p.funding = 0;
        checkRun(p, soldV2(wethUsdc, address(weth), seized()), 0);
        vm.assertEq(usdc.balanceOf(address(executor)), 40_000e6);
        vm.assertEq(weth.balanceOf(address(executor)), 3e18, "what was there is not sold");
        vm.assertEq(usdc.allowance(address(executor), address(pool)), 0);
    }

    function test_ownBalanceIsSpentOnlyAsFarAsThePlanSays() public {
        usdc.mint(address(executor), 40_000e6);
        Plans.Single memory p = plan();
        (p.funding, p.fundRaw) = (0, 15_000e6 - 1);
        runRefused(p, PANIC_ARITHMETIC); // the token's own refusal: the pool asks for more than it is allowed
        p.fundRaw = 15_000e6;
        p.coverRaw = 1_000e6;
        (uint256 repaidRaw,,,) = run(p);
        vm.assertEq(repaidRaw, 1_000e6);
        vm.assertEq(usdc.allowance(address(executor), address(pool)), 0, "the unused allowance is taken back");
    }

    function test_twoHops() public {
        Plans.Single memory p = plan();
        p.route = new Plans.Hop[](2);
        (p.route[0], p.route[1]) = (v2Hop(dai), v2Hop(usdc));
        uint256 between = soldV2(wethDai, address(weth), seized());
        checkRun(p, soldV2(daiUsdc, address(dai), between), PREMIUM);
        checkAtRest();
    }

    function test_concentratedHop() public {
        Plans.Single memory p = plan();
        p.route[0] = v3Hop(usdc);
        uint256 perUnit = v3Pool.token0() == address(weth) ? FALLEN * 1e6 : 1e36 / (FALLEN * 1e6);
        bool inOrder = v3Pool.token0() == address(weth);
        checkRun(p, inOrder ? seized() * perUnit / 1e18 : seized() * 1e18 / perUnit, PREMIUM);
        checkAtRest();
    }

    function test_oneTokenOnBothSidesSellsNothing() public {
        address other = address(0x07);
        deposit(other, weth, 10e18);
        take(other, weth, 7.9e18);
        vm.warp(block.timestamp + 365 days);
        Plans.Single memory p = plan();
        (p.account, p.debt, p.coverRaw, p.fundRaw) = (other, address(weth), 0.1e18, 0.1e18);
        p.mostPremiumRaw = 0.00005e18;
        p.route = new Plans.Hop[](0);
        (uint256 repaidRaw, uint256 seizedRaw, uint256 proceedsRaw, uint256 profitRaw) = run(p);
        vm.assertEq(repaidRaw, 0.1e18);
        vm.assertEq(seizedRaw, 0.1045e18);
        vm.assertEq(proceedsRaw, 0.1045e18);
        vm.assertEq(profitRaw, 0.0045e18 - 0.00005e18);
        vm.assertEq(weth.balanceOf(vault), profitRaw);
        checkAtRest();

        weth.mint(address(executor), 3e18);
        (p.funding, p.fundRaw, p.coverRaw) = (0, 3e18, 0.1e18);
        (repaidRaw, seizedRaw,, profitRaw) = run(p);
        vm.assertEq(repaidRaw, 0.1e18);
        vm.assertEq(profitRaw, seizedRaw - 0.1e18);
        vm.assertEq(weth.balanceOf(address(executor)), 3e18, "what was there stays");
        vm.assertEq(weth.allowance(address(executor), address(pool)), 0, "the unused allowance is taken back");
    }

    // ------------------------------------------------------------------ refusals of a plan

    function test_deadline() public {
        Plans.Single memory p = plan();
        vm.roll(block.number + 1);
        runRefused(p, abi.encodeWithSelector(KeeperExecutor.DeadlinePassed.selector, p.deadlineBlock));
        vm.roll(p.deadlineBlock);
        run(p);
    }

    function test_profitFloorIsExact() public {
        Plans.Single memory p = plan();
        uint256 gain = soldV2(wethUsdc, address(weth), seized()) - REPAID - PREMIUM;
        p.minProfitRaw = gain + 1;
        runRefused(p, abi.encodeWithSelector(KeeperExecutor.ProfitTooLow.selector, gain, gain + 1));
        p.minProfitRaw = gain;
        run(p);
        vm.assertEq(usdc.balanceOf(vault), gain);
    }

    function test_aLossIsRefusedOnOwnFunds() public {
        usdc.mint(address(executor), 15_000e6);
        weth.mint(address(wethUsdc), 90_000e18);
        wethUsdc.sync();
        Plans.Single memory p = plan();
        p.funding = 0;
        uint256 afterRaw = soldV2(wethUsdc, address(weth), seized());
        runRefused(p, abi.encodeWithSelector(KeeperExecutor.BalanceFell.selector, address(usdc), REPAID, afterRaw));
        vm.assertEq(usdc.balanceOf(address(executor)), 15_000e6);
    }

    function test_aLossCannotRepayTheLoan() public {
        weth.mint(address(wethUsdc), 90_000e18);
        wethUsdc.sync();
        runRefused(plan(), PANIC_ARITHMETIC); // the debt token refuses to overdraw
    }

    function test_onlyListedTargets() public {
        Plans.Single memory p = plan();
        p.pool = address(0xBAD);
        runRefused(p, abi.encodeWithSelector(FlashFunds.PoolNotAllowed.selector, p.pool));
        p = plan();
        p.route[0].factory = address(0xBAD);
        runRefused(p, abi.encodeWithSelector(HopSwaps.FactoryNotAllowed.selector, 0, address(0xBAD)));
        p.route[0].factory = address(v3);
        runRefused(p, abi.encodeWithSelector(HopSwaps.FactoryNotAllowed.selector, 0, address(v3)));
        (p.route[0].kind, p.route[0].factory) = (2, address(swaps));
        runRefused(p, abi.encodeWithSelector(HopSwaps.FactoryNotAllowed.selector, 2, address(swaps)));
        p = plan();
        (p.funding, p.lender) = (3, address(0xBAD));
        runRefused(p, abi.encodeWithSelector(FlashFunds.FlashLenderNotAllowed.selector, address(0xBAD)));
        (p.funding, p.lender) = (1, address(morpho));
        runRefused(p, abi.encodeWithSelector(FlashFunds.PoolNotAllowed.selector, address(morpho)));
        (p.funding, p.lender) = (2, address(swaps));
        runRefused(p, abi.encodeWithSelector(HopSwaps.FactoryNotAllowed.selector, 1, address(swaps)));
    }

    /// @dev What is sold for something else goes to the treasury, but the debt token's balance has fallen.
    function test_theSaleMustBringTheDebtBack() public {
        Plans.Single memory p = plan();
        p.route[0] = v2Hop(dai);
        runRefused(p, PANIC_ARITHMETIC); // the loan cannot be repaid
        p.funding = 0;
        usdc.mint(address(executor), 20_000e6);
        runRefused(
            p, abi.encodeWithSelector(KeeperExecutor.BalanceFell.selector, address(usdc), 20_000e6, 20_000e6 - REPAID)
        );
        p.route = new Plans.Hop[](0);
        runRefused(
            p, abi.encodeWithSelector(KeeperExecutor.BalanceFell.selector, address(usdc), 20_000e6, 20_000e6 - REPAID)
        );
    }

    function test_poolsMustExist() public {
        Plans.Single memory p = plan();
        p.route = new Plans.Hop[](2);
        (p.route[0], p.route[1]) = (v2Hop(wbtc), v2Hop(usdc));
        runRefused(p, abi.encodeWithSelector(HopSwaps.NoPool.selector, address(swaps), address(weth), address(wbtc)));
        p = plan();
        p.route[0] = v3Hop(usdc);
        p.route[0].feePips = 3000;
        runRefused(p, abi.encodeWithSelector(HopSwaps.NoPool.selector, address(v3), address(weth), address(usdc)));
    }

    function test_feeMustBeBelowAll() public {
        Plans.Single memory p = plan();
        p.route[0].feePips = 1_000_000;
        runRefused(p, abi.encodeWithSelector(HopSwaps.FeeTooHigh.selector, 1_000_000));
        p.route[0].feePips = 2999; // asks a millionth more than the pair gives
        runRefused(p, abi.encodeWithSelector(SwapPair.ProductFell.selector));
    }

    function test_partialFillIsRefused() public {
        Plans.Single memory p = plan();
        p.route[0] = v3Hop(usdc);
        v3Pool.setDepth(1e18);
        runRefused(p, abi.encodeWithSelector(HopSwaps.PartialFill.selector, seized(), 1e18));
    }

    function test_lendingPoolsReasonComesThrough() public {
        Plans.Single memory p = plan();
        setPrice(address(weth), 2000e8);
        runRefused(p, abi.encodeWithSelector(Errors.HealthFactorNotBelowThreshold.selector));
        p.fundRaw = 0;
        runRefused(p, abi.encodeWithSelector(Errors.InvalidAmount.selector));
    }

    function test_swapsReasonIsCutShort() public {
        Plans.Single memory p = plan();
        p.route[0] = v3Hop(usdc);
        v3Pool.misbehave(FixedPricePool.Manner.RETURN_BOMB);
        usdc.mint(address(executor), 15_000e6);
        p.funding = 0;
        vm.prank(operator);
        (bool ok, bytes memory reason) = address(executor).call(abi.encodeCall(executor.run, (Plans.encode(p))));
        vm.assertFalse(ok);
        vm.assertEq(reason.length, 1024);
    }

    function test_anEmptyReasonIsNamed() public {
        vm.etch(address(wethUsdc), hex"60ff60005260206000fd"); // answers every call by reverting with 32 bytes
        vm.prank(operator);
        vm.expectRevert();
        executor.run(Plans.encode(plan()));
        vm.etch(address(pool), hex"60006000fd");
        runRefused(plan(), abi.encodeWithSelector(BoundedCall.CallFailed.selector, address(pool)));
        vm.etch(address(pool), "");
        runRefused(plan(), abi.encodeWithSelector(BoundedCall.NoCode.selector, address(pool)));
    }

    function test_aLenderThatDoesNotCallBackIsRefused() public {
        vm.etch(address(pool), hex"00"); // succeeds and does nothing
        runRefused(plan(), abi.encodeWithSelector(FlashFunds.CallbackMissing.selector, address(pool)));
    }

    /// @dev On every outcome of a run with any numbers in it, nothing stays behind.
    function testFuzz_anyNumbersLeaveNothingBehind(
        uint256 cover,
        uint256 fund,
        uint256 least,
        uint24 fee,
        uint8 funding
    ) public {
        Plans.Single memory p = plan();
        (p.coverRaw, p.fundRaw) = (bound(cover, 0, 20_000e6), bound(fund, 0, 20_000e6));
        (p.minProfitRaw, p.funding) = (bound(least, 0, 1_000e6), funding % 4);
        p.lender = [address(0), address(pool), address(v3), address(morpho)][p.funding];
        p.flashFeePips = 500;
        p.route[0].feePips = fee;
        vm.prank(operator);
        (bool ok, bytes memory answer) = address(executor).call(abi.encodeCall(executor.run, (Plans.encode(p))));
        if (ok) {
            (,, uint256 profit) = abi.decode(answer, (KeeperExecutor.StepResult[], uint256, uint256));
            vm.assertEq(usdc.balanceOf(vault), profit);
            vm.assertGe(profit, p.minProfitRaw, "profit");
        } else {
            vm.assertEq(usdc.balanceOf(vault), 0);
        }
        checkAtRest();
    }
}
