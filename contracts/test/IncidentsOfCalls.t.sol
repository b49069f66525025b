// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {KeeperExecutor} from "../src/KeeperExecutor.sol";
import {IERC20} from "../src/interfaces/IERC20.sol";
import {ExecutorAccess} from "../src/libraries/ExecutorAccess.sol";
import {HopSwaps} from "../src/libraries/HopSwaps.sol";
import {PlanCodec} from "../src/libraries/PlanCodec.sol";
import {Incidents} from "./support/Incidents.sol";
import {AnybodysCallback, EveryCallback, LendersWord, OpenForwarder, PoolFromCalldata} from "./weak/WeakCallbacks.sol";
import {OpenSweep, OperatorsTreasury, OriginsOwner, ReenteredRun, StuckLock} from "./weak/WeakRoles.sol";
import {Cheat, HostilePool} from "./zoo/HostilePools.sol";
import {Habit, ZooToken} from "./zoo/ZooToken.sol";

/// @title Calls whoever it is told to: what an owner may be led to touch
contract Trap {
    function bite(address target, bytes calldata call) external returns (bool ok, bytes memory reason) {
        return target.call(call);
    }
}

/// @title A pool that an attacker brings along: it trades nothing and asks for everything
contract BroughtPool {
    function swap(address token, uint256) external {
        uint256 raw = IERC20(token).balanceOf(msg.sender);
        PoolFromCalldata(msg.sender).uniswapV3SwapCallback(int256(raw), 0, "");
    }
}

