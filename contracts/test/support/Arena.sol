// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {KeeperExecutor} from "../../src/KeeperExecutor.sol";
import {IERC20} from "../../src/interfaces/IERC20.sol";
import {SwapPair} from "../../src/reference/SwapPair.sol";
import {TestToken} from "../../src/reference/TestToken.sol";
import {HostileLender} from "../zoo/HostileLenders.sol";
import {HostileFactory, HostilePool} from "../zoo/HostilePools.sol";
import {Market} from "./Market.sol";
import {Plans} from "./Plans.sol";

/// @title The executor among everything that can be hostile, with money of its own lying in it
/// @dev Allow-listed are the bundled lending pool, the bundled pairs, a registry for each kind of hop that names what
/// the tests choose, a lender that lies as it is told, and the same lender as a lending pool.
abstract contract Arena is Market {
    address internal owner = address(0x0411E4);
    address internal operator = address(0x0BE4);
    address internal guardian = address(0x6A4D);
    address internal vault = address(0xF417);
    address internal stranger = address(0x57A);
    uint256 internal constant FALLEN = 1700;

    uint256 internal constant REST_USDC = 40_000e6;
    uint256 internal constant REST_WETH = 5e18;
    uint256 internal constant REST_CLAIM = 1_000e6;

    KeeperExecutor internal executor;
    SwapPair internal wethUsdc;
    HostilePool internal badPool;
    HostileFactory internal badFactory;
    HostileLender internal badLender;
    IERC20 internal claim; // the lending pool's deposit token of USDC

    function setUp() public virtual override {
        super.setUp();
        wethUsdc = makePair(weth, usdc, 10_000e18, 10_000 * FALLEN * 1e6);
        badPool = new HostilePool(address(weth), address(usdc), FALLEN * 1e6);
        weth.mint(address(badPool), 1e6 * 1e18);
        usdc.mint(address(badPool), 1e6 * FALLEN * 1e6);
        badPool.sync();
        badFactory = new HostileFactory();
        badFactory.add(badPool);
        badLender = new HostileLender();
        usdc.mint(address(badLender), 1e9 * 1e6);
        executor = newExecutor(owner);
        vm.prank(owner);
        executor.setGuardian(guardian);
        claim = IERC20(address(aTokenOf(usdc)));
        makeUnhealthy(int256(FALLEN * 1e8));
        rest();
    }

    function newExecutor(address owner_) internal returns (KeeperExecutor) {
        return new KeeperExecutor(
            owner_,
            vault,
            one(operator),
            two(address(pool), address(badLender)),
            two(address(swaps), address(badFactory)),
            one(address(badFactory)),
            one(address(badLender))
        );
    }

    /// @dev What an owner may have put there: own funds, and a deposit.
    function rest() internal {
        usdc.mint(address(executor), REST_USDC);
        weth.mint(address(executor), REST_WETH);
        usdc.mint(address(this), REST_CLAIM);
        usdc.approve(address(pool), REST_CLAIM);
        pool.supply(address(usdc), REST_CLAIM, address(executor), 0);
    }

    function one(address a) internal pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = a;
    }

    function two(address a, address b) internal pure returns (address[] memory list) {
        list = new address[](2);
        (list[0], list[1]) = (a, b);
    }

    function three(address a, address b, address c) internal pure returns (address[] memory list) {
        list = new address[](3);
        (list[0], list[1], list[2]) = (a, b, c);
    }

    function four(address a, address b, address c, address d) internal pure returns (address[] memory list) {
        list = new address[](4);
        (list[0], list[1], list[2], list[3]) = (a, b, c, d);
    }

    // ------------------------------------------------------------------ plans, in short

    function head(uint256 leastRaw, address[] memory tokens) internal view returns (bytes memory) {
        return Plans.header(block.number, leastRaw, tokens);
    }

    /// @dev With one claim.
    function head(uint256 leastRaw, address[] memory tokens, bytes memory packed) internal view returns (bytes memory) {
        return Plans.header(block.number, leastRaw, tokens, 1, packed);
    }

    function own(uint8 token, uint256 raw) internal pure returns (bytes memory) {
        return Plans.own(token, raw);
    }

    function flash(address lender_, uint8 token, uint256 raw, uint256 mostRaw) internal pure returns (bytes memory) {
        return Plans.aave(lender_, token, raw, mostRaw);
    }

    function flashSwap(address factory, uint24 fee, uint8 paid, uint8 received, uint256 paidRaw)
        internal
        pure
        returns (bytes memory)
    {
        return Plans.flashSwap(factory, fee, paid, received, paidRaw);
    }

    function morpho(address lender_, uint8 token, uint256 raw) internal pure returns (bytes memory) {
        return Plans.morpho(lender_, token, raw);
    }

    /// @dev Of all that may be liquidated.
    function liquidation(address pool_, address account, uint8 collateral, uint8 debt, uint8 received)
        internal
        pure
        returns (bytes memory)
    {
        return Plans.liquidate(pool_, account, collateral, debt, received, MAX);
    }

    function redeem(uint8 claim_) internal pure returns (bytes memory) {
        return Plans.redeem(claim_);
    }

    /// @dev One hop; an amount of zero sells the rest.
    function sell(uint8 token, uint256 raw, uint8 kind, address factory, uint8 to)
        internal
        pure
        returns (bytes memory)
    {
        return Plans.swap(token, raw, 1, Plans.hop(kind, factory, to, 3000));
    }

    /// @dev The ordinary liquidation: token 0 is USDC, token 1 WETH; sold on the honest pair.
    function honest(bytes memory fund) internal view returns (bytes memory) {
        return abi.encodePacked(
            head(0, two(address(usdc), address(weth))),
            fund,
            liquidation(address(pool), borrower, 1, 0, 1),
            sell(1, 0, 0, address(swaps), 0)
        );
    }

    // ------------------------------------------------------------------ runs and what must hold after them

    function run(bytes memory plan) internal {
        vm.prank(operator);
        executor.run(plan);
    }

    /// @dev Any refusal will do here: what matters is that nothing happened.
    function refused(bytes memory plan) internal returns (bytes4) {
        return refusedBy(operator, abi.encodeCall(executor.run, (plan)));
    }

    function refusedBy(address caller, bytes memory call) internal returns (bytes4 reason) {
        vm.prank(caller);
        // No more than a block has: who burns all of it must not burn the test's.
        (bool ok, bytes memory answer) = address(executor).call{gas: 30_000_000}(call);
        vm.assertFalse(ok, "must be refused");
        checkUntouched();
        return bytes4(answer);
    }

    function refusedFor(bytes4 expected, bytes memory plan) internal {
        same(refused(plan), expected);
    }

    function same(bytes4 left, bytes4 right) internal pure {
        vm.assertEq(bytes32(left), bytes32(right));
    }

    /// @dev Nothing that lay here has left, and nobody may take it.
    function checkRest() internal view {
        vm.assertGe(usdc.balanceOf(address(executor)), REST_USDC, "USDC at rest");
        vm.assertGe(weth.balanceOf(address(executor)), REST_WETH, "WETH at rest");
        vm.assertGe(claim.balanceOf(address(executor)), REST_CLAIM, "deposit at rest");
        checkNoAllowance(IERC20(address(usdc)));
        checkNoAllowance(IERC20(address(weth)));
        checkNoAllowance(claim);
    }

    /// @dev As if nothing had happened.
    function checkUntouched() internal view {
        checkRest();
        vm.assertEq(usdc.balanceOf(address(executor)), REST_USDC, "USDC");
        vm.assertEq(weth.balanceOf(address(executor)), REST_WETH, "WETH");
        vm.assertEq(usdc.balanceOf(vault) + weth.balanceOf(vault) + claim.balanceOf(vault), 0, "the treasury");
    }

    function checkNoAllowance(IERC20 token) internal view {
        address[9] memory spenders = [
            address(pool),
            address(swaps),
            address(wethUsdc),
            address(badPool),
            address(badFactory),
            address(badLender),
            operator,
            stranger,
            address(executor)
        ];
        for (uint256 i = 0; i < spenders.length; ++i) {
            vm.assertEq(token.allowance(address(executor), spenders[i]), 0, "allowance at rest");
        }
    }
}
