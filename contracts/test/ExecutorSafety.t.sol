// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {KeeperExecutor} from "../src/KeeperExecutor.sol";
import {ExecutorAccess} from "../src/libraries/ExecutorAccess.sol";
import {FlashFunds} from "../src/libraries/FlashFunds.sol";
import {HopSwaps} from "../src/libraries/HopSwaps.sol";
import {SafeToken} from "../src/libraries/SafeToken.sol";
import {TestToken} from "../src/reference/TestToken.sol";
import {ExecutorMarket} from "./support/ExecutorMarket.sol";
import {FixedPricePool} from "./support/FixedPricePool.sol";
import {LyingLender} from "./support/LyingLender.sol";
import {OddToken} from "./support/OddToken.sol";
import {Plans} from "./support/Plans.sol";

/// @title Who may do what to the executor, and what hostile counterparts cannot
contract ExecutorSafetyTest is ExecutorMarket {
    address private _stranger = address(0x57A);

    function rejects(address caller, bytes memory call, bytes4 reason) private {
        vm.prank(caller);
        (bool ok, bytes memory answer) = address(executor).call(call);
        vm.assertFalse(ok, "must be refused");
        vm.assertEq(bytes32(bytes4(answer)), bytes32(reason));
    }

    function ownersCalls() private view returns (bytes[10] memory calls) {
        calls[0] = abi.encodeCall(executor.transferOwnership, (_stranger));
        calls[1] = abi.encodeCall(executor.setGuardian, (_stranger));
        calls[2] = abi.encodeCall(executor.setOperator, (_stranger, true));
        calls[3] = abi.encodeCall(executor.setLendingPool, (_stranger, true));
        calls[4] = abi.encodeCall(executor.setFactory, (0, _stranger, true));
        calls[5] = abi.encodeCall(executor.unpause, ());
        calls[6] = abi.encodeCall(executor.rescue, (address(usdc)));
        calls[7] = abi.encodeCall(executor.rescueNative, ());
        calls[8] = abi.encodeCall(executor.setFactory, (1, _stranger, true));
        calls[9] = abi.encodeCall(executor.setFlashLender, (_stranger, true));
    }

    // ------------------------------------------------------------------ roles

    function test_onlyTheOwnerDoesOwnersThings() public {
        bytes[10] memory calls = ownersCalls();
        for (uint256 i = 0; i < calls.length; ++i) {
            rejects(_stranger, calls[i], ExecutorAccess.NotOwner.selector);
            rejects(operator, calls[i], ExecutorAccess.NotOwner.selector);
        }
    }

    function testFuzz_strangersCannotRun(address caller) public {
        vm.assume(caller != owner && caller != operator);
        rejects(caller, abi.encodeCall(executor.run, (Plans.encode(plan()))), ExecutorAccess.NotOperator.selector);
    }

    function test_removedOperatorCannotRun() public {
        vm.prank(owner);
        executor.setOperator(operator, false);
        rejects(operator, abi.encodeCall(executor.run, (Plans.encode(plan()))), ExecutorAccess.NotOperator.selector);
    }

    function test_removedTargetsAreRefused() public {
        vm.startPrank(owner);
        executor.setFactory(0, address(swaps), false);
        vm.stopPrank();
        runRefused(plan(), abi.encodeWithSelector(HopSwaps.FactoryNotAllowed.selector, 0, address(swaps)));
        vm.prank(owner);
        executor.setLendingPool(address(pool), false);
        runRefused(plan(), abi.encodeWithSelector(FlashFunds.PoolNotAllowed.selector, address(pool)));
    }

    function test_ownershipChangesInTwoSteps() public {
        vm.prank(owner);
        executor.transferOwnership(_stranger);
        vm.assertEq(executor.owner(), owner);
        rejects(operator, abi.encodeCall(executor.acceptOwnership, ()), ExecutorAccess.NotPendingOwner.selector);
        vm.prank(_stranger);
        executor.acceptOwnership();
        vm.assertEq(executor.owner(), _stranger);
        vm.assertEq(executor.pendingOwner(), address(0));
        rejects(owner, abi.encodeCall(executor.unpause, ()), ExecutorAccess.NotOwner.selector);
        // Nobody can take up an offer that was never made.
        rejects(address(0), abi.encodeCall(executor.transferOwnership, (owner)), ExecutorAccess.NotOwner.selector);
    }

    function test_guardianStopsButDoesNotRestart() public {
        address guardian = address(0x6A4);
        vm.prank(owner);
        executor.setGuardian(guardian);
        rejects(operator, abi.encodeCall(executor.pause, ()), ExecutorAccess.NotGuardian.selector);
        vm.prank(guardian);
        executor.pause();
        rejects(operator, abi.encodeCall(executor.run, (Plans.encode(plan()))), ExecutorAccess.IsPaused.selector);
        rejects(owner, abi.encodeCall(executor.run, (Plans.encode(plan()))), ExecutorAccess.IsPaused.selector);
        rejects(guardian, abi.encodeCall(executor.unpause, ()), ExecutorAccess.NotOwner.selector);
        usdc.mint(address(executor), 5);
        vm.startPrank(owner);
        executor.rescue(address(usdc));
        executor.unpause();
        executor.pause();
        executor.unpause();
        vm.stopPrank();
        run(plan());
    }

    function test_constructionRefusesNobody() public {
        address[] memory none = new address[](0);
        bytes4 reason = ExecutorAccess.ZeroAddress.selector;
        vm.expectRevert(reason);
        new KeeperExecutor(address(0), vault, none, none, none, none, none);
        vm.expectRevert(reason);
        new KeeperExecutor(owner, address(0), none, none, none, none, none);
        vm.expectRevert(reason);
        new KeeperExecutor(owner, vault, one(address(0)), none, none, none, none);
        vm.expectRevert(reason);
        new KeeperExecutor(owner, vault, none, one(address(0)), none, none, none);
        vm.expectRevert(reason);
        new KeeperExecutor(owner, vault, none, none, one(address(0)), none, none);
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(ExecutorAccess.UnknownKind.selector, 2));
        executor.setFactory(2, address(1), true);
        vm.assertEq(executor.TREASURY(), vault);
    }

    // ------------------------------------------------------------------ rescue

    function test_rescueGoesToTheTreasuryOnly() public {
        OddToken odd = new OddToken();
        odd.mint(address(executor), 7);
        odd.behave(OddToken.Habit.NO_RETURN);
        usdc.mint(address(executor), 5);
        vm.deal(address(executor), 3);
        vm.startPrank(owner);
        executor.rescue(address(usdc));
        executor.rescue(address(odd));
        executor.rescueNative();
        vm.assertEq(usdc.balanceOf(vault), 5);
        vm.assertEq(odd.balanceOf(vault), 7);
        vm.assertEq(vault.balance, 3);
    }

    function test_aBadTokenDoesNotBlockTheOthers() public {
        OddToken odd = new OddToken();
        odd.mint(address(executor), 7);
        odd.behave(OddToken.Habit.FALSE_RETURN);
        usdc.mint(address(executor), 5);
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(SafeToken.TokenRefused.selector, address(odd)));
        executor.rescue(address(odd));
        executor.rescue(address(usdc));
        odd.behave(OddToken.Habit.BOMB);
        executor.rescue(address(odd));
        vm.assertEq(odd.balanceOf(vault), 7);
        vm.etch(vault, hex"60006000fd");
        vm.expectRevert(ExecutorAccess.TreasuryRefused.selector);
        executor.rescueNative();
    }

    // ------------------------------------------------------------------ callbacks

    function testFuzz_callbacksOutsideARunAreRefused(address caller, int256 a0, int256 a1, bytes calldata data) public {
        bytes memory swap = abi.encodeCall(executor.uniswapV3SwapCallback, (a0, a1, data));
        rejects(caller, swap, ExecutorAccess.UnexpectedCallback.selector);
        bytes memory loan =
            abi.encodeCall(executor.executeOperation, (address(usdc), uint256(a0), 0, address(executor), data));
        rejects(caller, loan, ExecutorAccess.UnexpectedCallback.selector);
        rejects(address(pool), loan, ExecutorAccess.UnexpectedCallback.selector);
        rejects(address(v3Pool), swap, ExecutorAccess.UnexpectedCallback.selector);
    }

    /// @dev The real pool, asked by a stranger to lend to the executor: the executor did not ask.
    function test_aLoanSomebodyElseAskedForIsRefused() public {
        vm.prank(_stranger);
        vm.expectRevert(abi.encodeWithSelector(ExecutorAccess.UnexpectedCallback.selector, address(pool)));
        pool.flashLoanSimple(address(executor), address(usdc), 15_000e6, Plans.encode(plan()), 0);
    }

    /// @dev Even a lender on the allow-list is believed only in what the run asked it for.
    function test_aLenderMayNotLie() public {
        LyingLender lender_ = new LyingLender();
        vm.prank(owner);
        executor.setLendingPool(address(lender_), true);
        Plans.Single memory p = plan();
        (p.pool, p.lender) = (address(lender_), address(lender_));
        // With one token on both sides nothing has to be sold, so that only the callback can refuse.
        (p.collateral, p.route) = (p.debt, new Plans.Hop[](0));
        for (uint256 lie = 0; lie <= uint256(LyingLender.Lie.TWICE); ++lie) {
            lender_.tell(LyingLender.Lie(lie));
            runRefused(p, abi.encodeWithSelector(ExecutorAccess.UnexpectedCallback.selector, address(lender_)));
        }
    }

    function test_aPoolMayAskOnceAndForWhatWasOffered() public {
        Plans.Single memory p = plan();
        p.route[0] = v3Hop(usdc);
        v3Pool.misbehave(FixedPricePool.Manner.ASK_TWICE);
        runRefused(p, abi.encodeWithSelector(ExecutorAccess.UnexpectedCallback.selector, address(v3Pool)));
        v3Pool.misbehave(FixedPricePool.Manner.HONEST);
        uint256 world = vm.snapshotState();
        (, uint256 offered,,) = run(p);
        vm.assertTrue(vm.revertToState(world));
        v3Pool.misbehave(FixedPricePool.Manner.ASK_MORE);
        runRefused(p, abi.encodeWithSelector(HopSwaps.PartialFill.selector, offered, offered + 1));
        v3Pool.misbehave(FixedPricePool.Manner.ASK_NOTHING);
        runRefused(p, abi.encodeWithSelector(HopSwaps.PartialFill.selector, offered, 0));
        v3Pool.misbehave(FixedPricePool.Manner.HONEST);
        run(p);
        checkAtRest();
    }

    // ------------------------------------------------------------------ odd tokens

    /// @dev An odd token as debt, sold into from ether at the fallen price; the executor belongs to `owner_`.
    function withOddDebt(address owner_) private returns (OddToken odd, Plans.Single memory p) {
        odd = new OddToken();
        TestToken token = TestToken(address(odd));
        listToken(token, 1e8, settings(7500, 7700, 10400, 0));
        deposit(lender, token, 1_000_000e18);
        address other = address(0x07);
        setPrice(address(weth), 2000e8);
        deposit(other, weth, 10e18);
        take(other, token, 15_000e18);
        setPrice(address(weth), int256(FALLEN * 1e8));
        makePair(weth, token, 10_000e18, 10_000 * FALLEN * 1e18);
        executor = newExecutor(owner_);
        p = plan();
        (p.account, p.debt, p.fundRaw, p.route[0]) = (other, address(odd), 15_000e18, v2Hop(token));
        p.mostPremiumRaw = 10e18;
    }

    function checkOddAtRest(OddToken odd) private view {
        vm.assertEq(odd.balanceOf(address(executor)), 0, "balance at rest");
        vm.assertEq(odd.allowance(address(executor), address(pool)), 0, "allowance at rest");
        checkAtRest();
    }

    function test_tokenThatReturnsNothing() public {
        (OddToken odd, Plans.Single memory p) = withOddDebt(owner);
        odd.behave(OddToken.Habit.NO_RETURN);
        (,,, uint256 profit) = run(p);
        vm.assertEq(odd.balanceOf(vault), profit);
        p.funding = 0;
        checkOddAtRest(odd);
    }

    function test_tokenThatReturnsFalse() public {
        (OddToken odd, Plans.Single memory p) = withOddDebt(owner);
        odd.behave(OddToken.Habit.FALSE_RETURN);
        runRefused(p, abi.encodeWithSelector(SafeToken.TokenRefused.selector, address(odd)));
        checkOddAtRest(odd);
    }

    function test_tokenThatTakesAFee() public {
        (OddToken odd, Plans.Single memory p) = withOddDebt(owner);
        odd.behave(OddToken.Habit.FEE);
        vm.prank(operator);
        vm.expectRevert();
        executor.run(Plans.encode(p));
        checkOddAtRest(odd);
    }

    function test_tokenThatBlocksUs() public {
        (OddToken odd, Plans.Single memory p) = withOddDebt(owner);
        odd.blockAccount(address(executor));
        runRefused(p, abi.encodeWithSignature("Error(string)", "blocked"));
        odd.blockAccount(vault);
        runRefused(p, abi.encodeWithSignature("Error(string)", "blocked"));
        checkOddAtRest(odd);
    }

    function test_tokenThatAnswersWithAMegabyte() public {
        (OddToken odd, Plans.Single memory p) = withOddDebt(owner);
        odd.behave(OddToken.Habit.BOMB);
        (,,, uint256 profit) = run(p);
        vm.assertEq(odd.balanceOf(vault), profit);
    }

    /// @dev The token itself owns the executor and calls every entry point in the middle of a run: none may open.
    function test_nothingOpensDuringARun() public {
        OddToken probe = new OddToken();
        Plans.Single memory p;
        bytes[10] memory calls = ownersCalls();
        for (uint256 i = 0; i < calls.length + 3; ++i) {
            uint256 world = vm.snapshotState();
            (probe, p) = withOddDebt(owner);
            vm.prank(owner);
            executor.transferOwnership(address(probe));
            probe.act(address(executor), abi.encodeCall(executor.acceptOwnership, ()));
            bytes memory call = i < calls.length ? calls[i] : otherCalls(i - calls.length, p);
            if (i == calls.length + 2) {
                probe.act(address(executor), abi.encodeCall(executor.transferOwnership, (address(probe))));
            }
            probe.hook(address(executor), call);
            run(p);
            vm.assertEq(probe.hooksPassed(), 0, "an entry point opened during a run");
            vm.assertGt(probe.hooksFailed(), 4, "the hook ran");
            vm.assertEq(bytes32(bytes4(probe.lastFailure())), bytes32(ExecutorAccess.InsideRun.selector));
            checkOddAtRest(probe);
            vm.assertTrue(vm.revertToState(world));
        }
    }

    function otherCalls(uint256 i, Plans.Single memory p) private view returns (bytes memory) {
        if (i == 0) return abi.encodeCall(executor.run, (Plans.encode(p)));
        if (i == 1) return abi.encodeCall(executor.pause, ());
        return abi.encodeCall(executor.acceptOwnership, ());
    }

    /// @dev A token that plays the lender or the pool during the run is not the one that was asked.
    function test_aTokenCannotPlayTheCallbacks() public {
        (OddToken odd, Plans.Single memory p) = withOddDebt(owner);
        bytes memory loan =
            abi.encodeCall(executor.executeOperation, (address(odd), p.fundRaw, 0, address(executor), Plans.encode(p)));
        odd.hook(address(executor), loan);
        run(p);
        vm.assertEq(odd.hooksPassed(), 0, "accepted a forged loan");
        vm.assertEq(bytes32(bytes4(odd.lastFailure())), bytes32(ExecutorAccess.UnexpectedCallback.selector));
        checkOddAtRest(odd);
    }
}
