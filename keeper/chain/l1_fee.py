"""What a rollup charges for a transaction's data: read from the contracts the chain itself charges by."""

from __future__ import annotations

from typing import Any, Final, Literal

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from keeper.chain import decode
from keeper.chain.client import RpcChain
from keeper.chain.op_stack import OpStackPrices
from keeper.chain.replies import BadReply
from keeper.chain.rlp import rlp_encode
from keeper.domain.chain import Call, Head
from keeper.domain.errors import ConfigError, Transient
from keeper.domain.l1_fee import L1Fee, L1FeeKind
from keeper.domain.units import Address, address_bytes, to_address
from keeper.ports import L1Fees

GAS_PRICE_ORACLE: Final = to_address("0x420000000000000000000000000000000000000F")
ARB_GAS_INFO: Final = to_address("0x000000000000000000000000000000000000006C")
NODE_INTERFACE: Final = to_address("0x00000000000000000000000000000000000000C8")

_QUESTIONS: Final = tuple(
    Call(to=GAS_PRICE_ORACLE, data=keccak(text=f"{name}()")[:4])
    for name in ("isFjord", "isEcotone", "l1BaseFee", "blobBaseFee", "baseFeeScalar", "blobBaseFeeScalar")
)
_GAS_ESTIMATE_L1_COMPONENT: Final = keccak(text="gasEstimateL1Component(address,bool,bytes)")[:4]

# Stand for fields that are not known yet: as long as real ones, and without zero bytes, which would be cheaper.
_ANY_NONCE: Final = 0xA5C3
_ANY_FEE_WEI: Final = 0x5A17C3E9
_ANY_GAS_LIMIT: Final = 0x1F83D9


async def find_l1_fees(chain: RpcChain, kind: L1FeeKind | None) -> L1Fees | None:
    """Return how `chain` charges for data: as `kind` says, or (None) by whose contract stands on it.

    None where it charges for gas alone.
    """
    if kind is None:
        kind = await _detect(chain)
    match kind:
        case "none":
            return None
        case "op-stack":
            return OpStackFees(chain)
        case "arbitrum":
            return ArbitrumFees(chain)


async def _detect(chain: RpcChain) -> L1FeeKind:
    if await chain.code(GAS_PRICE_ORACLE):
        return "op-stack"
    return "arbitrum" if await chain.code(ARB_GAS_INFO) else "none"


class OpStackFees:
    """The fee is computed here, from prices read once for each head."""

    def __init__(self, chain: RpcChain) -> None:
        self._chain = chain
        self._known: tuple[str, OpStackPrices] | None = None

    async def fee(self, to: Address, data: bytes, at: Head) -> L1Fee:
        """Return the fee at the prices of block `at`. Raises Transient, ConfigError for a fork before Ecotone."""
        if self._known is None or self._known[0] != at.hash:
            self._known = at.hash, await self._prices(at)
        return L1Fee(wei=self._known[1].fee_wei(unsigned_bytes(self._chain.expected_chain_id, to, data)))

    async def _prices(self, at: Head) -> OpStackPrices:
        answers = await self._chain.read(_QUESTIONS, at)
        # a contract that does not know a fork has no function to ask about it
        words = [int.from_bytes(answer.data[:32], "big") if answer.ok else None for answer in answers]
        is_fjord, is_ecotone, base_fee_wei, blob_base_fee_wei, base_scalar, blob_scalar = words
        if not is_fjord and not is_ecotone:
            raise ConfigError(
                f"the gas price oracle {GAS_PRICE_ORACLE} charges by a formula before Ecotone, which is not known here;"
                ' set [chain] l1_fee = "none" and leave room for it in min_profit_usd'
            )
        if base_fee_wei is None or blob_base_fee_wei is None or base_scalar is None or blob_scalar is None:
            raise Transient(f"the gas price oracle {GAS_PRICE_ORACLE} does not tell its prices")
        formula: Literal["fjord", "ecotone"] = "fjord" if is_fjord else "ecotone"
        return OpStackPrices(
            formula=formula,
            base_fee_wei=base_fee_wei,
            blob_base_fee_wei=blob_base_fee_wei,
            base_fee_scalar=base_scalar,
            blob_base_fee_scalar=blob_scalar,
        )


class ArbitrumFees:
    """The node is asked, once for each head and length of data: how it compresses is its own."""

    def __init__(self, chain: RpcChain) -> None:
        self._chain = chain
        self._head_hash = ""
        self._known: dict[int, L1Fee] = {}

    async def fee(self, to: Address, data: bytes, at: Head) -> L1Fee:
        """Return the fee at the newest prices. Raises Transient, RpcError."""
        if self._head_hash != at.hash:
            self._head_hash, self._known = at.hash, {}
        if len(data) not in self._known:
            question = _GAS_ESTIMATE_L1_COMPONENT + encode(["address", "bool", "bytes"], [to, False, data])
            # No contract stands there: the node answers a call that is addressed to it, and no other contract can.
            call = {"to": NODE_INTERFACE, "data": "0x" + question.hex()}
            self._known[len(data)] = await self._chain.rpc.request("eth_call", (call, "latest"), _l1_component)
        return self._known[len(data)]


def unsigned_bytes(chain_id: int, to: Address, data: bytes) -> bytes:
    """Return an EIP-1559 transaction without its signature, encoded; what is not known yet is as long as usual."""
    fields = (chain_id, _ANY_NONCE, _ANY_FEE_WEI, _ANY_FEE_WEI, _ANY_GAS_LIMIT, address_bytes(to), 0, data, ())
    return b"\x02" + rlp_encode(fields)


def _l1_component(value: Any) -> L1Fee:
    answer = decode.data(value)
    if len(answer) < 96:
        raise BadReply(f"not an estimate of the L1 component: {value!r:.60}")
    gas_units, base_fee_wei = (int.from_bytes(answer[start : start + 32], "big") for start in (0, 32))
    return L1Fee(wei=gas_units * base_fee_wei, gas_units=gas_units)
