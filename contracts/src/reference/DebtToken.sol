// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20Metadata} from "../interfaces/IERC20.sol";
import {LendingPool} from "./LendingPool.sol";
import {Rounding} from "./libraries/Rounding.sol";
import {ScaledToken} from "./ScaledToken.sol";

/// @title Variable-rate debt of one reserve; it cannot be transferred
contract DebtToken is ScaledToken {
    using Rounding for uint256;

    constructor(address pool, address underlying, string memory name_, string memory symbol_)
        ScaledToken(pool, underlying, IERC20Metadata(underlying).decimals(), name_, symbol_)
    {}

    function balanceOf(address account) external view returns (uint256) {
        return scaledBalanceOf[account].rayMulUp(_index());
    }

    function totalSupply() external view returns (uint256) {
        return scaledTotalSupply.rayMulUp(_index());
    }

    function mint(address caller, address to, uint256 amountRaw, uint256 scaled, uint256 index) external onlyPool {
        _mintScaled(caller, to, amountRaw, scaled, index);
    }

    function burn(address from, uint256 amountRaw, uint256 scaled, uint256 index) external onlyPool {
        _burnScaled(from, address(0), amountRaw, scaled, index);
    }

    function _index() private view returns (uint256) {
        return LendingPool(POOL).getReserveNormalizedVariableDebt(UNDERLYING_ASSET_ADDRESS);
    }
}
