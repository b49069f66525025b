// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title A token that behaves in one of the ways that tokens really do
contract OddToken {
    enum Habit {
        PLAIN,
        NO_RETURN, // answers nothing, and refuses to change one non-zero allowance into another
        FALSE_RETURN, // answers false and moves nothing
        FEE, // keeps a hundredth of every transfer
        BLOCKED, // refuses to move for one account
        HOOK, // calls somebody during every transfer
        BOMB // answers with a megabyte
    }

    string public name = "Odd";
    string public symbol = "ODD";
    uint8 public constant decimals = 18;
    uint256 public totalSupply;
    mapping(address account => uint256) public balanceOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    Habit private _habit;
    address private _blocked;
    address private _hookTarget;
    bytes private _hookData;
    /// @notice How many hook calls succeeded, how many failed, and the last failure.
    uint256 public hooksPassed;
    uint256 public hooksFailed;
    bytes public lastFailure;

    function behave(Habit habit) external {
        _habit = habit;
    }

    function blockAccount(address account) external {
        (_habit, _blocked) = (Habit.BLOCKED, account);
    }

    function hook(address target, bytes calldata data) external {
        (_habit, _hookTarget, _hookData) = (Habit.HOOK, target, data);
    }

    /// @notice Calls anything in the token's own name, so that a token may hold a role.
    function act(address target, bytes calldata data) external {
        (bool ok,) = target.call(data);
        require(ok, "act");
    }

    function mint(address to, uint256 raw) external {
        totalSupply += raw;
        balanceOf[to] += raw;
    }

    function approve(address spender, uint256 raw) external returns (bool) {
        if (_habit == Habit.FALSE_RETURN) return false;
        if (_habit == Habit.NO_RETURN) {
            require(raw == 0 || allowance[msg.sender][spender] == 0, "allowance through zero");
        }
        allowance[msg.sender][spender] = raw;
        return _answer();
    }

    function transfer(address to, uint256 raw) external returns (bool) {
        return _move(msg.sender, to, raw);
    }

    function transferFrom(address from, address to, uint256 raw) external returns (bool) {
        allowance[from][msg.sender] -= raw;
        return _move(from, to, raw);
    }

    function _move(address from, address to, uint256 raw) private returns (bool) {
        if (_habit == Habit.FALSE_RETURN) return false;
        require(_habit != Habit.BLOCKED || (from != _blocked && to != _blocked), "blocked");
        balanceOf[from] -= raw;
        balanceOf[to] += _habit == Habit.FEE ? raw - raw / 100 : raw;
        if (_habit == Habit.HOOK) _callHook();
        return _answer();
    }

    function _callHook() private {
        (bool ok, bytes memory reason) = _hookTarget.call(_hookData);
        if (ok) {
            ++hooksPassed;
        } else {
            ++hooksFailed;
            lastFailure = reason;
        }
    }

    function _answer() private view returns (bool) {
        Habit habit = _habit;
        if (habit == Habit.NO_RETURN) {
            assembly {
                return(0, 0)
            }
        }
        if (habit == Habit.BOMB) {
            assembly {
                mstore(0, 1)
                return(0, 0x100000)
            }
        }
        return true;
    }
}
