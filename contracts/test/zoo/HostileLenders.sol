// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Raw} from "./Raw.sol";

/// @title What lenders call on whoever borrows for the length of a call
interface IAnyBorrower {
    function executeOperation(address asset, uint256 amount, uint256 premium, address initiator, bytes calldata params)
        external
        returns (bool);

    function onMorphoFlashLoan(uint256 assets, bytes calldata data) external;
}

/// @title How a lender that was trusted may lie in its callback
enum Lie {
    NONE,
    NO_CALLBACK,
    TWICE,
    INITIATOR, // names somebody else as the one who asked
    ASSET,
    AMOUNT,
    NO_MONEY, // calls back without having lent
    PREMIUM, // asks for more than it said
    PARAMS, // one bit of the data differs
    NO_PARAMS,
    OTHER_CALLBACK, // calls the other lender's callback
    STRANGER, // lets somebody else call back
    TAKES_MORE, // pulls back more than was lent
    TAKES_LESS // leaves some of what it may pull
}

/// @title Calls back on behalf of a lender, as somebody else
contract Messenger {
    function pass(address borrower, bytes calldata call) external {
        (bool ok, bytes memory reason) = borrower.call(call);
        if (ok) return;
        assembly {
            revert(add(reason, 32), mload(reason))
        }
    }
}

/// @title A flash lender with Aave's and Morpho's interface that lies as it is told
/// @dev Its liquidation does nothing: what is tested is the loan.
contract HostileLender {
    Lie public lie;
    Messenger private immutable _messenger = new Messenger();

    function tell(Lie lie_) external {
        lie = lie_;
    }

    function flashLoanSimple(address receiver, address asset, uint256 amount, bytes calldata params, uint16) external {
        if (lie == Lie.NO_CALLBACK) return;
        if (lie != Lie.NO_MONEY) Raw.move(asset, receiver, amount);
        uint256 premium = lie == Lie.PREMIUM ? amount / 10 : 0;
        _aave(receiver, asset, amount, premium, _data(params));
        if (lie == Lie.TWICE) _aave(receiver, asset, amount, premium, params);
        Raw.take(asset, receiver, _due(amount + premium));
    }

    function flashLoan(address token, uint256 assets, bytes calldata params) external {
        if (lie == Lie.NO_CALLBACK) return;
        if (lie != Lie.NO_MONEY) Raw.move(token, msg.sender, assets);
        _morpho(token, assets, _data(params));
        if (lie == Lie.TWICE) _morpho(token, assets, params);
        Raw.take(token, msg.sender, _due(assets));
    }

    function liquidationCall(address, address, address, uint256, bool) external {}

    function _due(uint256 raw) private view returns (uint256) {
        if (lie == Lie.TAKES_MORE) return raw + 1;
        return lie == Lie.TAKES_LESS ? raw / 2 : raw;
    }

    function _aave(address to, address asset, uint256 amount, uint256 premium, bytes memory params) private {
        address initiator = lie == Lie.INITIATOR ? address(this) : to;
        if (lie == Lie.ASSET) asset = address(1);
        if (lie == Lie.AMOUNT) ++amount;
        bytes memory call = abi.encodeCall(IAnyBorrower.executeOperation, (asset, amount, premium, initiator, params));
        if (lie == Lie.OTHER_CALLBACK) call = abi.encodeCall(IAnyBorrower.onMorphoFlashLoan, (amount, params));
        _call(to, call);
    }

    function _morpho(address token, uint256 assets, bytes memory params) private {
        if (lie == Lie.AMOUNT) ++assets;
        bytes memory call = abi.encodeCall(IAnyBorrower.onMorphoFlashLoan, (assets, params));
        if (lie == Lie.OTHER_CALLBACK) {
            call = abi.encodeCall(IAnyBorrower.executeOperation, (token, assets, 0, msg.sender, params));
        }
        _call(msg.sender, call);
    }

    function _call(address borrower, bytes memory call) private {
        if (lie == Lie.STRANGER) return _messenger.pass(borrower, call);
        (bool ok, bytes memory reason) = borrower.call(call);
        if (ok) return;
        assembly {
            revert(add(reason, 32), mload(reason))
        }
    }

    function _data(bytes calldata params) private view returns (bytes memory told) {
        if (lie == Lie.NO_PARAMS) return "";
        told = params;
        if (lie == Lie.PARAMS) told[told.length - 1] = bytes1(uint8(told[told.length - 1]) ^ 1);
    }
}
