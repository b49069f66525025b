// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title The part of ERC-20 that our contracts use
interface IERC20 {
    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    function totalSupply() external view returns (uint256);
    function balanceOf(address account) external view returns (uint256);
    function allowance(address owner, address spender) external view returns (uint256);
    function transfer(address to, uint256 amountRaw) external returns (bool);
    function approve(address spender, uint256 amountRaw) external returns (bool);
    function transferFrom(address from, address to, uint256 amountRaw) external returns (bool);
}

/// @title ERC-20 with its display fields
interface IERC20Metadata is IERC20 {
    function name() external view returns (string memory);
    function symbol() external view returns (string memory);
    function decimals() external view returns (uint8);
}
