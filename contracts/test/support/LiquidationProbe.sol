// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

interface IProbedToken {
    function balanceOf(address account) external view returns (uint256);
    function scaledBalanceOf(address account) external view returns (uint256);
    function approve(address spender, uint256 amount) external returns (bool);
}

interface IProbedPool {
    function getReservesList() external view returns (address[] memory);
    function getReserveData(address asset) external view returns (uint256[15] memory);
    function getUserConfiguration(address account) external view returns (uint256);
    function getUserAccountData(address account)
        external
        view
        returns (uint256 collateral, uint256 debt, uint256 available, uint256 threshold, uint256 ltv, uint256 health);
    function getReserveDeficit(address asset) external view returns (uint256);
    function liquidationCall(address collateral, address debt, address account, uint256 cover, bool receiveAToken)
        external;
}

/// @title Tries liquidations and takes them back
/// @notice Holds tokens of every reserve, liquidates, reads what that did, and reverts: any number of calls can be
/// tried in one transaction, each from the same state.
contract LiquidationProbe {
    struct Attempt {
        address collateral;
        address debt;
        address account;
        uint256 cover;
        bool receiveAToken;
    }

    struct Reserve {
        address token;
        address aToken;
        address debtToken;
    }

    IProbedPool public immutable POOL;
    address public immutable TREASURY;
    bool public immutable KEEPS_DEFICITS;
    Reserve[] private _reserves;
    mapping(address token => address) private _aTokens;

    /// @notice The liquidation went through; this is the state before and after it, as `state` tells it.
    error Measured(uint256[] before_, uint256[] after_);

    constructor(address pool, address treasury, bool keepsDeficits) {
        POOL = IProbedPool(pool);
        TREASURY = treasury;
        KEEPS_DEFICITS = keepsDeficits;
        address[] memory tokens = POOL.getReservesList();
        for (uint256 i = 0; i < tokens.length; ++i) {
            uint256[15] memory data = POOL.getReserveData(tokens[i]);
            address aToken = address(uint160(data[8]));
            _reserves.push(Reserve(tokens[i], aToken, address(uint160(data[10]))));
            _aTokens[tokens[i]] = aToken;
            IProbedToken(tokens[i]).approve(pool, type(uint256).max);
        }
    }

    /// @notice Makes each attempt; none leaves a trace.
    /// @return outcomes What each reverted with: `Measured`, or the pool's refusal.
    function run(Attempt[] calldata attempts) external returns (bytes[] memory outcomes) {
        outcomes = new bytes[](attempts.length);
        for (uint256 i = 0; i < attempts.length; ++i) {
            try this.attempt(attempts[i]) {}
            catch (bytes memory reason) {
                outcomes[i] = reason;
            }
        }
    }

    /// @notice Liquidates, measures and reverts.
    function attempt(Attempt calldata one) external {
        uint256[] memory before_ = state(address(this), one.account, one.collateral, one.debt);
        POOL.liquidationCall(one.collateral, one.debt, one.account, one.cover, one.receiveAToken);
        revert Measured(before_, state(address(this), one.account, one.collateral, one.debt));
    }

    /// @notice Reads what a liquidation of `account` by `caller` can change.
    /// @return words Caller's balance of the debt token, of the collateral, of its aToken, the same scaled, the
    /// treasury's scaled aTokens, the account's collateral and debt in base units, health and flags; then for each
    /// reserve the account's scaled aTokens, its scaled debt and the reserve's deficit.
    function state(address caller, address account, address collateral, address debt)
        public
        view
        returns (uint256[] memory words)
    {
        words = new uint256[](9 + 3 * _reserves.length);
        IProbedToken aToken = IProbedToken(_aTokens[collateral]);
        words[0] = IProbedToken(debt).balanceOf(caller);
        words[1] = IProbedToken(collateral).balanceOf(caller);
        words[2] = aToken.balanceOf(caller);
        words[3] = aToken.scaledBalanceOf(caller);
        words[4] = aToken.scaledBalanceOf(TREASURY);
        (words[5], words[6],,,, words[7]) = POOL.getUserAccountData(account);
        words[8] = POOL.getUserConfiguration(account);
        for (uint256 i = 0; i < _reserves.length; ++i) {
            Reserve memory reserve = _reserves[i];
            words[9 + 3 * i] = IProbedToken(reserve.aToken).scaledBalanceOf(account);
            words[10 + 3 * i] = IProbedToken(reserve.debtToken).scaledBalanceOf(account);
            if (KEEPS_DEFICITS) words[11 + 3 * i] = POOL.getReserveDeficit(reserve.token);
        }
    }

    /// @notice Reads the standing of many accounts at this block's time.
    /// @return words Three for each: collateral and debt in base units, and health.
    function health(address[] calldata accounts) external view returns (uint256[] memory words) {
        words = new uint256[](3 * accounts.length);
        for (uint256 i = 0; i < accounts.length; ++i) {
            (words[3 * i], words[3 * i + 1],,,, words[3 * i + 2]) = POOL.getUserAccountData(accounts[i]);
        }
    }
}
