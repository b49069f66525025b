// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IMorphoFlashLender} from "../../src/interfaces/IFlashLenders.sol";
import {ILiquidationPool} from "../../src/interfaces/ILiquidationPool.sol";
import {IConcentratedFactory, IConcentratedPool, IPair, IPairFactory} from "../../src/interfaces/ISwapVenues.sol";
import {BoundedCall} from "../../src/libraries/BoundedCall.sol";
import {SafeToken} from "../../src/libraries/SafeToken.sol";

/// @title One liquidation with one sale, written out by hand for each way of funding: the measure for the executor's gas
/// @dev The same guards as the executor: roles, pause, lock, deadline, allow-lists, pools named by their registry,
/// callbacks from the expected caller with the expected data and once, exact allowances back to zero, least profit by
/// balance difference, no token below where it began, the gain to a fixed treasury, bounded calls. No plan: one job in
/// plain arguments, and nothing that the job does not need.
contract BareExecutor {
    using SafeToken for address;

    struct Job {
        address pool;
        address account;
        address collateral;
        address debt;
        address lender;
        address factory;
        uint24 fee;
        uint256 fundRaw;
        uint256 mostRaw;
        uint256 minProfitRaw;
        uint256 deadlineBlock;
    }

    event Liquidated(
        address indexed account, address indexed debt, address indexed collateral, uint256 repaidRaw, uint256 seizedRaw
    );
    event Settled(address indexed profitToken, uint256 profitRaw);

    error Refused(uint256 which);

    address public immutable TREASURY;
    address public owner;
    bool public paused;
    mapping(address account => bool) public isOperator;
    mapping(address pool => bool) public isLendingPool;
    mapping(uint8 kind => mapping(address factory => bool)) public isFactory;
    mapping(address lender => bool) public isFlashLender;

    bool private transient _entered;
    address private transient _awaited;
    bytes32 private transient _hash;
    address private transient _payToken;
    uint256 private transient _payRaw;
    uint256 private transient _repaidRaw;
    uint256 private transient _seizedRaw;
    uint256 private transient _premiumRaw;

    constructor(address treasury, address operator, address pool, address v2, address v3, address lender) {
        (TREASURY, owner) = (treasury, msg.sender);
        (isOperator[operator], isLendingPool[pool], isFlashLender[lender]) = (true, true, true);
        (isFactory[0][v2], isFactory[1][v3]) = (true, true);
    }

    modifier guarded(Job calldata job) {
        if (msg.sender != owner && !isOperator[msg.sender]) revert Refused(1);
        if (paused) revert Refused(2);
        if (_entered) revert Refused(3);
        _entered = true;
        if (block.number > job.deadlineBlock) revert Refused(4);
        _;
        _entered = false;
    }

    // ------------------------------------------------------------------ one entry for each way of funding

    function runOwn(Job calldata job)
        external
        guarded(job)
        returns (uint256 repaidRaw, uint256 seizedRaw, uint256 proceedsRaw, uint256 profitRaw)
    {
        (uint256 debtRaw, uint256 collateralRaw) = (job.debt.held(), job.collateral.held());
        _liquidate(job);
        _sellV2(job, job.collateral.held() - collateralRaw);
        return _settle(job, debtRaw, collateralRaw);
    }

    function runAave(Job calldata job)
        external
        guarded(job)
        returns (uint256 repaidRaw, uint256 seizedRaw, uint256 proceedsRaw, uint256 profitRaw)
    {
        (uint256 debtRaw, uint256 collateralRaw) = (job.debt.held(), job.collateral.held());
        if (!isLendingPool[job.lender]) revert Refused(5);
        bytes memory data = abi.encode(job, collateralRaw);
        (_awaited, _hash) = (job.lender, keccak256(data));
        BoundedCall.callOrBubble(
            job.lender,
            abi.encodeCall(ILiquidationPool.flashLoanSimple, (address(this), job.debt, job.fundRaw, data, 0))
        );
        if (_awaited != address(0)) revert Refused(6);
        job.debt.disallow(job.lender);
        return _settle(job, debtRaw, collateralRaw);
    }

    function runMorpho(Job calldata job)
        external
        guarded(job)
        returns (uint256 repaidRaw, uint256 seizedRaw, uint256 proceedsRaw, uint256 profitRaw)
    {
        (uint256 debtRaw, uint256 collateralRaw) = (job.debt.held(), job.collateral.held());
        if (!isFlashLender[job.lender]) revert Refused(5);
        bytes memory data = abi.encode(job, collateralRaw);
        (_awaited, _hash) = (job.lender, keccak256(data));
        BoundedCall.callOrBubble(
            job.lender, abi.encodeCall(IMorphoFlashLender.flashLoan, (job.debt, job.fundRaw, data))
        );
        if (_awaited != address(0)) revert Refused(6);
        job.debt.disallow(job.lender);
        return _settle(job, debtRaw, collateralRaw);
    }

    /// @dev The pool that buys the collateral pays first; `fundRaw` is what it is owed, in collateral.
    function runFlashSwap(Job calldata job)
        external
        guarded(job)
        returns (uint256 repaidRaw, uint256 seizedRaw, uint256 proceedsRaw, uint256 profitRaw)
    {
        (uint256 debtRaw, uint256 collateralRaw) = (job.debt.held(), job.collateral.held());
        if (!isFactory[1][job.lender]) revert Refused(5);
        address pool = IConcentratedFactory(job.lender).getPool(job.collateral, job.debt, job.fee);
        if (pool == address(0)) revert Refused(7);
        bytes memory data = abi.encode(job, collateralRaw);
        (_awaited, _hash) = (pool, keccak256(data));
        bool zeroForOne = job.collateral < job.debt;
        BoundedCall.callOrBubble(
            pool,
            abi.encodeCall(
                IConcentratedPool.swap,
                (
                    address(this),
                    zeroForOne,
                    int256(job.fundRaw),
                    zeroForOne ? 4295128740 : 1461446703485210103287273052203988822378723970341,
                    data
                )
            )
        );
        if (_awaited != address(0)) revert Refused(6);
        return _settle(job, debtRaw, collateralRaw);
    }

    // ------------------------------------------------------------------ callbacks

    function executeOperation(address asset, uint256 amount, uint256 premium, address initiator, bytes calldata data)
        external
        returns (bool)
    {
        Job calldata job = _accept(data);
        if (initiator != address(this) || asset != job.debt || amount != job.fundRaw) revert Refused(8);
        if (premium > job.mostRaw) revert Refused(9);
        _premiumRaw = premium;
        _liquidateAndSell(job, data);
        asset.allow(msg.sender, amount + premium);
        return true;
    }

    function onMorphoFlashLoan(uint256 assets, bytes calldata data) external {
        Job calldata job = _accept(data);
        if (assets != job.fundRaw) revert Refused(8);
        _liquidateAndSell(job, data);
        job.debt.allow(msg.sender, assets);
    }

    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data) external {
        Job calldata job = _accept(data);
        uint256 owedRaw = uint256(amount0Delta > 0 ? amount0Delta : amount1Delta);
        if (owedRaw != job.fundRaw) revert Refused(8);
        _liquidate(job);
        uint256 restRaw = job.collateral.held() - _collateralRaw(data) - owedRaw;
        _sellV2(job, restRaw);
        job.collateral.send(msg.sender, owedRaw);
    }

    function _accept(bytes calldata data) private returns (Job calldata job) {
        if (msg.sender != _awaited || keccak256(data) != _hash) revert Refused(10);
        _awaited = address(0);
        assembly {
            job := data.offset
        }
    }

    function _collateralRaw(bytes calldata data) private pure returns (uint256) {
        return uint256(bytes32(data[data.length - 32:]));
    }

    // ------------------------------------------------------------------ the steps

    function _liquidateAndSell(Job calldata job, bytes calldata data) private {
        _liquidate(job);
        _sellV2(job, job.collateral.held() - _collateralRaw(data));
    }

    function _liquidate(Job calldata job) private {
        if (!isLendingPool[job.pool]) revert Refused(11);
        uint256 beforeRaw = job.collateral.held();
        // A flash swap's payment is what the pool brought; any other fund is named.
        uint256 mostRaw = job.mostRaw > job.fundRaw ? job.mostRaw : job.fundRaw;
        job.debt.allow(job.pool, mostRaw);
        BoundedCall.callOrBubble(
            job.pool,
            abi.encodeCall(
                ILiquidationPool.liquidationCall, (job.collateral, job.debt, job.account, type(uint256).max, false)
            )
        );
        _repaidRaw = mostRaw - job.debt.disallow(job.pool);
        _seizedRaw = job.collateral.held() - beforeRaw;
        emit Liquidated(job.account, job.debt, job.collateral, _repaidRaw, _seizedRaw);
    }

    function _sellV2(Job calldata job, uint256 inRaw) private {
        if (!isFactory[0][job.factory]) revert Refused(12);
        address pair = IPairFactory(job.factory).getPair(job.collateral, job.debt);
        if (pair == address(0)) revert Refused(7);
        job.collateral.send(pair, inRaw);
        (uint256 reserveInRaw, uint256 reserveOutRaw,) = IPair(pair).getReserves();
        bool zeroForOne = job.collateral < job.debt;
        if (!zeroForOne) (reserveInRaw, reserveOutRaw) = (reserveOutRaw, reserveInRaw);
        uint256 afterFee = (job.collateral.heldBy(pair) - reserveInRaw) * 997_000;
        uint256 outRaw = afterFee * reserveOutRaw / (reserveInRaw * 1e6 + afterFee);
        (uint256 out0Raw, uint256 out1Raw) = zeroForOne ? (uint256(0), outRaw) : (outRaw, uint256(0));
        BoundedCall.callOrBubble(pair, abi.encodeCall(IPair.swap, (out0Raw, out1Raw, address(this), "")));
    }

    function _settle(Job calldata job, uint256 debtRaw, uint256 collateralRaw)
        private
        returns (uint256 repaidRaw, uint256 seizedRaw, uint256 proceedsRaw, uint256 profitRaw)
    {
        profitRaw = _payOut(job.debt, debtRaw);
        if (profitRaw < job.minProfitRaw) revert Refused(13);
        _payOut(job.collateral, collateralRaw);
        emit Settled(job.debt, profitRaw);
        return (_repaidRaw, _seizedRaw, profitRaw + _repaidRaw + _premiumRaw, profitRaw);
    }

    function _payOut(address token, uint256 beforeRaw) private returns (uint256 gainedRaw) {
        uint256 afterRaw = token.held();
        if (afterRaw < beforeRaw) revert Refused(14);
        gainedRaw = afterRaw - beforeRaw;
        if (gainedRaw == 0) return 0;
        token.send(TREASURY, gainedRaw);
        if (token.held() < beforeRaw) revert Refused(15);
    }
}
