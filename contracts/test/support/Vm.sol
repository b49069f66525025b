// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title The cheat codes of forge that these tests use
interface Vm {
    struct Log {
        bytes32[] topics;
        bytes data;
        address emitter;
    }

    function prank(address sender) external;
    function prank(address sender, address origin) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function warp(uint256 timestamp) external;
    function roll(uint256 number) external;
    function deal(address account, uint256 amountWei) external;
    function etch(address account, bytes calldata code) external;
    function cool(address account) external;
    function store(address account, bytes32 slot, bytes32 word) external;
    function assume(bool condition) external pure;
    function expectRevert() external;
    function expectRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data, address emitter) external;
    function snapshotState() external returns (uint256 id);
    function revertToState(uint256 id) external returns (bool success);
    function recordLogs() external;
    function getRecordedLogs() external returns (Log[] memory);
    function assertEq(uint256 left, uint256 right) external pure;
    function assertEq(uint256 left, uint256 right, string calldata claim) external pure;
    function assertEq(int256 left, int256 right) external pure;
    function assertEq(address left, address right) external pure;
    function assertEq(bytes32 left, bytes32 right) external pure;
    function assertEq(bytes calldata left, bytes calldata right) external pure;
    function assertEq(string calldata left, string calldata right) external pure;
    function assertTrue(bool condition) external pure;
    function assertTrue(bool condition, string calldata claim) external pure;
    function assertFalse(bool condition) external pure;
    function assertFalse(bool condition, string calldata claim) external pure;
    function assertLe(uint256 left, uint256 right, string calldata claim) external pure;
    function assertGe(uint256 left, uint256 right, string calldata claim) external pure;
    function assertLt(uint256 left, uint256 right, string calldata claim) external pure;
    function assertGt(uint256 left, uint256 right, string calldata claim) external pure;
    function assertApproxEqAbs(uint256 left, uint256 right, uint256 most, string calldata claim) external pure;
}

/// @title What every test contract starts from
abstract contract Test {
    /// @dev forge looks for this mark on a test contract.
    // forge-lint: disable-next-line(mixed-case-variable)
    bool public constant IS_TEST = true;
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    bytes internal constant PANIC_ARITHMETIC = abi.encodeWithSignature("Panic(uint256)", 0x11);

    /// @dev Maps any `x` into [low, high], so that no fuzz input is thrown away.
    function bound(uint256 x, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + x % (high - low + 1);
    }
}

/// @title What an invariant test tells forge about its targets
abstract contract InvariantTest is Test {
    address[] private _targets;

    function targetContracts() external view returns (address[] memory) {
        return _targets;
    }

    function _target(address handler) internal {
        _targets.push(handler);
    }
}
