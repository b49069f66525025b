// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PriceOracle} from "../PriceOracle.sol";
import {ReserveConfig} from "./ReserveConfig.sol";
import {Reserves} from "./Reserves.sol";
import {Rounding} from "./Rounding.sol";

/// @title What an account has and owes over all reserves
/// @dev In an account's word, bit 2i says it borrows reserve i and bit 2i+1 that its deposit there is collateral.
library Accounts {
    using Rounding for uint256;
    using ReserveConfig for uint256;
    using Reserves for Reserves.Reserve;

    /// @dev The market's books.
    struct State {
        mapping(address asset => Reserves.Reserve) reserves;
        mapping(uint256 id => address) assets;
        mapping(address user => uint256) flags;
        uint16 count;
    }

    /// @dev `_base` values in the oracle's unit (8 decimals); the weighted sums are base units times bps.
    struct Totals {
        uint256 collateralBase;
        uint256 debtBase;
        uint256 ltvWeighted;
        uint256 thresholdWeighted;
        uint256 healthWad;
    }

    function isBorrowing(State storage s, address user, uint256 id) internal view returns (bool) {
        return s.flags[user] >> (2 * id) & 1 != 0;
    }

    function isCollateral(State storage s, address user, uint256 id) internal view returns (bool) {
        return s.flags[user] >> (2 * id + 1) & 1 != 0;
    }

    function setBorrowing(State storage s, address user, uint256 id, bool on) internal {
        uint256 bit = 2 ** (2 * id);
        s.flags[user] = on ? s.flags[user] | bit : s.flags[user] & ~bit;
    }

    function setCollateral(State storage s, address user, uint256 id, bool on) internal {
        uint256 bit = 2 ** (2 * id + 1);
        s.flags[user] = on ? s.flags[user] | bit : s.flags[user] & ~bit;
    }

    /// @notice Sums up an account at the block's time; collateral is rounded down, debt up.
    function totals(State storage s, address user, PriceOracle oracle) internal view returns (Totals memory t) {
        uint256 flags = s.flags[user];
        for (uint256 id = 0; flags >> (2 * id) != 0; ++id) {
            if (flags >> (2 * id) & 3 == 0) continue;
            address asset = s.assets[id];
            Reserves.Reserve storage r = s.reserves[asset];
            uint256 word = r.configuration;
            uint256 price = oracle.getAssetPrice(asset);
            if (flags >> (2 * id + 1) & 1 != 0) {
                uint256 valueBase = r.supplyOf(user) * price / word.unit();
                t.collateralBase += valueBase;
                t.ltvWeighted += valueBase * word.ltv();
                t.thresholdWeighted += valueBase * word.liquidationThreshold();
            }
            if (flags >> (2 * id) & 1 != 0) {
                t.debtBase += r.debtOf(user).mulDivUp(price, word.unit());
            }
        }
        t.healthWad = t.debtBase == 0 ? type(uint256).max : t.thresholdWeighted.wadDivNearest(t.debtBase) / Rounding.BPS;
    }

    /// @notice What the account may still borrow, in base units.
    function availableBorrowsBase(Totals memory t) internal pure returns (uint256) {
        uint256 limitBase = t.ltvWeighted / Rounding.BPS;
        return limitBase > t.debtBase ? limitBase - t.debtBase : 0;
    }
}
