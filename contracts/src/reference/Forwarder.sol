// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Passes an oracle node's calls on, as the nodes of price networks do
/// @notice For tests of a reader that has to look through it.
contract Forwarder {
    address public immutable owner;

    /// @notice Only the owner's calls are passed on.
    error NotOwner();

    constructor(address owner_) {
        owner = owner_;
    }

    /// @notice Calls `to` with `data`; a revert comes back as it is.
    function forward(address to, bytes calldata data) external {
        if (msg.sender != owner) revert NotOwner();
        (bool ok, bytes memory answer) = to.call(data);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
    }
}
