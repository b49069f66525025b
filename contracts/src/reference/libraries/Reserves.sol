// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {DebtToken} from "../DebtToken.sol";
import {ScaledToken} from "../ScaledToken.sol";
import {ReserveConfig} from "./ReserveConfig.sol";
import {Rounding} from "./Rounding.sol";

/// @title One reserve: its indices, its rates and what it holds
library Reserves {
    using Rounding for uint256;
    using ReserveConfig for uint256;

    uint256 internal constant YEAR_S = 365 days;

    /// @dev Indices and rates in ray; `accruedToTreasury` scaled; `available` and `deficit` in the token's smallest
    /// unit. `available` counts what passed through the pool, so a donation to the deposit token changes nothing.
    struct Reserve {
        uint256 configuration;
        uint128 liquidityIndex;
        uint128 liquidityRate;
        uint128 borrowIndex;
        uint128 borrowRate;
        uint40 updatedAt;
        uint16 id;
        address aToken;
        address debtToken;
        uint128 accruedToTreasury;
        uint128 available;
        uint128 deficit;
    }

    event ReserveDataUpdated(
        address indexed reserve,
        uint256 liquidityRate,
        uint256 stableBorrowRate,
        uint256 variableBorrowRate,
        uint256 liquidityIndex,
        uint256 variableBorrowIndex
    );

    /// @notice Supply index now: the stored one grown linearly.
    function liquidityIndexNow(Reserve storage r) internal view returns (uint256) {
        uint256 elapsedS = block.timestamp - r.updatedAt;
        uint256 growthRay = uint256(r.liquidityRate) * elapsedS / YEAR_S;
        return (Rounding.RAY + growthRay).rayMulNearest(r.liquidityIndex);
    }

    /// @notice Debt index now: the stored one grown by the first terms of the exponential series.
    function borrowIndexNow(Reserve storage r) internal view returns (uint256) {
        uint256 elapsedS = block.timestamp - r.updatedAt;
        uint256 x = uint256(r.borrowRate) * elapsedS / YEAR_S;
        uint256 growthRay = x + x.rayMulNearest(x / 2 + x.rayMulNearest(x / 6));
        return (Rounding.RAY + growthRay).rayMulNearest(r.borrowIndex);
    }

    /// @notice Brings both indices to the block's time and books the protocol's share of the interest.
    function accrue(Reserve storage r) internal {
        if (r.updatedAt == block.timestamp) return;
        uint256 liquidityIndex = liquidityIndexNow(r);
        uint256 borrowIndex = borrowIndexNow(r);
        uint256 scaledDebt = DebtToken(r.debtToken).scaledTotalSupply();
        uint256 interestRaw = scaledDebt.rayMulDown(borrowIndex) - scaledDebt.rayMulDown(r.borrowIndex);
        bookToTreasury(r, interestRaw.bpsMulDown(r.configuration.reserveFactor()), liquidityIndex);
        r.liquidityIndex = liquidityIndex.toUint128();
        r.borrowIndex = borrowIndex.toUint128();
        r.updatedAt = uint40(block.timestamp);
    }

    /// @notice Sets the supply rate to what borrowers pay now, spread over all that suppliers are owed.
    /// @dev Every division rounds down, so suppliers are never promised more than borrowers owe.
    function updateRates(Reserve storage r, address asset) internal {
        uint256 debtRaw = totalDebtRaw(r);
        uint256 owedRaw = uint256(r.available) + debtRaw + r.deficit;
        uint256 rateRay = owedRaw == 0 ? 0 : uint256(r.borrowRate) * debtRaw / owedRaw;
        r.liquidityRate = rateRay.bpsMulDown(Rounding.BPS - r.configuration.reserveFactor()).toUint128();
        emit ReserveDataUpdated(asset, r.liquidityRate, 0, r.borrowRate, r.liquidityIndex, r.borrowIndex);
    }

    /// @notice Adds to what the pool holds.
    function addAvailable(Reserve storage r, uint256 amountRaw) internal {
        r.available += amountRaw.toUint128();
    }

    /// @notice Takes from what the pool holds; more than that is an arithmetic panic (0x11).
    function takeAvailable(Reserve storage r, uint256 amountRaw) internal {
        r.available = (uint256(r.available) - amountRaw).toUint128();
    }

    /// @notice Owes the treasury `amountRaw` more, in deposit tokens it may mint later.
    function bookToTreasury(Reserve storage r, uint256 amountRaw, uint256 liquidityIndex) internal {
        r.accruedToTreasury += amountRaw.rayDivDown(liquidityIndex).toUint128();
    }

    function totalDebtRaw(Reserve storage r) internal view returns (uint256) {
        return DebtToken(r.debtToken).scaledTotalSupply().rayMulUp(borrowIndexNow(r));
    }

    function supplyOf(Reserve storage r, address user) internal view returns (uint256) {
        return ScaledToken(r.aToken).scaledBalanceOf(user).rayMulDown(liquidityIndexNow(r));
    }

    function debtOf(Reserve storage r, address user) internal view returns (uint256) {
        return DebtToken(r.debtToken).scaledBalanceOf(user).rayMulUp(borrowIndexNow(r));
    }
}
