// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IFlashLoanSimpleReceiver, ILiquidationPool} from "./interfaces/ILiquidationPool.sol";
import {BoundedCall} from "./libraries/BoundedCall.sol";
import {ExecutorAccess} from "./libraries/ExecutorAccess.sol";
import {RouteSwaps} from "./libraries/RouteSwaps.sol";
import {SafeToken} from "./libraries/SafeToken.sol";

/// @title Keeper executor
/// @notice Runs one liquidation atomically: funds the repayment, repays, receives the collateral, sells it, returns
/// the funds, checks the profit and pays the whole of it to the treasury. The only contract of ours that holds money.
/// @dev It holds money only inside a run. A run makes typed steps on allow-listed contracts, so whoever steals an
/// operator's key can waste gas and forgo profit, and nothing else. All amounts are in a token's smallest unit.
contract KeeperExecutor is ExecutorAccess, RouteSwaps, IFlashLoanSimpleReceiver {
    using SafeToken for address;

    /// @notice The repayment comes out of this contract's own balance.
    uint8 public constant FUNDING_OWN = 0;
    /// @notice The repayment comes out of a simple flash loan of the lending pool itself.
    uint8 public constant FUNDING_FLASH_LOAN = 1;

    /// @notice One liquidation and the sale that follows it.
    /// @param pool Lending pool, on the allow-list.
    /// @param account Account to liquidate.
    /// @param collateral Token to receive.
    /// @param debt Token to repay; the profit is counted in it.
    /// @param coverRaw Argument for the pool: debt to cover; 2^256-1 asks for the most it allows.
    /// @param fundRaw The most this run may repay: the size of the flash loan, or of the allowance on own balance.
    /// @param funding `FUNDING_OWN` or `FUNDING_FLASH_LOAN`.
    /// @param route Swaps from the collateral to the debt token; empty when they are one token.
    /// @param minProfitRaw Least gain in the debt token, after the flash loan's premium and before gas.
    /// @param deadlineBlock Last block in which the run may happen.
    struct Plan {
        address pool;
        address account;
        address collateral;
        address debt;
        uint256 coverRaw;
        uint256 fundRaw;
        uint8 funding;
        Hop[] route;
        uint256 minProfitRaw;
        uint256 deadlineBlock;
    }

    /// @notice A run succeeded.
    /// @param proceedsRaw Debt token received for the collateral; the seized amount itself when they are one token.
    /// @param profitRaw What the treasury received.
    event Liquidated(
        address indexed account,
        address indexed debt,
        address indexed collateral,
        uint256 repaidRaw,
        uint256 seizedRaw,
        uint256 proceedsRaw,
        uint256 profitRaw
    );

    /// @notice The chain has passed the last block in which this plan may run.
    error DeadlinePassed(uint256 deadlineBlock);
    /// @notice The plan names a lending pool that is not on the allow-list.
    error PoolNotAllowed(address pool);
    /// @notice The plan names a way of funding that does not exist.
    error UnknownFunding(uint8 funding);
    /// @notice The route must end in the debt token, and be empty when the collateral is the debt token.
    error RouteDoesNotEndInDebt();
    /// @notice The run would end with less of the debt token than it began with.
    error Loss(uint256 lostRaw);
    /// @notice The run gained less than the plan requires.
    error ProfitTooLow(uint256 gainedRaw, uint256 requiredRaw);
    /// @notice After the run this contract's balance of the token differs from the one before it.
    error BalanceMoved(address token, uint256 beforeRaw, uint256 afterRaw);
    /// @notice The lending pool ended a flash loan without having called back.
    error CallbackMissing();

    /// @dev The lender whose callback is awaited, and the hash of what it must hand back; both zero when none is.
    address private transient _lender;
    bytes32 private transient _planHash;
    /// @dev What the middle of the run measured, kept here because the lender's call stands between it and its end.
    uint256 private transient _repaidRaw;
    uint256 private transient _seizedRaw;
    uint256 private transient _proceedsRaw;

    /// @param owner_ Sets roles and allow-lists; should not be an operator's hot key.
    /// @param treasury_ Receives every gain and every rescued balance; fixed for good.
    /// @param operators Accounts that may start runs besides the owner.
    /// @param lendingPools Allow-listed lending pools.
    /// @param v2Factories Allow-listed registries of constant-product pairs.
    /// @param v3Factories Allow-listed registries of concentrated-liquidity pools.
    constructor(
        address owner_,
        address treasury_,
        address[] memory operators,
        address[] memory lendingPools,
        address[] memory v2Factories,
        address[] memory v3Factories
    ) ExecutorAccess(owner_, treasury_) {
        for (uint256 i = 0; i < operators.length; ++i) {
            _setOperator(operators[i], true);
        }
        for (uint256 i = 0; i < lendingPools.length; ++i) {
            _setLendingPool(lendingPools[i], true);
        }
        for (uint256 i = 0; i < v2Factories.length; ++i) {
            _setFactory(KIND_V2, v2Factories[i], true);
        }
        for (uint256 i = 0; i < v3Factories.length; ++i) {
            _setFactory(KIND_V3, v3Factories[i], true);
        }
    }

    /// @notice Runs one plan, or reverts and changes nothing.
    /// @return repaidRaw Debt repaid to the lending pool.
    /// @return seizedRaw Collateral received.
    /// @return proceedsRaw Debt token the sale brought.
    /// @return profitRaw Gain, already paid to the treasury.
    function run(Plan calldata plan)
        external
        onlyRunner
        locked
        returns (uint256 repaidRaw, uint256 seizedRaw, uint256 proceedsRaw, uint256 profitRaw)
    {
        if (block.number > plan.deadlineBlock) revert DeadlinePassed(plan.deadlineBlock);
        if (!isLendingPool[plan.pool]) revert PoolNotAllowed(plan.pool);
        uint256 collateralBeforeRaw = plan.collateral.held();
        uint256 debtBeforeRaw = plan.debt.held();

        if (plan.funding == FUNDING_OWN) _liquidateAndSell(plan);
        else if (plan.funding == FUNDING_FLASH_LOAN) _borrowAndRun(plan);
        else revert UnknownFunding(plan.funding);

        profitRaw = _settle(plan.debt, debtBeforeRaw, plan.minProfitRaw);
        _requireBalance(plan.collateral, collateralBeforeRaw);
        (repaidRaw, seizedRaw, proceedsRaw) = (_repaidRaw, _seizedRaw, _proceedsRaw);
        emit Liquidated(plan.account, plan.debt, plan.collateral, repaidRaw, seizedRaw, proceedsRaw, profitRaw);
    }

    /// @notice The lending pool's flash-loan callback.
    /// @dev Accepted once, from the pool of the run in progress, for a loan this contract asked for, with the plan
    /// it was given. Outside a run `_lender` is zero and nobody can be it.
    function executeOperation(address asset, uint256 amount, uint256 premium, address initiator, bytes calldata params)
        external
        returns (bool)
    {
        if (msg.sender != _lender || initiator != address(this) || keccak256(params) != _planHash) {
            revert UnexpectedCallback(msg.sender);
        }
        _lender = address(0);
        _planHash = 0;
        Plan memory plan = abi.decode(params, (Plan));
        if (asset != plan.debt || amount != plan.fundRaw) revert UnexpectedCallback(msg.sender);
        _liquidateAndSell(plan);
        plan.debt.allow(msg.sender, amount + premium);
        return true;
    }

    function _borrowAndRun(Plan calldata plan) private {
        bytes memory params = abi.encode(plan);
        (_lender, _planHash) = (plan.pool, keccak256(params));
        BoundedCall.callOrBubble(
            plan.pool,
            abi.encodeCall(ILiquidationPool.flashLoanSimple, (address(this), plan.debt, plan.fundRaw, params, 0))
        );
        if (_lender != address(0)) revert CallbackMissing();
        plan.debt.allow(plan.pool, 0);
    }

    function _liquidateAndSell(Plan memory plan) private {
        (_repaidRaw, _seizedRaw) = plan.collateral == plan.debt ? _liquidateSameToken(plan) : _liquidate(plan);
        address lastToken = plan.route.length == 0 ? plan.collateral : plan.route[plan.route.length - 1].tokenOut;
        if (lastToken != plan.debt || (plan.collateral == plan.debt && plan.route.length != 0)) {
            revert RouteDoesNotEndInDebt();
        }
        _proceedsRaw = _sell(plan.route, plan.collateral, _seizedRaw);
    }

    /// @dev Both amounts are measured by balance difference, never taken from the pool's word.
    function _liquidate(Plan memory plan) private returns (uint256 repaidRaw, uint256 seizedRaw) {
        uint256 collateralBeforeRaw = plan.collateral.held();
        uint256 debtBeforeRaw = plan.debt.held();
        plan.debt.allow(plan.pool, plan.fundRaw);
        _callLiquidation(plan);
        plan.debt.allow(plan.pool, 0);
        repaidRaw = debtBeforeRaw - plan.debt.held();
        seizedRaw = plan.collateral.held() - collateralBeforeRaw;
    }

    /// @dev With one token on both sides the balance shows only the difference of the two amounts; the allowance
    /// that the pool used tells them apart.
    function _liquidateSameToken(Plan memory plan) private returns (uint256 repaidRaw, uint256 seizedRaw) {
        uint256 beforeRaw = plan.debt.held();
        plan.debt.allow(plan.pool, plan.fundRaw);
        _callLiquidation(plan);
        repaidRaw = plan.fundRaw - _allowance(plan.debt, plan.pool);
        plan.debt.allow(plan.pool, 0);
        seizedRaw = plan.debt.held() + repaidRaw - beforeRaw;
    }

    function _callLiquidation(Plan memory plan) private {
        BoundedCall.callOrBubble(
            plan.pool,
            abi.encodeCall(
                ILiquidationPool.liquidationCall, (plan.collateral, plan.debt, plan.account, plan.coverRaw, false)
            )
        );
    }

    /// @dev Pays out the gain of this run and nothing that was here before it.
    function _settle(address token, uint256 beforeRaw, uint256 minProfitRaw) private returns (uint256 gainedRaw) {
        uint256 afterRaw = token.held();
        if (afterRaw < beforeRaw) revert Loss(beforeRaw - afterRaw);
        gainedRaw = afterRaw - beforeRaw;
        if (gainedRaw < minProfitRaw) revert ProfitTooLow(gainedRaw, minProfitRaw);
        if (gainedRaw != 0) token.send(TREASURY, gainedRaw);
        _requireBalance(token, beforeRaw);
    }

    function _requireBalance(address token, uint256 expectedRaw) private view {
        uint256 actualRaw = token.held();
        if (actualRaw != expectedRaw) revert BalanceMoved(token, expectedRaw, actualRaw);
    }
}
