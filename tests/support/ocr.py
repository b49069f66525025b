"""A feed whose prices come by off-chain reporting: set in the place of one of a world's feeds, and reported to."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from eth_abi.abi import encode

from keeper.devnet.accounts import STRANGER
from keeper.devnet.builder import Contract
from keeper.devnet.tokens import deploy_own, own_interface
from keeper.devnet.world import World
from keeper.domain.units import Address

_REPORT = ("uint32", "bytes32", "int192[]", "int192")
_OBSERVERS = 5


def transmit_arguments(answer: int, *, epoch: int, at_s: int) -> tuple[object, ...]:
    """Return the arguments of `transmit` for a report whose middle observation is `answer`."""
    spread = [answer - 2, answer - 1, answer, answer + 1, answer + 2]
    report = encode(_REPORT, (at_s, bytes(range(_OBSERVERS)).ljust(32, b"\0"), spread, 10**15))
    context = [(1).to_bytes(32, "big"), epoch.to_bytes(32, "big"), bytes(32)]
    signatures = [b"\x11" * 32] * 2
    return context, report, signatures, signatures, bytes(32)


@dataclass(slots=True)
class OcrPrice:
    """The feed of `symbol`, behind its old proxy; `forwarder` is None where the transmitter calls it himself."""

    world: World
    symbol: str
    feed: Contract
    forwarder: Contract | None
    transmitter: Address = STRANGER.address
    epoch: int = 0

    @classmethod
    async def install(cls, world: World, symbol: str, *, forwarded: bool = False) -> OcrPrice:
        """Deploy, report the present price, and point the world's proxy at it."""
        usd = (await world.prices())[symbol]
        async with world.transactions() as builder:
            await builder.prepare([STRANGER.address])
            forwarder = deploy_own(builder, "Forwarder", STRANGER.address) if forwarded else None
            transmitter = forwarder.address if forwarder else STRANGER.address
            feed = deploy_own(builder, "OcrFeed", 8, f"{symbol} / USD", transmitter, 1, 10**15)
            await builder.flush()
            made = cls(world, symbol, feed, forwarder)
            builder.send(*made._call(made.answer_of(usd)), sender=STRANGER.address)
            await builder.flush()
            proxy = Contract(address=world.feeds[symbol], interface=own_interface("FeedProxy"))
            builder.send(proxy, "proposeAggregator", feed.address)
            builder.send(proxy, "confirmAggregator", feed.address)
            await builder.flush()
        return made

    def answer_of(self, usd: Decimal) -> int:
        """Return a price as the feed counts."""
        return int(usd * 10**8)

    async def answer(self) -> int:
        """Return what the feed answers at the newest block."""
        found: int = await self.world.builder.read(self.feed, "latestAnswer")
        return found

    async def submit(self, answer: int, *, epoch: int | None = None, nonce: int | None = None, bid: int = 1) -> str:
        """Hand a report to the mempool; return the transaction's hash. A higher `bid` replaces one of that nonce."""
        contract, name, *arguments = self._call(answer, epoch)
        return await self._send(contract.address, contract.interface.encode(name, *arguments), nonce, bid)

    async def replace_by_nothing(self, nonce: int) -> str:
        """Put a transfer to oneself in the place of a pending report."""
        return await self._send(self.transmitter, b"", nonce, 10)

    async def nonce(self) -> int:
        """Return the transmitter's next nonce, by what is mined."""
        return int(await self.world.anvil.rpc.call("eth_getTransactionCount", self.transmitter, "latest"), 16)

    async def _send(self, to: Address, data: bytes, nonce: int | None, bid: int) -> str:
        transaction = {
            "from": self.transmitter,
            "to": to,
            "data": "0x" + data.hex(),
            "gas": hex(500_000),
            "maxFeePerGas": hex(bid * 200 * 10**9),
            "maxPriorityFeePerGas": hex(bid * 2 * 10**9),
            **({} if nonce is None else {"nonce": hex(nonce)}),
        }
        return str(await self.world.anvil.rpc.call("eth_sendTransaction", transaction))

    def _call(self, answer: int, epoch: int | None = None) -> tuple[Contract, str, *tuple[object, ...]]:
        if epoch is None:
            self.epoch += 1
        arguments = transmit_arguments(answer, epoch=self.epoch if epoch is None else epoch, at_s=1_750_000_000)
        if self.forwarder is None:
            return self.feed, "transmit", *arguments
        return self.forwarder, "forward", self.feed.address, self.feed.interface.encode("transmit", *arguments)
