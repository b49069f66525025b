"""Many transactions quickly: queued with explicit nonces, sent in batches, mined together, every receipt checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from keeper.devnet.abi import Interface, create_address
from keeper.devnet.anvil import Anvil
from keeper.domain.errors import Failed, RpcError
from keeper.domain.units import Address, to_address

BUILDING_GAS_LIMIT = 1_000_000_000  # of a block, while building: a whole phase fits into one
LIVE_GAS_LIMIT = 30_000_000
_DEPLOY_GAS = 14_000_000
_CALL_GAS = 2_000_000
_FEE_CAP_WEI = 1_000 * 10**9
_TIP_WEI = 10**9
_WEALTH_WEI = 10**27  # what an account is given so that gas never matters to it
_MAX_ROUNDS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A contract at an address."""

    address: Address
    interface: Interface


@dataclass(frozen=True, slots=True, kw_only=True)
class _Queued:
    label: str
    sender: Address
    to: Address | None
    data: bytes
    value_wei: int
    gas_units: int
    nonce: int
    interface: Interface | None

    def parameters(self) -> dict[str, str]:
        fields = {
            "from": self.sender,
            "data": "0x" + self.data.hex(),
            "value": hex(self.value_wei),
            "gas": hex(self.gas_units),
            "nonce": hex(self.nonce),
            "maxFeePerGas": hex(_FEE_CAP_WEI),
            "maxPriorityFeePerGas": hex(_TIP_WEI),
        }
        return fields if self.to is None else {**fields, "to": self.to}


class Builder:
    """Queues transactions of any account of one chain and sends them together.

    Order holds within one sender; across senders only from one `flush` to the next. A failed transaction raises Failed
    naming the call. `flush` needs accounts to be impersonated and mines by itself, whatever the mining mode: the
    caller restores automine afterwards if he wants it.
    """

    def __init__(self, anvil: Anvil, deployer: Address) -> None:
        self.anvil = anvil
        self.deployer = deployer
        self._nonces: dict[Address, int] = {}
        self._queue: list[_Queued] = []

    async def prepare(self, senders: Sequence[Address] = ()) -> None:
        """Read the nonces of the deployer and of `senders` afresh, and give them gas money."""
        accounts = (self.deployer, *senders)
        nonces = await self.anvil.rpc.batch([("eth_getTransactionCount", (one, "latest")) for one in accounts])
        await self.anvil.rpc.batch([("anvil_setBalance", (one, hex(_WEALTH_WEI))) for one in accounts])
        self._nonces = {one: int(nonce, 16) for one, nonce in zip(accounts, nonces, strict=True)}

    def deploy(self, abi: Sequence[dict[str, Any]], bytecode: bytes, *arguments: Any, label: str = "") -> Contract:
        """Queue a deployment by the deployer; the address is known at once."""
        interface = Interface(abi)
        if not bytecode:
            raise Failed(f"{label or 'contract'} has no bytecode")
        data = bytecode + interface.encode_constructor(*arguments)
        nonce = self._take_nonce(self.deployer)
        self._queue.append(
            _Queued(
                label=f"deploy {label}",
                sender=self.deployer,
                to=None,
                data=data,
                value_wei=0,
                gas_units=_DEPLOY_GAS,
                nonce=nonce,
                interface=interface,
            )
        )
        return Contract(address=create_address(self.deployer, nonce), interface=interface)

    def send(
        self,
        contract: Contract,
        name: str,
        *arguments: Any,
        sender: Address | None = None,
        value_wei: int = 0,
        gas_units: int = _CALL_GAS,
    ) -> None:
        """Queue a call of `contract`, by the deployer unless `sender` says otherwise."""
        account = sender or self.deployer
        self._queue.append(
            _Queued(
                label=f"{name}{arguments!r}",
                sender=account,
                to=contract.address,
                data=contract.interface.encode(name, *arguments),
                value_wei=value_wei,
                gas_units=gas_units,
                nonce=self._take_nonce(account),
                interface=contract.interface,
            )
        )

    async def flush(self) -> int:
        """Send what is queued, mine it, check every receipt; return the number of the last block it is in."""
        queue, self._queue = self._queue, []
        if not queue:
            return await self.anvil.block_number()
        hashes = await self.anvil.rpc.batch([("eth_sendTransaction", (item.parameters(),)) for item in queue])
        receipts = await self._mine_until_included(hashes)
        for item, receipt in zip(queue, receipts, strict=True):
            if receipt["status"] != "0x1":
                raise Failed(f"{item.label[:300]} failed: {await self._reason(item)}")
        return max(int(receipt["blockNumber"], 16) for receipt in receipts)

    async def read(self, contract: Contract, name: str, *arguments: Any, block: int | str = "latest") -> Any:
        """Return the answer of a view at `block`."""
        data = "0x" + contract.interface.encode(name, *arguments).hex()
        tag = hex(block) if isinstance(block, int) else block
        answer = await self.anvil.rpc.call("eth_call", {"to": contract.address, "data": data}, tag)
        return contract.interface.decode(name, len(arguments), bytes.fromhex(answer[2:]))

    async def read_many(self, calls: Sequence[tuple[Contract, str, tuple[Any, ...]]]) -> list[Any]:
        """Return the answers of several views at the newest block."""
        requests = [
            (
                "eth_call",
                ({"to": contract.address, "data": "0x" + contract.interface.encode(name, *arguments).hex()}, "latest"),
            )
            for contract, name, arguments in calls
        ]
        answers = await self.anvil.rpc.batch(requests)
        return [
            contract.interface.decode(name, len(arguments), bytes.fromhex(answer[2:]))
            for (contract, name, arguments), answer in zip(calls, answers, strict=True)
        ]

    def _take_nonce(self, account: Address) -> int:
        if account not in self._nonces:
            raise Failed(f"{account} was not prepared")
        nonce = self._nonces[account]
        self._nonces[account] = nonce + 1
        return nonce

    async def _mine_until_included(self, hashes: Sequence[str]) -> list[dict[str, Any]]:
        for _ in range(_MAX_ROUNDS):
            await self.anvil.rpc.call("evm_mine")
            receipts = await self.anvil.rpc.batch([("eth_getTransactionReceipt", (one,)) for one in hashes])
            if all(receipts):
                return receipts
        missing = sum(receipt is None for receipt in receipts)
        raise Failed(f"{missing} of {len(hashes)} transactions were not mined in {_MAX_ROUNDS} blocks")

    async def _reason(self, item: _Queued) -> str:
        """Ask the chain again why a call fails; the state may have moved, so this is a hint for a person."""
        call = {key: value for key, value in item.parameters().items() if key not in {"nonce", "maxPriorityFeePerGas"}}
        try:
            await self.anvil.rpc.call("eth_call", call, "latest")
        except RpcError as error:
            names = item.interface.errors if item.interface else {}
            return names.get(error.data[:4], f"{error.message} {error.data.hex()}")
        return "it would succeed now"


def contract_at(address: str, abi: Sequence[dict[str, Any]]) -> Contract:
    """Return a handle for a contract that is already there."""
    return Contract(address=to_address(address), interface=Interface(abi))
