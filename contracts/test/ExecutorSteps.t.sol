// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {KeeperExecutor} from "../src/KeeperExecutor.sol";
import {FlashFunds} from "../src/libraries/FlashFunds.sol";
import {HopSwaps} from "../src/libraries/HopSwaps.sol";
import {PlanCodec} from "../src/libraries/PlanCodec.sol";
import {AToken} from "../src/reference/AToken.sol";
import {SwapPair} from "../src/reference/SwapPair.sol";
import {ExecutorMarket} from "./support/ExecutorMarket.sol";
import {MorphoStandIn} from "./support/MorphoStandIn.sol";
import {Plans} from "./support/Plans.sol";

/// @title A second pool on the list, with a claim on every token
contract ReserveTwin {
    address private immutable _claim;

    constructor(address claim) {
        _claim = claim;
    }

    function getReserveData(address)
        external
        view
        returns (uint256, uint256, uint256, uint256, uint256, uint256, uint256, uint256, address)
    {
        return (0, 0, 0, 0, 0, 0, 0, 0, _claim);
    }
}

/// @title Plans of several steps, deposit tokens, and plans that are not plans
contract ExecutorStepsTest is ExecutorMarket {
    address private _twice = address(0x2222);
    uint256 private constant PREMIUM_BPS = 5;

    /// @dev Indices of `tokens(usdc, weth, dai)`.
    uint8 private constant USDC = 0;
    uint8 private constant WETH = 1;
    uint8 private constant DAI = 2;
    uint8 private constant CLAIM = 3;

    function setUp() public override {
        super.setUp();
        dai.mint(address(morpho), 1e6 * 1e18);
        setPrice(address(weth), 2000e8);
        deposit(_twice, weth, 10e18);
        take(_twice, usdc, 8_000e6);
        take(_twice, dai, 7_000e18);
        setPrice(address(weth), int256(FALLEN * 1e8));
    }

    function header(uint256 least) private view returns (bytes memory) {
        return Plans.header(block.number, least, tokens(usdc, weth, dai));
    }

    /// @dev With one claim: the deposit token of ether.
    function claimHeader() private view returns (bytes memory) {
        return Plans.header(block.number, 1, tokens(usdc, weth, dai), 1, Plans.claim(address(pool), WETH));
    }

    function liquidation(address account, uint8 debt, uint256 cover) private view returns (bytes memory) {
        return Plans.liquidate(address(pool), account, WETH, debt, WETH, cover);
    }

    function intoDeposit(uint256 cover) private view returns (bytes memory) {
        return Plans.liquidate(address(pool), borrower, WETH, USDC, CLAIM, cover);
    }

    function toUsdc(uint8 from, uint256 raw) private view returns (bytes memory) {
        return Plans.swap(from, raw, 1, Plans.hop(0, address(swaps), USDC, 3000));
    }

    function toDai(uint256 raw) private view returns (bytes memory) {
        return Plans.swap(WETH, raw, 1, Plans.hop(0, address(swaps), DAI, 3000));
    }

    function seizedFor(uint256 debtValueWad) private pure returns (uint256) {
        uint256 total = (debtValueWad / FALLEN * 10500 + 5000) / 10000;
        return total - ((total - (total * 10000 + 5250) / 10500) * 1000 + 5000) / 10000;
    }

    function sold(SwapPair pair, address tokenIn, uint256 inRaw) private view returns (uint256) {
        (uint112 reserve0, uint112 reserve1,) = pair.getReserves();
        (uint256 reserveIn, uint256 reserveOut) = pair.token0() == tokenIn ? (reserve0, reserve1) : (reserve1, reserve0);
        return inRaw * 997 * reserveOut / (reserveIn * 1000 + inRaw * 997);
    }

    // ------------------------------------------------------------------ several steps

    function test_twoStepsOnOneFund() public {
        bytes memory p = bytes.concat(
            header(1),
            Plans.aave(address(pool), USDC, 15_000e6, 7.5e6),
            liquidation(borrower, USDC, 5_000e6),
            liquidation(borrower, USDC, 10_000e6),
            toUsdc(WETH, 0)
        );
        uint256 all = seizedFor(5_000e18) + seizedFor(10_000e18);
        uint256 brought = sold(wethUsdc, address(weth), all);
        vm.expectEmit(true, true, true, true, address(executor));
        emit KeeperExecutor.Liquidated(borrower, address(usdc), address(weth), 5_000e6, seizedFor(5_000e18));
        vm.expectEmit(true, true, true, true, address(executor));
        emit KeeperExecutor.Liquidated(borrower, address(usdc), address(weth), 10_000e6, seizedFor(10_000e18));
        vm.expectEmit(true, true, true, true, address(executor));
        emit KeeperExecutor.Settled(address(usdc), brought - 15_007.5e6);
        (KeeperExecutor.StepResult[] memory results, uint256 proceeds, uint256 profit) = run(p);
        vm.assertEq(results.length, 2);
        vm.assertEq(results[0].repaidRaw, 5_000e6);
        vm.assertEq(results[1].repaidRaw, 10_000e6);
        vm.assertEq(results[0].seizedRaw + results[1].seizedRaw, all);
        vm.assertEq(proceeds, brought);
        vm.assertEq(profit, brought - 15_007.5e6);
        vm.assertEq(usdc.balanceOf(vault), profit);
        checkAtRest();
    }

    function twoDebts(uint256 forDai) private view returns (bytes memory p) {
        p = bytes.concat(
            header(1),
            Plans.aave(address(pool), USDC, 4_000e6, 2e6),
            Plans.morpho(address(morpho), DAI, 7_000e18),
            liquidation(_twice, USDC, 4_000e6)
        );
        return bytes.concat(p, liquidation(_twice, DAI, 7_000e18), toDai(forDai), toUsdc(WETH, 0));
    }

    /// @dev The second fund is taken inside the first one's callback, and each lender gets its own token back.
    function test_twoDebtsAndTwoLenders() public {
        uint256 forDai = 4.2e18; // sells for a little more than 7,000 dai: the rest of it stays with the treasury
        uint256 daiLeft = sold(wethDai, address(weth), forDai) - 7_000e18;
        uint256 all = seizedFor(4_000e18) + seizedFor(7_000e18);
        uint256 brought = sold(wethUsdc, address(weth), all - forDai);
        (KeeperExecutor.StepResult[] memory results, uint256 proceeds, uint256 profit) = run(twoDebts(forDai));
        vm.assertEq(results[1].repaidRaw, 7_000e18);
        vm.assertEq(proceeds, brought);
        vm.assertEq(profit, brought - 4_002e6);
        vm.assertEq(usdc.balanceOf(vault), profit);
        vm.assertEq(dai.balanceOf(vault), daiLeft, "the rest of the other debt token is paid out too");
        vm.assertEq(dai.balanceOf(address(morpho)), 1e6 * 1e18);
        checkAtRest();
    }

    /// @dev A lender's due in a token is no part of the rest of it: debt and collateral are one token here.
    function test_theRestLeavesWhatIsOwed() public {
        address same = address(0x5A);
        deposit(same, weth, 10e18);
        take(same, weth, 7.9e18);
        vm.warp(block.timestamp + 365 days);
        bytes memory p = bytes.concat(
            header(1),
            Plans.aave(address(pool), WETH, 1e18, 0.0005e18),
            Plans.liquidate(address(pool), same, WETH, WETH, WETH, 1e18),
            toUsdc(WETH, 0)
        );
        uint256 spare = 1.045e18 - 1.0005e18;
        uint256 brought = sold(wethUsdc, address(weth), spare);
        (,, uint256 profit) = run(p);
        vm.assertEq(profit, brought);
        vm.assertEq(weth.balanceOf(vault), 0);
        checkAtRest();
    }

    /// @dev What one run was allowed to spend is forgotten in the next, also within one transaction.
    function test_aRunKnowsNothingOfTheOneBefore() public {
        usdc.mint(address(executor), 20_000e6);
        run(bytes.concat(header(1), Plans.own(USDC, 20_000e6), liquidation(borrower, USDC, 5_000e6), toUsdc(WETH, 0)));
        bytes memory unfunded = bytes.concat(header(1), liquidation(borrower, USDC, 5_000e6), toUsdc(WETH, 0));
        runRefused(unfunded, PANIC_ARITHMETIC); // the pool may take nothing
        (KeeperExecutor.StepResult[] memory results,,) = run(
            bytes.concat(header(1), Plans.own(USDC, 5_000e6), liquidation(borrower, USDC, 5_000e6), toUsdc(WETH, 0))
        );
        vm.assertEq(results.length, 1);
        vm.assertEq(usdc.balanceOf(address(executor)), 20_000e6);
    }

    /// @dev Nor does a later run keep back what an earlier one owed.
    function test_whatWasOwedIsForgotten() public {
        bytes memory lent = bytes.concat(
            header(1),
            Plans.flashSwap(address(v3), 500, WETH, USDC, 3e18),
            liquidation(borrower, USDC, 5_000e6),
            toUsdc(WETH, 0)
        );
        run(lent);
        usdc.mint(address(executor), 5_000e6);
        run(bytes.concat(header(1), Plans.own(USDC, 5_000e6), liquidation(borrower, USDC, 5_000e6), toUsdc(WETH, 0)));
        vm.assertEq(weth.balanceOf(vault), 0, "all was sold");
    }

    /// @dev Two liquidations share one fund; what is here besides is not for them.
    function test_aFundIsSpentOnce() public {
        usdc.mint(address(executor), 20_000e6);
        bytes memory twice = bytes.concat(liquidation(borrower, USDC, 5_000e6), liquidation(borrower, USDC, 5_000e6));
        runRefused(bytes.concat(header(1), Plans.own(USDC, 10_000e6 - 1), twice, toUsdc(WETH, 0)), PANIC_ARITHMETIC);
        run(bytes.concat(header(1), Plans.own(USDC, 10_000e6), twice, toUsdc(WETH, 0)));
        vm.assertEq(usdc.balanceOf(address(executor)), 20_000e6);
    }

    function test_noTokenMayFall() public {
        weth.mint(address(executor), 3e18);
        usdc.mint(address(executor), 20_000e6);
        uint256 more = seizedFor(15_000e18) + 1;
        bytes memory p =
            bytes.concat(header(1), Plans.own(USDC, 15_000e6), liquidation(borrower, USDC, MAX), toUsdc(WETH, more));
        runRefused(
            p, abi.encodeWithSelector(KeeperExecutor.BalanceFell.selector, address(weth), 3e18, uint256(3e18) - 1)
        );
        p = bytes.concat(header(1), Plans.own(USDC, 15_000e6), liquidation(borrower, USDC, MAX), toUsdc(WETH, more - 1));
        run(p);
        vm.assertEq(weth.balanceOf(address(executor)), 3e18);
    }

    function test_whatIsNotSoldGoesToTheTreasury() public {
        bytes memory p = bytes.concat(
            header(1),
            Plans.morpho(address(morpho), USDC, 15_000e6),
            liquidation(borrower, USDC, MAX),
            toUsdc(WETH, 9e18)
        );
        uint256 brought = sold(wethUsdc, address(weth), 9e18);
        (,, uint256 profit) = run(p);
        vm.assertEq(profit, brought - 15_000e6);
        vm.assertEq(weth.balanceOf(vault), seizedFor(15_000e18) - 9e18);
        checkAtRest();
    }

    // ------------------------------------------------------------------ deposit tokens

    function redeemed(uint256 cover) private view returns (bytes memory) {
        return bytes.concat(
            claimHeader(),
            Plans.aave(address(pool), USDC, 15_000e6, 7.5e6),
            intoDeposit(cover),
            Plans.redeem(CLAIM),
            toUsdc(WETH, 0)
        );
    }

    function test_depositTokensAreRedeemedAndSold() public {
        uint256 brought = sold(wethUsdc, address(weth), seizedFor(15_000e18));
        (KeeperExecutor.StepResult[] memory results,, uint256 profit) = run(redeemed(MAX));
        vm.assertEq(results[0].seizedRaw, seizedFor(15_000e18));
        vm.assertEq(profit, brought - 15_007.5e6);
        vm.assertEq(aTokenOf(weth).balanceOf(address(executor)), 0);
        checkAtRest();
    }

    /// @dev Whoever gives us deposit tokens neither loses them to a run nor stops it, whatever the index rounds.
    function testFuzz_givenDepositTokensStay(uint256 given, uint256 time) public {
        take(lender, weth, 50_000e18); // so that the index is no round number
        vm.warp(block.timestamp + bound(time, 1, 30 days));
        setPrice(address(usdc), 1e8);
        AToken claim = aTokenOf(weth);
        vm.prank(lender);
        claim.transfer(address(executor), bound(given, 1, 1e18));
        uint256 before = claim.balanceOf(address(executor));
        (,, uint256 profit) = run(redeemed(3_000e6));
        vm.assertGt(profit, 0, "profit");
        vm.assertGe(claim.balanceOf(address(executor)), before, "given deposit tokens left");
        vm.assertLe(claim.balanceOf(address(executor)), before + 20, "deposit tokens stayed");

        before = claim.balanceOf(address(executor));
        run(
            bytes.concat(
                claimHeader(),
                Plans.morpho(address(morpho), USDC, 2_000e6),
                intoDeposit(10e6),
                liquidation(borrower, USDC, 1_990e6),
                toUsdc(WETH, 0)
            )
        );
        vm.assertGt(claim.balanceOf(vault), 0, "the claim went to the treasury");
        vm.assertGe(claim.balanceOf(address(executor)), before, "given deposit tokens left with it");
        vm.assertLe(claim.balanceOf(address(executor)), before + 20, "deposit tokens stayed with it");
    }

    function test_depositTokensThatAreNotRedeemedGoToTheTreasury() public {
        bytes memory p = bytes.concat(
            claimHeader(),
            Plans.morpho(address(morpho), USDC, 15_000e6),
            intoDeposit(100e6),
            liquidation(borrower, USDC, MAX),
            toUsdc(WETH, 0)
        );
        uint256 brought = sold(wethUsdc, address(weth), seizedFor(14_900e18));
        (KeeperExecutor.StepResult[] memory results,, uint256 profit) = run(p);
        vm.assertEq(results[0].seizedRaw, seizedFor(100e18));
        vm.assertEq(profit, brought - 15_000e6);
        vm.assertEq(aTokenOf(weth).balanceOf(vault), seizedFor(100e18));
        vm.assertEq(aTokenOf(weth).balanceOf(address(executor)), 0);
        checkAtRest();
    }

    function test_aClaimIsThePoolsOwn() public {
        bytes memory claim = Plans.claim(address(0xBAD), WETH);
        bytes memory p = Plans.header(block.number, 0, tokens(usdc, weth, dai), 1, claim);
        runRefused(p, abi.encodeWithSelector(FlashFunds.PoolNotAllowed.selector, address(0xBAD)));
        p = Plans.header(block.number, 0, tokens(usdc, weth, dai), 1, Plans.claim(address(pool), 3));
        runRefused(p, abi.encodeWithSelector(PlanCodec.UnknownToken.selector, 3));
    }

    /// @dev Another pool's claim, a claim on another token, or no claim at all would hide what was received.
    function test_whatIsReceivedIsTheCollateralOrItsClaim() public {
        bytes memory other = Plans.header(block.number, 0, tokens(usdc, weth, dai), 1, Plans.claim(address(pool), DAI));
        runRefused(
            bytes.concat(other, intoDeposit(100e6)), abi.encodeWithSelector(PlanCodec.UnknownToken.selector, CLAIM)
        );
        bytes memory none = Plans.liquidate(address(pool), borrower, WETH, USDC, DAI, 100e6);
        runRefused(bytes.concat(claimHeader(), none), abi.encodeWithSelector(PlanCodec.UnknownToken.selector, DAI));
        address twin = address(new ReserveTwin(address(aTokenOf(weth))));
        vm.prank(owner);
        executor.setLendingPool(twin, true);
        other = Plans.header(block.number, 0, tokens(usdc, weth, dai), 1, Plans.claim(twin, WETH));
        runRefused(
            bytes.concat(other, intoDeposit(100e6)), abi.encodeWithSelector(PlanCodec.UnknownToken.selector, CLAIM)
        );
    }

    // ------------------------------------------------------------------ plans that are not plans

    function test_nothingLeftToSellOrRedeem() public {
        bytes memory p = bytes.concat(header(0), toUsdc(WETH, 0));
        runRefused(p, abi.encodeWithSelector(KeeperExecutor.NothingLeft.selector, address(weth)));
        address claim = address(aTokenOf(weth));
        p = bytes.concat(claimHeader(), Plans.redeem(CLAIM));
        runRefused(p, abi.encodeWithSelector(KeeperExecutor.NothingLeft.selector, claim));
    }

    function test_unknownVersionsStepsAndTokens() public {
        bytes memory p = header(0);
        p[0] = 0x02;
        runRefused(p, abi.encodeWithSelector(PlanCodec.UnknownVersion.selector, 2));
        runRefused(bytes.concat(header(0), hex"07"), abi.encodeWithSelector(PlanCodec.UnknownStep.selector, 7));
        address[] memory none = new address[](0);
        runRefused(Plans.header(block.number, 0, none), abi.encodeWithSelector(PlanCodec.UnknownToken.selector, 0));
        bytes[7] memory steps = [
            Plans.aave(address(pool), 9, 1, 1),
            Plans.flashSwap(address(v3), 500, 9, USDC, 1),
            Plans.flashSwap(address(v3), 500, WETH, 9, 1),
            Plans.morpho(address(morpho), 9, 1),
            Plans.liquidate(address(pool), borrower, WETH, 9, WETH, 1),
            Plans.redeem(9),
            Plans.swap(WETH, 1, 1, Plans.hop(0, address(swaps), 9, 3000))
        ];
        for (uint256 i = 0; i < steps.length; ++i) {
            runRefused(bytes.concat(header(0), steps[i]), abi.encodeWithSelector(PlanCodec.UnknownToken.selector, 9));
        }
        runRefused(
            bytes.concat(claimHeader(), Plans.redeem(WETH)),
            abi.encodeWithSelector(PlanCodec.UnknownToken.selector, uint256(WETH))
        );
    }

    /// @dev No beginning of a plan is a plan that earns something.
    function test_aPlanCutAnywhereIsRefused() public {
        bytes memory whole = redeemed(MAX);
        for (uint256 length = 0; length < whole.length; ++length) {
            bytes memory part = new bytes(length);
            for (uint256 i = 0; i < length; ++i) {
                part[i] = whole[i];
            }
            vm.prank(operator);
            (bool ok,) = address(executor).call(abi.encodeCall(executor.run, (part)));
            vm.assertFalse(ok, "a cut plan ran");
        }
        run(whole);
    }

    function test_aStepCutShortIsNamed() public {
        bytes[6] memory steps = [
            Plans.own(USDC, 1),
            Plans.aave(address(pool), USDC, 1, 1),
            Plans.flashSwap(address(v3), 500, WETH, USDC, 1),
            Plans.morpho(address(morpho), USDC, 1),
            liquidation(borrower, USDC, 1),
            toUsdc(WETH, 1)
        ];
        for (uint256 i = 0; i < steps.length; ++i) {
            bytes memory step = steps[i];
            assembly {
                mstore(step, sub(mload(step), 1))
            }
            runRefused(bytes.concat(header(0), step), abi.encodeWithSelector(PlanCodec.PlanCutShort.selector));
        }
        runRefused("", abi.encodeWithSelector(PlanCodec.PlanCutShort.selector));
        runRefused(bytes.concat(header(0), hex"05"), abi.encodeWithSelector(PlanCodec.PlanCutShort.selector));
    }

    /// @dev Any bytes at all: refused, or settled with nothing gone.
    function testFuzz_anyBytes(bytes calldata steps) public {
        usdc.mint(address(executor), 5_000e6);
        weth.mint(address(executor), 5e18);
        vm.prank(operator);
        (bool ok,) = address(executor).call(abi.encodeCall(executor.run, (bytes.concat(claimHeader(), steps))));
        vm.assertFalse(ok, "something was gained from nothing");
        vm.assertEq(usdc.balanceOf(address(executor)), 5_000e6);
        vm.assertEq(weth.balanceOf(address(executor)), 5e18);
    }
}
