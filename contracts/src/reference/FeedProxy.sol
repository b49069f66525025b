// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PriceFeed} from "./PriceFeed.sol";

/// @title The lasting address of a feed whose aggregator may be replaced
/// @notice Every replacement starts a phase; a round's public id is the phase in the bits above 64 and the
/// aggregator's own round id below.
contract FeedProxy {
    address public immutable owner;
    uint16 public phaseId;
    PriceFeed public proposedAggregator;
    mapping(uint16 phase => PriceFeed) public phaseAggregators;

    event AggregatorProposed(address indexed current, address indexed proposed);
    event AggregatorConfirmed(address indexed previous, address indexed latest);

    /// @notice Only the owner may replace the aggregator.
    error NotOwner();
    /// @notice That aggregator was not proposed.
    error NotProposed();
    /// @notice There is no such round.
    error NoDataPresent();

    constructor(PriceFeed aggregator_, address owner_) {
        owner = owner_;
        _startPhase(aggregator_);
    }

    function proposeAggregator(PriceFeed candidate) external {
        if (msg.sender != owner) revert NotOwner();
        proposedAggregator = candidate;
        emit AggregatorProposed(address(aggregator()), address(candidate));
    }

    /// @notice Puts the proposed aggregator in place and starts a phase.
    function confirmAggregator(PriceFeed candidate) external {
        if (msg.sender != owner) revert NotOwner();
        if (address(candidate) != address(proposedAggregator)) revert NotProposed();
        emit AggregatorConfirmed(address(aggregator()), address(candidate));
        delete proposedAggregator;
        _startPhase(candidate);
    }

    function aggregator() public view returns (PriceFeed) {
        return phaseAggregators[phaseId];
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredIn) =
            aggregator().latestRoundData();
        return (_publicId(phaseId, id), answer, startedAt, updatedAt, _publicId(phaseId, answeredIn));
    }

    function getRoundData(uint80 roundId) external view returns (uint80, int256, uint256, uint256, uint80) {
        // Sixteen bits are left above the low 64, so the cast loses nothing.
        // forge-lint: disable-next-line(unsafe-typecast)
        uint16 phase = uint16(roundId >> 64);
        PriceFeed feed = phaseAggregators[phase];
        if (address(feed) == address(0)) revert NoDataPresent();
        // The aggregator's own id is the low 64 bits: cutting off the phase is the point.
        // forge-lint: disable-next-line(unsafe-typecast)
        uint64 innerId = uint64(roundId);
        (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredIn) = feed.getRoundData(innerId);
        return (_publicId(phase, id), answer, startedAt, updatedAt, _publicId(phase, answeredIn));
    }

    function latestRound() external view returns (uint256) {
        // forge-lint: disable-next-line(unsafe-typecast)
        return _publicId(phaseId, uint80(aggregator().latestRound()));
    }

    function latestAnswer() external view returns (int256) {
        return aggregator().latestAnswer();
    }

    function latestTimestamp() external view returns (uint256) {
        return aggregator().latestTimestamp();
    }

    function decimals() external view returns (uint8) {
        return aggregator().decimals();
    }

    function description() external view returns (string memory) {
        return aggregator().description();
    }

    function version() external view returns (uint256) {
        return aggregator().version();
    }

    function _startPhase(PriceFeed feed) private {
        phaseId += 1;
        phaseAggregators[phaseId] = feed;
    }

    function _publicId(uint16 phase, uint80 id) private pure returns (uint80) {
        return uint80(phase) << 64 | id;
    }
}
