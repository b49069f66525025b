// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "../../src/interfaces/IERC20.sol";
import {IFlashLoanSimpleReceiver} from "../../src/interfaces/ILiquidationPool.sol";
import {LendingPool} from "../../src/reference/LendingPool.sol";
import {PriceFeed} from "../../src/reference/PriceFeed.sol";
import {TestToken} from "../../src/reference/TestToken.sol";
import {CloseFactor} from "../../src/reference/libraries/CloseFactor.sol";
import {Vm} from "./Vm.sol";

/// @title Takes flash loans and pays them back
contract FlashReceiver is IFlashLoanSimpleReceiver {
    function executeOperation(address asset, uint256 amount, uint256 premium, address, bytes calldata)
        external
        returns (bool)
    {
        TestToken(asset).mint(address(this), premium);
        TestToken(asset).approve(msg.sender, amount + premium);
        return true;
    }
}

/// @title Five accounts that do everything the pool offers, in any order
/// @dev A refused action is part of the game; `passed` counts what went through, so that a test can see it was played.
contract PoolActors {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    LendingPool private immutable _pool;
    FlashReceiver private immutable _receiver = new FlashReceiver();
    address private immutable _admin;
    TestToken[] private _tokens;
    PriceFeed[] private _feeds;
    uint256[] private _prices;
    address[5] public actors = [address(0xA1), address(0xA2), address(0xA3), address(0xA4), address(0xA5)];
    mapping(bytes4 selector => uint256) public passed;

    constructor(LendingPool pool, address admin, TestToken[4] memory tokens, PriceFeed[4] memory feeds) {
        (_pool, _admin) = (pool, admin);
        for (uint256 i = 0; i < 4; ++i) {
            _tokens.push(tokens[i]);
            _feeds.push(feeds[i]);
            _prices.push(uint256(feeds[i].latestAnswer()));
            for (uint256 j = 0; j < actors.length; ++j) {
                vm.prank(actors[j]);
                tokens[i].approve(address(pool), type(uint256).max);
            }
        }
    }

    function supply(uint256 who, uint256 what, uint256 usd) external {
        (address actor, TestToken token) = (actors[who % 5], _tokens[what % 4]);
        uint256 raw = worth(what, 1 + usd % 1_000_000);
        token.mint(actor, raw);
        vm.prank(actor);
        count(address(_pool), abi.encodeCall(_pool.supply, (address(token), raw, actor, 0)));
    }

    function withdraw(uint256 who, uint256 what, uint256 usd) external {
        uint256 raw = usd % 3 == 0 ? type(uint256).max : worth(what, 1 + usd % 100_000);
        vm.prank(actors[who % 5]);
        count(address(_pool), abi.encodeCall(_pool.withdraw, (address(_tokens[what % 4]), raw, actors[who % 5])));
    }

    /// @dev Borrows a share of what the account may, so that most calls pass and the account stands near the edge.
    function borrow(uint256 who, uint256 what, uint256 shareBps) external {
        (,, uint256 mayBase,,,) = _pool.getUserAccountData(actors[who % 5]);
        uint256 raw =
            mayBase * (5000 + shareBps % 5001) / 10_000 * unit(what) / uint256(_feeds[what % 4].latestAnswer());
        address actor = actors[who % 5];
        vm.prank(actor);
        count(address(_pool), abi.encodeCall(_pool.borrow, (address(_tokens[what % 4]), raw, 2, 0, actor)));
    }

    function repay(uint256 who, uint256 what, uint256 usd) external {
        (address actor, TestToken token) = (actors[who % 5], _tokens[what % 4]);
        uint256 raw = usd % 3 == 0 ? type(uint256).max : worth(what, 1 + usd % 100_000);
        token.mint(actor, owed(token, actor));
        vm.prank(actor);
        count(address(_pool), abi.encodeCall(_pool.repay, (address(token), raw, 2, actor)));
    }

    function liquidate(uint256 who, uint256 whom, uint256 pair, uint256 usd, bool asDeposit) external {
        (address actor, address target) = (actors[who % 5], actors[whom % 5]);
        (TestToken collateral, TestToken debt) = (_tokens[pair % 4], _tokens[pair / 4 % 4]);
        uint256 raw = usd % 2 == 0 ? type(uint256).max : worth(pair / 4, 1 + usd % 100_000);
        debt.mint(actor, owed(debt, target) + 1);
        vm.prank(actor);
        count(
            address(_pool),
            abi.encodeCall(_pool.liquidationCall, (address(collateral), address(debt), target, raw, asDeposit))
        );
    }

    /// @dev Borrows to the limit and falls: the whole life of a position, which single random steps seldom play out.
    function ruin(uint256 who, uint256 pair, uint256 usd, uint256 shareBps, uint256 elapsedS) external {
        this.supply(who, pair, usd);
        this.borrow(who, pair / 4, 5000);
        this.pass(elapsedS);
        this.movePrice(pair, shareBps);
        this.liquidate(who + 1, who, pair % 16, usd, shareBps % 4 == 0);
    }

    function transferDeposit(uint256 who, uint256 whom, uint256 what, uint256 usd) external {
        address aToken = _pool.getReserveData(address(_tokens[what % 4])).aTokenAddress;
        bytes memory call = abi.encodeCall(IERC20.transfer, (actors[whom % 5], worth(what, 1 + usd % 10_000)));
        vm.prank(actors[who % 5]);
        count(aToken, call);
    }

    function flag(uint256 who, uint256 what, bool on) external {
        vm.prank(actors[who % 5]);
        count(address(_pool), abi.encodeCall(_pool.setUserUseReserveAsCollateral, (address(_tokens[what % 4]), on)));
    }

    function flash(uint256 what, uint256 usd) external {
        bytes memory call = abi.encodeCall(
            _pool.flashLoanSimple,
            (address(_receiver), address(_tokens[what % 4]), worth(what, 1 + usd % 100_000), "", 0)
        );
        count(address(_pool), call);
    }

    /// @dev Between a third and the whole of the first price, so that accounts fall and recover.
    function movePrice(uint256 what, uint256 shareBps) external {
        vm.prank(_admin);
        _feeds[what % 4].transmit(int256(_prices[what % 4] * (3333 + shareBps % 6668) / 10_000));
    }

    function pass(uint256 elapsedS) external {
        vm.warp(block.timestamp + elapsedS % 30 days);
    }

    function choosePolicy(uint256 policy) external {
        vm.prank(_admin);
        _pool.setCloseFactorPolicy(CloseFactor.Policy(policy % 4));
    }

    function payTreasury(uint256 what) external {
        address[] memory assets = new address[](1);
        assets[0] = address(_tokens[what % 4]);
        count(address(_pool), abi.encodeCall(_pool.mintToTreasury, (assets)));
    }

    function count(address target, bytes memory call) private {
        (bool ok,) = target.call(call);
        if (ok) ++passed[bytes4(call)];
    }

    function unit(uint256 what) private view returns (uint256) {
        return 10 ** _tokens[what % 4].decimals();
    }

    function worth(uint256 what, uint256 usd) private view returns (uint256) {
        return usd * 1e8 * unit(what) / _prices[what % 4];
    }

    function owed(TestToken token, address who) private view returns (uint256) {
        return IERC20(_pool.getReserveData(address(token)).variableDebtTokenAddress).balanceOf(who);
    }
}
