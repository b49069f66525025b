// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IConcentratedFactory, IConcentratedPool, IPair, IPairFactory} from "../interfaces/ISwapVenues.sol";
import {BoundedCall} from "./BoundedCall.sol";
import {ExecutorAccess} from "./ExecutorAccess.sol";
import {SafeToken} from "./SafeToken.sol";

/// @title Swaps on pools that allow-listed registries name
/// @dev A pool's address is never taken from a plan: the registry is asked for it at run time. What a hop brings is
/// measured by balance difference.
abstract contract HopSwaps is ExecutorAccess {
    using SafeToken for address;

    /// @notice The hop names a registry that is not on the allow-list of its kind.
    error FactoryNotAllowed(uint8 kind, address factory);
    /// @notice The registry knows no pool for this pair of tokens.
    error NoPool(address factory, address tokenIn, address tokenOut);
    /// @notice The pool took less than the whole amount: its liquidity ran out.
    error PartialFill(uint256 offeredRaw, uint256 takenRaw);
    /// @notice The hop's fee is not below 100 %.
    error FeeTooHigh(uint24 feePips);
    /// @notice The amount does not fit where it has to go.
    error AmountTooLarge(uint256 amountRaw);

    uint256 private constant PIPS = 1e6;
    /// @dev One inside the ends of the pool's price range: the swap stops only where liquidity does.
    uint160 private constant LOWEST_SQRT_PRICE = 4295128740;
    uint160 private constant HIGHEST_SQRT_PRICE = 1461446703485210103287273052203988822378723970341;

    /// @dev What the pool whose callback is awaited may take.
    address private transient _payToken;
    uint256 private transient _payRaw;

    /// @dev Sells exactly `amountRaw`.
    /// @return outRaw What arrived.
    function _hop(uint8 kind, address factory, uint24 feePips, address tokenIn, address tokenOut, uint256 amountRaw)
        internal
        returns (uint256 outRaw)
    {
        if (!isFactory[kind][factory]) revert FactoryNotAllowed(kind, factory);
        uint256 beforeRaw = tokenOut.held();
        if (kind == KIND_V2) _swapV2(factory, feePips, tokenIn, tokenOut, amountRaw);
        else _swapV3(factory, feePips, tokenIn, tokenOut, amountRaw);
        return tokenOut.held() - beforeRaw;
    }

    /// @dev The pair prices what it holds above its reserve, so that is what is asked for: what a token keeps on the
    /// way is not, and what lies there already is.
    function _swapV2(address factory, uint24 feePips, address tokenIn, address tokenOut, uint256 amountRaw) private {
        if (feePips >= PIPS) revert FeeTooHigh(feePips);
        address pair = IPairFactory(factory).getPair(tokenIn, tokenOut);
        if (pair == address(0)) revert NoPool(factory, tokenIn, tokenOut);
        tokenIn.send(pair, amountRaw);
        (uint256 reserveInRaw, uint256 reserveOutRaw,) = IPair(pair).getReserves();
        bool zeroForOne = tokenIn < tokenOut;
        if (!zeroForOne) (reserveInRaw, reserveOutRaw) = (reserveOutRaw, reserveInRaw);
        uint256 afterFee = (tokenIn.heldBy(pair) - reserveInRaw) * (PIPS - feePips);
        uint256 outRaw = afterFee * reserveOutRaw / (reserveInRaw * PIPS + afterFee);
        (uint256 out0Raw, uint256 out1Raw) = zeroForOne ? (uint256(0), outRaw) : (outRaw, uint256(0));
        BoundedCall.callOrBubble(pair, abi.encodeCall(IPair.swap, (out0Raw, out1Raw, address(this), "")));
    }

    function _swapV3(address factory, uint24 feePips, address tokenIn, address tokenOut, uint256 amountRaw) private {
        address pool = _poolV3(factory, feePips, tokenIn, tokenOut);
        (_payToken, _payRaw) = (tokenIn, amountRaw);
        _awaitPayment(pool);
        _callV3(pool, tokenIn < tokenOut, amountRaw, "");
        // The pool gave nothing and asked for nothing: the hop did not happen.
        if (_stillAwaited()) revert PartialFill(amountRaw, 0);
    }

    /// @dev The factory's pool; the zero address is refused.
    function _poolV3(address factory, uint24 feePips, address tokenIn, address tokenOut)
        internal
        view
        returns (address pool)
    {
        pool = IConcentratedFactory(factory).getPool(tokenIn, tokenOut, feePips);
        if (pool == address(0)) revert NoPool(factory, tokenIn, tokenOut);
    }

    function _callV3(address pool, bool zeroForOne, uint256 amountRaw, bytes memory data) internal {
        if (amountRaw > uint256(type(int256).max)) revert AmountTooLarge(amountRaw);
        // forge-lint: disable-next-line(unsafe-typecast)
        int256 offered = int256(amountRaw);
        uint160 limit = zeroForOne ? LOWEST_SQRT_PRICE : HIGHEST_SQRT_PRICE;
        BoundedCall.callOrBubble(
            pool, abi.encodeCall(IConcentratedPool.swap, (address(this), zeroForOne, offered, limit, data))
        );
    }

    /// @dev Pays the pool of the hop in progress, in its callback.
    function _payHop(int256 amount0Delta, int256 amount1Delta) internal {
        (uint256 owedRaw,) = _deltas(amount0Delta, amount1Delta);
        if (owedRaw != _payRaw) revert PartialFill(_payRaw, owedRaw);
        _payToken.send(msg.sender, owedRaw);
    }

    /// @dev What a pool asks for, and what it has given. Should neither be positive, the conversion gives what cannot
    /// equal any offer, and is refused like any other.
    function _deltas(int256 amount0Delta, int256 amount1Delta)
        internal
        pure
        returns (uint256 owedRaw, uint256 givenRaw)
    {
        (int256 owed, int256 given) = amount0Delta > 0 ? (amount0Delta, amount1Delta) : (amount1Delta, amount0Delta);
        // forge-lint: disable-next-line(unsafe-typecast)
        (owedRaw, givenRaw) = (uint256(owed), given < 0 ? uint256(-given) : 0);
    }

    /// @dev Lets `pool` call back once, for a payment.
    function _awaitPayment(address pool) internal virtual;

    /// @dev Whether the callback that was awaited has not come.
    function _stillAwaited() internal view virtual returns (bool);
}
