// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "../../src/interfaces/IERC20.sol";
import {Raw} from "./Raw.sol";

/// @title What a swap pool calls on whoever swaps
interface IAnySwapper {
    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external;
}

/// @title How a pool that an allowed registry names may cheat
enum Cheat {
    NONE,
    PAYS_NOTHING,
    PAYS_LITTLE, // a thousandth
    ASKS_TWICE,
    ASKS_MORE,
    ASKS_LESS,
    ASKS_BOTH, // both deltas positive
    ASKS_NEITHER, // both deltas negative
    NO_CALLBACK,
    CALLBACK_WITH_DATA, // hands back data that was never sent
    REENTERS, // calls somebody in the middle
    RETURN_BOMB,
    REVERTS_EMPTY,
    GAS_GRIEF,
    LIES_ABOUT_RESERVES // says it holds nothing of what is paid in
}

/// @title A pool of two tokens with both kinds of interface that cheats as it is told
/// @dev As a pair it quotes by its reserves, as the other kind it trades at one price. It checks nothing.
contract HostilePool {
    address public immutable token0;
    address public immutable token1;
    uint256 private immutable _out1Per0Wad;
    Cheat public cheat;
    address private _target;
    bytes private _call;
    uint256 private _more = 1;
    uint112 private _reserve0;
    uint112 private _reserve1;
    uint256 public passed;
    uint256 public failed;
    bytes public lastFailure;

    constructor(address tokenA, address tokenB, uint256 outBPerAWad) {
        bool inOrder = tokenA < tokenB;
        (token0, token1) = inOrder ? (tokenA, tokenB) : (tokenB, tokenA);
        _out1Per0Wad = inOrder ? outBPerAWad : 1e36 / outBPerAWad;
    }

    function misbehave(Cheat cheat_) external {
        cheat = cheat_;
    }

    function askMoreBy(uint256 raw) external {
        (cheat, _more) = (Cheat.ASKS_MORE, raw);
    }

    function reenter(address target, bytes calldata call) external {
        (cheat, _target, _call) = (Cheat.REENTERS, target, call);
    }

    // ------------------------------------------------------------------ as a constant-product pair

    function sync() public {
        (_reserve0, _reserve1) =
        (uint112(IERC20(token0).balanceOf(address(this))), uint112(IERC20(token1).balanceOf(address(this))));
    }

    function getReserves() external view returns (uint112, uint112, uint32) {
        if (cheat != Cheat.LIES_ABOUT_RESERVES) return (_reserve0, _reserve1, 0);
        return (0, 0, 0);
    }

    function swap(uint256 out0Raw, uint256 out1Raw, address to, bytes calldata) external {
        _cheatAtFirst();
        if (cheat == Cheat.PAYS_NOTHING) return;
        if (cheat == Cheat.PAYS_LITTLE) (out0Raw, out1Raw) = (out0Raw / 1000, out1Raw / 1000);
        if (out0Raw != 0) Raw.move(token0, to, out0Raw);
        if (out1Raw != 0) Raw.move(token1, to, out1Raw);
        sync();
    }

    // ------------------------------------------------------------------ as a concentrated-liquidity pool

    function swap(address to, bool zeroForOne, int256 amount, uint160, bytes calldata data)
        external
        returns (int256, int256)
    {
        _cheatAtFirst();
        uint256 inRaw = uint256(amount);
        int256 out = _pay(to, zeroForOne, inRaw);
        if (cheat == Cheat.NO_CALLBACK) return (0, 0);
        if (cheat == Cheat.ASKS_MORE) inRaw += _more;
        if (cheat == Cheat.ASKS_LESS) inRaw /= 2;
        _ask(zeroForOne, int256(inRaw), out, data);
        if (cheat == Cheat.ASKS_TWICE) _ask(zeroForOne, int256(inRaw), out, data);
        return (0, 0);
    }

    /// @dev The answer is what an honest pool would pay, and what this one says it paid.
    function _pay(address to, bool zeroForOne, uint256 inRaw) private returns (int256 said) {
        uint256 outRaw = zeroForOne ? inRaw * _out1Per0Wad / 1e18 : inRaw * 1e18 / _out1Per0Wad;
        said = int256(outRaw);
        if (cheat == Cheat.PAYS_NOTHING) return said;
        if (cheat == Cheat.PAYS_LITTLE) outRaw /= 1000;
        if (outRaw != 0) Raw.move(zeroForOne ? token1 : token0, to, outRaw);
    }

    function _ask(bool zeroForOne, int256 inRaw, int256 out, bytes calldata data) private {
        (int256 delta0, int256 delta1) = zeroForOne ? (inRaw, -out) : (-out, inRaw);
        if (cheat == Cheat.ASKS_BOTH) (delta0, delta1) = (inRaw, inRaw);
        if (cheat == Cheat.ASKS_NEITHER) (delta0, delta1) = (-inRaw, -inRaw);
        bytes memory told = cheat == Cheat.CALLBACK_WITH_DATA ? abi.encode(data.length, "never sent") : data;
        IAnySwapper(msg.sender).uniswapV3SwapCallback(delta0, delta1, told);
    }

    function _cheatAtFirst() private {
        if (cheat == Cheat.REENTERS) _reenter();
        if (cheat == Cheat.RETURN_BOMB) {
            assembly {
                revert(0, 0x100000)
            }
        }
        if (cheat == Cheat.REVERTS_EMPTY) {
            assembly {
                revert(0, 0)
            }
        }
        if (cheat == Cheat.GAS_GRIEF) {
            assembly {
                invalid()
            }
        }
    }

    function _reenter() private {
        (bool ok, bytes memory reason) = _target.call(_call);
        if (ok) {
            ++passed;
        } else {
            ++failed;
            lastFailure = reason;
        }
    }
}

/// @title A registry in both kinds of interface: it knows pools, and names whatever it is told to instead
contract HostileFactory {
    mapping(address tokenA => mapping(address tokenB => address pool)) private _pools;
    address private _named;

    function add(HostilePool pool) external {
        (address token0, address token1) = (pool.token0(), pool.token1());
        (_pools[token0][token1], _pools[token1][token0]) = (address(pool), address(pool));
    }

    /// @notice Names `pool` for every pair of tokens; zero makes it honest again.
    function name(address pool) external {
        _named = pool;
    }

    function getPool(address tokenA, address tokenB, uint24) external view returns (address) {
        return _answer(tokenA, tokenB);
    }

    function getPair(address tokenA, address tokenB) external view returns (address) {
        return _answer(tokenA, tokenB);
    }

    function _answer(address tokenA, address tokenB) private view returns (address) {
        return _named == address(0) ? _pools[tokenA][tokenB] : _named;
    }
}
