// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "../../src/interfaces/IERC20.sol";

interface ISwapCallback {
    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external;
}

/// @title A stand-in for a concentrated-liquidity pool that trades at one price until its depth runs out
/// @dev Has that protocol's interface and callback, and can be told to misbehave as a hostile pool would.
contract FixedPricePool {
    enum Manner {
        HONEST,
        ASK_TWICE, // calls the callback a second time
        ASK_MORE, // asks for more than was offered
        ASK_NOTHING, // pays without asking
        RETURN_BOMB // fails with a megabyte of reason
    }

    address public immutable token0;
    address public immutable token1;
    uint256 private immutable _price1Per0Wad;
    uint256 private _depthRaw = type(uint256).max;
    Manner private _manner;

    /// @notice The pool has a reason of its own to fail.
    error OutOfOrder(uint256 code);

    constructor(address tokenA, address tokenB, uint256 priceBPerAWad) {
        bool inOrder = tokenA < tokenB;
        (token0, token1) = inOrder ? (tokenA, tokenB) : (tokenB, tokenA);
        _price1Per0Wad = inOrder ? priceBPerAWad : 1e36 / priceBPerAWad;
    }

    function setDepth(uint256 depthRaw) external {
        _depthRaw = depthRaw;
    }

    function misbehave(Manner manner) external {
        _manner = manner;
    }

    function swap(address to, bool zeroForOne, int256 amount, uint160, bytes calldata data)
        external
        returns (int256, int256)
    {
        if (_manner == Manner.RETURN_BOMB) _bomb();
        uint256 inRaw = uint256(amount);
        if (inRaw == 0) revert OutOfOrder(42);
        if (inRaw > _depthRaw) inRaw = _depthRaw;
        uint256 outRaw = zeroForOne ? inRaw * _price1Per0Wad / 1e18 : inRaw * 1e18 / _price1Per0Wad;
        IERC20(zeroForOne ? token1 : token0).transfer(to, outRaw);
        if (_manner == Manner.ASK_NOTHING) return (0, 0);
        if (_manner == Manner.ASK_MORE) inRaw += 1;
        (int256 delta0, int256 delta1) =
            zeroForOne ? (int256(inRaw), -int256(outRaw)) : (-int256(outRaw), int256(inRaw));
        ISwapCallback(msg.sender).uniswapV3SwapCallback(delta0, delta1, data);
        if (_manner == Manner.ASK_TWICE) ISwapCallback(msg.sender).uniswapV3SwapCallback(delta0, delta1, data);
        return (delta0, delta1);
    }

    function _bomb() private pure {
        assembly {
            revert(0, 0x100000)
        }
    }
}

/// @title Registry of those pools
contract FixedPriceFactory {
    mapping(address => mapping(address => mapping(uint24 => address))) public getPool;

    function add(FixedPricePool pool, uint24 fee) external {
        getPool[pool.token0()][pool.token1()][fee] = address(pool);
        getPool[pool.token1()][pool.token0()][fee] = address(pool);
    }
}
