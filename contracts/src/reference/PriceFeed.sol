// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title A price aggregator with the surface of Chainlink's
/// @notice Its owner reports each round; nothing checks the answer, so that bad ones can be tried.
contract PriceFeed {
    struct Round {
        int256 answer;
        uint256 startedAt;
        uint256 updatedAt;
    }

    uint256 public constant version = 4;
    address public immutable owner;
    uint8 public immutable decimals;
    string public description;
    uint80 private _latestId;
    mapping(uint256 roundId => Round) private _rounds;

    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);
    event NewRound(uint256 indexed roundId, address indexed startedBy, uint256 startedAt);

    /// @notice Only the owner reports prices.
    error NotOwner();
    /// @notice There is no such round.
    error NoDataPresent();

    constructor(uint8 decimals_, string memory description_, address owner_) {
        decimals = decimals_;
        description = description_;
        owner = owner_;
    }

    /// @notice Reports `answer` now.
    function transmit(int256 answer) external {
        _transmit(answer, block.timestamp);
    }

    /// @notice Reports `answer` as if at `updatedAt`: an old time makes the feed stale, zero leaves the round open.
    function transmitAt(int256 answer, uint256 updatedAt) external {
        _transmit(answer, updatedAt);
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(_latestId);
    }

    function latestAnswer() external view returns (int256) {
        return _rounds[_latestId].answer;
    }

    function latestRound() external view returns (uint256) {
        return _latestId;
    }

    function latestTimestamp() external view returns (uint256) {
        return _rounds[_latestId].updatedAt;
    }

    function getAnswer(uint256 roundId) external view returns (int256) {
        return _rounds[roundId].answer;
    }

    function getTimestamp(uint256 roundId) external view returns (uint256) {
        return _rounds[roundId].updatedAt;
    }

    function getRoundData(uint80 roundId)
        public
        view
        returns (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        if (roundId == 0 || roundId > _latestId) revert NoDataPresent();
        Round memory round = _rounds[roundId];
        return (roundId, round.answer, round.startedAt, round.updatedAt, roundId);
    }

    function _transmit(int256 answer, uint256 updatedAt) private {
        if (msg.sender != owner) revert NotOwner();
        uint256 roundId = ++_latestId;
        _rounds[roundId] = Round({answer: answer, startedAt: updatedAt, updatedAt: updatedAt});
        emit NewRound(roundId, msg.sender, updatedAt);
        emit AnswerUpdated(answer, roundId, updatedAt);
    }
}
