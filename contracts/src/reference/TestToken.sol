// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20Metadata} from "../interfaces/IERC20.sol";

/// @title A plain token that anyone may mint, for local chains only
contract TestToken is IERC20Metadata {
    string public name;
    string public symbol;
    uint8 public immutable decimals;
    uint256 public totalSupply;
    mapping(address account => uint256) public balanceOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    constructor(string memory name_, string memory symbol_, uint8 decimals_) {
        name = name_;
        symbol = symbol_;
        decimals = decimals_;
    }

    /// @notice Creates `amountRaw` out of nothing for `to`.
    function mint(address to, uint256 amountRaw) external {
        totalSupply += amountRaw;
        balanceOf[to] += amountRaw;
        emit Transfer(address(0), to, amountRaw);
    }

    function approve(address spender, uint256 amountRaw) external returns (bool) {
        allowance[msg.sender][spender] = amountRaw;
        emit Approval(msg.sender, spender, amountRaw);
        return true;
    }

    function transfer(address to, uint256 amountRaw) external returns (bool) {
        _move(msg.sender, to, amountRaw);
        return true;
    }

    function transferFrom(address from, address to, uint256 amountRaw) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed != type(uint256).max) allowance[from][msg.sender] = allowed - amountRaw;
        _move(from, to, amountRaw);
        return true;
    }

    function _move(address from, address to, uint256 amountRaw) private {
        balanceOf[from] -= amountRaw;
        balanceOf[to] += amountRaw;
        emit Transfer(from, to, amountRaw);
    }
}
