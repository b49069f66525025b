// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {KeeperExecutor} from "../../src/KeeperExecutor.sol";
import {LendersWord} from "../weak/WeakCallbacks.sol";
import {OpenSweep} from "../weak/WeakRoles.sol";
import {Test} from "../support/Vm.sol";

/// @title halmos' cheat codes: values that stand for all values
interface Symbols {
    function createCalldata(string memory contractName) external pure returns (bytes memory data);
    function createBytes(uint256 size, string memory name) external pure returns (bytes memory data);
    function enableSymbolicStorage(address account) external;
}

/// @title What the proofs start from
/// @dev Functions named check_ are for halmos; forge does not run them. A claim fails when its assertion does.
abstract contract Proof is Test {
    Symbols internal constant svm = Symbols(address(uint160(uint256(keccak256("svm cheat code")))));

    function attempt(address caller, address target, bytes memory call) internal returns (bool ok) {
        vm.prank(caller);
        (ok,) = target.call(call);
    }
}

/// @title For every caller, every calldata and every storage: nobody gets in who should not
/// @dev Storage is symbolic, so each claim holds for every executor that was ever set up in any way: any owner, any
/// lists, paused or not. Transient storage is empty, as it is at the start of every transaction.
contract AccessProof is Proof {
    KeeperExecutor private x;

    function setUp() public {
        address[] memory none = new address[](0);
        x = new KeeperExecutor(address(0x0411E4), address(0xF417), none, none, none, none, none);
        svm.enableSymbolicStorage(address(x));
    }

    function isStranger(address caller) private view returns (bool) {
        return caller != x.owner() && !x.isOperator(caller) && caller != x.guardian() && caller != x.pendingOwner();
    }

    /// @dev Every function that is not a view, with plans and data of 0, 65 and 1024 symbolic bytes.
    function check_strangersAreRefusedEverywhere(address caller) public {
        vm.assume(isStranger(caller));
        assert(!attempt(caller, address(x), svm.createCalldata("KeeperExecutor")));
    }

    /// @dev Bytes that are no call of ours in particular: there is no other way in than by the views.
    function check_strangersBytesChangeNothing(address caller) public {
        vm.assume(isStranger(caller));
        bytes memory data = svm.createBytes(68, "data");
        vm.assume(!takesBytes(bytes4(data)));
        bool ok = attempt(caller, address(x), data);
        assert(!ok || isView(bytes4(data)));
    }

    /// @dev Not even owner, operators, or the contracts on the lists: the caller is anybody.
    function check_aaveCallbackRefusesEverybody(address caller, address asset, uint256 raw, uint256 premium) public {
        bytes memory plan = svm.createBytes(160, "plan");
        assert(
            !attempt(caller, address(x), abi.encodeCall(x.executeOperation, (asset, raw, premium, address(x), plan)))
        );
    }

    function check_uniswapCallbackRefusesEverybody(address caller, int256 delta0, int256 delta1) public {
        bytes memory plan = svm.createBytes(160, "plan");
        assert(!attempt(caller, address(x), abi.encodeCall(x.uniswapV3SwapCallback, (delta0, delta1, plan))));
        assert(!attempt(caller, address(x), abi.encodeCall(x.uniswapV3SwapCallback, (delta0, delta1, ""))));
    }

    function check_morphoCallbackRefusesEverybody(address caller, uint256 raw) public {
        bytes memory plan = svm.createBytes(160, "plan");
        assert(!attempt(caller, address(x), abi.encodeCall(x.onMorphoFlashLoan, (raw, plan))));
    }

    /// @dev An operator who is nothing else has `run`, and only that.
    function check_operatorsHaveNothingButRun(address caller) public {
        vm.assume(caller != x.owner() && caller != x.guardian() && caller != x.pendingOwner());
        bytes memory data = svm.createCalldata("KeeperExecutor");
        vm.assume(bytes4(data) != x.run.selector);
        assert(!attempt(caller, address(x), data));
    }

    /// @dev The guardian has `pause`, and only that.
    function check_guardianHasNothingButPause(address caller) public {
        vm.assume(caller != x.owner() && !x.isOperator(caller) && caller != x.pendingOwner());
        bytes memory data = svm.createCalldata("KeeperExecutor");
        vm.assume(bytes4(data) != x.pause.selector);
        assert(!attempt(caller, address(x), data));
    }

    /// @dev Whoever was offered the ownership can take it up, and only that.
    function check_offeredOwnerHasNothingButAcceptance(address caller) public {
        vm.assume(caller != x.owner() && !x.isOperator(caller) && caller != x.guardian());
        bytes memory data = svm.createCalldata("KeeperExecutor");
        vm.assume(bytes4(data) != x.acceptOwnership.selector);
        assert(!attempt(caller, address(x), data));
    }

    /// @dev While it is paused nobody runs anything.
    function check_pausedMeansNoRun(address caller) public {
        vm.assume(x.paused());
        assert(!attempt(caller, address(x), abi.encodeCall(x.run, (svm.createBytes(160, "plan")))));
    }

    /// @dev After its deadline no plan runs, whoever sends it and whatever is in it.
    function check_lateMeansNoRun(address caller, uint40 deadline) public {
        vm.assume(block.number > deadline);
        bytes memory plan = abi.encodePacked(uint8(1), deadline, svm.createBytes(154, "plan"));
        assert(!attempt(caller, address(x), abi.encodeCall(x.run, (plan))));
    }

    /// @dev Where in the calldata their bytes begin is a symbol, too; the claims above and below are about them.
    function takesBytes(bytes4 selector) private view returns (bool) {
        return selector == x.run.selector || selector == x.executeOperation.selector
            || selector == x.uniswapV3SwapCallback.selector || selector == x.onMorphoFlashLoan.selector;
    }

    function isView(bytes4 selector) private view returns (bool) {
        return selector == x.TREASURY.selector || selector == x.owner.selector || selector == x.pendingOwner.selector
            || selector == x.guardian.selector || selector == x.paused.selector || selector == x.isOperator.selector
            || selector == x.isLendingPool.selector || selector == x.isFactory.selector
            || selector == x.isFlashLender.selector || selector == x.KIND_V2.selector || selector == x.KIND_V3.selector;
    }
}

