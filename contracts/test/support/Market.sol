// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "../../src/interfaces/IERC20.sol";
import {AddressesProvider} from "../../src/reference/AddressesProvider.sol";
import {AToken} from "../../src/reference/AToken.sol";
import {DebtToken} from "../../src/reference/DebtToken.sol";
import {FeedProxy} from "../../src/reference/FeedProxy.sol";
import {LendingPool} from "../../src/reference/LendingPool.sol";
import {PriceFeed} from "../../src/reference/PriceFeed.sol";
import {PriceOracle} from "../../src/reference/PriceOracle.sol";
import {ReserveConfig} from "../../src/reference/libraries/ReserveConfig.sol";
import {CloseFactor} from "../../src/reference/libraries/CloseFactor.sol";
import {SwapFactory} from "../../src/reference/SwapFactory.sol";
import {SwapPair} from "../../src/reference/SwapPair.sol";
import {TestToken} from "../../src/reference/TestToken.sol";
import {Test} from "./Vm.sol";

/// @title A market of four reserves with deep deposits, and pools to sell into
abstract contract Market is Test {
    uint256 internal constant MAX = type(uint256).max;
    uint256 internal constant START_S = 1_700_000_000;

    address internal admin = address(0xAD);
    address internal treasury = address(0x7EA5);
    address internal lender = address(0x1E4D);
    address internal borrower = address(0xB0B);
    address internal liquidator = address(0x11D);

    AddressesProvider internal provider;
    PriceOracle internal oracle;
    LendingPool internal pool;
    SwapFactory internal swaps;
    TestToken internal weth;
    TestToken internal wbtc;
    TestToken internal usdc;
    TestToken internal dai;
    mapping(address token => PriceFeed) internal feeds;

    function setUp() public virtual {
        vm.warp(START_S);
        vm.roll(100);
        provider = new AddressesProvider("test market", admin);
        oracle = new PriceOracle(admin);
        pool = new LendingPool(provider, admin);
        swaps = new SwapFactory();
        vm.startPrank(admin);
        provider.setPool(address(pool));
        provider.setPriceOracle(address(oracle));
        vm.stopPrank();
        weth = list("Wrapped Ether", "WETH", 18, 2000e8, settings(8000, 8250, 10500, 1000));
        wbtc = list("Wrapped Bitcoin", "WBTC", 8, 40_000e8, settings(7300, 7800, 10625, 1000));
        usdc = list("Dollar Coin", "USDC", 6, 1e8, settings(7500, 7800, 10450, 1000));
        dai = list("Dai", "DAI", 18, 1e8, settings(7500, 7700, 10400, 0));
        deposit(lender, weth, 100_000e18);
        deposit(lender, wbtc, 5_000e8);
        deposit(lender, usdc, 200_000_000e6);
        deposit(lender, dai, 200_000_000e18);
    }

    function settings(uint16 ltv, uint16 threshold, uint16 bonus, uint16 fee)
        internal
        pure
        returns (ReserveConfig.Settings memory s)
    {
        s.ltv = ltv;
        s.liquidationThreshold = threshold;
        s.liquidationBonus = bonus;
        s.liquidationProtocolFee = fee;
        s.reserveFactor = 1000;
        s.borrowRateRay = 0.05e27;
        s.borrowing = true;
        s.flashLoans = true;
    }

    function list(
        string memory name,
        string memory symbol,
        uint8 decimals,
        int256 price,
        ReserveConfig.Settings memory s
    ) internal returns (TestToken token) {
        token = new TestToken(name, symbol, decimals);
        listToken(token, price, s);
    }

    function listToken(TestToken token, int256 price, ReserveConfig.Settings memory s) internal {
        string memory name = token.name();
        PriceFeed feed = new PriceFeed(8, name, admin);
        feeds[address(token)] = feed;
        setPrice(address(token), price);
        (address[] memory assets, address[] memory sources) = (new address[](1), new address[](1));
        (assets[0], sources[0]) = (address(token), address(new FeedProxy(feed, admin)));
        AToken aToken = new AToken(address(pool), address(token), treasury, name, name);
        DebtToken debtToken = new DebtToken(address(pool), address(token), name, name);
        vm.startPrank(admin);
        oracle.setAssetSources(assets, sources);
        pool.initReserve(address(token), address(aToken), address(debtToken), s);
        vm.stopPrank();
    }

    function setPrice(address token, int256 price) internal {
        vm.prank(admin);
        feeds[token].transmit(price);
    }

    function setPolicy(CloseFactor.Policy policy) internal {
        vm.prank(admin);
        pool.setCloseFactorPolicy(policy);
    }

    function deposit(address who, TestToken token, uint256 amountRaw) internal {
        token.mint(who, amountRaw);
        vm.startPrank(who);
        allow(token, address(pool), amountRaw);
        pool.supply(address(token), amountRaw, who, 0);
        vm.stopPrank();
    }

    function take(address who, TestToken token, uint256 amountRaw) internal {
        vm.prank(who);
        pool.borrow(address(token), amountRaw, 2, 0, who);
    }

    /// @dev Gives the liquidator more than enough of the debt token, and the allowance to spend it.
    function fundLiquidator(TestToken token) internal {
        token.mint(liquidator, 1e12 * 10 ** token.decimals());
        vm.prank(liquidator);
        allow(token, address(pool), MAX);
    }

    /// @dev By a plain call, because some tokens answer nothing.
    function allow(TestToken token, address spender, uint256 amountRaw) internal {
        (bool ok,) = address(token).call(abi.encodeCall(IERC20.approve, (spender, amountRaw)));
        vm.assertTrue(ok, "approve");
    }

    function liquidate(TestToken collateral, TestToken debt, uint256 coverRaw) internal {
        vm.prank(liquidator);
        pool.liquidationCall(address(collateral), address(debt), borrower, coverRaw, false);
    }

    /// @dev What one liquidation took and gave, by the liquidator's balances.
    function measured(TestToken collateral, TestToken debt, uint256 coverRaw)
        internal
        returns (uint256 repaidRaw, uint256 seizedRaw)
    {
        (uint256 debtBefore, uint256 collateralBefore) = (debt.balanceOf(liquidator), collateral.balanceOf(liquidator));
        liquidate(collateral, debt, coverRaw);
        repaidRaw = debtBefore - debt.balanceOf(liquidator);
        seizedRaw = collateral.balanceOf(liquidator) - collateralBefore;
    }

    function health(address who) internal view returns (uint256 healthWad) {
        (,,,,, healthWad) = pool.getUserAccountData(who);
    }

    function aTokenOf(TestToken token) internal view returns (AToken) {
        return AToken(pool.getReserveData(address(token)).aTokenAddress);
    }

    function debtOf(TestToken token, address who) internal view returns (uint256) {
        return IERC20(pool.getReserveData(address(token)).variableDebtTokenAddress).balanceOf(who);
    }

    function supplyOf(TestToken token, address who) internal view returns (uint256) {
        return aTokenOf(token).balanceOf(who);
    }

    function makePair(TestToken a, TestToken b, uint256 aRaw, uint256 bRaw) internal returns (SwapPair pair) {
        pair = SwapPair(swaps.createPair(address(a), address(b)));
        a.mint(address(pair), aRaw);
        b.mint(address(pair), bRaw);
        pair.mint(lender);
    }

    /// @dev The standard unhealthy account: 10 WETH against 15,000 USDC, and the price fallen.
    function makeUnhealthy(int256 wethPrice) internal {
        deposit(borrower, weth, 10e18);
        take(borrower, usdc, 15_000e6);
        setPrice(address(weth), wethPrice);
    }
}
