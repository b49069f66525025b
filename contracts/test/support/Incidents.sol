// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Arena} from "./Arena.sol";

/// @title Public incidents made again: each on a twin that is weak on purpose, and each against the executor
/// @dev The first half of a test shows the loss, the second that the same attack changes nothing here.
abstract contract Incidents is Arena {
    uint256 internal constant LOOT = 7_000e6;
    address internal thief = address(0x7413F);

    function stock(address twin) internal {
        usdc.mint(twin, LOOT);
    }

    function checkLooted() internal view {
        vm.assertGe(usdc.balanceOf(thief), LOOT - 1e6, "the twin was to lose");
    }
}
