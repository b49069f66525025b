// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ILiquidationPool} from "./interfaces/ILiquidationPool.sol";
import {BoundedCall} from "./libraries/BoundedCall.sol";
import {ExecutorAccess} from "./libraries/ExecutorAccess.sol";
import {FlashFunds} from "./libraries/FlashFunds.sol";
import {PlanCodec} from "./libraries/PlanCodec.sol";
import {RunBook} from "./libraries/RunBook.sol";
import {SafeToken} from "./libraries/SafeToken.sol";

/// @title Keeper executor
/// @notice Runs the liquidation of one account atomically: takes funds, repays, receives collateral, sells it, returns
/// the funds, checks the profit and pays the whole of it to the treasury. The only contract of ours that holds money.
/// @dev It holds money only inside a run. A run makes typed steps on allow-listed contracts, so whoever steals an
/// operator's key can waste gas and forgo profit, and nothing else. All amounts are in a token's smallest unit.
contract KeeperExecutor is FlashFunds {
    using PlanCodec for bytes;
    using SafeToken for address;

    /// @notice What one liquidation did.
    /// @param repaidRaw Debt repaid to the lending pool.
    /// @param seizedRaw Collateral received, or as much of its deposit token.
    struct StepResult {
        uint256 repaidRaw;
        uint256 seizedRaw;
    }

    /// @notice One liquidation of a run happened.
    event Liquidated(
        address indexed account, address indexed debt, address indexed collateral, uint256 repaidRaw, uint256 seizedRaw
    );
    /// @notice A run succeeded and the treasury received `profitRaw` of the profit token.
    event Settled(address indexed profitToken, uint256 profitRaw);

    /// @notice The chain has passed the last block in which this plan may run.
    error DeadlinePassed(uint256 deadlineBlock);
    /// @notice The run gained less of the profit token than the plan requires.
    error ProfitTooLow(uint256 gainedRaw, uint256 requiredRaw);
    /// @notice The run would leave this contract with less of a token than it began with.
    error BalanceFell(address token, uint256 beforeRaw, uint256 afterRaw);
    /// @notice The run has gained nothing of this token that could be sold or redeemed.
    error NothingLeft(address token);

    /// @dev A deposit token counts in units of its own and rounds: a transfer may take this much more than was asked
    /// for. Where some of it lay here before the run, as much of the gain stays behind, so that nothing of it leaves.
    uint256 private constant CLAIM_ROUNDING_RAW = 10;
    uint256 private constant MAX_AMOUNT = type(uint128).max;

    uint256 private transient _liquidations;

    /// @param owner_ Sets roles and allow-lists; should not be an operator's hot key.
    /// @param treasury_ Receives every gain and every rescued balance; fixed for good.
    /// @param operators Accounts that may start runs besides the owner.
    /// @param lendingPools Allow-listed lending pools.
    /// @param v2Factories Allow-listed registries of constant-product pairs.
    /// @param v3Factories Allow-listed registries of concentrated-liquidity pools.
    /// @param flashLenders Allow-listed contracts with Morpho's flash loan.
    constructor(
        address owner_,
        address treasury_,
        address[] memory operators,
        address[] memory lendingPools,
        address[] memory v2Factories,
        address[] memory v3Factories,
        address[] memory flashLenders
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
        for (uint256 i = 0; i < flashLenders.length; ++i) {
            _setFlashLender(flashLenders[i], true);
        }
    }

    /// @notice Runs one plan, or reverts and changes nothing.
    /// @param plan Packed as `PlanCodec` describes.
    /// @return results One per liquidation, in order.
    /// @return proceedsRaw What was brought in of the profit token: the gain, and what was repaid and paid for funds.
    /// @return profitRaw Gain of the profit token, already paid to the treasury.
    function run(bytes calldata plan)
        external
        onlyRunner
        locked
        returns (StepResult[] memory results, uint256 proceedsRaw, uint256 profitRaw)
    {
        plan.check();
        uint256 deadlineBlock = plan.deadlineBlock();
        if (block.number > deadlineBlock) revert DeadlinePassed(deadlineBlock);
        (_liquidations, _spentRaw) = (0, 0);
        _open(plan);
        _perform(plan, plan.firstStep());
        profitRaw = _settle(plan);
        proceedsRaw = profitRaw + _spentRaw;
        results = _results();
    }

    function _perform(bytes calldata plan, uint256 pos) internal override {
        while (pos < plan.length) {
            uint256 code = plan.byteAt(pos);
            if (code == PlanCodec.LIQUIDATE) {
                pos = _liquidate(plan, pos);
            } else if (code == PlanCodec.SWAP) {
                pos = _swap(plan, pos);
            } else if (code == PlanCodec.FUND_OWN) {
                pos = _fundOwn(plan, pos);
            } else if (code == PlanCodec.REDEEM) {
                pos = _redeem(plan, pos);
            } else if (code <= PlanCodec.FUND_MORPHO) {
                return _borrow(plan, pos, code);
            } else {
                revert PlanCodec.UnknownStep(code);
            }
        }
    }

    function _fundOwn(bytes calldata plan, uint256 pos) private returns (uint256 next) {
        next = plan.within(pos, PlanCodec.FUND_OWN_BYTES);
        _enterFund(plan.byteAt(pos + 1), plan.amountAt(pos + 2), 0);
    }

    function _liquidate(bytes calldata plan, uint256 pos) private returns (uint256 next) {
        next = plan.within(pos, PlanCodec.LIQUIDATE_BYTES);
        address pool = plan.addressAt(pos + 1);
        if (!isLendingPool[pool]) revert PoolNotAllowed(pool);
        uint256 debtIndex = plan.byteAt(pos + 42);
        address debt = _tokenAt(plan, debtIndex);
        address received = _received(plan, pos, pool);
        uint256 budgetRaw = RunBook.get(RunBook.BUDGET, debtIndex);

        uint256 beforeRaw = received.held();
        debt.allow(pool, budgetRaw);
        _callLiquidation(plan, pos, pool, debt);
        // What the pool used of its allowance is what it took: where debt and collateral are one token, the balance
        // shows only the difference of the two.
        uint256 unusedRaw = debt.disallow(pool);
        uint256 repaidRaw = budgetRaw - unusedRaw;
        uint256 seizedRaw = received.held() + (received == debt ? repaidRaw : 0) - beforeRaw;

        RunBook.set(RunBook.BUDGET, debtIndex, unusedRaw);
        if (debtIndex == 0) _spentRaw += repaidRaw;
        _report(plan, pos, repaidRaw, seizedRaw);
    }

    /// @dev The collateral, or this pool's claim on it: paid in anything else, the run would not see what it got.
    function _received(bytes calldata plan, uint256 pos, address pool) private view returns (address) {
        uint256 index = plan.byteAt(pos + 43);
        uint256 collateralIndex = plan.byteAt(pos + 41);
        if (index != collateralIndex) {
            (address claimed, address underlying) = plan.claim(index);
            if (claimed != pool || underlying != _tokenAt(plan, collateralIndex)) {
                revert PlanCodec.UnknownToken(index);
            }
        }
        return _tokenAt(plan, index);
    }

    function _callLiquidation(bytes calldata plan, uint256 pos, address pool, address debt) private {
        uint256 collateralIndex = plan.byteAt(pos + 41);
        uint256 coverRaw = plan.amountAt(pos + 44);
        BoundedCall.callOrBubble(
            pool,
            abi.encodeCall(
                ILiquidationPool.liquidationCall,
                (
                    _tokenAt(plan, collateralIndex),
                    debt,
                    plan.addressAt(pos + 21),
                    coverRaw == MAX_AMOUNT ? type(uint256).max : coverRaw,
                    plan.byteAt(pos + 43) != collateralIndex
                )
            )
        );
    }

    function _report(bytes calldata plan, uint256 pos, uint256 repaidRaw, uint256 seizedRaw) private {
        if (repaidRaw > MAX_AMOUNT) revert AmountTooLarge(repaidRaw);
        if (seizedRaw > MAX_AMOUNT) revert AmountTooLarge(seizedRaw);
        RunBook.set(RunBook.RESULT, _liquidations++, repaidRaw << 128 | seizedRaw);
        address debt = _tokenAt(plan, plan.byteAt(pos + 42));
        address collateral = _tokenAt(plan, plan.byteAt(pos + 41));
        emit Liquidated(plan.addressAt(pos + 21), debt, collateral, repaidRaw, seizedRaw);
    }

    /// @dev Turns what the run gained of a claim into the underlying token.
    function _redeem(bytes calldata plan, uint256 pos) private returns (uint256 next) {
        next = plan.within(pos, PlanCodec.REDEEM_BYTES);
        uint256 index = plan.byteAt(pos + 1);
        (address pool, address underlying) = plan.claim(index);
        uint256 beforeRaw = RunBook.get(RunBook.BEFORE, index);
        address claim = _tokenAt(plan, index);
        uint256 gainedRaw = _withoutRounding(claim.held() - beforeRaw, beforeRaw);
        if (gainedRaw == 0) revert NothingLeft(claim);
        BoundedCall.callOrBubble(
            pool,
            abi.encodeCall(
                ILiquidationPool.withdraw, (underlying, beforeRaw == 0 ? type(uint256).max : gainedRaw, address(this))
            )
        );
    }

    function _swap(bytes calldata plan, uint256 pos) private returns (uint256 next) {
        next = plan.within(pos, PlanCodec.SWAP_BYTES);
        uint256 index = plan.byteAt(pos + 1);
        uint256 amountRaw = plan.amountAt(pos + 2);
        address token = _tokenAt(plan, index);
        if (amountRaw == 0) amountRaw = _rest(token, index);
        for (uint256 hops = plan.byteAt(pos + 18); hops != 0; --hops) {
            pos = next;
            next = plan.within(pos, PlanCodec.HOP_BYTES);
            address tokenOut = _tokenAt(plan, plan.byteAt(pos + 21));
            // forge-lint: disable-next-line(unsafe-typecast)
            uint8 kind = uint8(plan.byteAt(pos));
            amountRaw = _hop(kind, plan.addressAt(pos + 1), plan.feeAt(pos + 22), token, tokenOut, amountRaw);
            token = tokenOut;
        }
    }

    /// @dev What the run has gained of a token and no lender takes back.
    function _rest(address token, uint256 index) private view returns (uint256) {
        uint256 keptRaw = RunBook.get(RunBook.BEFORE, index) + RunBook.get(RunBook.OWED, index);
        uint256 heldRaw = token.held();
        if (heldRaw <= keptRaw) revert NothingLeft(token);
        return heldRaw - keptRaw;
    }

    /// @dev Looks up the claims and measures every token of the table.
    function _open(bytes calldata plan) private {
        uint256 tokens = plan.tokens();
        uint256 end = tokens + plan.claims();
        for (uint256 i = 0; i < end; ++i) {
            address token = i < tokens ? plan.token(i) : _lookUp(plan, i);
            RunBook.open(i, token.held());
        }
    }

    function _lookUp(bytes calldata plan, uint256 index) private returns (address claim) {
        (address pool, address underlying) = plan.claim(index);
        if (!isLendingPool[pool]) revert PoolNotAllowed(pool);
        (,,,,,,,, claim) = ILiquidationPool(pool).getReserveData(underlying);
        RunBook.set(RunBook.CLAIM, index, uint160(claim));
    }

    /// @dev Pays out what the run gained of every token in the table, and nothing that was here before it.
    function _settle(bytes calldata plan) private returns (uint256 profitRaw) {
        uint256 tokens = plan.tokens();
        uint256 end = tokens + plan.claims();
        address profitToken = plan.token(0);
        profitRaw = _payOut(profitToken, RunBook.get(RunBook.BEFORE, 0), false, plan.minProfitRaw());
        for (uint256 i = 1; i < end; ++i) {
            _payOut(_tokenAt(plan, i), RunBook.get(RunBook.BEFORE, i), i >= tokens, 0);
        }
        emit Settled(profitToken, profitRaw);
    }

    function _payOut(address token, uint256 beforeRaw, bool rounds, uint256 leastRaw)
        private
        returns (uint256 gainedRaw)
    {
        uint256 afterRaw = token.held();
        if (afterRaw < beforeRaw) revert BalanceFell(token, beforeRaw, afterRaw);
        gainedRaw = afterRaw - beforeRaw;
        if (rounds) gainedRaw = _withoutRounding(gainedRaw, beforeRaw);
        if (gainedRaw < leastRaw) revert ProfitTooLow(gainedRaw, leastRaw);
        if (gainedRaw == 0) return 0;
        token.send(TREASURY, gainedRaw);
        afterRaw = token.held();
        if (afterRaw < beforeRaw) revert BalanceFell(token, beforeRaw, afterRaw);
    }

    function _withoutRounding(uint256 gainedRaw, uint256 beforeRaw) private pure returns (uint256) {
        if (beforeRaw == 0) return gainedRaw;
        return gainedRaw > CLAIM_ROUNDING_RAW ? gainedRaw - CLAIM_ROUNDING_RAW : 0;
    }

    function _results() private view returns (StepResult[] memory results) {
        results = new StepResult[](_liquidations);
        for (uint256 i = 0; i < results.length; ++i) {
            uint256 word = RunBook.get(RunBook.RESULT, i);
            results[i] = StepResult(word >> 128, word & MAX_AMOUNT);
        }
    }

    function _tokenAt(bytes calldata plan, uint256 index) internal view override returns (address) {
        uint256 tokens = plan.tokens();
        if (index < tokens) return plan.token(index);
        if (index >= tokens + plan.claims()) revert PlanCodec.UnknownToken(index);
        return address(uint160(RunBook.get(RunBook.CLAIM, index)));
    }
}
