// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {KeeperExecutor} from "../src/KeeperExecutor.sol";
import {LendingPool} from "../src/reference/LendingPool.sol";
import {PriceFeed} from "../src/reference/PriceFeed.sol";
import {TestToken} from "../src/reference/TestToken.sol";
import {ExecutorMarket} from "./support/ExecutorMarket.sol";
import {Plans} from "./support/Plans.sol";
import {InvariantTest, Test, Vm} from "./support/Vm.sol";

/// @title An operator who runs anything, and strangers who try everything
contract ExecutorActors is Test {
    KeeperExecutor private immutable _executor;
    LendingPool private immutable _pool;
    address private immutable _operator;
    address private immutable _admin;
    PriceFeed private immutable _feed;
    Plans.Single private _plan;
    TestToken[4] private _tokens;
    mapping(address token => uint256) public donated;
    uint256 public runs;
    uint256 public strangersRuns;
    uint256 public paidOut;
    uint256 private _count;
    Plans.Hop[][] private _routes;
    address private immutable _test = msg.sender;

    modifier onlyTest() {
        require(msg.sender == _test, "set up by the test");
        _;
    }

    constructor(KeeperExecutor executor, Plans.Single memory plan, address operator, PriceFeed feed, address admin) {
        (_executor, _operator, _feed, _admin) = (executor, operator, feed, admin);
        _pool = LendingPool(plan.pool);
        _plan.pool = plan.pool;
        (_plan.collateral, _plan.debt) = (plan.collateral, plan.debt);
    }

    function setTokens(TestToken[4] memory tokens) external onlyTest {
        _tokens = tokens;
    }

    /// @dev A new borrower, a fallen price, and a run with any numbers over any of the routes.
    function run(uint256 size, uint256 shareBps, uint256 fund, uint256 least, uint8 funding, bool exact) external {
        address account = address(uint160(0x1000 + ++_count));
        uint256 debtRaw = makeAccount(account, 1 + size % 20);
        Plans.Single memory p = _plan;
        p.account = account;
        p.coverRaw = exact ? type(uint256).max : debtRaw * (shareBps % 12_000) / 10_000;
        p.fundRaw = exact ? debtRaw : debtRaw * (fund % 15_000) / 10_000;
        (p.funding, p.lender) = (funding % 2, p.pool);
        p.mostPremiumRaw = debtRaw;
        p.minProfitRaw = exact ? 0 : least % 100e6;
        p.deadlineBlock = block.number;
        p.route = _routes[funding % _routes.length];
        uint256 before = TestToken(p.debt).balanceOf(_executor.TREASURY());
        vm.prank(_operator);
        try _executor.run(Plans.encode(p)) returns (KeeperExecutor.StepResult[] memory, uint256, uint256 profitRaw) {
            ++runs;
            paidOut += profitRaw;
            vm.assertEq(TestToken(p.debt).balanceOf(_executor.TREASURY()) - before, profitRaw);
        } catch {
            vm.assertEq(TestToken(p.debt).balanceOf(_executor.TREASURY()), before);
        }
    }

    function addRoute(Plans.Hop[] memory route) external onlyTest {
        _routes.push();
        for (uint256 i = 0; i < route.length; ++i) {
            _routes[_routes.length - 1].push(route[i]);
        }
    }

    function strangerRuns(address caller, uint8 funding) external {
        if (caller == _operator || caller == _executor.owner()) return;
        Plans.Single memory p = _plan;
        (p.funding, p.lender) = (funding % 2, p.pool);
        p.deadlineBlock = block.number;
        vm.prank(caller);
        try _executor.run(Plans.encode(p)) {
            ++strangersRuns;
        } catch {}
    }

    function strangerCalls(address caller, bytes calldata data) external {
        if (caller == _operator || caller == _executor.owner()) return;
        vm.prank(caller);
        (bool ok,) = address(_executor).call(data);
        // Only views answer a stranger; the invariants below would show anything else.
        ok;
    }

    function donate(uint256 what, uint256 raw) external {
        TestToken token = _tokens[what % 4];
        raw %= 1e30;
        token.mint(address(_executor), raw);
        donated[address(token)] += raw;
    }

    function makeAccount(address account, uint256 ethers) private returns (uint256 debtRaw) {
        (TestToken collateral, TestToken debt) = (TestToken(_plan.collateral), TestToken(_plan.debt));
        vm.prank(_admin);
        _feed.transmit(2000e8);
        collateral.mint(account, ethers * 1e18);
        vm.startPrank(account);
        collateral.approve(address(_pool), ethers * 1e18);
        _pool.supply(address(collateral), ethers * 1e18, account, 0);
        debtRaw = ethers * 1550e6;
        _pool.borrow(address(debt), debtRaw, 2, 0, account);
        vm.stopPrank();
        vm.prank(_admin);
        _feed.transmit(1700e8);
    }
}

/// @title Between transactions the executor holds nothing of anybody's, and only its own people run it
contract ExecutorInvariantsTest is ExecutorMarket, InvariantTest {
    ExecutorActors private _actors;

    function setUp() public override {
        super.setUp();
        _actors = new ExecutorActors(executor, plan(), operator, feeds[address(weth)], admin);
        _actors.setTokens([weth, wbtc, usdc, dai]);
        Plans.Hop[] memory single = new Plans.Hop[](1);
        Plans.Hop[] memory two = new Plans.Hop[](2);
        single[0] = v2Hop(usdc);
        _actors.addRoute(single);
        single[0] = v3Hop(usdc);
        _actors.addRoute(single);
        (two[0], two[1]) = (v2Hop(dai), v2Hop(usdc));
        _actors.addRoute(two);
        _target(address(_actors));
    }

    /// @dev Balances are what was given away to the executor, to the unit: a run adds and takes nothing.
    function invariant_restBalances() public view {
        TestToken[4] memory all = [weth, wbtc, usdc, dai];
        for (uint256 i = 0; i < 4; ++i) {
            vm.assertEq(all[i].balanceOf(address(executor)), _actors.donated(address(all[i])), "rest balance");
        }
    }

    function invariant_restAllowances() public view {
        TestToken[4] memory all = [weth, wbtc, usdc, dai];
        address[6] memory spenders =
            [address(pool), address(wethUsdc), address(wethDai), address(daiUsdc), address(v3Pool), operator];
        for (uint256 i = 0; i < 4; ++i) {
            for (uint256 j = 0; j < spenders.length; ++j) {
                vm.assertEq(all[i].allowance(address(executor), spenders[j]), 0, "rest allowance");
            }
        }
    }

    function invariant_onlyOurPeopleRunIt() public view {
        vm.assertEq(_actors.strangersRuns(), 0);
        vm.assertEq(executor.owner(), owner);
        vm.assertEq(executor.pendingOwner(), address(0));
        vm.assertEq(executor.guardian(), address(0));
        vm.assertFalse(executor.paused(), "paused");
        vm.assertTrue(executor.isOperator(operator), "operator");
    }

    /// @dev Everything gained is in the treasury and nowhere else.
    function invariant_treasuryHasTheGain() public view {
        vm.assertEq(usdc.balanceOf(vault), _actors.paidOut(), "treasury");
    }

    function test_theGameIsPlayed() public {
        _actors.run(5, 0, 0, 0, 1, true);
        _actors.run(5, 0, 0, 0, 5, true);
        _actors.donate(2, 1e12);
        _actors.run(5, 0, 0, 0, 0, true);
        vm.assertEq(_actors.runs(), 3);
        invariant_restBalances();
        invariant_treasuryHasTheGain();
    }
}
