// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "../../src/interfaces/IERC20.sol";

/// @title A swap as the twins below see it: takes what it was allowed, tells what it says it paid
interface IRouter {
    function swap(address tokenIn, address tokenOut, uint256 inRaw) external returns (uint256 outRaw);
}

/// @title WEAK ON PURPOSE: asks whether there is enough, not whether there is more
/// @dev The class of EFLeverVault (2022-10): the balance that was there before counts as the result.
contract AbsoluteProfit {
    function run(IRouter router, address tokenIn, address tokenOut, uint256 inRaw, uint256 minRaw) external {
        IERC20(tokenIn).approve(address(router), inRaw);
        router.swap(tokenIn, tokenOut, inRaw);
        require(IERC20(tokenOut).balanceOf(address(this)) >= minRaw, "profit");
    }
}

/// @title WEAK ON PURPOSE: counts what the router says it paid
/// @dev The class of Salmonella (2021): a token that pays less than the pool reports.
contract RoutersWord {
    uint256 public earnedRaw;

    function run(IRouter router, address tokenIn, address tokenOut, uint256 inRaw, uint256 minRaw) external {
        IERC20(tokenIn).approve(address(router), inRaw);
        uint256 outRaw = router.swap(tokenIn, tokenOut, inRaw);
        require(outRaw >= minRaw, "profit");
        earnedRaw += outRaw;
    }
}

/// @title WEAK ON PURPOSE: allows more than the swap takes, and leaves the rest allowed
/// @dev The class of Multichain's router (2022-01) and of the fake wrappers that emptied a sandwich bot (2026-06).
contract LeftoverAllowance {
    function run(IRouter router, address tokenIn, address tokenOut, uint256 inRaw) external {
        IERC20(tokenIn).approve(address(router), type(uint256).max);
        router.swap(tokenIn, tokenOut, inRaw);
    }
}

/// @title WEAK ON PURPOSE: does not look at what a token answers
/// @dev The class of Qubit's bridge (2022-01): a transfer that did nothing counts as made.
contract SilentFalse {
    mapping(address token => uint256) public paidRaw;

    function payOut(address token, address to, uint256 raw) external {
        (bool ok,) = token.call(abi.encodeCall(IERC20.transfer, (to, raw)));
        require(ok, "transfer");
        paidRaw[token] += raw;
    }
}

/// @title WEAK ON PURPOSE: credits the amount that was sent, whatever arrived
/// @dev The class of the STA pools (2020) and of many after them: fee-on-transfer tokens.
contract NominalAmount {
    mapping(address token => mapping(address account => uint256)) public creditRaw;

    function deposit(address token, uint256 raw) external {
        IERC20(token).transferFrom(msg.sender, address(this), raw);
        creditRaw[token][msg.sender] += raw;
    }

    function withdraw(address token) external {
        uint256 raw = creditRaw[token][msg.sender];
        creditRaw[token][msg.sender] = 0;
        IERC20(token).transfer(msg.sender, raw);
    }
}

/// @title WEAK ON PURPOSE: protects one name of a token that has two
/// @dev The class of TrueUSD's second address (2022-03).
contract OneNameOnly {
    address private immutable _keep;
    address private immutable _treasury;

    constructor(address keep, address treasury) {
        (_keep, _treasury) = (keep, treasury);
    }

    function sweep(address token) external {
        require(token != _keep, "kept");
        IERC20(token).transfer(_treasury, IERC20(token).balanceOf(address(this)));
    }
}
