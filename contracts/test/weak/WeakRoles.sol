// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "../../src/interfaces/IERC20.sol";

/// @title WEAK ON PURPOSE: anybody may take what is here
/// @dev The class of the bots 0x8c2d and 0xa247 (2023-11).
contract OpenSweep {
    function sweep(address token) external {
        IERC20(token).transfer(msg.sender, IERC20(token).balanceOf(address(this)));
    }
}

/// @title WEAK ON PURPOSE: whoever may run it says where the gain goes
contract OperatorsTreasury {
    address private immutable _operator;

    constructor(address operator) {
        _operator = operator;
    }

    function run(address token, address to) external {
        require(msg.sender == _operator, "not the operator");
        IERC20(token).transfer(to, IERC20(token).balanceOf(address(this)));
    }
}

/// @title WEAK ON PURPOSE: takes the sender of the transaction for the caller
/// @dev The class of THORChain's token (2021-07): the owner is led to call something else, which calls here.
contract OriginsOwner {
    address private immutable _owner;

    constructor(address owner) {
        _owner = owner;
    }

    function sweep(address token, address to) external {
        require(tx.origin == _owner, "not the owner");
        IERC20(token).transfer(to, IERC20(token).balanceOf(address(this)));
    }
}

/// @title WEAK ON PURPOSE: a lock in storage that one way out leaves set
contract StuckLock {
    bool private _entered;

    function run(uint256 amountRaw) external returns (bool done) {
        require(!_entered, "inside a run");
        _entered = true;
        if (amountRaw == 0) return false;
        _entered = false;
        return true;
    }
}

/// @title WEAK ON PURPOSE: no lock, and one storage slot for what there was before
/// @dev The class of Agave and Hundred Finance (2022-03): a token's hook enters a second run within the first.
contract ReenteredRun {
    uint256 private _beforeRaw;

    function run(address token, address hooked) external {
        _beforeRaw = IERC20(token).balanceOf(address(this));
        IERC20(hooked).transfer(address(this), 0);
        uint256 gainRaw = IERC20(token).balanceOf(address(this)) - _beforeRaw;
        _beforeRaw = 0;
        IERC20(token).transfer(msg.sender, gainRaw);
    }
}
