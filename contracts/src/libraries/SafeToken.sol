// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "../interfaces/IERC20.sol";
import {BoundedCall} from "./BoundedCall.sol";

/// @title Token calls that work with tokens that return nothing, and fail on tokens that return false
library SafeToken {
    /// @notice The token answered false, or something that is not a boolean.
    error TokenRefused(address token);

    /// @notice Sends `amountRaw` of `token` to `to`, or reverts.
    function send(address token, address to, uint256 amountRaw) internal {
        _expectTrue(token, abi.encodeCall(IERC20.transfer, (to, amountRaw)));
    }

    /// @notice Sends `amountRaw` of `token` from `from` to `to` out of our allowance, or reverts.
    function pull(address token, address from, address to, uint256 amountRaw) internal {
        _expectTrue(token, abi.encodeCall(IERC20.transferFrom, (from, to, amountRaw)));
    }

    /// @notice Sets the allowance of `spender` to exactly `amountRaw`.
    /// @dev Tokens such as USDT refuse to move a non-zero allowance to another non-zero value: it goes through zero.
    function allow(address token, address spender, uint256 amountRaw) internal {
        if (IERC20(token).allowance(address(this), spender) != 0) {
            _expectTrue(token, abi.encodeCall(IERC20.approve, (spender, 0)));
        }
        if (amountRaw != 0) _expectTrue(token, abi.encodeCall(IERC20.approve, (spender, amountRaw)));
    }

    /// @notice What this contract holds of `token`, in its smallest unit.
    function held(address token) internal view returns (uint256) {
        return IERC20(token).balanceOf(address(this));
    }

    function _expectTrue(address token, bytes memory data) private {
        (uint256 size, uint256 word) = BoundedCall.callOrBubble(token, data);
        if (size == 0) return;
        if (size < 32 || word != 1) revert TokenRefused(token);
    }
}
