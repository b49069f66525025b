// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "../../src/interfaces/IERC20.sol";
import {IMorphoFlashLender, IMorphoFlashLoanCallback} from "../../src/interfaces/IFlashLenders.sol";

/// @title Morpho's flash loan, and ways in which a lender of that kind could lie
contract MorphoStandIn is IMorphoFlashLender {
    enum Manner {
        HONEST,
        SILENT, // does not call back
        OTHER_AMOUNT, // says it lent more
        OTHER_DATA, // hands back another plan
        TWICE, // calls back a second time
        LENIENT // takes less than its due
    }

    Manner private _manner;

    function behave(Manner manner) external {
        _manner = manner;
    }

    function flashLoan(address token, uint256 assets, bytes calldata data) external {
        require(assets != 0, "zero assets");
        if (_manner == Manner.SILENT) return;
        IERC20(token).transfer(msg.sender, assets);
        bytes memory told = data;
        if (_manner == Manner.OTHER_DATA) told[told.length - 1] = bytes1(uint8(told[told.length - 1]) ^ 1);
        uint256 said = _manner == Manner.OTHER_AMOUNT ? assets + 1 : assets;
        IMorphoFlashLoanCallback(msg.sender).onMorphoFlashLoan(said, told);
        if (_manner == Manner.TWICE) IMorphoFlashLoanCallback(msg.sender).onMorphoFlashLoan(said, told);
        IERC20(token).transferFrom(msg.sender, address(this), _manner == Manner.LENIENT ? assets - 1 : assets);
    }
}
