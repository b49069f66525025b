// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "../../src/interfaces/IERC20.sol";

/// @title A router that takes, pays and reports what it was told to
contract CheatingRouter {
    uint256 private _takeRaw;
    uint256 private _payRaw;
    uint256 private _sayRaw;

    function set(uint256 takeRaw, uint256 payRaw, uint256 sayRaw) external {
        (_takeRaw, _payRaw, _sayRaw) = (takeRaw, payRaw, sayRaw);
    }

    function swap(address tokenIn, address tokenOut, uint256) external returns (uint256) {
        IERC20(tokenIn).transferFrom(msg.sender, address(this), _takeRaw);
        if (_payRaw != 0) IERC20(tokenOut).transfer(msg.sender, _payRaw);
        return _sayRaw;
    }

    /// @notice Uses what is left of somebody's allowance.
    function harvest(address token, address from, uint256 raw) external {
        IERC20(token).transferFrom(from, msg.sender, raw);
    }
}