/// @title The same claims where they are false: halmos must find the hole in each
contract AccessProofHasTeeth is Proof {
    KeeperExecutor private x;
    OpenSweep private sweep;
    LendersWord private believer;

    function setUp() public {
        address[] memory none = new address[](0);
        x = new KeeperExecutor(address(0x0411E4), address(0xF417), none, none, none, none, none);
        svm.enableSymbolicStorage(address(x));
        sweep = new OpenSweep();
        believer = new LendersWord(address(0x1E4D));
    }

    /// @dev Who is no stranger gets in: the claims above are not true for want of anybody to call.
    function check_everybodyIsRefused(address caller) public {
        assert(!attempt(caller, address(x), abi.encodeCall(x.setGuardian, (caller))));
    }

    function check_nobodyCanRun(address caller) public {
        vm.assume(!x.paused());
        bytes memory plan =
            abi.encodePacked(uint8(1), type(uint40).max, uint128(0), uint8(1), uint8(0), address(new Coin()));
        assert(!attempt(caller, address(x), abi.encodeCall(x.run, (plan))));
    }

    function check_sweepRefusesStrangers(address caller) public {
        assert(!attempt(caller, address(sweep), abi.encodeCall(sweep.sweep, (address(new Coin())))));
    }

    function check_callbackRefusesEverybody(address caller, uint256 raw) public {
        bytes memory params = abi.encode(address(this), abi.encodeCall(this.ping, ()));
        assert(
            !attempt(
                caller,
                address(believer),
                abi.encodeCall(believer.executeOperation, (address(0), raw, 0, caller, params))
            )
        );
    }

    function ping() external {}
}

/// @title As much of a token as the sweep needs
contract Coin {
    function balanceOf(address) external pure returns (uint256) {
        return 1;
    }

    function transfer(address, uint256) external pure returns (bool) {
        return true;
    }
}
