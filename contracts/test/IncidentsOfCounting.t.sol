// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {KeeperExecutor} from "../src/KeeperExecutor.sol";
import {SafeToken} from "../src/libraries/SafeToken.sol";
import {TestToken} from "../src/reference/TestToken.sol";
import {Incidents} from "./support/Incidents.sol";
import {
    AbsoluteProfit,
    IRouter,
    LeftoverAllowance,
    NominalAmount,
    OneNameOnly,
    RoutersWord,
    SilentFalse
} from "./weak/WeakAccounting.sol";
import {CheatingRouter} from "./zoo/CheatingRouter.sol";
import {Cheat, HostilePool} from "./zoo/HostilePools.sol";
import {Habit, SecondName, TwoNamedToken, ZooToken} from "./zoo/ZooToken.sol";

/// @title Incidents of counting: what is believed, and what is left behind
contract IncidentsOfCountingTest is Incidents {
    // ------------------------------------------------------------------ counting

    /// @dev EFLeverVault, 2022-10: what was there before counts as the result.
    function test_incident06_profitByAbsoluteBalance() public {
        AbsoluteProfit twin = new AbsoluteProfit();
        CheatingRouter router = new CheatingRouter();
        stock(address(twin));
        weth.mint(address(twin), 4e18);
        router.set(4e18, 0, 0);
        twin.run(IRouter(address(router)), address(weth), address(usdc), 4e18, LOOT);
        vm.assertEq(weth.balanceOf(address(twin)), 0, "the twin was to lose");

        badPool.misbehave(Cheat.PAYS_NOTHING);
        for (uint8 kind = 0; kind < 2; ++kind) {
            bytes memory plan =
                bytes.concat(head(0, two(address(usdc), address(weth))), sell(1, 4e18, kind, address(badFactory), 0));
            refusedFor(KeeperExecutor.BalanceFell.selector, plan);
            plan = bytes.concat(
                head(0, two(address(usdc), address(weth))),
                own(0, 15_000e6),
                liquidation(address(pool), borrower, 1, 0, 1),
                sell(1, 0, kind, address(badFactory), 0)
            );
            refusedFor(KeeperExecutor.BalanceFell.selector, plan);
        }
    }

    /// @dev Salmonella, 2021: the pool reports what the token did not pay.
    function test_incident07_profitByReturnValue() public {
        RoutersWord twin = new RoutersWord();
        CheatingRouter router = new CheatingRouter();
        weth.mint(address(twin), 4e18);
        router.set(4e18, 0, LOOT);
        twin.run(IRouter(address(router)), address(weth), address(usdc), 4e18, LOOT);
        vm.assertEq(twin.earnedRaw() - usdc.balanceOf(address(twin)), LOOT, "the twin was to believe it");

        badPool.misbehave(Cheat.PAYS_LITTLE);
        bytes memory plan = bytes.concat(
            head(1, two(address(usdc), address(weth))),
            flash(address(pool), 0, 15_000e6, 15e6),
            liquidation(address(pool), borrower, 1, 0, 1),
            sell(1, 0, 1, address(badFactory), 0)
        );
        // The loan is paid back out of what lies here, which is then seen to be missing.
        refusedFor(KeeperExecutor.BalanceFell.selector, plan);
    }

    /// @dev Multichain's router, 2022-01; a sandwich bot and fake wrappers, 2026-06.
    function test_incident08_allowanceThatIsLeft() public {
        LeftoverAllowance twin = new LeftoverAllowance();
        CheatingRouter router = new CheatingRouter();
        stock(address(twin));
        twin.run(IRouter(address(router)), address(usdc), address(weth), 1);
        vm.prank(thief);
        router.harvest(address(usdc), address(twin), LOOT);
        checkLooted();

        // A lending pool that takes nothing of what it was allowed, and a lender that is allowed its due.
        bytes memory plan = bytes.concat(
            head(0, two(address(usdc), address(weth))),
            morpho(address(badLender), 0, 1_000e6),
            own(0, REST_USDC),
            liquidation(address(badLender), borrower, 1, 0, 1)
        );
        run(plan);
        checkUntouched();
    }

    /// @dev Qubit's bridge, 2022-01.
    function test_incident09_transferThatAnswersFalse() public {
        SilentFalse twin = new SilentFalse();
        ZooToken zoo = new ZooToken(18);
        zoo.mint(address(twin), 5);
        zoo.behave(Habit.FALSE_RETURN);
        twin.payOut(address(zoo), vault, 5);
        vm.assertEq(twin.paidRaw(address(zoo)) - zoo.balanceOf(vault), 5, "the twin was to believe it");

        zoo.mint(address(executor), 5);
        same(refusedBy(owner, abi.encodeCall(executor.rescue, (address(zoo)))), SafeToken.TokenRefused.selector);
        badFactory.add(new HostilePool(address(zoo), address(usdc), 1e18));
        bytes memory plan =
            bytes.concat(head(0, two(address(usdc), address(zoo))), sell(1, 5, 0, address(badFactory), 0));
        refusedFor(SafeToken.TokenRefused.selector, plan);
    }

    /// @dev The STA pools, 2020.
    function test_incident10_amountThatDidNotArrive() public {
        NominalAmount twin = new NominalAmount();
        ZooToken zoo = new ZooToken(18);
        zoo.behave(Habit.FEE);
        address[2] memory people = [thief, address(0x71C)];
        for (uint256 i = 0; i < 2; ++i) {
            zoo.mint(people[i], 1e18);
            vm.startPrank(people[i]);
            zoo.approve(address(twin), 1e18);
            twin.deposit(address(zoo), 1e18);
            vm.stopPrank();
        }
        vm.prank(thief);
        twin.withdraw(address(zoo));
        vm.assertLt(zoo.balanceOf(address(twin)), 0.99e18, "the other was to lose");

        // The executor sells what arrived, hop by hop, and touches nothing that lies here.
        zoo.mint(address(executor), 3e18);
        TestToken feeToken = TestToken(address(zoo));
        zoo.behave(Habit.PLAIN);
        makePair(feeToken, usdc, 1_000e18, 1_000_000e6);
        zoo.behave(Habit.FEE);
        address[] memory tokens = three(address(usdc), address(weth), address(zoo));
        bytes memory plan = bytes.concat(
            head(0, tokens),
            own(0, 15_000e6),
            liquidation(address(pool), borrower, 1, 0, 1),
            sell(1, 0, 0, address(swaps), 0),
            sell(0, 100e6, 0, address(swaps), 2),
            sell(2, 0, 0, address(swaps), 0)
        );
        run(plan);
        vm.assertEq(zoo.balanceOf(address(executor)), 3e18, "what lay here");
        vm.assertGt(usdc.balanceOf(vault), 0, "the gain");
        checkRest();
    }

    /// @dev TrueUSD in Compound, 2022-03.
    function test_incident11_tokenWithTwoNames() public {
        TwoNamedToken token = new TwoNamedToken(6);
        SecondName second = token.second();
        OneNameOnly twin = new OneNameOnly(address(token), thief);
        token.mint(address(twin), LOOT);
        twin.sweep(address(second));
        vm.assertEq(token.balanceOf(thief), LOOT, "the twin was to lose");

        token.mint(address(executor), LOOT);
        HostilePool market = new HostilePool(address(second), address(usdc), 1e18);
        badFactory.add(market);
        usdc.mint(address(market), 1e12);
        token.mint(address(market), 1e12);
        market.sync();
        address[] memory tokens = four(address(usdc), address(weth), address(second), address(token));
        bytes memory plan = bytes.concat(head(0, tokens), sell(2, LOOT, 0, address(badFactory), 0));
        refusedFor(KeeperExecutor.BalanceFell.selector, plan);
        // What is gained under two names is paid out once.
        plan = bytes.concat(
            head(0, tokens),
            own(0, 15_000e6),
            liquidation(address(pool), borrower, 1, 0, 1),
            sell(1, 0, 0, address(swaps), 0),
            sell(0, 100e6, 0, address(badFactory), 2)
        );
        run(plan);
        vm.assertEq(token.balanceOf(address(executor)), LOOT, "what lay here");
        vm.assertGt(token.balanceOf(vault), 99e6, "the gain");
        checkRest();
    }
}
