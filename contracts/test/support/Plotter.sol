// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {KeeperExecutor} from "../../src/KeeperExecutor.sol";
import {IERC20} from "../../src/interfaces/IERC20.sol";
import {LendingPool} from "../../src/reference/LendingPool.sol";
import {PriceFeed} from "../../src/reference/PriceFeed.sol";
import {TestToken} from "../../src/reference/TestToken.sol";
import {HostileLender} from "../zoo/HostileLenders.sol";
import {HostileFactory, HostilePool} from "../zoo/HostilePools.sol";
import {TwoNamedToken, ZooToken} from "../zoo/ZooToken.sol";
import {Plans} from "./Plans.sol";
import {Test} from "./Vm.sol";

/// @title Plans that would work, were everybody honest, and plans of any steps in any order
abstract contract Plotter is Test {
    struct World {
        KeeperExecutor executor;
        LendingPool pool;
        TestToken usdc;
        TestToken weth;
        IERC20 claim;
        ZooToken zoo;
        TwoNamedToken twice;
        HostilePool zooPool;
        HostilePool twicePool;
        HostilePool wethPool;
        HostileFactory badFactory;
        HostileLender badLender;
        address swaps;
        PriceFeed feed;
        address admin;
        address owner;
        address operator;
        address guardian;
    }

    uint256 private constant MAX = type(uint256).max;

    World internal w;
    address[6] internal _table;
    address internal _borrower = address(0xB0B);
    /// @notice What the executor must hold of a token.
    mapping(address token => uint256) public restRaw;

    function header(uint256 seed) internal view returns (bytes memory) {
        address[] memory tokens = new address[](5);
        for (uint256 i = 0; i < 5; ++i) {
            tokens[i] = _table[(i + seed) % 5];
        }
        uint256 deadline = seed % 16 == 0 ? block.number - 1 : block.number;
        uint8 underlying = uint8((5 - seed % 5) % 5);
        bytes memory claims = seed % 3 == 0 ? bytes("") : Plans.claim(address(w.pool), underlying);
        return Plans.header(
            deadline, seed >> 8 & 1 == 0 ? 0 : seed >> 9 & 0xffffff, tokens, uint8(claims.length / 21), claims
        );
    }

    function anyStep(uint256 dice) internal view returns (bytes memory) {
        uint8 code = uint8(dice % 9);
        (uint8 a, uint8 b) = (uint8(dice >> 8) % 6, uint8(dice >> 16) % 6);
        uint256 raw = amount(dice >> 24);
        if (code == 0) return Plans.own(a, raw);
        if (code == 1) return Plans.aave(lender_(dice), a, raw, dice >> 64 & 0xffffff);
        if (code == 2) return Plans.flashSwap(address(w.badFactory), 500, a, b, raw);
        if (code == 3) return Plans.morpho(address(w.badLender), a, raw);
        if (code == 4) return Plans.liquidate(lender_(dice), _borrower, a, b, uint8(dice >> 72) % 6, dice >> 80);
        if (code == 5) return Plans.redeem(5);
        return Plans.swap(a, raw, 1, anyHop(dice, b));
    }

    function anyHop(uint256 dice, uint8 to) internal view returns (bytes memory) {
        address factory = dice >> 90 & 1 == 0 ? w.swaps : address(w.badFactory);
        return Plans.hop(uint8(dice >> 91) % 2, factory, to, 3000);
    }

    function lender_(uint256 dice) internal view returns (address) {
        return dice >> 100 & 1 == 0 ? address(w.pool) : address(w.badLender);
    }

    function amount(uint256 dice) internal view returns (uint256) {
        uint256 kind = dice % 5;
        if (kind == 0) return 0;
        if (kind == 1) return restRaw[address(w.usdc)];
        if (kind == 2) return restRaw[address(w.weth)];
        if (kind == 3) return dice >> 3 & type(uint64).max;
        return 15_000e6;
    }

    /// @dev Liquidates the newest borrower by one of the funds and sells on the honest pair, with or without a detour.
    function sensible(uint256 seed) internal view returns (bytes memory) {
        address[] memory tokens = new address[](4);
        (tokens[0], tokens[1]) = (address(w.usdc), address(w.weth));
        (tokens[2], tokens[3]) = (address(w.zoo), address(w.twice));
        bool deposit = seed >> 20 & 3 == 0;
        bytes memory claims = deposit ? Plans.claim(address(w.pool), 1) : bytes("");
        return bytes.concat(
            Plans.header(block.number, seed >> 56 & 3 == 0 ? seed >> 40 & 0xffff : 0, tokens, deposit ? 1 : 0, claims),
            fund(seed),
            Plans.liquidate(address(w.pool), _borrower, 1, 0, deposit ? 4 : 1, MAX),
            deposit ? Plans.redeem(4) : bytes(""),
            Plans.swap(1, 0, 1, Plans.hop(0, w.swaps, 0, 3000)),
            detour(seed >> 60)
        );
    }

    /// @dev What is tried in the middle of a run: a plan that does nothing would succeed whenever it got in.
    function inner(uint256 seed) internal view returns (bytes memory) {
        if (seed >> 24 & 1 == 0) return sensible(seed);
        address[] memory tokens = new address[](1);
        tokens[0] = address(w.usdc);
        return Plans.header(block.number, 0, tokens);
    }

    function fund(uint256 seed) internal view returns (bytes memory) {
        uint256 raw = 31_000e6;
        if (seed % 4 == 0) return Plans.own(0, raw);
        if (seed % 4 == 1) return Plans.aave(address(w.pool), 0, raw, 100e6);
        if (seed % 4 == 2) return Plans.morpho(address(w.badLender), 0, raw);
        return Plans.flashSwap(address(w.badFactory), 500, 1, 0, 93e16 * (1 + (seed >> 2 & 15)));
    }

    function detour(uint256 dice) internal view returns (bytes memory) {
        if (dice % 2 == 0) return "";
        uint8 through = dice >> 1 & 1 == 0 ? 2 : 3;
        uint8 kind = uint8(dice >> 2) % 2;
        bytes memory there =
            Plans.swap(0, 1e6 + (dice >> 8 & 0xffffff), 1, Plans.hop(kind, address(w.badFactory), through, 3000));
        if (dice >> 3 & 1 == 0) return there;
        return bytes.concat(there, Plans.swap(through, 0, 1, Plans.hop(kind, address(w.badFactory), 0, 3000)));
    }
}
