// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Errors} from "./libraries/Errors.sol";

/// @title The one view of a feed that the oracle needs
interface IAnswer {
    function latestAnswer() external view returns (int256);
}

/// @title Prices of the bundled market, in base units of 8 decimals
/// @dev Trusts each source's latest answer, however old: judging staleness is the reader's affair.
contract PriceOracle {
    address public constant BASE_CURRENCY = address(0);
    uint256 public constant BASE_CURRENCY_UNIT = 1e8;

    address public immutable OWNER;
    mapping(address asset => address source) public getSourceOfAsset;

    event AssetSourceUpdated(address indexed asset, address indexed source);
    event BaseCurrencySet(address indexed baseCurrency, uint256 baseCurrencyUnit);

    constructor(address owner) {
        OWNER = owner;
        emit BaseCurrencySet(BASE_CURRENCY, BASE_CURRENCY_UNIT);
    }

    /// @notice Names the feed of each asset; sources must answer with 8 decimals.
    function setAssetSources(address[] calldata assets, address[] calldata sources) external {
        if (msg.sender != OWNER) revert Errors.CallerNotPoolAdmin();
        if (assets.length != sources.length) revert Errors.InvalidReserveParams();
        for (uint256 i = 0; i < assets.length; ++i) {
            getSourceOfAsset[assets[i]] = sources[i];
            emit AssetSourceUpdated(assets[i], sources[i]);
        }
    }

    /// @notice The asset's price in base units; reverts when there is none.
    function getAssetPrice(address asset) public view returns (uint256) {
        address source = getSourceOfAsset[asset];
        if (source == address(0)) revert Errors.NoPrice(asset);
        int256 answer = IAnswer(source).latestAnswer();
        if (answer <= 0) revert Errors.NoPrice(asset);
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint256(answer);
    }

    function getAssetsPrices(address[] calldata assets) external view returns (uint256[] memory prices) {
        prices = new uint256[](assets.length);
        for (uint256 i = 0; i < assets.length; ++i) {
            prices[i] = getAssetPrice(assets[i]);
        }
    }

    /// @notice There is no second source.
    function getFallbackOracle() external pure returns (address) {
        return address(0);
    }
}
