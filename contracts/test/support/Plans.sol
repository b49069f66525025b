// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PlanCodec} from "../../src/libraries/PlanCodec.sol";

/// @title Builds plans, piece by piece or for one liquidation at a time
/// @dev Written against the layout's description, not with the contract's own offsets.
library Plans {
    struct Hop {
        uint8 kind;
        address factory;
        address tokenOut;
        uint24 feePips;
    }

    /// @dev One liquidation with one fund and one sale; the profit is counted in the debt token.
    struct Single {
        address pool;
        address account;
        address collateral;
        address debt;
        uint256 coverRaw; // 2^256-1 asks for the most
        uint8 funding; // code of the FUND step
        address lender; // what it borrows from: lending pool, factory or flash lender
        uint24 flashFeePips; // of the flash swap's pool
        uint256 fundRaw; // what a flash swap pays, in collateral; otherwise debt
        uint256 mostPremiumRaw;
        Hop[] route;
        uint256 minProfitRaw;
        uint256 deadlineBlock;
    }

    function header(uint256 deadlineBlock, uint256 least, address[] memory tokens)
        internal
        pure
        returns (bytes memory)
    {
        return header(deadlineBlock, least, tokens, 0, "");
    }

    function header(uint256 deadlineBlock, uint256 least, address[] memory tokens, uint8 m, bytes memory claims)
        internal
        pure
        returns (bytes memory plan)
    {
        plan = abi.encodePacked(uint8(1), uint40(deadlineBlock), uint128(least), uint8(tokens.length), m);
        for (uint256 i = 0; i < tokens.length; ++i) {
            plan = abi.encodePacked(plan, tokens[i]);
        }
        return bytes.concat(plan, claims);
    }

    function claim(address pool, uint8 underlying) internal pure returns (bytes memory) {
        return abi.encodePacked(pool, underlying);
    }

    function own(uint8 token, uint256 raw) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(0), token, uint128(raw));
    }

    function aave(address pool, uint8 token, uint256 raw, uint256 most) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(1), pool, token, uint128(raw), uint128(most));
    }

    function flashSwap(address factory, uint24 fee, uint8 paid, uint8 received, uint256 raw)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(uint8(2), factory, fee, paid, received, uint128(raw));
    }

    function morpho(address lender, uint8 token, uint256 raw) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(3), lender, token, uint128(raw));
    }

    function liquidate(address pool, address account, uint8 collateral, uint8 debt, uint8 received, uint256 cover)
        internal
        pure
        returns (bytes memory)
    {
        uint128 raw = cover > type(uint128).max ? type(uint128).max : uint128(cover);
        return abi.encodePacked(uint8(4), pool, account, collateral, debt, received, raw);
    }

    function redeem(uint8 claimIndex) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(5), claimIndex);
    }

    function swap(uint8 token, uint256 raw, uint8 hops, bytes memory packed) internal pure returns (bytes memory) {
        return abi.encodePacked(uint8(6), token, uint128(raw), hops, packed);
    }

    function hop(uint8 kind, address factory, uint8 tokenOut, uint24 fee) internal pure returns (bytes memory) {
        return abi.encodePacked(kind, factory, tokenOut, fee);
    }

    /// @dev The whole of a plan with one liquidation; nothing is sold where the route is empty.
    function encode(Single memory p) internal pure returns (bytes memory) {
        address[] memory tokens = table(p);
        uint8 collateral = find(tokens, p.collateral);
        bytes memory sale;
        for (uint256 i = 0; i < p.route.length; ++i) {
            Hop memory h = p.route[i];
            sale = bytes.concat(sale, hop(h.kind, h.factory, find(tokens, h.tokenOut), h.feePips));
        }
        if (p.route.length != 0) sale = swap(collateral, 0, uint8(p.route.length), sale);
        return bytes.concat(
            header(p.deadlineBlock, p.minProfitRaw, tokens),
            fund(p, collateral),
            liquidate(p.pool, p.account, collateral, 0, collateral, p.coverRaw),
            sale
        );
    }

    function fund(Single memory p, uint8 collateral) private pure returns (bytes memory) {
        if (p.funding == 1) return aave(p.lender, 0, p.fundRaw, p.mostPremiumRaw);
        if (p.funding == 2) return flashSwap(p.lender, p.flashFeePips, collateral, 0, p.fundRaw);
        if (p.funding == 3) return morpho(p.lender, 0, p.fundRaw);
        return own(0, p.fundRaw);
    }

    /// @dev The debt, the collateral and what the route passes, each once.
    function table(Single memory p) private pure returns (address[] memory tokens) {
        address[] memory all = new address[](2 + p.route.length);
        (all[0], all[1]) = (p.debt, p.collateral);
        for (uint256 i = 0; i < p.route.length; ++i) {
            all[2 + i] = p.route[i].tokenOut;
        }
        uint256 count;
        for (uint256 i = 0; i < all.length; ++i) {
            if (find(all, all[i]) == i) all[count++] = all[i];
        }
        tokens = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            tokens[i] = all[i];
        }
    }

    function find(address[] memory tokens, address token) internal pure returns (uint8) {
        for (uint8 i = 0; i < tokens.length; ++i) {
            if (tokens[i] == token) return i;
        }
        revert PlanCodec.UnknownToken(255);
    }
}
