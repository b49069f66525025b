// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Errors} from "./libraries/Errors.sol";

/// @title Where the parts of one market are found
contract AddressesProvider {
    address public immutable owner;
    string private _marketId;
    address public getPool;
    address public getPriceOracle;
    address public getPoolDataProvider;

    event PoolUpdated(address indexed oldAddress, address indexed newAddress);
    event PriceOracleUpdated(address indexed oldAddress, address indexed newAddress);
    event PoolDataProviderUpdated(address indexed oldAddress, address indexed newAddress);

    modifier onlyOwner() {
        if (msg.sender != owner) revert Errors.CallerNotPoolAdmin();
        _;
    }

    constructor(string memory marketId, address owner_) {
        _marketId = marketId;
        owner = owner_;
    }

    function setPool(address pool) external onlyOwner {
        emit PoolUpdated(getPool, pool);
        getPool = pool;
    }

    function setPriceOracle(address oracle) external onlyOwner {
        emit PriceOracleUpdated(getPriceOracle, oracle);
        getPriceOracle = oracle;
    }

    function setPoolDataProvider(address provider) external onlyOwner {
        emit PoolDataProviderUpdated(getPoolDataProvider, provider);
        getPoolDataProvider = provider;
    }

    function getMarketId() external view returns (string memory) {
        return _marketId;
    }

    /// @notice No sentinel guards this market.
    function getPriceOracleSentinel() external pure returns (address) {
        return address(0);
    }
}
