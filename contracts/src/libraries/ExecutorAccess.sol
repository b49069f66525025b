// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeToken} from "./SafeToken.sol";

/// @title Roles, allow-lists, lock and rescue of the executor
/// @dev Every entry point takes the lock, so no token, pool or borrower that is called during a run can start another
/// one, change a role or move a balance. The lock is transient: a transaction cannot leave it set.
abstract contract ExecutorAccess {
    /// @notice Hop kind: a constant-product pair with Uniswap V2's interface.
    uint8 public constant KIND_V2 = 0;
    /// @notice Hop kind: a concentrated-liquidity pool with Uniswap V3's interface.
    uint8 public constant KIND_V3 = 1;

    /// @notice Receives every gain and every rescued balance.
    address public immutable TREASURY;

    /// @notice Sets roles and allow-lists, pauses, rescues.
    address public owner;
    /// @notice Becomes owner once it accepts; zero when no transfer is under way.
    address public pendingOwner;
    /// @notice May pause, and nothing else; zero when there is none.
    address public guardian;
    /// @notice True while no run may start.
    bool public paused;
    /// @notice Accounts that may start runs besides the owner.
    mapping(address account => bool) public isOperator;
    /// @notice Lending pools a plan may name.
    mapping(address pool => bool) public isLendingPool;
    /// @notice Swap registries a hop may name, by hop kind.
    mapping(uint8 kind => mapping(address factory => bool)) public isFactory;
    /// @notice Contracts with Morpho's flash loan that a plan may borrow from.
    mapping(address lender => bool) public isFlashLender;

    bool private transient _entered;

    event OwnerTransferStarted(address indexed owner, address indexed pendingOwner);
    event OwnerChanged(address indexed previous, address indexed current);
    event GuardianChanged(address indexed previous, address indexed current);
    event OperatorSet(address indexed account, bool allowed);
    event LendingPoolSet(address indexed pool, bool allowed);
    event FactorySet(uint8 indexed kind, address indexed factory, bool allowed);
    event FlashLenderSet(address indexed lender, bool allowed);
    event PausedSet(address indexed by, bool paused);
    event Rescued(address indexed token, uint256 amountRaw);

    /// @notice Only the owner may do this.
    error NotOwner(address caller);
    /// @notice Only the owner named by the pending transfer may accept it.
    error NotPendingOwner(address caller);
    /// @notice Only the owner or an operator may start a run.
    error NotOperator(address caller);
    /// @notice Only the owner or the guardian may pause.
    error NotGuardian(address caller);
    /// @notice No run may start while the contract is paused.
    error IsPaused();
    /// @notice The contract is in the middle of a run.
    error InsideRun();
    /// @notice A required address is zero.
    error ZeroAddress();
    /// @notice The hop kind does not exist.
    error UnknownKind(uint8 kind);
    /// @notice The treasury refused the native coin.
    error TreasuryRefused();
    /// @notice This callback is not part of a run in progress, or comes from somebody else than expected.
    error UnexpectedCallback(address caller);

    modifier locked() {
        _enter();
        _;
        _entered = false;
    }

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    modifier onlyRunner() {
        if (msg.sender != owner && !isOperator[msg.sender]) revert NotOperator(msg.sender);
        if (paused) revert IsPaused();
        _;
    }

    constructor(address owner_, address treasury_) {
        if (owner_ == address(0) || treasury_ == address(0)) revert ZeroAddress();
        owner = owner_;
        TREASURY = treasury_;
        emit OwnerChanged(address(0), owner_);
    }

    /// @notice Offers ownership to `newOwner`, who must accept it; zero withdraws an offer.
    function transferOwnership(address newOwner) external onlyOwner locked {
        pendingOwner = newOwner;
        emit OwnerTransferStarted(owner, newOwner);
    }

    /// @notice Takes up an offered ownership.
    function acceptOwnership() external locked {
        if (msg.sender != pendingOwner) revert NotPendingOwner(msg.sender);
        emit OwnerChanged(owner, msg.sender);
        owner = msg.sender;
        pendingOwner = address(0);
    }

    /// @notice Names the account that may pause besides the owner; zero names none.
    function setGuardian(address newGuardian) external onlyOwner locked {
        emit GuardianChanged(guardian, newGuardian);
        guardian = newGuardian;
    }

    /// @notice Allows or forbids `account` to start runs.
    function setOperator(address account, bool allowed) external onlyOwner locked {
        _setOperator(account, allowed);
    }

    /// @notice Allows or forbids plans that name this lending pool.
    function setLendingPool(address pool, bool allowed) external onlyOwner locked {
        _setLendingPool(pool, allowed);
    }

    /// @notice Allows or forbids hops of `kind` that find their pool in `factory`.
    function setFactory(uint8 kind, address factory, bool allowed) external onlyOwner locked {
        _setFactory(kind, factory, allowed);
    }

    /// @notice Allows or forbids plans that borrow from this flash lender.
    function setFlashLender(address lender, bool allowed) external onlyOwner locked {
        _setFlashLender(lender, allowed);
    }

    /// @notice Stops new runs; rescue still works.
    function pause() external locked {
        if (msg.sender != owner && msg.sender != guardian) revert NotGuardian(msg.sender);
        paused = true;
        emit PausedSet(msg.sender, true);
    }

    /// @notice Lets runs start again; the guardian can stop but not restart.
    function unpause() external onlyOwner locked {
        paused = false;
        emit PausedSet(msg.sender, false);
    }

    /// @notice Sends the whole balance of `token` to the treasury.
    function rescue(address token) external onlyOwner locked {
        uint256 amountRaw = SafeToken.held(token);
        SafeToken.send(token, TREASURY, amountRaw);
        emit Rescued(token, amountRaw);
    }

    /// @notice Sends the whole native balance to the treasury; the event names the zero address as token.
    function rescueNative() external onlyOwner locked {
        uint256 amountWei = address(this).balance;
        address to = TREASURY;
        bool ok;
        assembly ("memory-safe") {
            ok := call(gas(), to, amountWei, 0, 0, 0, 0)
        }
        if (!ok) revert TreasuryRefused();
        emit Rescued(address(0), amountWei);
    }

    function _setOperator(address account, bool allowed) internal {
        if (account == address(0)) revert ZeroAddress();
        isOperator[account] = allowed;
        emit OperatorSet(account, allowed);
    }

    function _setLendingPool(address pool, bool allowed) internal {
        if (pool == address(0)) revert ZeroAddress();
        isLendingPool[pool] = allowed;
        emit LendingPoolSet(pool, allowed);
    }

    function _setFactory(uint8 kind, address factory, bool allowed) internal {
        if (kind > KIND_V3) revert UnknownKind(kind);
        if (factory == address(0)) revert ZeroAddress();
        isFactory[kind][factory] = allowed;
        emit FactorySet(kind, factory, allowed);
    }

    function _setFlashLender(address lender, bool allowed) internal {
        if (lender == address(0)) revert ZeroAddress();
        isFlashLender[lender] = allowed;
        emit FlashLenderSet(lender, allowed);
    }

    function _enter() private {
        if (_entered) revert InsideRun();
        _entered = true;
    }
}
