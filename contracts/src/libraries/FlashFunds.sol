// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMorphoFlashLender, IMorphoFlashLoanCallback} from "../interfaces/IFlashLenders.sol";
import {IFlashLoanSimpleReceiver, ILiquidationPool} from "../interfaces/ILiquidationPool.sol";
import {BoundedCall} from "./BoundedCall.sol";
import {HopSwaps} from "./HopSwaps.sol";
import {PlanCodec} from "./PlanCodec.sol";
import {RunBook} from "./RunBook.sol";
import {SafeToken} from "./SafeToken.sol";

/// @title Funds that others lend for the length of a call, and their callbacks
/// @dev A lender is handed the whole plan and must hand it back. The steps after the FUND step run inside its
/// callback; then it is repaid exactly. A callback is accepted once, of the expected kind, from the contract that was
/// just called.
abstract contract FlashFunds is HopSwaps, IFlashLoanSimpleReceiver, IMorphoFlashLoanCallback {
    using PlanCodec for bytes;
    using SafeToken for address;

    /// @notice The plan names a lending pool that is not on the allow-list.
    error PoolNotAllowed(address pool);
    /// @notice The plan names a flash lender that is not on the allow-list.
    error FlashLenderNotAllowed(address lender);
    /// @notice The flash loan costs more than the plan allows.
    error PremiumTooHigh(uint256 premiumRaw, uint256 mostRaw);
    /// @notice The lender ended its call without having called back.
    error CallbackMissing(address lender);

    /// @dev Kind of callback for the payment of a hop; the kinds of the lenders' are the codes of their steps.
    uint256 private constant PAYMENT = 0xff;

    /// @dev The callback that is awaited: caller in the low 160 bits, kind in the next 8, position of the FUND step in
    /// the plan above. Zero when none is, which is nobody's address.
    uint256 private transient _awaited;
    /// @dev Hash of the plan that a lender must hand back.
    bytes32 private transient _planHash;
    /// @dev Repaid and paid as premium so far, in the profit token.
    uint256 internal transient _spentRaw;

    /// @notice The lending pool's callback: lends `amount` and wants `premium` besides.
    function executeOperation(address asset, uint256 amount, uint256 premium, address initiator, bytes calldata params)
        external
        returns (bool)
    {
        uint256 pos = _acceptLender(PlanCodec.FUND_AAVE, params);
        uint256 index = params.byteAt(pos + 21);
        uint256 amountRaw = params.amountAt(pos + 22);
        uint256 mostRaw = params.amountAt(pos + 38);
        if (initiator != address(this) || asset != _tokenAt(params, index) || amount != amountRaw) {
            revert UnexpectedCallback(msg.sender);
        }
        if (premium > mostRaw) revert PremiumTooHigh(premium, mostRaw);
        _enterFund(index, amount, amount + premium);
        if (index == 0) _spentRaw += premium;
        _perform(params, pos + PlanCodec.FUND_AAVE_BYTES);
        asset.allow(msg.sender, amount + premium);
        return true;
    }

    /// @notice Morpho's callback: lends `assets` and wants as much back.
    function onMorphoFlashLoan(uint256 assets, bytes calldata data) external {
        uint256 pos = _acceptLender(PlanCodec.FUND_MORPHO, data);
        uint256 index = data.byteAt(pos + 21);
        if (assets != data.amountAt(pos + 22)) revert UnexpectedCallback(msg.sender);
        _enterFund(index, assets, assets);
        _perform(data, pos + PlanCodec.FUND_MORPHO_BYTES);
        _tokenAt(data, index).allow(msg.sender, assets);
    }

    /// @notice The V3-like pool's callback: pays for a hop, or, when the pool lends, runs the plan and then pays.
    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external {
        if (_isAwaited(PAYMENT)) {
            _awaited = 0;
            _payHop(amount0Delta, amount1Delta);
            return;
        }
        uint256 pos = _acceptLender(PlanCodec.FUND_V3, data);
        (uint256 paid, uint256 received) = (data.byteAt(pos + 24), data.byteAt(pos + 25));
        uint256 amountRaw = data.amountAt(pos + 26);
        (uint256 owedRaw, uint256 givenRaw) = _deltas(amount0Delta, amount1Delta);
        if (owedRaw != amountRaw) revert PartialFill(amountRaw, owedRaw);
        // The pool's word bounds what may be repaid; what has really come is settled by balance like everything else.
        _enterFund(received, givenRaw, 0);
        RunBook.set(RunBook.OWED, paid, RunBook.get(RunBook.OWED, paid) + owedRaw);
        _perform(data, pos + PlanCodec.FUND_V3_BYTES);
        _tokenAt(data, paid).send(msg.sender, owedRaw);
    }

    /// @dev Takes the flash funds of the step at `pos` and runs the rest of the plan inside the lender's callback.
    function _borrow(bytes calldata plan, uint256 pos, uint256 code) internal {
        if (code == PlanCodec.FUND_AAVE) _borrowFromPool(plan, pos);
        else if (code == PlanCodec.FUND_V3) _borrowFromSwap(plan, pos);
        else _borrowFromLender(plan, pos);
    }

    /// @dev Books `amountRaw` as repayable, and `owedRaw` as not to be sold.
    function _enterFund(uint256 index, uint256 amountRaw, uint256 owedRaw) internal {
        RunBook.set(RunBook.BUDGET, index, RunBook.get(RunBook.BUDGET, index) + amountRaw);
        if (owedRaw != 0) RunBook.set(RunBook.OWED, index, RunBook.get(RunBook.OWED, index) + owedRaw);
    }

    function _borrowFromPool(bytes calldata plan, uint256 pos) private {
        plan.within(pos, PlanCodec.FUND_AAVE_BYTES);
        address pool = plan.addressAt(pos + 1);
        if (!isLendingPool[pool]) revert PoolNotAllowed(pool);
        address token = _tokenAt(plan, plan.byteAt(pos + 21));
        _awaitLender(pool, PlanCodec.FUND_AAVE, pos, plan);
        BoundedCall.callOrBubble(
            pool,
            abi.encodeCall(ILiquidationPool.flashLoanSimple, (address(this), token, plan.amountAt(pos + 22), plan, 0))
        );
        if (_awaited != 0) revert CallbackMissing(pool);
        token.disallow(pool);
    }

    function _borrowFromLender(bytes calldata plan, uint256 pos) private {
        plan.within(pos, PlanCodec.FUND_MORPHO_BYTES);
        address lender = plan.addressAt(pos + 1);
        if (!isFlashLender[lender]) revert FlashLenderNotAllowed(lender);
        address token = _tokenAt(plan, plan.byteAt(pos + 21));
        _awaitLender(lender, PlanCodec.FUND_MORPHO, pos, plan);
        BoundedCall.callOrBubble(
            lender, abi.encodeCall(IMorphoFlashLender.flashLoan, (token, plan.amountAt(pos + 22), plan))
        );
        if (_awaited != 0) revert CallbackMissing(lender);
        token.disallow(lender);
    }

    function _borrowFromSwap(bytes calldata plan, uint256 pos) private {
        plan.within(pos, PlanCodec.FUND_V3_BYTES);
        address factory = plan.addressAt(pos + 1);
        if (!isFactory[KIND_V3][factory]) revert FactoryNotAllowed(KIND_V3, factory);
        address paid = _tokenAt(plan, plan.byteAt(pos + 24));
        address received = _tokenAt(plan, plan.byteAt(pos + 25));
        address pool = _poolV3(factory, plan.feeAt(pos + 21), paid, received);
        _awaitLender(pool, PlanCodec.FUND_V3, pos, plan);
        _callV3(pool, paid < received, plan.amountAt(pos + 26), plan);
        if (_awaited != 0) revert CallbackMissing(pool);
    }

    function _awaitLender(address lender, uint256 kind, uint256 pos, bytes calldata plan) private {
        _awaited = uint256(uint160(lender)) | kind << 160 | pos << 168;
        _planHash = keccak256(plan);
    }

    function _awaitPayment(address pool) internal override {
        _awaited = uint256(uint160(pool)) | PAYMENT << 160;
    }

    function _stillAwaited() internal view override returns (bool) {
        return _awaited != 0;
    }

    /// @dev The position of the FUND step whose lender is calling back with the plan it was handed.
    function _acceptLender(uint256 kind, bytes calldata plan) private returns (uint256 pos) {
        if (!_isAwaited(kind) || keccak256(plan) != _planHash) revert UnexpectedCallback(msg.sender);
        pos = _awaited >> 168;
        _awaited = 0;
    }

    function _isAwaited(uint256 kind) private view returns (bool) {
        return _awaited & type(uint168).max == uint256(uint160(msg.sender)) | kind << 160;
    }

    /// @dev The token or claim at `index`, refused when the plan has none there.
    function _tokenAt(bytes calldata plan, uint256 index) internal view virtual returns (address);

    /// @dev Runs the steps of `plan` from the one at `pos` to the last.
    function _perform(bytes calldata plan, uint256 pos) internal virtual;
}
