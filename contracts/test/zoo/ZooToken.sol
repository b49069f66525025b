// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title How a token may behave; each of these has been seen on a public chain
enum Habit {
    PLAIN,
    NO_RETURN, // answers nothing, as USDT
    FALSE_RETURN, // answers false and does nothing
    FALSE_BUT_MOVES, // answers false although it moved
    ODD_RETURN, // answers two instead of true
    REVERTING, // refuses every transfer
    FEE, // keeps a hundredth
    FEE_ON_TOP, // takes a hundredth more from the sender
    ROUNDS_DOWN, // one unit less arrives, as with share tokens
    BLACKLIST, // one account is blocked
    HOOK_BEFORE, // calls somebody before it moves, as ERC-777's sender hook
    HOOK_AFTER, // calls somebody after it moved, as ERC-777's receiver hook
    REBASE_UP, // balances grow by a tenth at each transfer
    REBASE_DOWN, // balances shrink by a tenth at each transfer
    RETURN_BOMB, // answers with a megabyte
    REVERT_BOMB, // fails with a megabyte
    GAS_GRIEF, // burns all gas it is given
    LYING_MORE, // tells twice the balance
    LYING_LESS, // tells half the balance
    PAUSED, // a paused token
    FLIPS, // an upgrade in the middle: refuses from the third transfer on
    NO_ZERO_TRANSFER, // refuses to move nothing
    NO_ZERO_APPROVAL, // refuses an allowance of zero
    NO_LARGE_APPROVAL, // refuses what does not fit 96 bits
    APPROVAL_RACE, // refuses to change one allowance into another, and answers nothing
    STICKY_ALLOWANCE, // a transfer does not use the allowance up
    MINTS_TO_SENDER // gives the sender as much as it moves
}

/// @title One token with any of those habits, and any number of decimals
contract ZooToken {
    string public name = "Zoo";
    string public symbol = "ZOO";
    uint8 public immutable decimals;
    uint256 public totalSupply;
    mapping(address account => uint256) internal _held;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    Habit public habit;
    address private _blocked;
    address private _hookTarget;
    bytes private _hookData;
    bool private _hooking;
    uint256 private _moves;
    uint256 private _indexWad = 1e18;
    /// @notice How many hook calls succeeded, how many failed, and the last failure.
    uint256 public hooksPassed;
    uint256 public hooksFailed;
    bytes public lastFailure;

    constructor(uint8 decimals_) {
        decimals = decimals_;
    }

    function behave(Habit habit_) external {
        (habit, _moves) = (habit_, 0);
    }

    function blockAccount(address account) external {
        (habit, _blocked) = (Habit.BLACKLIST, account);
    }

    function hook(Habit when, address target, bytes calldata data) external {
        (habit, _hookTarget, _hookData) = (when, target, data);
    }

    /// @notice Calls anything in the token's own name, so that a token may hold a role.
    function act(address target, bytes calldata data) external {
        (bool ok,) = target.call(data);
        require(ok, "act");
    }

    function mint(address to, uint256 raw) external {
        totalSupply += raw;
        _held[to] += raw;
    }

    function balanceOf(address account) public view returns (uint256) {
        uint256 raw = _held[account] * _indexWad / 1e18;
        if (habit == Habit.LYING_MORE) return raw * 2;
        if (habit == Habit.LYING_LESS) return raw / 2;
        return raw;
    }

    function approve(address spender, uint256 raw) external returns (bool) {
        if (habit == Habit.FALSE_RETURN) return false;
        require(habit != Habit.NO_ZERO_APPROVAL || raw != 0, "zero approval");
        require(habit != Habit.NO_LARGE_APPROVAL || raw <= type(uint96).max, "large approval");
        bool race = habit == Habit.APPROVAL_RACE || habit == Habit.NO_RETURN;
        require(!race || raw == 0 || allowance[msg.sender][spender] == 0, "allowance through zero");
        allowance[msg.sender][spender] = raw;
        return _answer();
    }

    function transfer(address to, uint256 raw) external returns (bool) {
        return _move(msg.sender, to, raw);
    }

    function transferFrom(address from, address to, uint256 raw) external returns (bool) {
        require(allowance[from][msg.sender] >= raw, "allowance");
        if (habit != Habit.STICKY_ALLOWANCE) allowance[from][msg.sender] -= raw;
        return _move(from, to, raw);
    }

    function _move(address from, address to, uint256 raw) internal returns (bool) {
        if (habit == Habit.FALSE_RETURN) return false;
        require(habit != Habit.REVERTING && habit != Habit.PAUSED, "no transfer");
        require(habit != Habit.BLACKLIST || (from != _blocked && to != _blocked), "blocked");
        require(habit != Habit.NO_ZERO_TRANSFER || raw != 0, "zero transfer");
        require(habit != Habit.FLIPS || ++_moves < 3, "upgraded");
        if (habit == Habit.GAS_GRIEF) _burnGas();
        if (habit == Habit.REVERT_BOMB) _bomb(false);
        if (habit == Habit.HOOK_BEFORE) _callHook();
        uint256 shares = raw * 1e18 / _indexWad;
        uint256 taken = habit == Habit.FEE_ON_TOP ? shares + shares / 100 : shares;
        require(_held[from] >= taken, "balance");
        _held[from] -= taken;
        _held[to] += _arriving(shares);
        if (habit == Habit.MINTS_TO_SENDER) _held[from] += 2 * shares;
        if (habit == Habit.REBASE_UP) _indexWad = _indexWad * 11 / 10;
        if (habit == Habit.REBASE_DOWN) _indexWad = _indexWad * 9 / 10;
        if (habit == Habit.HOOK_AFTER) _callHook();
        return _answer();
    }

    function _arriving(uint256 shares) private view returns (uint256) {
        if (habit == Habit.FEE) return shares - shares / 100;
        if (habit == Habit.ROUNDS_DOWN && shares != 0) return shares - 1;
        return shares;
    }

    /// @dev Never inside itself: what the hook calls may move this very token.
    function _callHook() private {
        if (_hooking) return;
        _hooking = true;
        (bool ok, bytes memory reason) = _hookTarget.call(_hookData);
        if (ok) {
            ++hooksPassed;
        } else {
            ++hooksFailed;
            lastFailure = reason;
        }
        _hooking = false;
    }

    function _answer() private view returns (bool) {
        if (habit == Habit.NO_RETURN || habit == Habit.APPROVAL_RACE) {
            assembly {
                return(0, 0)
            }
        }
        if (habit == Habit.ODD_RETURN) {
            assembly {
                mstore(0, 2)
                return(0, 32)
            }
        }
        if (habit == Habit.RETURN_BOMB) _bomb(true);
        return habit != Habit.FALSE_BUT_MOVES;
    }

    function _bomb(bool success) private pure {
        assembly {
            mstore(0, 1)
            if success { return(0, 0x100000) }
            revert(0, 0x100000)
        }
    }

    function _burnGas() private pure {
        assembly {
            invalid()
        }
    }
}

