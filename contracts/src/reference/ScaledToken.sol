// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Errors} from "./libraries/Errors.sol";
import {Rounding} from "./libraries/Rounding.sol";

/// @title A balance that grows with an index
/// @dev Holds scaled balances: the amount divided by the pool's index. Only the pool moves them, and it chooses the
/// direction of rounding.
abstract contract ScaledToken {
    using Rounding for uint256;

    address public immutable POOL;
    address public immutable UNDERLYING_ASSET_ADDRESS;
    uint8 public immutable decimals;
    string public name;
    string public symbol;
    uint256 public scaledTotalSupply;
    mapping(address account => uint256) public scaledBalanceOf;
    /// @dev Index at the account's last change, to report the interest since then.
    mapping(address account => uint256) internal _lastIndex;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Mint(
        address indexed caller, address indexed onBehalfOf, uint256 value, uint256 balanceIncrease, uint256 index
    );
    event Burn(address indexed from, address indexed target, uint256 value, uint256 balanceIncrease, uint256 index);

    modifier onlyPool() {
        if (msg.sender != POOL) revert Errors.CallerMustBePool();
        _;
    }

    constructor(address pool, address underlying, uint8 decimals_, string memory name_, string memory symbol_) {
        POOL = pool;
        UNDERLYING_ASSET_ADDRESS = underlying;
        decimals = decimals_;
        name = name_;
        symbol = symbol_;
    }

    function _mintScaled(address caller, address to, uint256 amountRaw, uint256 scaled, uint256 index) internal {
        if (scaled == 0) revert Errors.InvalidMintAmount();
        uint256 interestRaw = _interestSinceLast(to, index);
        scaledBalanceOf[to] += scaled;
        scaledTotalSupply += scaled;
        emit Transfer(address(0), to, amountRaw + interestRaw);
        emit Mint(caller, to, amountRaw + interestRaw, interestRaw, index);
    }

    function _burnScaled(address from, address target, uint256 amountRaw, uint256 scaled, uint256 index) internal {
        if (scaled == 0) revert Errors.InvalidBurnAmount();
        uint256 interestRaw = _interestSinceLast(from, index);
        scaledBalanceOf[from] -= scaled;
        scaledTotalSupply -= scaled;
        if (interestRaw > amountRaw) {
            emit Transfer(address(0), from, interestRaw - amountRaw);
            emit Mint(from, from, interestRaw - amountRaw, interestRaw, index);
        } else {
            emit Transfer(from, address(0), amountRaw - interestRaw);
            emit Burn(from, target, amountRaw - interestRaw, interestRaw, index);
        }
    }

    function _interestSinceLast(address account, uint256 index) internal returns (uint256) {
        uint256 scaled = scaledBalanceOf[account];
        uint256 lastIndex = _lastIndex[account];
        _lastIndex[account] = index;
        return scaled.rayMulDown(index) - scaled.rayMulDown(lastIndex);
    }
}
