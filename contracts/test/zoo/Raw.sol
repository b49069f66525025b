// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "../../src/interfaces/IERC20.sol";

/// @title Token calls that do not mind what is answered, for pools and lenders that trade anything
library Raw {
    /// @notice Sends, and passes on a refusal.
    function move(address token, address to, uint256 raw) internal {
        _call(token, abi.encodeCall(IERC20.transfer, (to, raw)));
    }

    /// @notice Pulls out of an allowance, and passes on a refusal.
    function take(address token, address from, uint256 raw) internal {
        _call(token, abi.encodeCall(IERC20.transferFrom, (from, address(this), raw)));
    }

    function _call(address token, bytes memory data) private {
        bool ok;
        assembly ("memory-safe") {
            ok := call(gas(), token, 0, add(data, 32), mload(data), 0, 0)
        }
        require(ok, "the token refused");
    }
}
