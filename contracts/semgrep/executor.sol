// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

// Never compiled: each marked line breaks the rule it names, and every other line keeps all of them.
contract Bad {
    // ruleid: no-lock-in-storage
    bool private _entered;
    bool private transient _entered2;

    // ruleid: every-entry-takes-the-lock
    function unguarded(address to) external {
        // ruleid: no-authority-from-the-transaction
        if (tx.origin != to) revert Refused();
        // ruleid: no-authority-from-the-transaction
        if (block.coinbase == to) revert Refused();
    }

    function guarded(address token, address to) external onlyOwner locked {
        // ruleid: no-unlimited-allowance
        token.allow(to, type(uint256).max);
        // ruleid: no-unlimited-allowance, no-raw-token-call
        token.approve(to, ~uint256(0));
        token.allow(to, 7);
        // ruleid: no-raw-token-call
        IERC20(token).transfer(to, 1);
        token.send(to, 1);
    }

    function free(address to, bytes calldata data) external onlyOwner locked {
        // ruleid: no-raw-call
        (bool ok,) = to.call(data);
        // ruleid: no-foreign-code-in-our-storage
        (ok,) = to.delegatecall(data);
        assembly {
            // ruleid: no-raw-call
            ok := call(gas(), to, 0, 0, 0, 0, 0)
        }
        // ruleid: no-selfdestruct
        selfdestruct(to);
    }

    // ruleid: every-callback-asks-who-calls
    function executeOperation(address asset, uint256 amount, uint256 premium, address, bytes calldata)
        external
        returns (bool)
    {
        asset.allow(msg.sender, amount + premium);
        return true;
    }

    function uniswapV3SwapCallback(int256 amount0, int256, bytes calldata) external {
        if (msg.sender != _swapPool) revert Refused();
        _token.send(msg.sender, uint256(amount0));
    }

    function onMorphoFlashLoan(uint256 assets, bytes calldata data) external {
        uint256 pos = _acceptLender(1, data);
        _token.allow(msg.sender, assets + pos);
    }

    // ruleid: every-callback-asks-who-calls
    function uniswapV3FlashCallback(uint256 fee0, uint256, bytes calldata) external locked {
        _token.send(msg.sender, fee0);
        if (msg.sender != _swapPool) revert Refused();
    }

    // ruleid: no-ether-taken
    receive() external payable {}

    function vague(uint256 value) external onlyOwner locked {
        // ruleid: errors-have-names
        require(value != 0, "zero");
        if (value == 1) revert Refused();
        // ruleid: no-new-code
        _child = new Bad();
        // ruleid: no-spot-price-or-time
        if (block.timestamp > value) revert Refused();
        if (block.number > value) revert Refused();
    }
}