/// @title A second address of the same token: it moves the same balances
/// @dev As TrueUSD had. The token below must have been told to obey it.
contract SecondName {
    TwoNamedToken private immutable _token;

    constructor(TwoNamedToken token) {
        _token = token;
    }

    function decimals() external view returns (uint8) {
        return _token.decimals();
    }

    function balanceOf(address account) external view returns (uint256) {
        return _token.balanceOf(account);
    }

    function allowance(address owner, address spender) external view returns (uint256) {
        return _token.allowance(owner, spender);
    }

    function approve(address spender, uint256 raw) external returns (bool) {
        return _token.approveFor(msg.sender, spender, raw);
    }

    function transfer(address to, uint256 raw) external returns (bool) {
        return _token.moveFor(msg.sender, to, raw);
    }

    function transferFrom(address from, address to, uint256 raw) external returns (bool) {
        return _token.pullFor(msg.sender, from, to, raw);
    }
}

/// @title The token that has two addresses
contract TwoNamedToken is ZooToken {
    SecondName public immutable second;

    constructor(uint8 decimals_) ZooToken(decimals_) {
        second = new SecondName(this);
    }

    modifier onlySecond() {
        require(msg.sender == address(second), "not my name");
        _;
    }

    function approveFor(address owner, address spender, uint256 raw) external onlySecond returns (bool) {
        allowance[owner][spender] = raw;
        return true;
    }

    function moveFor(address from, address to, uint256 raw) external onlySecond returns (bool) {
        return _move(from, to, raw);
    }

    function pullFor(address spender, address from, address to, uint256 raw) external onlySecond returns (bool) {
        require(allowance[from][spender] >= raw, "allowance");
        allowance[from][spender] -= raw;
        return _move(from, to, raw);
    }
}
