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

    /// @notice Allows `spender` exactly `amountRaw`, or reverts.
    /// @dev Tokens such as USDT refuse to move one non-zero allowance to another: `disallow` comes between two calls.
    function allow(address token, address spender, uint256 amountRaw) internal {
        _expectTrue(token, abi.encodeCall(IERC20.approve, (spender, amountRaw)));
    }

    /// @notice Makes the allowance of `spender` zero, or reverts.
    /// @return unusedRaw What it was.
    function disallow(address token, address spender) internal returns (uint256 unusedRaw) {
        unusedRaw = BoundedCall.readWord(token, abi.encodeCall(IERC20.allowance, (address(this), spender)));
        if (unusedRaw != 0) allow(token, spender, 0);
    }

    /// @notice What this contract holds of `token`, in its smallest unit.
    function held(address token) internal view returns (uint256) {
        return heldBy(token, address(this));
    }

    /// @notice What `account` holds of `token`, in its smallest unit.
    function heldBy(address token, address account) internal view returns (uint256) {
        return BoundedCall.readWord(token, abi.encodeCall(IERC20.balanceOf, (account)));
    }

    function _expectTrue(address token, bytes memory data) private {
        (uint256 size, uint256 word) = BoundedCall.callOrBubble(token, data);
        if (size == 0) return;
        if (size < 32 || word != 1) revert TokenRefused(token);
    }
}
