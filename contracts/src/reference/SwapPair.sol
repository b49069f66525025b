// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "../interfaces/IERC20.sol";
import {SafeToken} from "../libraries/SafeToken.sol";

/// @title A constant-product pool of two tokens with a fee of 0.3 % (Uniswap V2's interface)
/// @dev No price accumulators, no protocol fee, no flash swaps: only what selling and providing need.
contract SwapPair {
    using SafeToken for address;

    string public constant name = "Swap share";
    string public constant symbol = "SHARE";
    uint8 public constant decimals = 18;
    /// @notice Shares locked for good at the first deposit, so that one share cannot be made absurdly dear.
    uint256 public constant MINIMUM_LIQUIDITY = 1000;

    address public immutable factory;
    address public immutable token0;
    address public immutable token1;
    uint256 public totalSupply;
    mapping(address account => uint256) public balanceOf;
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    uint112 private _reserve0;
    uint112 private _reserve1;
    uint32 private _updatedAt;
    bool private transient _entered;

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);
    event Mint(address indexed sender, uint256 amount0, uint256 amount1);
    event Burn(address indexed sender, uint256 amount0, uint256 amount1, address indexed to);
    event Swap(
        address indexed sender,
        uint256 amount0In,
        uint256 amount1In,
        uint256 amount0Out,
        uint256 amount1Out,
        address indexed to
    );
    event Sync(uint112 reserve0, uint112 reserve1);

    /// @notice The pair is already being used in this call.
    error Locked();
    /// @notice The deposit or withdrawal is too small to count.
    error TooSmall();
    /// @notice The swap asks for nothing, or for all there is.
    error BadOutput();
    /// @notice Nothing came in.
    error NoInput();
    /// @notice The product of the reserves would fall.
    error ProductFell();
    /// @notice The receiver may not be one of the two tokens.
    error BadReceiver();
    /// @notice Swaps that pay after the fact are not offered: the data must be empty.
    error NoFlashSwaps();
    /// @notice The balance outgrew 112 bits.
    error BalanceTooLarge();

    modifier locked() {
        if (_entered) revert Locked();
        _entered = true;
        _;
        _entered = false;
    }

    constructor(address token0_, address token1_) {
        factory = msg.sender;
        token0 = token0_;
        token1 = token1_;
    }

    function getReserves() external view returns (uint112 reserve0, uint112 reserve1, uint32 blockTimestampLast) {
        return (_reserve0, _reserve1, _updatedAt);
    }

    function approve(address spender, uint256 shares) external returns (bool) {
        allowance[msg.sender][spender] = shares;
        emit Approval(msg.sender, spender, shares);
        return true;
    }

    function transfer(address to, uint256 shares) external returns (bool) {
        _move(msg.sender, to, shares);
        return true;
    }

    function transferFrom(address from, address to, uint256 shares) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed != type(uint256).max) allowance[from][msg.sender] = allowed - shares;
        _move(from, to, shares);
        return true;
    }

    /// @notice Gives `to` shares for the tokens that were sent here before the call.
    function mint(address to) external locked returns (uint256 shares) {
        (uint256 balance0, uint256 balance1) = (token0.held(), token1.held());
        (uint256 in0, uint256 in1) = (balance0 - _reserve0, balance1 - _reserve1);
        if (totalSupply == 0) {
            shares = _sqrt(in0 * in1);
            if (shares <= MINIMUM_LIQUIDITY) revert TooSmall();
            shares -= MINIMUM_LIQUIDITY;
            _issue(address(0), MINIMUM_LIQUIDITY);
        } else {
            (uint256 by0, uint256 by1) = (in0 * totalSupply / _reserve0, in1 * totalSupply / _reserve1);
            shares = by0 < by1 ? by0 : by1;
            if (shares == 0) revert TooSmall();
        }
        _issue(to, shares);
        _sync(balance0, balance1);
        emit Mint(msg.sender, in0, in1);
    }

    /// @notice Pays `to` for the shares that were sent here before the call.
    function burn(address to) external locked returns (uint256 out0, uint256 out1) {
        uint256 shares = balanceOf[address(this)];
        out0 = shares * token0.held() / totalSupply;
        out1 = shares * token1.held() / totalSupply;
        if (out0 == 0 || out1 == 0) revert TooSmall();
        balanceOf[address(this)] = 0;
        totalSupply -= shares;
        emit Transfer(address(this), address(0), shares);
        token0.send(to, out0);
        token1.send(to, out1);
        _sync(token0.held(), token1.held());
        emit Burn(msg.sender, out0, out1, to);
    }

    /// @notice Sends out what is asked for, if what was sent in before pays for it.
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external locked {
        if (data.length != 0) revert NoFlashSwaps();
        if (amount0Out == 0 && amount1Out == 0) revert BadOutput();
        if (amount0Out >= _reserve0 || amount1Out >= _reserve1) revert BadOutput();
        if (to == token0 || to == token1) revert BadReceiver();
        if (amount0Out != 0) token0.send(to, amount0Out);
        if (amount1Out != 0) token1.send(to, amount1Out);
        (uint256 balance0, uint256 balance1) = (token0.held(), token1.held());
        uint256 in0 = _incoming(balance0, _reserve0, amount0Out);
        uint256 in1 = _incoming(balance1, _reserve1, amount1Out);
        if (in0 == 0 && in1 == 0) revert NoInput();
        uint256 product = (balance0 * 1000 - in0 * 3) * (balance1 * 1000 - in1 * 3);
        if (product < uint256(_reserve0) * _reserve1 * 1e6) revert ProductFell();
        _sync(balance0, balance1);
        emit Swap(msg.sender, in0, in1, amount0Out, amount1Out, to);
    }

    /// @notice Makes the reserves equal to the balances.
    function sync() external locked {
        _sync(token0.held(), token1.held());
    }

    /// @notice Sends what is above the reserves to `to`.
    function skim(address to) external locked {
        token0.send(to, token0.held() - _reserve0);
        token1.send(to, token1.held() - _reserve1);
    }

    function _incoming(uint256 balance, uint256 reserve, uint256 out) private pure returns (uint256) {
        return balance > reserve - out ? balance - (reserve - out) : 0;
    }

    function _sync(uint256 balance0, uint256 balance1) private {
        if (balance0 > type(uint112).max || balance1 > type(uint112).max) revert BalanceTooLarge();
        // Checked above; the time wraps in 2106 as it does in the original interface.
        // forge-lint: disable-next-line(unsafe-typecast)
        (_reserve0, _reserve1, _updatedAt) = (uint112(balance0), uint112(balance1), uint32(block.timestamp));
        emit Sync(_reserve0, _reserve1);
    }

    function _issue(address to, uint256 shares) private {
        totalSupply += shares;
        balanceOf[to] += shares;
        emit Transfer(address(0), to, shares);
    }

    function _move(address from, address to, uint256 shares) private {
        balanceOf[from] -= shares;
        balanceOf[to] += shares;
        emit Transfer(from, to, shares);
    }

    function _sqrt(uint256 value) private pure returns (uint256 root) {
        if (value == 0) return 0;
        root = value;
        uint256 next = value / 2 + 1;
        while (next < root) {
            root = next;
            next = (value / next + next) / 2;
        }
    }
}
