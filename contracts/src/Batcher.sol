// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Many reads in one `eth_call`
/// @notice Its runtime code is placed at an address by state override for the length of one call: it has no
/// constructor and no state, and nobody has to deploy it.
contract Batcher {
    struct Call {
        address target;
        bytes data;
    }

    struct Result {
        bool ok;
        bytes data;
    }

    /// @notice Makes each call in turn and reports each outcome; one that fails does not fail the others.
    /// @dev Plain calls, not static ones, because quoters revert inside or write while they quote. A target without
    /// code is reported as failed: its empty answer would otherwise look like a successful one.
    /// @return results One per call, in order: whether it succeeded, and its return or revert data.
    function read(Call[] calldata calls) external returns (Result[] memory results) {
        results = new Result[](calls.length);
        for (uint256 i = 0; i < calls.length; ++i) {
            if (calls[i].target.code.length == 0) continue;
            (results[i].ok, results[i].data) = calls[i].target.call(calls[i].data);
        }
    }
}