/// @title Incidents of calls and roles: who may call what, and what is called
contract IncidentsOfCallsTest is Incidents {
    // ------------------------------------------------------------------ callbacks and calls

    /// @dev BNB48's bot, 2022-09; an unverified contract, 2024-07.
    function test_incident01_callbackForAnybody() public {
        AnybodysCallback twin = new AnybodysCallback();
        stock(address(twin));
        vm.prank(thief);
        twin.uniswapV3SwapCallback(int256(LOOT), 0, abi.encode(address(usdc)));
        checkLooted();

        bytes memory call = abi.encodeCall(executor.uniswapV3SwapCallback, (int256(LOOT), 0, abi.encode(address(usdc))));
        same(refusedBy(thief, call), ExecutorAccess.UnexpectedCallback.selector);
        call = abi.encodeCall(executor.onMorphoFlashLoan, (LOOT, honest(morpho(address(badLender), 0, LOOT))));
        same(refusedBy(thief, call), ExecutorAccess.UnexpectedCallback.selector);
    }

    /// @dev badc0de, 2022-09; the bot a47b, 2022-10: the real lender calls, on a thief's behalf.
    function test_incident02_loanThatSomebodyElseAskedFor() public {
        LendersWord twin = new LendersWord(address(pool));
        stock(address(twin));
        bytes memory allow = abi.encodeCall(IERC20.approve, (address(pool), 1e6));
        bytes memory move = abi.encodeCall(IERC20.transfer, (thief, LOOT - 1e6));
        vm.startPrank(thief);
        pool.flashLoanSimple(address(twin), address(usdc), 1000, abi.encode(address(usdc), allow), 0);
        pool.flashLoanSimple(address(twin), address(usdc), 1000, abi.encode(address(usdc), move), 0);
        vm.stopPrank();
        checkLooted();

        bytes memory plan = honest(flash(address(pool), 0, 15_000e6, 15_000e6));
        vm.startPrank(thief);
        vm.expectRevert(abi.encodeWithSelector(ExecutorAccess.UnexpectedCallback.selector, address(pool)));
        pool.flashLoanSimple(address(executor), address(usdc), 15_000e6, plan, 0);
        vm.stopPrank();
        checkUntouched();
    }

    /// @dev BabySwap, 2022-10; Augustus V6, 2024-03.
    function test_incident03_poolOrRegistryOutOfCalldata() public {
        PoolFromCalldata twin = new PoolFromCalldata();
        stock(address(twin));
        BroughtPool brought = new BroughtPool();
        vm.prank(thief);
        twin.run(address(brought), address(usdc), 1);
        vm.assertEq(usdc.balanceOf(address(twin)), 0, "the twin was to lose");

        bytes memory plan =
            bytes.concat(head(0, two(address(usdc), address(weth))), sell(0, REST_USDC, 1, address(brought), 1));
        refusedFor(HopSwaps.FactoryNotAllowed.selector, plan);
        plan =
            bytes.concat(head(0, two(address(usdc), address(weth))), flashSwap(address(brought), 500, 0, 1, REST_USDC));
        refusedFor(HopSwaps.FactoryNotAllowed.selector, plan);
    }

    /// @dev A pool that calls back twice, and one that asks for more than it was offered.
    function test_incident04_callbackMoreThanOnceOrForMore() public {
        EveryCallback twin = new EveryCallback(address(badPool));
        stock(address(twin));
        badPool.misbehave(Cheat.ASKS_TWICE);
        bool zeroForOne = badPool.token0() == address(usdc);
        uint256 before = usdc.balanceOf(address(badPool));
        twin.run(address(usdc), zeroForOne, 1_000e6);
        vm.assertEq(usdc.balanceOf(address(badPool)) - before, 2_000e6, "the twin was to pay twice");
        badPool.askMoreBy(LOOT - 3_000e6);
        twin.run(address(usdc), zeroForOne, 1_000e6);
        vm.assertEq(usdc.balanceOf(address(twin)), 0, "the twin was to pay all");

        bytes memory plan =
            bytes.concat(head(0, two(address(usdc), address(weth))), sell(0, 1_000e6, 1, address(badFactory), 1));
        refusedFor(HopSwaps.PartialFill.selector, plan);
        badPool.misbehave(Cheat.ASKS_TWICE);
        refusedFor(ExecutorAccess.UnexpectedCallback.selector, plan);
    }

    /// @dev The bot 0x0ad8, 2022-11; UnprotectedArbBot, 2026-07.
    function test_incident05_arbitraryCall() public {
        OpenForwarder twin = new OpenForwarder();
        address victim = address(0x71C);
        usdc.mint(victim, LOOT);
        vm.prank(victim);
        usdc.approve(address(twin), MAX);
        bytes memory take = abi.encodeCall(IERC20.transferFrom, (victim, thief, LOOT));
        vm.prank(thief);
        twin.execute(address(usdc), take);
        checkLooted();

        vm.prank(victim);
        usdc.approve(address(executor), MAX);
        usdc.mint(victim, LOOT);
        refusedBy(thief, abi.encodeCall(OpenForwarder.execute, (address(usdc), take)));
        // An operator has no step with a target and data of its own: a token is no pool, no registry, no lender.
        address[] memory tokens = two(address(usdc), address(weth));
        bytes4[4] memory reasons = [
            bytes4(keccak256("PoolNotAllowed(address)")),
            bytes4(keccak256("PoolNotAllowed(address)")),
            bytes4(keccak256("FlashLenderNotAllowed(address)")),
            HopSwaps.FactoryNotAllowed.selector
        ];
        refusedFor(reasons[0], bytes.concat(head(0, tokens), flash(address(usdc), 0, 1, 1)));
        refusedFor(reasons[1], bytes.concat(head(0, tokens), liquidation(address(usdc), victim, 1, 0, 1)));
        refusedFor(reasons[2], bytes.concat(head(0, tokens), morpho(address(usdc), 0, 1)));
        refusedFor(reasons[3], bytes.concat(head(0, tokens), sell(0, 1, 0, address(usdc), 1)));
        refusedFor(PlanCodec.UnknownStep.selector, bytes.concat(head(0, tokens), hex"07"));
        vm.assertEq(usdc.balanceOf(victim), LOOT, "who allowed the executor something keeps it");
    }

    // ------------------------------------------------------------------ roles and locks

    /// @dev The bots 0x8c2d and 0xa247, 2023-11.
    function test_incident12_sweepForAnybody() public {
        OpenSweep twin = new OpenSweep();
        stock(address(twin));
        vm.prank(thief);
        twin.sweep(address(usdc));
        checkLooted();

        bytes memory call = abi.encodeCall(executor.rescue, (address(usdc)));
        same(refusedBy(thief, call), ExecutorAccess.NotOwner.selector);
        same(refusedBy(operator, call), ExecutorAccess.NotOwner.selector);
        vm.prank(owner);
        executor.rescue(address(usdc));
        vm.assertEq(usdc.balanceOf(vault), REST_USDC, "only ever there");
    }

    /// @dev Wintermute's kind of loss: the hot key is stolen, and the contract does as it is told.
    function test_incident13_operatorNamesTheReceiver() public {
        OperatorsTreasury twin = new OperatorsTreasury(operator);
        stock(address(twin));
        vm.prank(operator);
        twin.run(address(usdc), thief);
        checkLooted();

        run(honest(flash(address(pool), 0, 15_000e6, 15e6)));
        vm.assertGt(usdc.balanceOf(vault), 0, "the treasury has the gain");
        vm.assertEq(usdc.balanceOf(operator) + weth.balanceOf(operator), 0, "the operator has nothing");
        checkRest();
    }

    /// @dev THORChain's token, 2021-07.
    function test_incident14_senderOfTheTransaction() public {
        OriginsOwner twin = new OriginsOwner(owner);
        Trap trap = new Trap();
        stock(address(twin));
        vm.prank(owner, owner);
        trap.bite(address(twin), abi.encodeCall(OriginsOwner.sweep, (address(usdc), thief)));
        checkLooted();

        vm.prank(owner, owner);
        (bool ok, bytes memory reason) = trap.bite(address(executor), abi.encodeCall(executor.rescue, (address(usdc))));
        vm.assertFalse(ok, "the trap is not the owner");
        same(bytes4(reason), ExecutorAccess.NotOwner.selector);
        vm.prank(operator, operator);
        (ok, reason) = trap.bite(address(executor), abi.encodeCall(executor.run, (honest(own(0, 15_000e6)))));
        same(bytes4(reason), ExecutorAccess.NotOperator.selector);
        checkUntouched();
    }

    /// @dev Akutar's auction, 2022-04, and every lock that one way out forgets.
    function test_incident15_lockThatStaysSet() public {
        StuckLock twin = new StuckLock();
        twin.run(0);
        vm.expectRevert();
        twin.run(1);

        refused(hex"");
        refused(hex"02");
        bytes memory late = honest(own(0, 15_000e6));
        vm.roll(block.number + 1);
        refusedFor(KeeperExecutor.DeadlinePassed.selector, late);
        run(honest(own(0, 15_000e6)));
        checkRest();
        // And the second run of a transaction finds nothing of the first.
        refusedFor2(KeeperExecutor.ProfitTooLow.selector);
    }

    function refusedFor2(bytes4 expected) private {
        vm.prank(operator);
        (bool ok, bytes memory answer) =
            address(executor).call(abi.encodeCall(executor.run, (head(1, two(address(usdc), address(weth))))));
        vm.assertFalse(ok, "nothing was gained");
        same(bytes4(answer), expected);
    }

    /// @dev Agave and Hundred Finance, 2022-03: a token's hook enters again.
    function test_incident16_hookThatEntersAgain() public {
        ReenteredRun twin = new ReenteredRun();
        ZooToken hooked = new ZooToken(18);
        stock(address(twin));
        hooked.hook(Habit.HOOK_AFTER, address(twin), abi.encodeCall(ReenteredRun.run, (address(usdc), address(hooked))));
        vm.prank(thief);
        twin.run(address(usdc), address(hooked));
        checkLooted();

        bytes memory plan = honest(own(0, 15_000e6));
        ZooToken again = new ZooToken(18);
        vm.prank(owner);
        executor.setOperator(address(again), true);
        HostilePool market = new HostilePool(address(again), address(usdc), 1e18);
        usdc.mint(address(market), 1e12);
        again.mint(address(market), 1e12);
        market.sync();
        badFactory.add(market);
        again.hook(Habit.HOOK_AFTER, address(executor), abi.encodeCall(executor.run, (plan)));
        plan = bytes.concat(
            head(0, three(address(usdc), address(weth), address(again))),
            own(0, 15_000e6),
            liquidation(address(pool), borrower, 1, 0, 1),
            sell(1, 0, 0, address(swaps), 0),
            sell(0, 100e6, 0, address(badFactory), 2)
        );
        run(plan);
        vm.assertEq(again.hooksPassed(), 0, "a second run within the first");
        same(bytes4(again.lastFailure()), ExecutorAccess.InsideRun.selector);
        checkRest();
    }
}
