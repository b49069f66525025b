// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {KeeperExecutor} from "../../src/KeeperExecutor.sol";
import {TestToken} from "../../src/reference/TestToken.sol";
import {Lie} from "../zoo/HostileLenders.sol";
import {Cheat, HostilePool} from "../zoo/HostilePools.sol";
import {Habit, ZooToken} from "../zoo/ZooToken.sol";
import {Plotter} from "./Plotter.sol";
import {Vm} from "./Vm.sol";

/// @title Everybody at once: a stolen operator's key, strangers, hostile tokens, pools, registries and lenders
/// @dev Keeps count of what may not happen; the invariants read it. What the executor must hold is `restRaw`.
contract Adversary is Plotter {
    address[] public spenders;
    mapping(address token => uint256) public paidRaw;
    uint256 private _borrowers;

    uint256 public runs; // of an operator's that succeeded
    uint256 public liquidations;
    uint256 public calls;
    uint256 public strangersIn; // calls of strangers that changed something
    uint256 public callbacksIn; // callbacks outside a run that were accepted
    uint256 public lateRuns;
    uint256 public pausedRuns;
    uint256 public poorRuns; // succeeded with less than the plan's least profit
    uint256 public wrongEvents;

    constructor(World memory world, address[] memory spenders_) {
        w = world;
        spenders = spenders_;
        _table = [
            address(w.usdc),
            address(w.weth),
            address(w.zoo),
            address(w.twice),
            address(w.twice.second()),
            address(w.claim)
        ];
        restRaw[address(w.usdc)] = w.usdc.balanceOf(address(w.executor));
        restRaw[address(w.weth)] = w.weth.balanceOf(address(w.executor));
    }

    // ------------------------------------------------------------------ the stolen key

    /// @notice A plan that would work, were everybody honest, with up to three bytes of it changed.
    function operatorRuns(uint256 seed, uint256 changes) public {
        bytes memory plan = sensible(seed);
        for (uint256 i = 0; i < changes % 4; ++i) {
            uint256 dice = uint256(keccak256(abi.encode(seed, changes, i)));
            plan[dice % plan.length] = bytes1(uint8(dice >> 128));
        }
        attempt(plan);
    }

    /// @notice The same with a new borrower, and mostly with the others at peace: most of these succeed.
    function operatorWorks(uint256 seed, uint8 ethers, uint256 changes) external {
        if (seed >> 16 & 3 != 0) calm();
        if (w.executor.paused()) ownerActs(1, 0);
        borrowerFalls(ethers);
        operatorRuns(seed, changes % 8 < 4 ? changes % 8 : 0);
    }

    /// @notice A plan that works, through a token that calls the executor while it moves.
    function operatorRunsPastAHook(uint256 seed, uint8 which, bytes32 word) external {
        calm();
        if (w.executor.paused()) ownerActs(1, 0);
        bytes memory call = entry(which % 2 == 0 ? 0 : which, word, inner(seed));
        w.zoo.hook(seed & 2 == 0 ? Habit.HOOK_AFTER : Habit.HOOK_BEFORE, address(w.executor), call);
        borrowerFalls(4);
        attempt(sensible((seed | 1 << 60) & ~(uint256(1) << 61)));
    }

    /// @notice Any steps in any order over any of the tokens.
    function operatorRunsAnything(uint256 seed, uint8 steps) external {
        bytes memory plan = header(seed);
        for (uint256 i = 0; i < 1 + steps % 6; ++i) {
            plan = bytes.concat(plan, anyStep(uint256(keccak256(abi.encode(seed, i)))));
        }
        attempt(plan);
    }

    function operatorSends(bytes calldata plan) external {
        attempt(plan);
    }

    // ------------------------------------------------------------------ strangers

    function strangerCalls(address caller, uint8 which, bytes32 word, bytes calldata data) external {
        if (caller == w.owner || caller == w.guardian || w.executor.isOperator(caller)) return;
        if (caller == address(0)) return; // nobody signs for it; as the pending owner while there is none it may accept
        bytes memory call = which % 3 == 0 ? entry(0, word, sensible(uint256(word))) : entry(which, word, data);
        vm.prank(caller);
        (bool ok,) = address(w.executor).call(call);
        if (ok) ++strangersIn;
        ++calls;
    }

    /// @notice The contracts that may call back in a run try it outside of one.
    function trustedCallsBack(uint8 who, uint8 which, bytes32 word, uint256 seed) external {
        address[4] memory trusted = [address(w.pool), address(w.badLender), address(w.wethPool), address(w.zooPool)];
        bytes memory call = entry(9 + which % 3, word, sensible(seed));
        vm.prank(trusted[who % 4]);
        (bool ok,) = address(w.executor).call(call);
        if (ok) ++callbacksIn;
        ++calls;
    }

    /// @notice The real lending pool lends to the executor because a stranger asked.
    function strangerBorrowsForIt(address caller, uint256 seed, uint256 raw) external {
        if (caller == address(w.executor) || caller == address(0)) return;
        vm.prank(caller);
        try w.pool.flashLoanSimple(address(w.executor), address(w.usdc), raw % 1e12, sensible(seed), 0) {
            ++callbacksIn;
        } catch {}
        ++calls;
    }

    function donate(uint8 which, uint96 raw) external {
        TestToken token = which % 2 == 0 ? w.usdc : w.weth;
        token.mint(address(w.executor), raw);
        restRaw[address(token)] += raw;
        ++calls;
    }

    // ------------------------------------------------------------------ what the hostile do from now on

    function tokensBehave(uint8 habit, uint8 which, bytes32 word, uint256 seed) external {
        ZooToken token = which % 2 == 0 ? w.zoo : ZooToken(w.twice);
        Habit h = Habit(habit % (uint8(type(Habit).max) + 1));
        // Gas is no object of this game, and one run that burns all of it costs as much as a thousand others.
        if (h == Habit.GAS_GRIEF) h = Habit.REVERTING;
        if (h == Habit.HOOK_AFTER || h == Habit.HOOK_BEFORE) {
            token.hook(h, address(w.executor), entry(which % 4 < 2 ? 0 : which, word, inner(seed)));
        } else if (h == Habit.BLACKLIST) {
            token.blockAccount(address(w.executor));
        } else {
            token.behave(h);
        }
        ++calls;
    }

    function poolsCheat(uint8 cheat, uint8 which, bytes32 word, uint256 seed) external {
        HostilePool[3] memory pools = [w.wethPool, w.zooPool, w.twicePool];
        HostilePool target = pools[which % 3];
        // Now and then the registry names this pool for tokens that it does not trade.
        w.badFactory.name(seed % 4 == 0 ? address(target) : address(0));
        Cheat c = Cheat(cheat % (uint8(type(Cheat).max) + 1));
        if (c == Cheat.GAS_GRIEF) c = Cheat.REVERTS_EMPTY;
        if (c == Cheat.REENTERS) {
            target.reenter(address(w.executor), entry(which % 2 == 0 ? 0 : which, word, inner(seed)));
        } else {
            target.misbehave(c);
        }
        ++calls;
    }

    function lenderLies(uint8 lie) external {
        w.badLender.tell(Lie(lie % (uint8(type(Lie).max) + 1)));
        ++calls;
    }

    /// @notice Everybody is honest again, so that runs succeed in between.
    function calm() public {
        w.zoo.behave(Habit.PLAIN);
        w.twice.behave(Habit.PLAIN);
        HostilePool[3] memory pools = [w.wethPool, w.zooPool, w.twicePool];
        for (uint256 i = 0; i < 3; ++i) {
            pools[i].misbehave(Cheat.NONE);
        }
        w.badFactory.name(address(0));
        w.badLender.tell(Lie.NONE);
        ++calls;
    }

    // ------------------------------------------------------------------ the owner, the guardian, the market

    function ownerActs(uint8 what, uint8 which) public {
        ++calls;
        if (what % 4 == 0) {
            vm.prank(what % 8 == 0 ? w.guardian : w.owner);
            w.executor.pause();
        } else if (what % 4 == 1) {
            vm.prank(w.owner);
            w.executor.unpause();
        } else if (what % 4 == 2) {
            TestToken token = which % 2 == 0 ? w.usdc : w.weth;
            vm.prank(w.owner);
            w.executor.rescue(address(token));
            paidRaw[address(token)] += restRaw[address(token)];
            restRaw[address(token)] = 0;
        } else {
            token_(which).mint(address(w.executor), 20_000e6);
            restRaw[address(token_(which))] += 20_000e6;
        }
    }

    function token_(uint8 which) private view returns (TestToken) {
        return which % 2 == 0 ? w.usdc : w.weth;
    }

    /// @notice A new borrower, and the price fallen below what it owes.
    function borrowerFalls(uint8 ethers) public {
        ++calls;
        uint256 count = 1 + ethers % 20;
        _borrower = address(uint160(0x100000 + ++_borrowers));
        vm.prank(w.admin);
        w.feed.transmit(2000e8);
        w.weth.mint(_borrower, count * 1e18);
        vm.startPrank(_borrower);
        w.weth.approve(address(w.pool), count * 1e18);
        w.pool.supply(address(w.weth), count * 1e18, _borrower, 0);
        w.pool.borrow(address(w.usdc), count * 1550e6, 2, 0, _borrower);
        vm.stopPrank();
        vm.prank(w.admin);
        w.feed.transmit(1700e8);
    }

    // ------------------------------------------------------------------ one run, and what it did

    function attempt(bytes memory plan) private {
        ++calls;
        address treasury = w.executor.TREASURY();
        uint256[2] memory before = [w.usdc.balanceOf(treasury), w.weth.balanceOf(treasury)];
        bool paused = w.executor.paused();
        vm.recordLogs();
        vm.prank(w.operator);
        try w.executor.run(plan) returns (KeeperExecutor.StepResult[] memory results, uint256, uint256 profitRaw) {
            ++runs;
            liquidations += results.length;
            if (paused) ++pausedRuns;
            if (block.number > number(plan, 1, 5)) ++lateRuns;
            if (profitRaw < number(plan, 6, 16)) ++poorRuns;
            checkEvents(results.length, profitRaw);
        } catch {}
        paidRaw[address(w.usdc)] += w.usdc.balanceOf(treasury) - before[0];
        paidRaw[address(w.weth)] += w.weth.balanceOf(treasury) - before[1];
    }

    /// @dev One event of the executor for each liquidation, and one that names the profit. Nothing here may revert: a
    /// call of the game that reverts is taken back, and with it what it showed.
    function checkEvents(uint256 steps, uint256 profitRaw) private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 liquidated;
        uint256 settled;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(w.executor)) continue;
            if (logs[i].topics[0] == KeeperExecutor.Liquidated.selector) ++liquidated;
            else if (abi.decode(logs[i].data, (uint256)) == profitRaw) ++settled;
        }
        if (liquidated != steps || settled != 1) ++wrongEvents;
    }

    function number(bytes memory plan, uint256 start, uint256 size) private pure returns (uint256 value) {
        for (uint256 i = 0; i < size; ++i) {
            value = value << 8 | uint8(plan[start + i]);
        }
    }

    // ------------------------------------------------------------------ every entry of the executor

    function entry(uint256 which, bytes32 word, bytes memory data) private view returns (bytes memory) {
        KeeperExecutor x = w.executor;
        address a = address(uint160(uint256(word)));
        bool flag = uint256(word) >> 160 & 1 == 0;
        which %= 17;
        if (which == 0) return abi.encodeCall(x.run, (data));
        if (which == 1) return abi.encodeCall(x.transferOwnership, (a));
        if (which == 2) return abi.encodeCall(x.acceptOwnership, ());
        if (which == 3) return abi.encodeCall(x.setGuardian, (a));
        if (which == 4) return abi.encodeCall(x.setOperator, (a, flag));
        if (which == 5) return abi.encodeCall(x.setLendingPool, (a, flag));
        if (which == 6) return abi.encodeCall(x.setFactory, (uint8(uint256(word) >> 168) % 2, a, flag));
        if (which == 7) return abi.encodeCall(x.setFlashLender, (a, flag));
        if (which == 8) return abi.encodeCall(x.pause, ());
        uint256 raw = uint256(word) >> 128;
        if (which == 9) return abi.encodeCall(x.uniswapV3SwapCallback, (int256(raw), -1, data));
        if (which == 10) return abi.encodeCall(x.executeOperation, (address(w.usdc), raw, 0, address(x), data));
        if (which == 11) return abi.encodeCall(x.onMorphoFlashLoan, (raw, data));
        if (which == 12) return abi.encodeCall(x.unpause, ());
        if (which == 13) return abi.encodeCall(x.rescue, (_table[uint256(word) % 6]));
        if (which == 14) return abi.encodeCall(x.rescueNative, ());
        if (which == 15) return abi.encodePacked(bytes4(word), data);
        return data;
    }
}
