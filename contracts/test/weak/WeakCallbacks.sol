// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "../../src/interfaces/IERC20.sol";

/// @title A swap pool as the twins below see it
interface IAnyPool {
    function swap(address token, uint256 amountRaw) external;
}

/// @title WEAK ON PURPOSE: pays whoever calls the swap callback
/// @dev The class of the BNB48 bot (2022-09) and of the unverified contract 0x452E25 (2024-07).
contract AnybodysCallback {
    function uniswapV3SwapCallback(int256 amount0, int256, bytes calldata data) external {
        IERC20(abi.decode(data, (address))).transfer(msg.sender, uint256(amount0));
    }
}

/// @title WEAK ON PURPOSE: believes the lender, and the lender repeats what anybody tells it
/// @dev The class of badc0de (2022-09) and of the bot a47b (2022-10): the caller is checked, who asked for the loan
/// is not, and the data holds a call.
contract LendersWord {
    address private immutable _lender;

    constructor(address lender) {
        _lender = lender;
    }

    function executeOperation(address, uint256, uint256, address, bytes calldata params) external returns (bool) {
        require(msg.sender == _lender, "not the lender");
        (address target, bytes memory call) = abi.decode(params, (address, bytes));
        (bool ok,) = target.call(call);
        return ok;
    }
}

/// @title WEAK ON PURPOSE: swaps in the pool that calldata names, and checks the callback against that name
/// @dev The class of BabySwap (2022-10) and Augustus V6 (2024-03).
contract PoolFromCalldata {
    address private _pool;
    address private _token;

    function run(address pool, address token, uint256 amountRaw) external {
        (_pool, _token) = (pool, token);
        IAnyPool(pool).swap(token, amountRaw);
    }

    function uniswapV3SwapCallback(int256 amount0, int256, bytes calldata) external {
        require(msg.sender == _pool, "not the pool");
        IERC20(_token).transfer(msg.sender, uint256(amount0));
    }
}

/// @title WEAK ON PURPOSE: a real pool's callback, accepted as often as it comes and for any amount
contract EveryCallback {
    address private immutable _pool;
    address private _token;

    constructor(address pool) {
        _pool = pool;
    }

    function run(address token, bool zeroForOne, uint256 amountRaw) external {
        _token = token;
        (bool ok,) = _pool.call(
            abi.encodeWithSignature(
                "swap(address,bool,int256,uint160,bytes)", address(this), zeroForOne, int256(amountRaw), uint160(0), ""
            )
        );
        require(ok, "swap");
    }

    function uniswapV3SwapCallback(int256 amount0, int256 amount1, bytes calldata) external {
        require(msg.sender == _pool, "not the pool");
        IERC20(_token).transfer(msg.sender, uint256(amount0 > 0 ? amount0 : amount1));
    }
}

/// @title WEAK ON PURPOSE: calls anything for anybody, in the name of whoever gave it an allowance
/// @dev The class of the bot 0x0ad8 (2022-11) and of UnprotectedArbBot (2026-07).
contract OpenForwarder {
    function execute(address target, bytes calldata call) external {
        (bool ok,) = target.call(call);
        require(ok, "call");
    }
}
