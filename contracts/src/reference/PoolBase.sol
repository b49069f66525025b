// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {AddressesProvider} from "./AddressesProvider.sol";
import {PriceOracle} from "./PriceOracle.sol";
import {ScaledToken} from "./ScaledToken.sol";
import {IERC20Metadata} from "../interfaces/IERC20.sol";
import {Accounts} from "./libraries/Accounts.sol";
import {CloseFactor} from "./libraries/CloseFactor.sol";
import {Errors} from "./libraries/Errors.sol";
import {ReserveConfig} from "./libraries/ReserveConfig.sol";
import {Reserves} from "./libraries/Reserves.sol";
import {Rounding} from "./libraries/Rounding.sol";

/// @title Books, administration and views of the bundled lending pool
/// @dev The views have the signatures and layouts of Aave V3's pool, so a reader of that protocol reads this one.
abstract contract PoolBase {
    using Rounding for uint256;
    using ReserveConfig for uint256;
    using Reserves for Reserves.Reserve;
    using Accounts for Accounts.State;
    using Accounts for Accounts.Totals;

    /// @dev The fifteen words that `getReserveData` answers with; what this market lacks is zero.
    struct ReserveData {
        uint256 configuration;
        uint128 liquidityIndex;
        uint128 currentLiquidityRate;
        uint128 variableBorrowIndex;
        uint128 currentVariableBorrowRate;
        uint128 currentStableBorrowRate;
        uint40 lastUpdateTimestamp;
        uint16 id;
        address aTokenAddress;
        address stableDebtTokenAddress;
        address variableDebtTokenAddress;
        address interestRateStrategyAddress;
        uint128 accruedToTreasury;
        uint128 unbacked;
        uint128 isolationModeTotalDebt;
    }

    /// @notice Revision of the close-factor policy with number zero.
    uint256 public constant FIRST_REVISION = 1000;
    uint256 internal constant MAX_RESERVES = 128;

    AddressesProvider public immutable ADDRESSES_PROVIDER;
    /// @notice Sets up reserves and switches policies.
    address public immutable ADMIN;
    /// @notice Premium of a flash loan, in bps; all of it goes to the protocol.
    // forge-lint: disable-next-line(mixed-case-variable)
    uint128 public FLASHLOAN_PREMIUM_TOTAL = 5;
    CloseFactor.Policy public closeFactorPolicy;
    Accounts.State internal _state;

    event ReserveInitialized(address indexed asset, address indexed aToken, address indexed variableDebtToken);
    event CollateralConfigurationChanged(
        address indexed asset, uint256 ltv, uint256 liquidationThreshold, uint256 liquidationBonus
    );
    event ReserveActive(address indexed asset, bool active);
    event ReserveFrozen(address indexed asset, bool frozen);
    event ReservePaused(address indexed asset, bool paused);
    event FlashloanPremiumTotalUpdated(uint128 oldPremiumBps, uint128 newPremiumBps);
    event CloseFactorPolicyChanged(CloseFactor.Policy previous, CloseFactor.Policy current);

    modifier onlyAdmin() {
        if (msg.sender != ADMIN) revert Errors.CallerNotPoolAdmin();
        _;
    }

    constructor(AddressesProvider provider, address admin) {
        ADDRESSES_PROVIDER = provider;
        ADMIN = admin;
    }

    // ------------------------------------------------------------------ administration

    /// @notice Opens a reserve with tokens that were deployed for this pool.
    function initReserve(address asset, address aToken, address debtToken, ReserveConfig.Settings calldata settings)
        external
        onlyAdmin
    {
        Reserves.Reserve storage r = _state.reserves[asset];
        if (r.aToken != address(0)) revert Errors.ReserveAlreadyInitialized();
        if (_state.count == MAX_RESERVES) revert Errors.NoMoreReservesAllowed();
        _requireOurs(aToken, asset);
        _requireOurs(debtToken, asset);
        (r.aToken, r.debtToken, r.id) = (aToken, debtToken, _state.count);
        (r.liquidityIndex, r.borrowIndex) = (Rounding.RAY.toUint128(), Rounding.RAY.toUint128());
        r.updatedAt = uint40(block.timestamp);
        _state.assets[_state.count++] = asset;
        emit ReserveInitialized(asset, aToken, debtToken);
        _configure(asset, settings);
    }

    /// @notice Changes a reserve's parameters; interest up to now is kept at the old rate.
    function configureReserve(address asset, ReserveConfig.Settings calldata settings) external onlyAdmin {
        _reserve(asset).accrue();
        _configure(asset, settings);
    }

    /// @notice Switches the reserve's active, frozen and paused bits.
    function setReserveStatus(address asset, bool active, bool frozen, bool paused) external onlyAdmin {
        Reserves.Reserve storage r = _reserve(asset);
        uint256 mask = ReserveConfig.ACTIVE | ReserveConfig.FROZEN | ReserveConfig.PAUSED;
        uint256 bits = (active ? ReserveConfig.ACTIVE : 0) | (frozen ? ReserveConfig.FROZEN : 0)
            | (paused ? ReserveConfig.PAUSED : 0);
        r.configuration = r.configuration & ~mask | bits;
        emit ReserveActive(asset, active);
        emit ReserveFrozen(asset, frozen);
        emit ReservePaused(asset, paused);
    }

    /// @notice Chooses how much one liquidation may repay; `POOL_REVISION` follows.
    function setCloseFactorPolicy(CloseFactor.Policy policy) external onlyAdmin {
        emit CloseFactorPolicyChanged(closeFactorPolicy, policy);
        closeFactorPolicy = policy;
    }

    /// @notice Sets the flash loan's premium, in bps.
    function setFlashLoanPremium(uint128 premiumBps) external onlyAdmin {
        if (premiumBps > Rounding.BPS) revert Errors.InvalidReserveParams();
        emit FlashloanPremiumTotalUpdated(FLASHLOAN_PREMIUM_TOTAL, premiumBps);
        FLASHLOAN_PREMIUM_TOTAL = premiumBps;
    }

    // ------------------------------------------------------------------ views

    /// @notice 1000 plus the number of the close-factor policy in force.
    // forge-lint: disable-next-line(mixed-case-function)
    function POOL_REVISION() external view returns (uint256) {
        return FIRST_REVISION + uint256(closeFactorPolicy);
    }

    function getReservesList() external view returns (address[] memory assets) {
        assets = new address[](_state.count);
        for (uint256 i = 0; i < assets.length; ++i) {
            assets[i] = _state.assets[i];
        }
    }

    function getReserveAddressById(uint16 id) external view returns (address) {
        return _state.assets[id];
    }

    function getReserveData(address asset) external view returns (ReserveData memory d) {
        Reserves.Reserve storage r = _state.reserves[asset];
        d.configuration = r.configuration;
        d.liquidityIndex = r.liquidityIndex;
        d.currentLiquidityRate = r.liquidityRate;
        d.variableBorrowIndex = r.borrowIndex;
        d.currentVariableBorrowRate = r.borrowRate;
        d.lastUpdateTimestamp = r.updatedAt;
        d.id = r.id;
        d.aTokenAddress = r.aToken;
        d.variableDebtTokenAddress = r.debtToken;
        d.accruedToTreasury = r.accruedToTreasury;
    }

    function getConfiguration(address asset) external view returns (uint256) {
        return _state.reserves[asset].configuration;
    }

    function getUserConfiguration(address user) external view returns (uint256) {
        return _state.flags[user];
    }

    /// @notice There are no efficiency modes.
    function getUserEMode(address) external pure returns (uint256) {
        return 0;
    }

    /// @notice There is no grace period after a pause.
    function getLiquidationGracePeriod(address) external pure returns (uint40) {
        return 0;
    }

    /// @notice Supply index at the block's time, in ray.
    function getReserveNormalizedIncome(address asset) external view returns (uint256) {
        return _reserve(asset).liquidityIndexNow();
    }

    /// @notice Debt index at the block's time, in ray.
    function getReserveNormalizedVariableDebt(address asset) external view returns (uint256) {
        return _reserve(asset).borrowIndexNow();
    }

    /// @notice Underlying tokens the pool holds and can pay out.
    function getVirtualUnderlyingBalance(address asset) external view returns (uint128) {
        return _reserve(asset).available;
    }

    /// @notice Debt that was written off and is owed to depositors.
    function getReserveDeficit(address asset) external view returns (uint256) {
        return _reserve(asset).deficit;
    }

    /// @notice The account in base units, its average threshold and LTV in bps, its health factor in wad.
    function getUserAccountData(address user)
        external
        view
        returns (
            uint256 totalCollateralBase,
            uint256 totalDebtBase,
            uint256 availableBorrowsBase,
            uint256 currentLiquidationThreshold,
            uint256 ltv,
            uint256 healthFactor
        )
    {
        Accounts.Totals memory t = _totals(user);
        if (t.collateralBase != 0) {
            currentLiquidationThreshold = t.thresholdWeighted / t.collateralBase;
            ltv = t.ltvWeighted / t.collateralBase;
        }
        return (t.collateralBase, t.debtBase, t.availableBorrowsBase(), currentLiquidationThreshold, ltv, t.healthWad);
    }

    // ------------------------------------------------------------------ shared by the actions

    function _reserve(address asset) internal view returns (Reserves.Reserve storage r) {
        r = _state.reserves[asset];
        if (r.aToken == address(0)) revert Errors.AssetNotListed();
    }

    function _oracle() internal view returns (PriceOracle) {
        return PriceOracle(ADDRESSES_PROVIDER.getPriceOracle());
    }

    function _totals(address user) internal view returns (Accounts.Totals memory) {
        return _state.totals(user, _oracle());
    }

    function _requireHealthy(address user) internal view {
        if (_totals(user).healthWad < Rounding.WAD) revert Errors.HealthFactorLowerThanLiquidationThreshold();
    }

    function _requireOpen(uint256 configuration) internal pure {
        if (configuration & ReserveConfig.ACTIVE == 0) revert Errors.ReserveInactive();
        if (configuration & ReserveConfig.PAUSED != 0) revert Errors.ReservePaused();
    }

    function _requireOurs(address token, address asset) private view {
        bool ours = ScaledToken(token).POOL() == address(this);
        if (!ours || ScaledToken(token).UNDERLYING_ASSET_ADDRESS() != asset) revert Errors.InvalidReserveParams();
    }

    /// @dev The bonus must leave something for the debt: threshold times bonus at most one, as the protocol asks.
    function _configure(address asset, ReserveConfig.Settings calldata s) private {
        Reserves.Reserve storage r = _state.reserves[asset];
        uint256 seizeBps = uint256(s.liquidationThreshold).bpsMulNearest(s.liquidationBonus);
        bool collateral = s.liquidationThreshold != 0;
        bool sound = s.ltv <= s.liquidationThreshold && s.reserveFactor <= Rounding.BPS
            && s.liquidationProtocolFee <= Rounding.BPS && seizeBps <= Rounding.BPS
            && (!collateral || s.liquidationBonus > Rounding.BPS);
        if (!sound) revert Errors.InvalidReserveParams();
        r.configuration = ReserveConfig.pack(s, IERC20Metadata(asset).decimals());
        r.borrowRate = s.borrowRateRay;
        emit CollateralConfigurationChanged(asset, s.ltv, s.liquidationThreshold, s.liquidationBonus);
        r.updateRates(asset);
    }
}
