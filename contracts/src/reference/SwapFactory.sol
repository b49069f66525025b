// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SwapPair} from "./SwapPair.sol";

/// @title Registry of constant-product pairs, one per pair of tokens (Uniswap V2's interface)
contract SwapFactory {
    mapping(address tokenA => mapping(address tokenB => address pair)) public getPair;
    address[] public allPairs;

    event PairCreated(address indexed token0, address indexed token1, address pair, uint256 count);

    /// @notice The two tokens must differ and neither may be zero.
    error BadTokens();
    /// @notice The pair exists already.
    error PairExists();

    /// @notice Creates the pair of two tokens.
    function createPair(address tokenA, address tokenB) external returns (address pair) {
        (address token0, address token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
        if (token0 == address(0) || token0 == token1) revert BadTokens();
        if (getPair[token0][token1] != address(0)) revert PairExists();
        pair = address(new SwapPair(token0, token1));
        getPair[token0][token1] = pair;
        getPair[token1][token0] = pair;
        allPairs.push(pair);
        emit PairCreated(token0, token1, pair, allPairs.length);
    }

    function allPairsLength() external view returns (uint256) {
        return allPairs.length;
    }
}
