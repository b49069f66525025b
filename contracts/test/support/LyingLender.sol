// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IFlashLoanSimpleReceiver} from "../../src/interfaces/ILiquidationPool.sol";

/// @title A lending pool that was trusted and should not have been: its callback lies in one respect
contract LyingLender {
    enum Lie {
        INITIATOR,
        PARAMS,
        ASSET,
        AMOUNT,
        TWICE
    }

    Lie private _lie;

    function tell(Lie lie) external {
        _lie = lie;
    }

    function flashLoanSimple(address receiver, address asset, uint256 amount, bytes calldata params, uint16) external {
        IFlashLoanSimpleReceiver target = IFlashLoanSimpleReceiver(receiver);
        bytes memory told = params;
        if (_lie == Lie.PARAMS) told[told.length - 1] = bytes1(uint8(told[told.length - 1]) ^ 1);
        if (_lie == Lie.ASSET) asset = address(1);
        if (_lie == Lie.AMOUNT) amount += 1;
        target.executeOperation(asset, amount, 0, _lie == Lie.INITIATOR ? address(this) : msg.sender, told);
        if (_lie == Lie.TWICE) target.executeOperation(asset, amount, 0, msg.sender, told);
    }

    /// @dev Takes nothing and gives nothing.
    function liquidationCall(address, address, address, uint256, bool) external {}
}
