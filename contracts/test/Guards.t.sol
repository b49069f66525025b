// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {KeeperExecutor} from "../src/KeeperExecutor.sol";
import {ExecutorAccess} from "../src/libraries/ExecutorAccess.sol";
import {FlashFunds} from "../src/libraries/FlashFunds.sol";
import {Arena} from "./support/Arena.sol";
import {Plans} from "./support/Plans.sol";
import {Lie} from "./zoo/HostileLenders.sol";
import {Cheat} from "./zoo/HostilePools.sol";

/// @title One guard after the other, each against those it is there for
/// @dev C1 to C16 are the guards' names in docs/executor.md. Those that are shown better elsewhere: C12 and C13 in
/// Zoo.t.sol, C3 and C9 also in ExecutorGame.t.sol, C1 and C3 for all callers and calldata in proofs/.
contract GuardsTest is Arena {
    uint256 private constant FUND = 15_000e6;

    // ------------------------------------------------------------------ C2, C7: lenders

    function test_C02_aLenderThatLiesIsRefused() public {
        for (uint256 i = 0; i <= uint256(type(Lie).max); ++i) {
            badLender.tell(Lie(i));
            lie(Lie(i), flash(address(badLender), 0, FUND, 0));
            lie(Lie(i), morpho(address(badLender), 0, FUND));
        }
    }

    /// @dev Morpho's callback names neither asset nor initiator nor premium: it cannot lie about them.
    function lie(Lie how, bytes memory fund) private {
        bool ofAave = fund[0] == 0x01;
        bool harmless = how == Lie.NONE || how == Lie.TAKES_LESS
            || (!ofAave && (how == Lie.INITIATOR || how == Lie.ASSET || how == Lie.PREMIUM));
        uint256 world = vm.snapshotState();
        if (harmless) run(honest(fund));
        else same(refused(honest(fund)), reason(how));
        checkRest();
        vm.assertTrue(vm.revertToState(world));
    }

    function reason(Lie how) private pure returns (bytes4) {
        if (how == Lie.NO_CALLBACK) return FlashFunds.CallbackMissing.selector;
        if (how == Lie.PREMIUM) return FlashFunds.PremiumTooHigh.selector;
        // It has nothing to take: the allowance is what was agreed, and what lay here is counted.
        if (how == Lie.NO_MONEY) return KeeperExecutor.BalanceFell.selector;
        if (how == Lie.TAKES_MORE) return bytes4(keccak256("Error(string)"));
        return ExecutorAccess.UnexpectedCallback.selector;
    }

    /// @dev C7: the premium the plan names is enough, one unit less is not.
    function test_C07_premiumIsWhatThePlanSays() public {
        refusedFor(FlashFunds.PremiumTooHigh.selector, honest(flash(address(pool), 0, FUND, 7.5e6 - 1)));
        run(honest(flash(address(pool), 0, FUND, 7.5e6)));
        checkRest();
    }

    /// @dev C7: what is repaid is what the plan's funds allow, to the unit.
    function test_C07_repaysNoMoreThanWasFunded() public {
        refused(honest(own(0, FUND - 1)));
        run(honest(own(0, FUND)));
        checkRest();
    }

    /// @dev C7: what one run was funded with and did not use is nothing to the next one of the same transaction.
    function test_C07_fundsEndWithTheirRun() public {
        run(
            bytes.concat(
                head(0, two(address(usdc), address(weth))),
                own(0, REST_USDC),
                Plans.liquidate(address(pool), borrower, 1, 0, 1, 1_000e6),
                sell(1, 0, 0, address(swaps), 0)
            )
        );
        uint256 gain = usdc.balanceOf(vault);
        bytes memory call = abi.encodeCall(executor.run, (honest("")));
        vm.prank(operator);
        (bool ok,) = address(executor).call(call);
        vm.assertFalse(ok, "nothing was funded");
        vm.assertEq(usdc.balanceOf(vault), gain, "the first run's gain");
        checkRest();
    }

    /// @dev C7: nor does the next run keep back what a lender of the first one was owed.
    function test_C07_debtsEndWithTheirRun() public {
        bytes memory plan = honest(flashSwap(address(badFactory), 500, 1, 0, 8.9e18));
        run(plan);
        setPrice(address(weth), 2000e8);
        borrower = address(0xB0B2);
        makeUnhealthy(int256(FALLEN * 1e8));
        uint256 gain = usdc.balanceOf(vault);
        run(honest(flashSwap(address(badFactory), 500, 1, 0, 8.9e18)));
        vm.assertGt(usdc.balanceOf(vault), gain, "the second gain");
        vm.assertEq(weth.balanceOf(vault), 0, "all of the collateral was sold");
        checkRest();
    }

    // ------------------------------------------------------------------ C2: pools

    function test_C02_aPoolThatCheatsIsRefused() public {
        for (uint256 i = 0; i <= uint256(type(Cheat).max); ++i) {
            badPool.misbehave(Cheat(i));
            for (uint8 kind = 0; kind < 2; ++kind) {
                cheat(Cheat(i), kind, sell(1, 0, kind, address(badFactory), 0), own(0, FUND));
            }
            cheat(Cheat(i), 2, sell(1, 0, 0, address(swaps), 0), flashSwap(address(badFactory), 500, 1, 0, 8.9e18));
        }
    }

    function cheat(Cheat how, uint8 kind, bytes memory sale, bytes memory fund) private {
        bytes memory plan = bytes.concat(
            head(1, two(address(usdc), address(weth))), fund, liquidation(address(pool), borrower, 1, 0, 1), sale
        );
        // Pairs do not ask, others have no reserves; and who says both tokens are owed is paid the one that is.
        bool asks = how >= Cheat.ASKS_TWICE && how <= Cheat.CALLBACK_WITH_DATA;
        bool harmless = how == Cheat.NONE || how == Cheat.REENTERS || (kind == 0 && asks)
            || (kind == 1 && (how == Cheat.CALLBACK_WITH_DATA || how == Cheat.ASKS_BOTH))
            || (kind != 0 && how == Cheat.LIES_ABOUT_RESERVES);
        uint256 world = vm.snapshotState();
        if (harmless) run(plan);
        else refused(plan);
        checkRest();
        vm.assertTrue(vm.revertToState(world));
    }

    /// @dev A registry that names a token, a lender, an account without code or the executor itself as a pool.
    function test_C04_aRegistryThatNamesAnythingElse() public {
        address[6] memory named =
            [address(usdc), address(weth), address(pool), address(badLender), operator, address(executor)];
        for (uint256 i = 0; i < 6; ++i) {
            badFactory.name(named[i]);
            for (uint8 kind = 0; kind < 2; ++kind) {
                refused(
                    bytes.concat(
                        head(0, two(address(usdc), address(weth))), sell(0, 1_000e6, kind, address(badFactory), 1)
                    )
                );
            }
            refused(
                bytes.concat(
                    head(0, two(address(usdc), address(weth))), flashSwap(address(badFactory), 500, 0, 1, 1_000e6)
                )
            );
        }
        refused(bytes.concat(head(0, two(address(usdc), address(weth))), sell(0, 1_000e6, 2, address(badFactory), 1)));
    }

    // ------------------------------------------------------------------ C5, C6

    /// @dev C6: what is given away to the executor, before or within a run, neither pays for a plan nor stops one.
    function test_C06_giftsChangeNothing() public {
        uint256 world = vm.snapshotState();
        run(honest(own(0, FUND)));
        uint256 gain = usdc.balanceOf(vault);
        vm.assertTrue(vm.revertToState(world));
        usdc.mint(address(executor), 1_000_000e6);
        weth.mint(address(executor), 1);
        run(honest(own(0, FUND)));
        vm.assertEq(usdc.balanceOf(vault), gain, "the gain of this run");
        vm.assertEq(usdc.balanceOf(address(executor)), REST_USDC + 1_000_000e6, "the gift");
        vm.assertEq(weth.balanceOf(address(executor)), REST_WETH + 1, "the other gift");
    }

    /// @dev C6: the least profit is exact, in both directions.
    function test_C06_leastProfitIsExact() public {
        uint256 world = vm.snapshotState();
        run(honest(own(0, FUND)));
        uint256 gain = usdc.balanceOf(vault);
        vm.assertTrue(vm.revertToState(world));
        refusedFor(KeeperExecutor.ProfitTooLow.selector, withLeast(gain + 1));
        run(withLeast(gain));
    }

    function withLeast(uint256 leastRaw) private view returns (bytes memory) {
        return bytes.concat(
            head(leastRaw, two(address(usdc), address(weth))),
            own(0, FUND),
            liquidation(address(pool), borrower, 1, 0, 1),
            sell(1, 0, 0, address(swaps), 0)
        );
    }

    /// @dev C5: none of the ways of funding leaves an allowance, nor does a lending pool that takes only a part.
    function test_C05_everyWayOfFundingLeavesNoAllowance() public {
        bytes[4] memory funds = [
            own(0, REST_USDC),
            flash(address(pool), 0, 2 * FUND, 15e6),
            morpho(address(badLender), 0, 2 * FUND),
            flashSwap(address(badFactory), 500, 1, 0, 8.9e18)
        ];
        for (uint256 i = 0; i < 4; ++i) {
            uint256 world = vm.snapshotState();
            run(honest(funds[i]));
            checkRest();
            vm.assertGt(usdc.balanceOf(vault), 0, "a gain");
            vm.assertTrue(vm.revertToState(world));
        }
    }

    // ------------------------------------------------------------------ C8, C11, C16

    function test_C08_deadlineIsABlock() public {
        bytes memory plan = honest(own(0, FUND));
        vm.roll(block.number + 1);
        refusedFor(KeeperExecutor.DeadlinePassed.selector, plan);
        vm.roll(block.number - 1);
        run(plan);
    }

    /// @dev C11: in the deployed code, byte for byte, is no way to run foreign code here, to vanish, to deploy, or to
    /// ask who started the transaction, what it pays or who builds the block.
    function test_C11_noSuchInstruction() public view {
        bytes memory code = address(executor).code;
        uint256 instructions;
        for (uint256 i = 0; i < code.length; ++i) {
            uint8 op = uint8(code[i]);
            if (op >= 0x60 && op <= 0x7f) i += op - 0x5f;
            vm.assertFalse(op == 0xf4 || op == 0xf2 || op == 0xff, "foreign code, or an end");
            vm.assertFalse(op == 0xf0 || op == 0xf5, "new code");
            vm.assertFalse(
                op == 0x32 || op == 0x3a || op == 0x41 || op == 0x42 || op == 0x44, "the transaction, the block"
            );
            ++instructions;
        }
        vm.assertGt(instructions, 3_000, "the code was read");
    }

    function test_C16_pauseStopsRunsAndNotRescue() public {
        bytes4 notGuardian = ExecutorAccess.NotGuardian.selector;
        same(refusedBy(operator, abi.encodeCall(executor.pause, ())), notGuardian);
        vm.prank(guardian);
        executor.pause();
        refusedFor(ExecutorAccess.IsPaused.selector, honest(own(0, FUND)));
        same(refusedBy(owner, abi.encodeCall(executor.run, (honest(own(0, FUND))))), ExecutorAccess.IsPaused.selector);
        same(refusedBy(guardian, abi.encodeCall(executor.unpause, ())), ExecutorAccess.NotOwner.selector);
        vm.prank(owner);
        executor.rescue(address(weth));
        vm.assertEq(weth.balanceOf(vault), REST_WETH, "rescued while paused");
    }

    // ------------------------------------------------------------------ C10, C14, C15

    /// @dev C10: one bad token does not stop the rescue of another, and none is rescued in the middle of a run.
    function test_C10_rescueReachesTheTreasuryOnly() public {
        vm.deal(address(executor), 1 ether);
        vm.startPrank(owner);
        executor.rescue(address(usdc));
        executor.rescue(address(claim));
        executor.rescueNative();
        vm.stopPrank();
        vm.assertEq(usdc.balanceOf(vault), REST_USDC, "USDC");
        vm.assertGe(claim.balanceOf(vault) + 1, REST_CLAIM, "deposit");
        vm.assertEq(vault.balance, 1 ether);
    }

    /// @dev C14, C15: everything an operator can name, tried on what lies here: own funds into hostile pools by either
    /// kind of hop and by flash swap, the deposit redeemed, funds lent to nobody. Nothing leaves.
    function test_C15_aStolenKeyMovesNothingThatLiesHere() public {
        address[] memory tokens = two(address(usdc), address(weth));
        bytes memory deposit = abi.encodePacked(address(pool), uint8(0));
        uint256[3] memory amounts = [uint256(1), 1_000e6, REST_USDC];
        for (uint256 i = 0; i < 3; ++i) {
            for (uint8 kind = 0; kind < 2; ++kind) {
                refused(bytes.concat(head(0, tokens), sell(0, amounts[i], kind, address(badFactory), 1)));
                refused(bytes.concat(head(0, tokens, deposit), sell(2, amounts[i], kind, address(badFactory), 1)));
            }
            refused(bytes.concat(head(0, tokens), flashSwap(address(badFactory), 500, 0, 1, amounts[i])));
        }
        refusedFor(KeeperExecutor.NothingLeft.selector, bytes.concat(head(0, tokens, deposit), redeem(2)));
        refusedFor(KeeperExecutor.NothingLeft.selector, bytes.concat(head(0, tokens), sell(0, 0, 0, address(swaps), 1)));
        for (uint256 i = 0; i < 10; ++i) {
            same(refusedBy(operator, ownersCall(i)), i == 9 ? NOT_GUARDIAN : NOT_OWNER);
        }
        bytes memory accept = abi.encodeCall(executor.acceptOwnership, ());
        same(refusedBy(operator, accept), ExecutorAccess.NotPendingOwner.selector);
        vm.prank(owner);
        executor.transferOwnership(stranger);
        same(refusedBy(operator, accept), ExecutorAccess.NotPendingOwner.selector);
    }

    bytes4 private constant NOT_OWNER = ExecutorAccess.NotOwner.selector;
    bytes4 private constant NOT_GUARDIAN = ExecutorAccess.NotGuardian.selector;

    function ownersCall(uint256 i) private view returns (bytes memory) {
        if (i == 0) return abi.encodeCall(executor.transferOwnership, (operator));
        if (i == 1) return abi.encodeCall(executor.setGuardian, (operator));
        if (i == 2) return abi.encodeCall(executor.setOperator, (stranger, true));
        if (i == 3) return abi.encodeCall(executor.setLendingPool, (operator, true));
        if (i == 4) return abi.encodeCall(executor.setFactory, (0, operator, true));
        if (i == 5) return abi.encodeCall(executor.setFlashLender, (operator, true));
        if (i == 6) return abi.encodeCall(executor.unpause, ());
        if (i == 7) return abi.encodeCall(executor.rescue, (address(usdc)));
        if (i == 8) return abi.encodeCall(executor.rescueNative, ());
        return abi.encodeCall(executor.pause, ());
    }

    /// @dev C15: a plan that names the wrong receipt for the collateral cannot leave deposit tokens that nobody counts,
    /// not even when another liquidation of the run pays for them.
    function test_C15_whatIsReceivedIsWhatThePlanNames() public {
        bytes memory hidden = Plans.liquidate(address(pool), borrower, 1, 0, 0, 100e6);
        bytes memory plan = bytes.concat(
            head(0, two(address(usdc), address(weth))),
            own(0, FUND),
            hidden,
            liquidation(address(pool), borrower, 1, 0, 1),
            sell(1, 0, 0, address(swaps), 0)
        );
        refused(plan);
        // The claim on another token is no better.
        hidden = Plans.liquidate(address(pool), borrower, 1, 0, 2, 100e6);
        plan = bytes.concat(
            head(0, two(address(usdc), address(weth)), Plans.claim(address(pool), 0)),
            own(0, FUND),
            hidden,
            liquidation(address(pool), borrower, 1, 0, 1),
            sell(1, 0, 0, address(swaps), 0)
        );
        refused(plan);
        vm.assertEq(aTokenOf(weth).balanceOf(address(executor)), 0, "deposit tokens that nobody counts");
    }

    /// @dev C9: a token that owns a role finds every entry closed while it is called.
    function test_C09_aPoolCannotEnterAgain() public {
        bytes memory again = honest(own(0, FUND));
        badPool.reenter(address(executor), abi.encodeCall(executor.run, (again)));
        vm.prank(owner);
        executor.setOperator(address(badPool), true);
        run(
            bytes.concat(
                head(0, two(address(usdc), address(weth))),
                own(0, FUND),
                liquidation(address(pool), borrower, 1, 0, 1),
                sell(1, 0, 1, address(badFactory), 0)
            )
        );
        vm.assertEq(badPool.failed(), 1);
        same(bytes4(badPool.lastFailure()), ExecutorAccess.InsideRun.selector);
    }

    /// @dev C1, C3: whoever is not on a list, with whatever bytes.
    function testFuzz_C01_C03_strangersAreRefused(address caller, bytes4 selector, bytes calldata data) public {
        vm.assume(caller != owner && caller != operator && caller != guardian);
        vm.prank(caller);
        (bool ok,) = address(executor).call(abi.encodePacked(selector, data));
        if (ok) vm.assertTrue(isView(selector), "a stranger was let in");
        vm.prank(caller);
        (ok,) = address(executor).call(abi.encodeCall(executor.run, (data)));
        vm.assertFalse(ok, "a stranger ran");
        checkUntouched();
    }

    function isView(bytes4 selector) private view returns (bool) {
        (bool ok,) = address(executor).staticcall(abi.encodePacked(selector, new bytes(64)));
        return ok;
    }

    /// @dev C15: an operator's plan of any bytes behind a good header leaves what lay here.
    function testFuzz_C15_anyStepsLeaveWhatLayHere(bytes calldata steps) public {
        bytes memory plan =
            bytes.concat(head(0, two(address(usdc), address(weth)), abi.encodePacked(address(pool), uint8(0))), steps);
        vm.prank(operator);
        (bool ok,) = address(executor).call(abi.encodeCall(executor.run, (plan)));
        ok;
        checkRest();
    }
}
