// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Rounding} from "./Rounding.sol";

/// @title How much of a debt one liquidation may repay, and what it pays for it
/// @dev Pure arithmetic. `_raw` are a token's smallest unit, `_base` the oracle's (8 decimals).
library CloseFactor {
    using Rounding for uint256;

    /// @notice The rules there have been for partial liquidation.
    enum Policy {
        BINARY, // the whole debt, always
        FIXED_SHARE, // half of the debt, always
        TIERED, // half of all debts while the account is large and barely unhealthy, else all of one
        DYNAMIC // at most what restores the target health factor
    }

    uint256 internal constant FIXED_SHARE_BPS = 5e3;
    /// @dev Below this health factor the tiered policy closes everything.
    uint256 internal constant FULL_CLOSE_HEALTH_WAD = 0.95e18;
    /// @dev Below this value of either side the tiered policy closes everything.
    uint256 internal constant FULL_CLOSE_VALUE_BASE = 2000e8;
    /// @dev The least value the tiered policy lets a liquidation leave on both sides.
    uint256 internal constant LEAST_LEFTOVER_BASE = 1000e8;
    uint256 internal constant TARGET_HEALTH_WAD = 1.05e18;

    /// @dev One debt and one collateral of one account at one time.
    struct Pair {
        uint256 debtRaw;
        uint256 debtPrice;
        uint256 debtUnit;
        uint256 collateralRaw;
        uint256 collateralPrice;
        uint256 collateralUnit;
        uint256 bonusBps;
        uint256 thresholdBps;
        uint256 feeBps;
    }

    /// @dev What one liquidation does: debt repaid, collateral to the liquidator, and the protocol's fee.
    struct Amounts {
        uint256 repaidRaw;
        uint256 seizedRaw;
        uint256 feeRaw;
    }

    /// @notice The most debt one call may repay, before the collateral limits it further.
    function maxRepay(Policy policy, Pair memory p, uint256 totalDebtBase, uint256 healthWad)
        internal
        pure
        returns (uint256)
    {
        if (policy == Policy.BINARY) return p.debtRaw;
        if (policy == Policy.FIXED_SHARE) return p.debtRaw.bpsMulNearest(FIXED_SHARE_BPS);
        if (policy == Policy.TIERED) return _maxTiered(p, totalDebtBase, healthWad);
        return _maxDynamic(p, totalDebtBase, healthWad);
    }

    /// @notice What repaying `repayRaw` really takes and gives, cut to the collateral there is.
    function amounts(Pair memory p, uint256 repayRaw) internal pure returns (Amounts memory a) {
        uint256 fairRaw = p.debtPrice * repayRaw * p.collateralUnit / (p.collateralPrice * p.debtUnit);
        uint256 totalRaw = fairRaw.bpsMulNearest(p.bonusBps);
        a.repaidRaw = repayRaw;
        if (totalRaw > p.collateralRaw) {
            totalRaw = p.collateralRaw;
            uint256 worthRaw = p.collateralPrice * totalRaw * p.debtUnit / (p.debtPrice * p.collateralUnit);
            a.repaidRaw = worthRaw.bpsDivUp(p.bonusBps);
        }
        uint256 bonusRaw = totalRaw - totalRaw.bpsDivNearest(p.bonusBps);
        a.feeRaw = bonusRaw.bpsMulNearest(p.feeBps);
        a.seizedRaw = totalRaw - a.feeRaw;
    }

    /// @notice Whether a liquidation leaves both sides open and one of them too small.
    function leavesDust(Pair memory p, Amounts memory a) internal pure returns (bool) {
        uint256 takenRaw = a.seizedRaw + a.feeRaw;
        if (a.repaidRaw >= p.debtRaw || takenRaw >= p.collateralRaw) return false;
        uint256 debtBase = (p.debtRaw - a.repaidRaw).mulDivUp(p.debtPrice, p.debtUnit);
        uint256 collateralBase = (p.collateralRaw - takenRaw) * p.collateralPrice / p.collateralUnit;
        return debtBase < LEAST_LEFTOVER_BASE || collateralBase < LEAST_LEFTOVER_BASE;
    }

    /// @dev Half is counted over all debts of the account, so a debt that is at most half of them may be closed.
    function _maxTiered(Pair memory p, uint256 totalDebtBase, uint256 healthWad) private pure returns (uint256) {
        uint256 debtBase = p.debtRaw.mulDivUp(p.debtPrice, p.debtUnit);
        uint256 collateralBase = p.collateralRaw * p.collateralPrice / p.collateralUnit;
        bool small = debtBase < FULL_CLOSE_VALUE_BASE || collateralBase < FULL_CLOSE_VALUE_BASE;
        if (small || healthWad <= FULL_CLOSE_HEALTH_WAD) return p.debtRaw;
        uint256 halfBase = totalDebtBase.bpsMulNearest(FIXED_SHARE_BPS);
        return debtBase > halfBase ? halfBase * p.debtUnit / p.debtPrice : p.debtRaw;
    }

    /// @dev Repaying value x moves the health factor from h to (h*D - c*x)/(D - x), where c is threshold times bonus
    /// of the collateral: it reaches the target t at x = D*(t-h)/(t-c), and never if h <= c or c >= t.
    function _maxDynamic(Pair memory p, uint256 totalDebtBase, uint256 healthWad) private pure returns (uint256) {
        uint256 seizeWad = p.thresholdBps * p.bonusBps * 1e10;
        if (healthWad <= seizeWad || seizeWad >= TARGET_HEALTH_WAD) return p.debtRaw;
        uint256 neededBase = totalDebtBase.mulDivUp(TARGET_HEALTH_WAD - healthWad, TARGET_HEALTH_WAD - seizeWad);
        uint256 neededRaw = neededBase.mulDivUp(p.debtUnit, p.debtPrice);
        return neededRaw < p.debtRaw ? neededRaw : p.debtRaw;
    }
}
