// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title A feed that says one thing
/// @notice For rehearsals on a forked chain: its runtime code is put in the place of a real price source, and the
/// answer is written into its storage from outside. Nobody deploys it and nothing can change it.
/// @dev The slots are part of the interface: 0 answer, 1 time of the answer, 2 decimals.
contract FixedFeed {
    int256 public latestAnswer;
    uint256 public latestTimestamp;
    uint8 public decimals;

    string public constant description = "fixed answer";
    uint256 public constant version = 1;
    uint256 public constant latestRound = 1;

    /// @notice There is one round only.
    error NoDataPresent();

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(1);
    }

    function getAnswer(uint256 roundId) external view returns (int256) {
        return roundId == latestRound ? latestAnswer : int256(0);
    }

    function getTimestamp(uint256 roundId) external view returns (uint256) {
        return roundId == latestRound ? latestTimestamp : 0;
    }

    function getRoundData(uint80 roundId)
        public
        view
        returns (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        if (roundId != latestRound) revert NoDataPresent();
        return (roundId, latestAnswer, latestTimestamp, latestTimestamp, roundId);
    }
}
