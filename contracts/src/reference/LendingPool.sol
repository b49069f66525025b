// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AddressesProvider} from "./AddressesProvider.sol";
import {AToken} from "./AToken.sol";
import {DebtToken} from "./DebtToken.sol";
import {PoolBase} from "./PoolBase.sol";
import {PriceOracle} from "./PriceOracle.sol";
import {IFlashLoanSimpleReceiver} from "../interfaces/ILiquidationPool.sol";
import {SafeToken} from "../libraries/SafeToken.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {CloseFactor} from "./libraries/CloseFactor.sol";
import {Errors} from "./libraries/Errors.sol";
import {ReserveConfig} from "./libraries/ReserveConfig.sol";
import {Reserves} from "./libraries/Reserves.sol";
import {Rounding} from "./libraries/Rounding.sol";

/// @title The bundled lending pool
/// @notice A small lending protocol with the surface of Aave V3 that a liquidator uses: same function selectors, same
/// events, same layouts. Every rounding favours the pool. Its close-factor policy can be switched.
/// @dev For local chains. Rates are set by the admin and not by a curve; there are no caps, modes or delegation.
contract LendingPool is PoolBase {
    using Rounding for uint256;
    using ReserveConfig for uint256;
    using Reserves for Reserves.Reserve;
    using Accounts for Accounts.State;
    using Accounts for Accounts.Totals;
    using CloseFactor for CloseFactor.Pair;
    using CloseFactor for CloseFactor.Policy;
    using SafeToken for address;

    uint8 private constant VARIABLE_RATE = 2;

    event Supply(
        address indexed reserve, address user, address indexed onBehalfOf, uint256 amount, uint16 indexed referralCode
    );
    event Withdraw(address indexed reserve, address indexed user, address indexed to, uint256 amount);
    event Borrow(
        address indexed reserve,
        address user,
        address indexed onBehalfOf,
        uint256 amount,
        uint8 interestRateMode,
        uint256 borrowRate,
        uint16 indexed referralCode
    );
    event Repay(
        address indexed reserve, address indexed user, address indexed repayer, uint256 amount, bool useATokens
    );
    event ReserveUsedAsCollateralEnabled(address indexed reserve, address indexed user);
    event ReserveUsedAsCollateralDisabled(address indexed reserve, address indexed user);
    event FlashLoan(
        address indexed target,
        address initiator,
        address indexed asset,
        uint256 amount,
        uint8 interestRateMode,
        uint256 premium,
        uint16 indexed referralCode
    );
    event LiquidationCall(
        address indexed collateralAsset,
        address indexed debtAsset,
        address indexed user,
        uint256 debtToCover,
        uint256 liquidatedCollateralAmount,
        address liquidator,
        bool receiveAToken
    );
    event DeficitCreated(address indexed user, address indexed debtAsset, uint256 amountCreated);
    event MintedToTreasury(address indexed reserve, uint256 amountMinted);

    /// @dev One liquidation while it is being worked out.
    struct Liquidation {
        address collateralAsset;
        address debtAsset;
        address user;
        bool receiveAToken;
        bool deficit;
        CloseFactor.Pair pair;
        CloseFactor.Amounts amounts;
    }

    constructor(AddressesProvider provider, address admin) PoolBase(provider, admin) {}

    // ------------------------------------------------------------------ deposits and loans

    /// @notice Deposits; the first deposit of an asset that can be collateral becomes collateral.
    function supply(address asset, uint256 amount, address onBehalfOf, uint16 referralCode) external {
        Reserves.Reserve storage r = _reserve(asset);
        _requireOpen(r.configuration);
        if (r.configuration & ReserveConfig.FROZEN != 0) revert Errors.ReserveFrozen();
        if (amount == 0) revert Errors.InvalidAmount();
        r.accrue();
        r.addAvailable(amount);
        bool first = AToken(r.aToken).scaledBalanceOf(onBehalfOf) == 0;
        asset.pull(msg.sender, r.aToken, amount);
        uint256 index = r.liquidityIndex;
        AToken(r.aToken).mint(msg.sender, onBehalfOf, amount, amount.rayDivDown(index), index);
        if (first && r.configuration.liquidationThreshold() != 0) _setCollateral(asset, onBehalfOf, true);
        r.updateRates(asset);
        emit Supply(asset, msg.sender, onBehalfOf, amount, referralCode);
    }

    /// @notice Withdraws `amount`, or everything for 2^256-1, if the account stays healthy.
    /// @return The amount withdrawn, in the asset's smallest unit.
    function withdraw(address asset, uint256 amount, address to) external returns (uint256) {
        Reserves.Reserve storage r = _reserve(asset);
        _requireOpen(r.configuration);
        r.accrue();
        uint256 heldRaw = r.supplyOf(msg.sender);
        if (amount == type(uint256).max) amount = heldRaw;
        if (amount == 0) revert Errors.InvalidAmount();
        if (amount > heldRaw) revert Errors.NotEnoughAvailableUserBalance();
        r.takeAvailable(amount);
        uint256 index = r.liquidityIndex;
        AToken(r.aToken).burn(msg.sender, to, amount, amount.rayDivUp(index), index);
        r.updateRates(asset);
        _afterDepositShrank(asset, msg.sender);
        emit Withdraw(asset, msg.sender, to, amount);
        return amount;
    }

    /// @notice Borrows at the variable rate on the caller's own account.
    function borrow(address asset, uint256 amount, uint256 interestRateMode, uint16 referralCode, address onBehalfOf)
        external
    {
        Reserves.Reserve storage r = _reserve(asset);
        _requireOpen(r.configuration);
        if (r.configuration & ReserveConfig.FROZEN != 0) revert Errors.ReserveFrozen();
        if (r.configuration & ReserveConfig.BORROWING == 0) revert Errors.BorrowingNotEnabled();
        if (interestRateMode != VARIABLE_RATE) revert Errors.InvalidInterestRateModeSelected();
        if (onBehalfOf != msg.sender) revert Errors.BorrowingForOthersNotOffered();
        if (amount == 0) revert Errors.InvalidAmount();
        r.accrue();
        r.takeAvailable(amount);
        uint256 index = r.borrowIndex;
        DebtToken(r.debtToken).mint(msg.sender, msg.sender, amount, amount.rayDivUp(index), index);
        _state.setBorrowing(msg.sender, r.id, true);
        r.updateRates(asset);
        Accounts.Totals memory t = _totals(msg.sender);
        if (t.debtBase * Rounding.BPS > t.ltvWeighted) revert Errors.CollateralCannotCoverNewBorrow();
        AToken(r.aToken).transferUnderlyingTo(msg.sender, amount);
        emit Borrow(asset, msg.sender, msg.sender, amount, VARIABLE_RATE, r.borrowRate, referralCode);
    }

    /// @notice Repays `amount` of somebody's debt, or all of it for 2^256-1.
    /// @return The amount repaid, in the asset's smallest unit.
    function repay(address asset, uint256 amount, uint256 interestRateMode, address onBehalfOf)
        external
        returns (uint256)
    {
        Reserves.Reserve storage r = _reserve(asset);
        _requireOpen(r.configuration);
        if (interestRateMode != VARIABLE_RATE) revert Errors.InvalidInterestRateModeSelected();
        if (amount == 0) revert Errors.InvalidAmount();
        r.accrue();
        uint256 owedRaw = r.debtOf(onBehalfOf);
        if (owedRaw == 0) revert Errors.NoDebtOfSelectedType();
        if (amount > owedRaw) amount = owedRaw;
        r.addAvailable(amount);
        _burnDebt(r, onBehalfOf, amount);
        r.updateRates(asset);
        asset.pull(msg.sender, r.aToken, amount);
        emit Repay(asset, onBehalfOf, msg.sender, amount, false);
        return amount;
    }

    /// @notice Says whether the caller's deposit of `asset` counts as collateral.
    function setUserUseReserveAsCollateral(address asset, bool useAsCollateral) external {
        Reserves.Reserve storage r = _reserve(asset);
        _requireOpen(r.configuration);
        if (AToken(r.aToken).scaledBalanceOf(msg.sender) == 0) revert Errors.UnderlyingBalanceZero();
        if (useAsCollateral && r.configuration.liquidationThreshold() == 0) {
            revert Errors.UserInIsolationModeOrLtvZero();
        }
        _setCollateral(asset, msg.sender, useAsCollateral);
        if (!useAsCollateral) _requireHealthy(msg.sender);
    }

    /// @notice Called by a deposit token after a transfer, to check on the sender.
    function finalizeTransfer(address asset, address from) external {
        Reserves.Reserve storage r = _reserve(asset);
        if (msg.sender != r.aToken) revert Errors.CallerNotAToken();
        if (r.configuration & ReserveConfig.PAUSED != 0) revert Errors.ReservePaused();
        _afterDepositShrank(asset, from);
    }

    /// @notice Mints the deposit tokens that the treasury has earned.
    function mintToTreasury(address[] calldata assets) external {
        for (uint256 i = 0; i < assets.length; ++i) {
            Reserves.Reserve storage r = _reserve(assets[i]);
            uint256 scaled = r.accruedToTreasury;
            if (scaled == 0) continue;
            r.accruedToTreasury = 0;
            uint256 index = r.liquidityIndexNow();
            uint256 amountRaw = scaled.rayMulDown(index);
            AToken aToken = AToken(r.aToken);
            aToken.mint(address(this), aToken.RESERVE_TREASURY_ADDRESS(), amountRaw, scaled, index);
            emit MintedToTreasury(assets[i], amountRaw);
        }
    }

    // ------------------------------------------------------------------ flash loans

    /// @notice Lends `amount` for the length of the receiver's callback and pulls it back with the premium.
    function flashLoanSimple(
        address receiverAddress,
        address asset,
        uint256 amount,
        bytes calldata params,
        uint16 referralCode
    ) external {
        Reserves.Reserve storage r = _reserve(asset);
        _requireOpen(r.configuration);
        if (r.configuration & ReserveConfig.FLASH_LOANS == 0) revert Errors.FlashloanDisabled();
        if (amount == 0 || amount > r.available) revert Errors.InvalidAmount();
        uint256 premiumRaw = amount.bpsMulUp(FLASHLOAN_PREMIUM_TOTAL);
        AToken(r.aToken).transferUnderlyingTo(receiverAddress, amount);
        IFlashLoanSimpleReceiver receiver = IFlashLoanSimpleReceiver(receiverAddress);
        if (!receiver.executeOperation(asset, amount, premiumRaw, msg.sender, params)) {
            revert Errors.InvalidFlashloanExecutorReturn();
        }
        r.accrue();
        r.addAvailable(premiumRaw);
        r.bookToTreasury(premiumRaw, r.liquidityIndex);
        r.updateRates(asset);
        asset.pull(receiverAddress, r.aToken, amount + premiumRaw);
        emit FlashLoan(receiverAddress, msg.sender, asset, amount, 0, premiumRaw, referralCode);
    }

    // ------------------------------------------------------------------ liquidation

    /// @notice Repays an unhealthy account's debt and pays the caller in its collateral, bonus included.
    /// @param debtToCover The most to repay, in the debt asset's smallest unit; the policy and the collateral may cut it.
    /// @param receiveAToken True to be paid in deposit tokens, which also works when the reserve is lent out.
    function liquidationCall(
        address collateralAsset,
        address debtAsset,
        address user,
        uint256 debtToCover,
        bool receiveAToken
    ) external {
        Liquidation memory l;
        (l.collateralAsset, l.debtAsset, l.user, l.receiveAToken) = (collateralAsset, debtAsset, user, receiveAToken);
        Reserves.Reserve storage debt = _reserve(debtAsset);
        Reserves.Reserve storage collateral = _reserve(collateralAsset);
        debt.accrue();
        collateral.accrue();
        _work(l, debtToCover);
        _takeRepayment(l, debt);
        _giveCollateral(l, collateral);
        debtAsset.pull(msg.sender, debt.aToken, l.amounts.repaidRaw);
        emit LiquidationCall(
            collateralAsset, debtAsset, user, l.amounts.repaidRaw, l.amounts.seizedRaw, msg.sender, receiveAToken
        );
    }

    /// @dev Checks in the protocol's order, then works out the amounts; writes nothing.
    function _work(Liquidation memory l, uint256 debtToCover) private view {
        Reserves.Reserve storage debt = _state.reserves[l.debtAsset];
        Reserves.Reserve storage collateral = _state.reserves[l.collateralAsset];
        if (msg.sender == l.user) revert Errors.SelfLiquidation();
        uint256 both = debt.configuration & collateral.configuration;
        if (both & ReserveConfig.ACTIVE == 0) revert Errors.ReserveInactive();
        _requireOpen(debt.configuration);
        _requireOpen(collateral.configuration);
        Accounts.Totals memory t = _totals(l.user);
        if (t.healthWad >= Rounding.WAD) revert Errors.HealthFactorNotBelowThreshold();
        if (!_state.isCollateral(l.user, collateral.id)) revert Errors.CollateralCannotBeLiquidated();
        l.pair = _pair(l, debt, collateral);
        if (l.pair.debtRaw == 0) revert Errors.SpecifiedCurrencyNotBorrowedByUser();

        uint256 maxRaw = closeFactorPolicy.maxRepay(l.pair, t.debtBase, t.healthWad);
        l.amounts = l.pair.amounts(debtToCover < maxRaw ? debtToCover : maxRaw);
        if (closeFactorPolicy != CloseFactor.Policy.TIERED) return;
        if (l.pair.leavesDust(l.amounts)) revert Errors.MustNotLeaveDust();
        uint256 takenRaw = l.amounts.seizedRaw + l.amounts.feeRaw;
        l.deficit = t.collateralBase == takenRaw * l.pair.collateralPrice / l.pair.collateralUnit;
    }

    function _pair(Liquidation memory l, Reserves.Reserve storage debt, Reserves.Reserve storage collateral)
        private
        view
        returns (CloseFactor.Pair memory p)
    {
        PriceOracle oracle = _oracle();
        p.debtRaw = debt.debtOf(l.user);
        p.debtPrice = oracle.getAssetPrice(l.debtAsset);
        p.debtUnit = debt.configuration.unit();
        p.collateralRaw = collateral.supplyOf(l.user);
        p.collateralPrice = oracle.getAssetPrice(l.collateralAsset);
        p.collateralUnit = collateral.configuration.unit();
        p.bonusBps = collateral.configuration.liquidationBonus();
        p.thresholdBps = collateral.configuration.liquidationThreshold();
        p.feeBps = collateral.configuration.liquidationProtocolFee();
    }

    function _takeRepayment(Liquidation memory l, Reserves.Reserve storage debt) private {
        uint256 repaidRaw = l.amounts.repaidRaw;
        debt.addAvailable(repaidRaw);
        if (repaidRaw.rayDivDown(debt.borrowIndex) == 0) revert Errors.InvalidBurnAmount();
        _burnDebt(debt, l.user, repaidRaw);
        if (l.deficit) _writeOffDebts(l.user, l.debtAsset);
        debt.updateRates(l.debtAsset);
    }

    function _giveCollateral(Liquidation memory l, Reserves.Reserve storage collateral) private {
        AToken aToken = AToken(collateral.aToken);
        uint256 index = collateral.liquidityIndex;
        uint256 seizedRaw = l.amounts.seizedRaw;
        if (seizedRaw + l.amounts.feeRaw == l.pair.collateralRaw) _setCollateral(l.collateralAsset, l.user, false);
        if (l.receiveAToken) {
            aToken.transferOnLiquidation(l.user, msg.sender, seizedRaw, seizedRaw.rayDivUp(index), index);
        } else {
            collateral.takeAvailable(seizedRaw);
            collateral.updateRates(l.collateralAsset);
            aToken.burn(l.user, msg.sender, seizedRaw, seizedRaw.rayDivUp(index), index);
        }
        if (l.amounts.feeRaw == 0) return;
        uint256 feeScaled = l.amounts.feeRaw.rayDivUp(index);
        uint256 leftScaled = aToken.scaledBalanceOf(l.user);
        if (feeScaled > leftScaled) feeScaled = leftScaled;
        address treasury = aToken.RESERVE_TREASURY_ADDRESS();
        aToken.transferOnLiquidation(l.user, treasury, feeScaled.rayMulDown(index), feeScaled, index);
    }

    /// @dev The account has no collateral left: what it still owes anywhere will never be repaid.
    function _writeOffDebts(address user, address accruedAsset) private {
        for (uint256 id = 0; id < _state.count; ++id) {
            if (!_state.isBorrowing(user, id)) continue;
            address asset = _state.assets[id];
            Reserves.Reserve storage r = _state.reserves[asset];
            if (r.configuration & ReserveConfig.ACTIVE == 0) continue;
            r.accrue();
            uint256 owedRaw = r.debtOf(user);
            r.deficit += owedRaw.toUint128();
            _burnDebt(r, user, owedRaw);
            if (asset != accruedAsset) r.updateRates(asset);
            emit DeficitCreated(user, asset, owedRaw);
        }
    }

    // ------------------------------------------------------------------ shared

    /// @dev Burns all of the debt when `amountRaw` is all of it, else what the amount is worth, rounded down.
    function _burnDebt(Reserves.Reserve storage r, address user, uint256 amountRaw) private {
        DebtToken token = DebtToken(r.debtToken);
        uint256 heldScaled = token.scaledBalanceOf(user);
        uint256 index = r.borrowIndex;
        uint256 scaled = amountRaw.rayDivDown(index);
        if (scaled > heldScaled) scaled = heldScaled;
        token.burn(user, amountRaw, scaled, index);
        if (scaled == heldScaled) _state.setBorrowing(user, r.id, false);
    }

    function _afterDepositShrank(address asset, address user) private {
        Reserves.Reserve storage r = _state.reserves[asset];
        if (!_state.isCollateral(user, r.id)) return;
        _requireHealthy(user);
        if (AToken(r.aToken).scaledBalanceOf(user) == 0) _setCollateral(asset, user, false);
    }

    function _setCollateral(address asset, address user, bool on) private {
        uint256 id = _state.reserves[asset].id;
        if (_state.isCollateral(user, id) == on) return;
        _state.setCollateral(user, id, on);
        if (on) emit ReserveUsedAsCollateralEnabled(asset, user);
        else emit ReserveUsedAsCollateralDisabled(asset, user);
    }
}
