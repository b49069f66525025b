// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "../interfaces/IERC20.sol";
import {IConcentratedFactory, IConcentratedPool, IPair, IPairFactory} from "../interfaces/ISwapVenues.sol";
import {BoundedCall} from "./BoundedCall.sol";
import {ExecutorAccess} from "./ExecutorAccess.sol";
import {SafeToken} from "./SafeToken.sol";

/// @title Sells a token hop by hop on pools that allow-listed registries name
/// @dev A pool's address is never taken from a plan: the registry is asked for it at run time. Each hop sells exactly
/// what the one before it brought, measured by balance difference.
abstract contract RouteSwaps is ExecutorAccess {
    using SafeToken for address;

    /// @notice One swap.
    /// @param kind `KIND_V2` or `KIND_V3`.
    /// @param factory Registry that names the pool, on the allow-list of that kind.
    /// @param tokenOut Token received.
    /// @param feePips Swap fee in millionths: what a V2-like pair charges, or the fee tier of a V3-like pool.
    struct Hop {
        uint8 kind;
        address factory;
        address tokenOut;
        uint24 feePips;
    }

    /// @notice The hop names a registry that is not on the allow-list of its kind.
    error FactoryNotAllowed(uint8 kind, address factory);
    /// @notice The registry knows no pool for this pair of tokens.
    error NoPool(address factory, address tokenIn, address tokenOut);
    /// @notice The pool took less than the whole amount: its liquidity ran out.
    error PartialFill(uint256 offeredRaw, uint256 takenRaw);
    /// @notice The hop's fee is not below 100 %.
    error FeeTooHigh(uint24 feePips);
    /// @notice The amount does not fit the pool's signed argument.
    error AmountTooLarge(uint256 amountRaw);

    uint256 private constant PIPS = 1e6;
    /// @dev One inside the ends of the pool's price range: the swap stops only where liquidity does.
    uint160 private constant LOWEST_SQRT_PRICE = 4295128740;
    uint160 private constant HIGHEST_SQRT_PRICE = 1461446703485210103287273052203988822378723970341;

    /// @dev The pool whose callback is awaited, and what it may take; all zero when none is.
    address private transient _swapPool;
    address private transient _swapToken;
    uint256 private transient _swapRaw;

    /// @notice The V3-like pool's callback: pays the token being sold to the pool of the hop in progress, once.
    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata) external {
        if (msg.sender != _swapPool) revert UnexpectedCallback(msg.sender);
        _swapPool = address(0);
        // Should neither be positive, the conversion gives what cannot equal the offer, and is refused like any other.
        // forge-lint: disable-next-line(unsafe-typecast)
        uint256 owedRaw = uint256(amount0Delta > 0 ? amount0Delta : amount1Delta);
        if (owedRaw != _swapRaw) revert PartialFill(_swapRaw, owedRaw);
        _swapToken.send(msg.sender, owedRaw);
    }

    /// @dev Sells `amountRaw` of `tokenIn` along `route`; with an empty route the amount is returned as it is.
    function _sell(Hop[] memory route, address tokenIn, uint256 amountRaw) internal returns (uint256) {
        for (uint256 i = 0; i < route.length; ++i) {
            Hop memory hop = route[i];
            if (!isFactory[hop.kind][hop.factory]) revert FactoryNotAllowed(hop.kind, hop.factory);
            uint256 beforeRaw = hop.tokenOut.held();
            if (hop.kind == KIND_V2) _swapV2(hop, tokenIn, amountRaw);
            else _swapV3(hop, tokenIn, amountRaw);
            amountRaw = hop.tokenOut.held() - beforeRaw;
            tokenIn = hop.tokenOut;
        }
        return amountRaw;
    }

    /// @dev The pair checks its product against what arrived, so what arrived is what is priced.
    function _swapV2(Hop memory hop, address tokenIn, uint256 amountRaw) private {
        if (hop.feePips >= PIPS) revert FeeTooHigh(hop.feePips);
        address pair = IPairFactory(hop.factory).getPair(tokenIn, hop.tokenOut);
        if (pair == address(0)) revert NoPool(hop.factory, tokenIn, hop.tokenOut);
        uint256 pairBeforeRaw = IERC20(tokenIn).balanceOf(pair);
        tokenIn.send(pair, amountRaw);
        uint256 arrivedRaw = IERC20(tokenIn).balanceOf(pair) - pairBeforeRaw;

        bool zeroForOne = tokenIn < hop.tokenOut;
        uint256 outRaw = _quoteV2(pair, zeroForOne, arrivedRaw, hop.feePips);
        (uint256 out0Raw, uint256 out1Raw) = zeroForOne ? (uint256(0), outRaw) : (outRaw, uint256(0));
        BoundedCall.callOrBubble(pair, abi.encodeCall(IPair.swap, (out0Raw, out1Raw, address(this), "")));
    }

    function _quoteV2(address pair, bool zeroForOne, uint256 inRaw, uint24 feePips) private view returns (uint256) {
        (uint112 reserve0Raw, uint112 reserve1Raw,) = IPair(pair).getReserves();
        (uint256 reserveInRaw, uint256 reserveOutRaw) =
            zeroForOne ? (reserve0Raw, reserve1Raw) : (reserve1Raw, reserve0Raw);
        uint256 inAfterFee = inRaw * (PIPS - feePips);
        return inAfterFee * reserveOutRaw / (reserveInRaw * PIPS + inAfterFee);
    }

    function _swapV3(Hop memory hop, address tokenIn, uint256 amountRaw) private {
        address pool = IConcentratedFactory(hop.factory).getPool(tokenIn, hop.tokenOut, hop.feePips);
        if (pool == address(0)) revert NoPool(hop.factory, tokenIn, hop.tokenOut);
        if (amountRaw > uint256(type(int256).max)) revert AmountTooLarge(amountRaw);
        (_swapPool, _swapToken, _swapRaw) = (pool, tokenIn, amountRaw);
        bool zeroForOne = tokenIn < hop.tokenOut;
        uint160 limit = zeroForOne ? LOWEST_SQRT_PRICE : HIGHEST_SQRT_PRICE;
        // forge-lint: disable-next-line(unsafe-typecast)
        int256 offered = int256(amountRaw);
        BoundedCall.callOrBubble(
            pool, abi.encodeCall(IConcentratedPool.swap, (address(this), zeroForOne, offered, limit, ""))
        );
        // The pool gave nothing and asked for nothing: the hop did not happen.
        if (_swapPool != address(0)) revert PartialFill(amountRaw, 0);
        (_swapToken, _swapRaw) = (address(0), 0);
    }

    function _allowance(address token, address spender) internal view returns (uint256) {
        return IERC20(token).allowance(address(this), spender);
    }
}
