// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "../src/interfaces/IERC20.sol";
import {TestToken} from "../src/reference/TestToken.sol";
import {Adversary} from "./support/Adversary.sol";
import {Plotter} from "./support/Plotter.sol";
import {Arena} from "./support/Arena.sol";
import {InvariantTest} from "./support/Vm.sol";
import {HostilePool} from "./zoo/HostilePools.sol";
import {TwoNamedToken, ZooToken} from "./zoo/ZooToken.sol";

/// @title Whatever a stolen key, strangers and hostile contracts do in any order, these hold after every call
contract ExecutorGameTest is Arena, InvariantTest {
    Adversary private game;
    ZooToken private zoo;
    TwoNamedToken private twice;

    function setUp() public override {
        super.setUp();
        zoo = new ZooToken(18);
        twice = new TwoNamedToken(6);
        HostilePool zooPool = poolOf(address(zoo), 1e24);
        HostilePool twicePool = poolOf(address(twice), 1e13);
        zoo.mint(address(executor), 3e18);
        twice.mint(address(executor), 3e6);
        // They have keys of operators, too: only the lock keeps them out of a run while they are called in one.
        vm.startPrank(owner);
        executor.setOperator(address(zoo), true);
        executor.setOperator(address(twice), true);
        executor.setOperator(address(badPool), true);
        vm.stopPrank();
        Plotter.World memory world;
        (world.executor, world.pool, world.usdc, world.weth) = (executor, pool, usdc, weth);
        (world.claim, world.zoo, world.twice) = (claim, zoo, twice);
        (world.zooPool, world.twicePool, world.wethPool) = (zooPool, twicePool, badPool);
        (world.badFactory, world.badLender, world.swaps) = (badFactory, badLender, address(swaps));
        (world.feed, world.admin) = (feeds[address(weth)], admin);
        (world.owner, world.operator, world.guardian) = (owner, operator, guardian);
        game = new Adversary(world, everySpender(zooPool, twicePool));
        _target(address(game));
    }

    function poolOf(address token, uint256 raw) private returns (HostilePool made) {
        made = new HostilePool(token, address(usdc), 1e18);
        ZooToken(token).mint(address(made), raw);
        usdc.mint(address(made), 1e13);
        made.sync();
        badFactory.add(made);
    }

    function everySpender(HostilePool zooPool, HostilePool twicePool) private view returns (address[] memory list) {
        address[10] memory all = [
            address(pool),
            address(swaps),
            address(wethUsdc),
            address(badPool),
            address(zooPool),
            address(twicePool),
            address(badFactory),
            address(badLender),
            operator,
            stranger
        ];
        list = new address[](10);
        for (uint256 i = 0; i < 10; ++i) {
            list[i] = all[i];
        }
    }

    /// @dev All of them after every call of one long game: `make prove` plays 500,000 calls, `make soak` 20 million.
    /// forge-config: default.invariant.runs = 50
    /// forge-config: prove.invariant.runs = 2500
    /// forge-config: soak.invariant.runs = 40000
    function invariant_theGuardsHold() public view {
        checkC01_C15_onlyOurPeople();
        checkC02_C03_callbacksOnlyInARun();
        checkC05_noAllowance();
        checkC04_C06_C14_whatLayHereStays();
        checkC10_C14_theTreasuryHasIt();
        checkC08_C16_noLateAndNoPausedRun();
        checkC09_nothingOpensDuringARun();
    }

    /// @dev C1, C15: roles and lists are the owner's; strangers change nothing, an operator runs and nothing else.
    function checkC01_C15_onlyOurPeople() private view {
        vm.assertEq(game.strangersIn(), 0, "a stranger was let in");
        vm.assertEq(executor.owner(), owner);
        vm.assertEq(executor.pendingOwner(), address(0));
        vm.assertEq(executor.guardian(), guardian);
        vm.assertTrue(executor.isOperator(operator), "the operator");
        vm.assertFalse(executor.isOperator(guardian) || executor.isOperator(stranger), "another operator");
        vm.assertTrue(executor.isLendingPool(address(pool)) && executor.isFlashLender(address(badLender)), "the lists");
    }

    /// @dev C2, C3: no callback is accepted outside a run, not even from those that may call back inside one.
    function checkC02_C03_callbacksOnlyInARun() private view {
        vm.assertEq(game.callbacksIn(), 0, "a callback was accepted");
    }

    /// @dev C5: of no token that a run touched may anybody take anything. A token that lies may say what it likes.
    function checkC05_noAllowance() private view {
        IERC20[3] memory tokens = [IERC20(address(usdc)), IERC20(address(weth)), claim];
        for (uint256 i = 0; i < 3; ++i) {
            for (uint256 j = 0; j < 10; ++j) {
                vm.assertEq(tokens[i].allowance(address(executor), game.spenders(j)), 0, "allowance at rest");
            }
        }
    }

    /// @dev C4, C6, C14: what lay here lies here, to the unit; a gain is at least what the plan asks and is counted by
    /// balances, so gifts change nothing.
    function checkC04_C06_C14_whatLayHereStays() private view {
        vm.assertEq(usdc.balanceOf(address(executor)), game.restRaw(address(usdc)), "USDC at rest");
        vm.assertEq(weth.balanceOf(address(executor)), game.restRaw(address(weth)), "WETH at rest");
        vm.assertGe(claim.balanceOf(address(executor)), REST_CLAIM, "deposit at rest");
        vm.assertEq(game.poorRuns(), 0, "less than the least profit");
        vm.assertEq(game.wrongEvents(), 0, "events tell another story");
    }

    /// @dev C10, C14: what leaves goes to the treasury, and to nobody else.
    function checkC10_C14_theTreasuryHasIt() private view {
        vm.assertEq(usdc.balanceOf(vault), game.paidRaw(address(usdc)), "USDC in the treasury");
        vm.assertEq(weth.balanceOf(vault), game.paidRaw(address(weth)), "WETH in the treasury");
        vm.assertEq(usdc.balanceOf(operator) + usdc.balanceOf(stranger) + usdc.balanceOf(guardian), 0, "USDC elsewhere");
        vm.assertEq(weth.balanceOf(operator) + weth.balanceOf(stranger) + weth.balanceOf(guardian), 0, "WETH elsewhere");
    }

    /// @dev C8, C16: no run after its deadline, none while paused.
    function checkC08_C16_noLateAndNoPausedRun() private view {
        vm.assertEq(game.lateRuns(), 0, "a late run");
        vm.assertEq(game.pausedRuns(), 0, "a run while paused");
    }

    /// @dev C9: whoever a token or a pool calls in the middle of a run finds every entry closed.
    function checkC09_nothingOpensDuringARun() private view {
        vm.assertEq(zoo.hooksPassed() + twice.hooksPassed() + badPool.passed(), 0, "an entry opened during a run");
    }

    /// @dev The game is worth playing: each way of funding succeeds in it.
    function test_theGameIsPlayed() public {
        for (uint256 seed = 0; seed < 16; ++seed) {
            game.borrowerFalls(4);
            game.calm();
            // Five ether pay for what five ether's borrower owes; every other time the gain goes by way of a pool.
            game.operatorRuns(seed % 4 | 4 << 2 | (seed / 4) << 60, 0);
        }
        vm.assertEq(game.runs(), 16, "runs");
        vm.assertEq(game.liquidations(), game.runs());
        game.donate(0, 1e6);
        game.ownerActs(2, 0);
        checkC04_C06_C14_whatLayHereStays();
        checkC10_C14_theTreasuryHasIt();
    }
}
