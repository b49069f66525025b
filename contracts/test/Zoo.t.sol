// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "../src/interfaces/IERC20.sol";
import {TestToken} from "../src/reference/TestToken.sol";
import {Arena} from "./support/Arena.sol";
import {HostilePool} from "./zoo/HostilePools.sol";
import {Habit, ZooToken} from "./zoo/ZooToken.sol";

/// @title Every habit of a token in every place where a plan can put it
/// @dev What must hold in all of them: nothing that lay here leaves, no allowance stays, and nothing gets stuck. Whether
/// the run succeeds is written down beside it, so that a change shows.
contract ZooTest is Arena {
    enum Place {
        THROUGH_PAIR, // part of the gain goes through the token and back, on pairs
        THROUGH_POOL, // the same on concentrated liquidity
        LEFT_OVER, // part of the gain is left in the token and goes to the treasury
        DEBT, // the token is what is repaid
        COLLATERAL, // the token is what is received
        FLASHED // the token is borrowed from a flash lender and returned
    }

    uint256 private constant PLACES = 6;
    uint256 private constant ALL = 63;
    uint256 private constant REST_ZOO = 3e18;

    ZooToken private zoo;
    HostilePool private zooPool;
    address private debtor = address(0xDEB7);

    function setUp() public override {
        super.setUp();
        useToken(18);
    }

    function useToken(uint8 decimals) private {
        zoo = new ZooToken(decimals);
        TestToken token = TestToken(address(zoo));
        uint256 unit = 10 ** decimals;
        makePair(token, usdc, 1_000_000 * unit, 1_000_000e6);
        zooPool = new HostilePool(address(zoo), address(usdc), 1e6 * 1e18 / unit);
        zoo.mint(address(zooPool), 1_000_000 * unit);
        usdc.mint(address(zooPool), 1_000_000e6);
        zooPool.sync();
        badFactory.add(zooPool);
        zoo.mint(address(badLender), 1_000_000 * unit);
        zoo.mint(address(executor), REST_ZOO);
        listToken(token, 1e8, settings(7500, 7700, 10400, 0));
    }

    /// @dev An account that owes the token, and one that has it as collateral, both unhealthy.
    function debtors() private {
        TestToken token = TestToken(address(zoo));
        uint256 unit = 10 ** zoo.decimals();
        deposit(address(0x1E9D), token, 1_000_000 * unit);
        setPrice(address(weth), 2000e8);
        deposit(debtor, weth, 10e18);
        take(debtor, token, 15_000 * unit);
        deposit(address(0xC011), token, 20_000 * unit);
        take(address(0xC011), usdc, 15_000e6);
        setPrice(address(weth), int256(FALLEN * 1e8));
        setPrice(address(zoo), 0.95e8);
        makePair(weth, token, 9_500e18, 10_000 * FALLEN * unit);
    }

    function planFor(Place place) private view returns (bytes memory) {
        address[] memory tokens = three(address(usdc), address(weth), address(zoo));
        uint256 unit = 10 ** zoo.decimals();
        if (place == Place.DEBT) {
            tokens = two(address(zoo), address(weth));
            return bytes.concat(
                head(0, tokens),
                flash(address(pool), 0, 15_000 * unit, 15 * unit),
                liquidation(address(pool), debtor, 1, 0, 1),
                sell(1, 0, 0, address(swaps), 0)
            );
        }
        if (place == Place.COLLATERAL) {
            return bytes.concat(
                head(0, two(address(usdc), address(zoo))),
                flash(address(pool), 0, 15_000e6, 15e6),
                liquidation(address(pool), address(0xC011), 1, 0, 1),
                sell(1, 0, 0, address(swaps), 0)
            );
        }
        bytes memory gain = bytes.concat(
            head(0, tokens),
            place == Place.FLASHED ? morpho(address(badLender), 2, 1000 * unit) : bytes(""),
            own(0, 15_000e6),
            liquidation(address(pool), borrower, 1, 0, 1),
            sell(1, 0, 0, address(swaps), 0)
        );
        if (place == Place.FLASHED) return gain;
        uint8 kind = place == Place.THROUGH_POOL ? 1 : 0;
        gain = bytes.concat(gain, sell(0, 100e6, kind, address(badFactory), 2));
        if (place == Place.LEFT_OVER) return gain;
        return bytes.concat(gain, sell(2, 0, kind, address(badFactory), 0));
    }

    // ------------------------------------------------------------------ C13, C12

    function test_C13_everyHabitInEveryPlace() public {
        debtors();
        for (uint256 h = 0; h <= uint256(type(Habit).max); ++h) {
            uint256 succeeded;
            for (uint256 p = 0; p < PLACES; ++p) {
                uint256 world = vm.snapshotState();
                if (tryOut(Habit(h), Place(p))) succeeded |= 1 << p;
                vm.assertTrue(vm.revertToState(world));
            }
            vm.assertEq(succeeded, expected(Habit(h)), string(abi.encodePacked("habit ", bytes1(uint8(65 + h)))));
        }
    }

    /// @dev One bit for each place, the first in the enumeration lowest.
    function expected(Habit habit) private pure returns (uint256) {
        // The pool's payment does nothing: that part of the gain is forgone.
        if (habit == Habit.FALSE_RETURN) return 1 << uint256(Place.LEFT_OVER);
        // A loan that arrives short cannot be repaid out of what is not there.
        if (habit == Habit.FEE) return ALL ^ 1 << uint256(Place.DEBT) ^ 1 << uint256(Place.FLASHED);
        if (habit == Habit.ROUNDS_DOWN) return ALL ^ 1 << uint256(Place.FLASHED);
        if (habit == Habit.LYING_MORE) return 1 << uint256(Place.FLASHED);
        if (habit == Habit.LYING_LESS) return ALL ^ 1 << uint256(Place.DEBT) ^ 1 << uint256(Place.COLLATERAL);
        if (habit == Habit.FLIPS) return ALL ^ 1 << uint256(Place.DEBT);
        return refusedEverywhere(habit) ? 0 : ALL;
    }

    function refusedEverywhere(Habit habit) private pure returns (bool) {
        return habit == Habit.FALSE_BUT_MOVES || habit == Habit.ODD_RETURN || habit == Habit.REVERTING
            || habit == Habit.FEE_ON_TOP || habit == Habit.BLACKLIST || habit == Habit.REBASE_DOWN
            || habit == Habit.REVERT_BOMB || habit == Habit.GAS_GRIEF || habit == Habit.PAUSED;
    }

    function tryOut(Habit habit, Place place) private returns (bool ok) {
        if (habit == Habit.BLACKLIST) zoo.blockAccount(address(executor));
        else zoo.behave(habit);
        bytes memory plan = planFor(place);
        uint256 before = usdc.balanceOf(address(executor));
        vm.prank(operator);
        bytes memory answer;
        (ok, answer) = address(executor).call{gas: 30_000_000}(abi.encodeCall(executor.run, (plan)));
        vm.assertEq(usdc.balanceOf(address(executor)), before, "USDC at rest");
        checkRest();
        if (ok && habit != Habit.LYING_MORE && habit != Habit.LYING_LESS) {
            vm.assertGe(zoo.balanceOf(address(executor)), REST_ZOO, "the token's own rest");
        }
        if (habit != Habit.STICKY_ALLOWANCE) checkNoAllowance(IERC20(address(zoo)));
        if (!ok) vm.assertLe(answer.length, 1024, "the reason is cut short");
        if (!ok) vm.assertGt(answer.length, 3, "every refusal has a reason");
    }

    function test_C13_fewAndManyDecimals() public {
        uint8[3] memory decimals = [2, 8, 24];
        for (uint256 i = 0; i < 3; ++i) {
            uint256 world = vm.snapshotState();
            useToken(decimals[i]);
            debtors();
            for (uint256 p = 0; p < PLACES; ++p) {
                uint256 inner = vm.snapshotState();
                vm.assertTrue(tryOut(Habit.PLAIN, Place(p)), "decimals");
                vm.assertTrue(vm.revertToState(inner));
            }
            vm.assertTrue(vm.revertToState(world));
        }
    }

    /// @dev A megabyte of answer costs the token that gives it, and the executor nothing: it is not copied.
    function test_C12_answersAreNotCopied() public {
        bytes memory call = abi.encodeCall(executor.run, (planFor(Place.THROUGH_PAIR)));
        uint256 plain = gasOf(operator, address(executor), call, true);
        zoo.behave(Habit.RETURN_BOMB);
        uint256 transfer =
            gasOf(address(zooPool), address(zoo), abi.encodeCall(IERC20.transfer, (address(executor), 1)), true);
        vm.assertGt(transfer, 2_000_000, "the bomb is one");
        vm.assertLt(gasOf(operator, address(executor), call, true), plain + 2 * transfer + 50_000, "it was copied");
    }

    /// @dev Whoever burns all it is given wastes an operator's gas, and leaves enough to say so.
    function test_C12_burntGasIsAllThatIsLost() public {
        bytes memory call = abi.encodeCall(executor.run, (planFor(Place.THROUGH_POOL)));
        zoo.behave(Habit.GAS_GRIEF);
        gasOf(operator, address(executor), call, false);
        checkUntouched();
    }

    /// @dev What a call costs, answer left alone; then everything is as it was.
    function gasOf(address caller, address target, bytes memory data, bool succeeds) private returns (uint256 used) {
        uint256 world = vm.snapshotState();
        bool ok;
        vm.prank(caller);
        used = gasleft();
        assembly ("memory-safe") {
            ok := call(20000000, target, 0, add(data, 32), mload(data), 0, 0)
        }
        used -= gasleft();
        vm.assertEq(ok ? 1 : 0, succeeds ? 1 : 0);
        vm.assertTrue(vm.revertToState(world));
    }
}
