// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {TestToken} from "../src/reference/TestToken.sol";
import {BareExecutor} from "./gas/BareExecutor.sol";
import {Arena} from "./support/Arena.sol";
import {FixedPriceFactory, FixedPricePool} from "./support/FixedPricePool.sol";

/// @title What the executor's plans cost over a sequence written out by hand
/// @dev Both start cold and with the same balances, and both pay for their calldata: 16 gas for a byte, 4 for a zero.
contract GasTest is Arena {
    uint256 private constant MOST_OVER_PERCENT = 10;
    uint256 private constant FUND = 15_000e6;
    uint256 private constant SOLD_BY_FLASH = 8.9e18; // brings a little more than the debt at 1,700

    BareExecutor private bare;
    FixedPriceFactory private v3;
    FixedPricePool private v3Pool;

    event log_named_uint(string what, uint256 value);

    function setUp() public override {
        super.setUp();
        v3 = new FixedPriceFactory();
        v3Pool = new FixedPricePool(address(weth), address(usdc), FALLEN * 1e6);
        v3.add(v3Pool, 500);
        usdc.mint(address(v3Pool), 1e9 * 1e6);
        vm.prank(owner);
        executor.setFactory(1, address(v3), true);
        bare = new BareExecutor(vault, operator, address(pool), address(swaps), address(v3), address(badLender));
        usdc.mint(address(bare), REST_USDC);
        weth.mint(address(bare), REST_WETH);
        usdc.mint(vault, 1);
        weth.mint(vault, 1);
    }

    function job() private view returns (BareExecutor.Job memory j) {
        (j.pool, j.account, j.collateral, j.debt) = (address(pool), borrower, address(weth), address(usdc));
        (j.factory, j.fee, j.fundRaw, j.mostRaw) = (address(swaps), 500, FUND, 15e6);
        (j.minProfitRaw, j.deadlineBlock) = (1e6, block.number);
    }

    function test_gas_own() public {
        compare("own", abi.encodeCall(bare.runOwn, (job())), honest(own(0, FUND)));
    }

    function test_gas_aaveFlashLoan() public {
        BareExecutor.Job memory j = job();
        j.lender = address(pool);
        compare("Aave flash loan", abi.encodeCall(bare.runAave, (j)), honest(flash(address(pool), 0, FUND, 15e6)));
    }

    function test_gas_morpho() public {
        BareExecutor.Job memory j = job();
        j.lender = address(badLender);
        compare("Morpho flash loan", abi.encodeCall(bare.runMorpho, (j)), honest(morpho(address(badLender), 0, FUND)));
    }

    function test_gas_flashSwap() public {
        BareExecutor.Job memory j = job();
        (j.lender, j.fundRaw, j.mostRaw) = (address(v3), SOLD_BY_FLASH, FUND + 200e6);
        compare(
            "Uniswap V3 flash swap",
            abi.encodeCall(bare.runFlashSwap, (j)),
            honest(flashSwap(address(v3), 500, 1, 0, SOLD_BY_FLASH))
        );
    }

    function compare(string memory funding, bytes memory bareCall, bytes memory plan) private {
        uint256 world = vm.snapshotState();
        // What `cool` forgets has been touched before either of the two.
        measure(address(executor), abi.encodeCall(executor.run, (plan)));
        vm.assertTrue(vm.revertToState(world));
        (uint256 bareGas, uint256 bareGain) = measure(address(bare), bareCall);
        vm.assertTrue(vm.revertToState(world));
        (uint256 ourGas, uint256 ourGain) = measure(address(executor), abi.encodeCall(executor.run, (plan)));
        vm.assertEq(ourGain, bareGain, "the same liquidation");
        vm.assertGt(ourGain, 0, "a gain");
        emit log_named_uint(string.concat(funding, ": bare"), bareGas);
        emit log_named_uint(string.concat(funding, ": executor"), ourGas);
        vm.assertLe(ourGas * 100, bareGas * (100 + MOST_OVER_PERCENT), "gas above the sequence by hand");
    }

    function measure(address target, bytes memory call) private returns (uint256 gasUnits, uint256 gainRaw) {
        cool();
        uint256 before = usdc.balanceOf(vault);
        vm.cool(address(usdc));
        vm.prank(operator);
        gasUnits = gasleft();
        (bool ok, bytes memory reason) = target.call(call);
        gasUnits -= gasleft();
        if (!ok) vm.assertEq(reason, "");
        gainRaw = usdc.balanceOf(vault) - before;
        for (uint256 i = 0; i < call.length; ++i) {
            gasUnits += call[i] == 0 ? 4 : 16;
        }
    }

    /// @dev As at the start of a transaction: nothing has been touched.
    function cool() private {
        address[14] memory all = [
            address(bare),
            address(executor),
            address(pool),
            address(provider),
            address(oracle),
            address(weth),
            address(usdc),
            address(aTokenOf(weth)),
            address(aTokenOf(usdc)),
            address(swaps),
            address(wethUsdc),
            address(badLender),
            address(v3),
            address(v3Pool)
        ];
        for (uint256 i = 0; i < all.length; ++i) {
            vm.cool(all[i]);
        }
        TestToken[2] memory priced = [weth, usdc];
        for (uint256 i = 0; i < 2; ++i) {
            vm.cool(address(feeds[address(priced[i])]));
            vm.cool(oracle.getSourceOfAsset(address(priced[i])));
        }
    }
}
