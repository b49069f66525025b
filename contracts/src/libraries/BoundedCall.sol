// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Calls whose answer cannot grow without bound
/// @dev A callee may answer with megabytes. Only the first word of a success and the first `MAX_REVERT_BYTES` of a
/// failure are copied, so a hostile token or pool cannot burn the caller's gas with its return data.
library BoundedCall {
    /// @notice The contract at `target` failed and gave no reason.
    error CallFailed(address target);
    /// @notice There is no contract at `target`.
    error NoCode(address target);

    uint256 internal constant MAX_REVERT_BYTES = 1024;

    /// @notice Calls `target` and passes its revert data on, shortened to `MAX_REVERT_BYTES`.
    /// @return size How many bytes the callee returned.
    /// @return word The first 32 bytes returned; zero when there were none.
    function callOrBubble(address target, bytes memory data) internal returns (uint256 size, uint256 word) {
        if (target.code.length == 0) revert NoCode(target);
        bool ok;
        assembly ("memory-safe") {
            mstore(0, 0)
            ok := call(gas(), target, 0, add(data, 32), mload(data), 0, 32)
            size := returndatasize()
            word := mload(0)
        }
        if (!ok) _bubble(target);
    }

    /// @notice The word a view answers with. An answer of less than a word counts as a failure.
    function readWord(address target, bytes memory data) internal view returns (uint256 word) {
        bool ok;
        bool answered;
        assembly ("memory-safe") {
            ok := staticcall(gas(), target, add(data, 32), mload(data), 0, 32)
            answered := gt(returndatasize(), 31)
            word := mload(0)
        }
        if (!ok) _bubble(target);
        if (!answered) revert CallFailed(target);
    }

    function _bubble(address target) private pure {
        uint256 size;
        assembly ("memory-safe") {
            size := returndatasize()
        }
        if (size == 0) revert CallFailed(target);
        assembly ("memory-safe") {
            if gt(size, MAX_REVERT_BYTES) { size := MAX_REVERT_BYTES }
            let free := mload(0x40)
            returndatacopy(free, 0, size)
            revert(free, size)
        }
    }
}
