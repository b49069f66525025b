// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title An aggregator fed by reports, with the surface of off-chain reporting's second generation
/// @notice `transmit` takes calldata of the real shape and emits the real events. Signatures are not checked: any
/// registered transmitter is believed, which is all that tests of a reader need. Never for real money.
contract OcrFeed {
    struct Transmission {
        int192 answer;
        uint32 observationsTimestamp;
        uint32 transmissionTimestamp;
    }

    uint256 public constant version = 6;
    uint8 public immutable decimals;
    int192 public immutable minAnswer;
    int192 public immutable maxAnswer;
    string public description;
    address public immutable transmitter;
    bytes32 public constant CONFIG_DIGEST = bytes32(uint256(1));
    uint40 public latestEpochAndRound;
    uint32 private _latestId;
    mapping(uint32 roundId => Transmission) private _transmissions;

    event NewTransmission(
        uint32 indexed aggregatorRoundId,
        int192 answer,
        address transmitter,
        uint32 observationsTimestamp,
        int192[] observations,
        bytes observers,
        int192 juelsPerFeeCoin,
        bytes32 configDigest,
        uint40 epochAndRound
    );
    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);
    event NewRound(uint256 indexed roundId, address indexed startedBy, uint256 startedAt);

    /// @notice Only the transmitter (or its forwarder) reports.
    error NotTransmitter();
    /// @notice That epoch and round, or a later one, was reported already.
    error StaleReport();
    /// @notice Another configuration's report.
    error WrongDigest();
    /// @notice The middle observation is outside of what this feed may answer.
    error MedianOutOfRange(int192 median);
    /// @notice A report holds at least one observation.
    error NoObservations();
    /// @notice There is no such round.
    error NoDataPresent();

    constructor(uint8 decimals_, string memory description_, address transmitter_, int192 minAnswer_, int192 maxAnswer_) {
        decimals = decimals_;
        description = description_;
        transmitter = transmitter_;
        minAnswer = minAnswer_;
        maxAnswer = maxAnswer_;
    }

    /// @notice Writes the middle observation of `report`.
    /// @param reportContext Digest of the configuration, epoch and round, and a word that is not used here.
    /// @param report abi.encode(uint32 time, bytes32 observers, int192[] observations sorted, int192 juelsPerFeeCoin).
    function transmit(
        bytes32[3] calldata reportContext,
        bytes calldata report,
        bytes32[] calldata,
        bytes32[] calldata,
        bytes32
    ) external {
        if (msg.sender != transmitter) revert NotTransmitter();
        if (reportContext[0] != CONFIG_DIGEST) revert WrongDigest();
        // Epoch and round are the low forty bits of that word.
        // forge-lint: disable-next-line(unsafe-typecast)
        uint40 epochAndRound = uint40(uint256(reportContext[1]));
        if (epochAndRound <= latestEpochAndRound) revert StaleReport();
        latestEpochAndRound = epochAndRound;
        _write(report, epochAndRound);
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return getRoundData(_latestId);
    }

    function latestAnswer() external view returns (int256) {
        return _transmissions[_latestId].answer;
    }

    function latestRound() external view returns (uint256) {
        return _latestId;
    }

    function latestTimestamp() external view returns (uint256) {
        return _transmissions[_latestId].transmissionTimestamp;
    }

    function getRoundData(uint80 roundId)
        public
        view
        returns (uint80 id, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)
    {
        if (roundId == 0 || roundId > _latestId) revert NoDataPresent();
        // forge-lint: disable-next-line(unsafe-typecast)
        Transmission memory found = _transmissions[uint32(roundId)];
        return (roundId, found.answer, found.observationsTimestamp, found.transmissionTimestamp, roundId);
    }

    function _write(bytes calldata report, uint40 epochAndRound) private {
        (uint32 observedAt, bytes32 observers, int192[] memory observations, int192 juels) =
            abi.decode(report, (uint32, bytes32, int192[], int192));
        if (observations.length == 0) revert NoObservations();
        int192 median = observations[observations.length / 2];
        if (median < minAnswer || median > maxAnswer) revert MedianOutOfRange(median);
        uint32 roundId = ++_latestId;
        _transmissions[roundId] = Transmission(median, observedAt, uint32(block.timestamp));
        emit NewTransmission(
            roundId,
            median,
            msg.sender,
            observedAt,
            observations,
            abi.encodePacked(observers),
            juels,
            CONFIG_DIGEST,
            epochAndRound
        );
        emit NewRound(roundId, address(0), observedAt);
        emit AnswerUpdated(median, roundId, block.timestamp);
    }
}
