// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20, IERC20Metadata} from "../interfaces/IERC20.sol";
import {SafeToken} from "../libraries/SafeToken.sol";
import {LendingPool} from "./LendingPool.sol";
import {Rounding} from "./libraries/Rounding.sol";
import {ScaledToken} from "./ScaledToken.sol";

/// @title Deposit token of one reserve; it keeps the reserve's underlying tokens
/// @notice A transfer moves a deposit, and is refused if it would leave the sender unhealthy.
contract AToken is ScaledToken {
    using Rounding for uint256;

    /// @notice Receives the protocol's share of interest and liquidation bonuses.
    address public immutable RESERVE_TREASURY_ADDRESS;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    event Approval(address indexed owner, address indexed spender, uint256 value);
    event BalanceTransfer(address indexed from, address indexed to, uint256 value, uint256 index);

    constructor(address pool, address underlying, address treasury, string memory name_, string memory symbol_)
        ScaledToken(pool, underlying, IERC20Metadata(underlying).decimals(), name_, symbol_)
    {
        RESERVE_TREASURY_ADDRESS = treasury;
    }

    function balanceOf(address account) external view returns (uint256) {
        return scaledBalanceOf[account].rayMulDown(_index());
    }

    function totalSupply() external view returns (uint256) {
        return scaledTotalSupply.rayMulDown(_index());
    }

    function approve(address spender, uint256 amountRaw) external returns (bool) {
        allowance[msg.sender][spender] = amountRaw;
        emit Approval(msg.sender, spender, amountRaw);
        return true;
    }

    function transfer(address to, uint256 amountRaw) external returns (bool) {
        _transferChecked(msg.sender, to, amountRaw);
        return true;
    }

    function transferFrom(address from, address to, uint256 amountRaw) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed != type(uint256).max) allowance[from][msg.sender] = allowed - amountRaw;
        _transferChecked(from, to, amountRaw);
        return true;
    }

    function mint(address caller, address to, uint256 amountRaw, uint256 scaled, uint256 index) external onlyPool {
        _mintScaled(caller, to, amountRaw, scaled, index);
    }

    /// @notice Burns `scaled` of `from` and sends `amountRaw` of the underlying token to `target`.
    function burn(address from, address target, uint256 amountRaw, uint256 scaled, uint256 index) external onlyPool {
        _burnScaled(from, target, amountRaw, scaled, index);
        SafeToken.send(UNDERLYING_ASSET_ADDRESS, target, amountRaw);
    }

    /// @notice Moves a seized deposit without asking about the sender's health.
    function transferOnLiquidation(address from, address to, uint256 amountRaw, uint256 scaled, uint256 index)
        external
        onlyPool
    {
        _transferScaled(from, to, amountRaw, scaled, index);
    }

    /// @notice Sends underlying tokens out for a loan.
    function transferUnderlyingTo(address target, uint256 amountRaw) external onlyPool {
        SafeToken.send(UNDERLYING_ASSET_ADDRESS, target, amountRaw);
    }

    function _transferChecked(address from, address to, uint256 amountRaw) private {
        uint256 index = _index();
        _transferScaled(from, to, amountRaw, amountRaw.rayDivUp(index), index);
        LendingPool(POOL).finalizeTransfer(UNDERLYING_ASSET_ADDRESS, from);
    }

    function _transferScaled(address from, address to, uint256 amountRaw, uint256 scaled, uint256 index) private {
        _interestSinceLast(from, index);
        _interestSinceLast(to, index);
        scaledBalanceOf[from] -= scaled;
        scaledBalanceOf[to] += scaled;
        emit Transfer(from, to, amountRaw);
        emit BalanceTransfer(from, to, scaled, index);
    }

    function _index() private view returns (uint256) {
        return LendingPool(POOL).getReserveNormalizedIncome(UNDERLYING_ASSET_ADDRESS);
    }
}
