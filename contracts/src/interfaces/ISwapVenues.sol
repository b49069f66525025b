// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Registry of constant-product pairs (Uniswap V2's interface)
interface IPairFactory {
    function getPair(address tokenA, address tokenB) external view returns (address);
}

/// @title A constant-product pair (Uniswap V2's interface)
interface IPair {
    function getReserves() external view returns (uint112 reserve0, uint112 reserve1, uint32 blockTimestampLast);
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

/// @title Registry of concentrated-liquidity pools (Uniswap V3's interface)
interface IConcentratedFactory {
    function getPool(address tokenA, address tokenB, uint24 fee) external view returns (address);
}

/// @title A concentrated-liquidity pool (Uniswap V3's interface)
interface IConcentratedPool {
    function swap(
        address recipient,
        bool zeroForOne,
        int256 amountSpecified,
        uint160 sqrtPriceLimitX96,
        bytes calldata data
    ) external returns (int256 amount0, int256 amount1);
}
