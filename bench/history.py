"""300,000 logs become a book: our client, backfill and replay against web3's get_logs and process_log.

Both sides read the same JSON from a server on this machine, web3 in pages of 3,000 logs. web3's side is run on a few
pages and scaled: it takes minutes. It only decodes; turning events into balances is not counted against it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import orjson
from aiohttp import web
from web3 import HTTPProvider, Web3

from bench.measure import Result
from bench.synthetic import block_hash, layout, log_json, traffic
from keeper.chain.backfill import backfill
from keeper.chain.connect import connect
from keeper.lending.aave_v3.mirror import Mirror
from keeper.lending.aave_v3.replay import BALANCE_TRANSFER, BURN, COLLATERAL_ON, MINT
from keeper.lending.book.book import Book

_LOGS, _ACCOUNTS, _PAGE, _LOGS_PER_BLOCK = 300_000, 30_000, 3_000, 30
_SAMPLED_PAGES, _ROUNDS = 2, 5
_LEAST_RATIO = 30.0
_EVENTS = (
    ("Mint", MINT, ("caller", "onBehalfOf"), ("value", "balanceIncrease", "index")),
    ("Burn", BURN, ("from", "target"), ("value", "balanceIncrease", "index")),
    ("BalanceTransfer", BALANCE_TRANSFER, ("from", "to"), ("value", "index")),
    ("ReserveUsedAsCollateralEnabled", COLLATERAL_ON, ("reserve", "user"), ()),
)


def run() -> Iterator[Result]:
    """Measure both, outputs compared first."""
    ours_end, theirs_end = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_serve, args=(theirs_end,), daemon=True)
    server.start()
    port = ours_end.recv()
    try:
        yield _measure(f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        server.join()


def _measure(url: str) -> Result:
    per_page = _PAGE // _LOGS_PER_BLOCK
    blocks = _LOGS // _LOGS_PER_BLOCK
    ours, theirs = [], []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        book = asyncio.run(_ours(url, blocks))
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        events = _theirs(url, per_page * _SAMPLED_PAGES)
        theirs.append((time.perf_counter() - began) * blocks / (per_page * _SAMPLED_PAGES))
    _compare(asyncio.run(_ours(url, per_page * _SAMPLED_PAGES)), events)
    ours_s, theirs_s = statistics.median(ours), statistics.median(theirs)
    return Result(
        name=f"{_LOGS:,} logs to a book of {len(book.addresses):,} accounts",
        ours_s=ours_s,
        theirs_s=theirs_s,
        target=f">= {_LEAST_RATIO:.0f}x",
        met=theirs_s / ours_s >= _LEAST_RATIO,
        note=f"web3 on {_SAMPLED_PAGES} of {blocks // per_page} pages, scaled; outputs compared on these",
    )


async def _ours(url: str, last: int) -> Book:
    async with await connect([url], chain_id=1) as chain:
        mirror = Mirror(chain, backfill, market="bench", start_block=1, file=None, on_progress=None)
        await mirror.follow(layout(), await chain.block(last), None, None)
        if mirror.unsure:
            raise SystemExit("some logs were not understood")
        return mirror.book


def _theirs(url: str, last: int) -> list[Any]:
    web3 = Web3(HTTPProvider(url))
    contract = web3.eth.contract(abi=[_abi(name, indexed, plain) for name, _, indexed, plain in _EVENTS])
    by_topic = {topic: contract.events[name]() for name, topic, _, _ in _EVENTS}
    per_page = _PAGE // _LOGS_PER_BLOCK
    found = []
    for first in range(1, last + 1, per_page):
        logs = web3.eth.get_logs({"fromBlock": first, "toBlock": min(first + per_page - 1, last)})
        found += [by_topic[bytes(log["topics"][0])].process_log(log) for log in logs]
    return found


def _abi(name: str, indexed: tuple[str, ...], plain: tuple[str, ...]) -> Any:
    inputs = [{"name": each, "type": "address", "indexed": True} for each in indexed]
    inputs += [{"name": each, "type": "uint256", "indexed": False} for each in plain]
    return {"type": "event", "name": name, "anonymous": False, "inputs": inputs}


def _compare(book: Book, events: list[Any]) -> None:
    """Turn web3's events into balances by the plain rule and compare every account with the book."""
    tokens = {token: (False, layout().ids[each]) for each, token in layout().a_tokens.items()}
    tokens |= {token: (True, layout().ids[each]) for each, token in layout().debt_tokens.items()}
    held: dict[tuple[str, bool, int], int] = {}

    def move(who: str, key: tuple[bool, int], scaled: int) -> None:
        held[who.lower(), *key] = held.get((who.lower(), *key), 0) + scaled

    for event in events:
        args, key = event["args"], tokens.get(event["address"])
        if event["event"] in ("Mint", "Burn") and key is not None:
            minted = event["event"] == "Mint"
            amount = args["value"] - args["balanceIncrease"] if minted else args["value"] + args["balanceIncrease"]
            scaled = (abs(amount) * 10**27 + args["index"] // 2) // args["index"]
            sign = 1 if minted == (amount > 0) else -1
            move(args["onBehalfOf"] if minted else args["from"], key, sign * scaled)
        elif event["event"] == "BalanceTransfer" and key is not None:
            move(args["from"], key, -args["value"])
            move(args["to"], key, args["value"])
    ours = {}
    for number, row in book.rows():
        who = "0x" + book.addresses.address(number).hex()
        for owed, legs in ((False, (*row.collaterals, *row.idle)), (True, row.debts)):
            ours.update({(who, owed, asset): amount for asset, amount in legs if amount})
    if ours != {key: amount for key, amount in held.items() if amount}:
        raise SystemExit("the two sides made different balances of the same logs")


# --- the node they both read from -------------------------------------------------------------------------------------


def _serve(report: Connection) -> None:
    logs = list(traffic(_LOGS, _ACCOUNTS))[:_LOGS]
    pages = [
        orjson.dumps([log_json(log, 1 + place // _LOGS_PER_BLOCK, place % _LOGS_PER_BLOCK) for place, log in part])[
            1:-1
        ]
        for part in _blocks(logs)
    ]

    def answer(request: dict[str, Any]) -> bytes:
        number, method, params = request["id"], request["method"], request["params"]
        if method == "eth_getLogs":
            first, last = (int(str(params[0][key]), 16) for key in ("fromBlock", "toBlock"))
            result = b"[" + b",".join(pages[first - 1 : last]) + b"]"
        elif method == "eth_getBlockByNumber":
            block = int(params[0], 16)
            header = dict.fromkeys(("timestamp", "baseFeePerGas", "gasUsed", "gasLimit"), "0x1")
            hashes = {"hash": block_hash(block), "parentHash": block_hash(block - 1), "number": hex(block)}
            result = orjson.dumps({**header, **hashes})
        else:
            result = b'"0x1"'
        return b'{"jsonrpc":"2.0","id":%d,"result":%b}' % (number, result)

    async def handle(request: web.Request) -> web.Response:
        asked = orjson.loads(await request.read())
        body = b"[" + b",".join(map(answer, asked)) + b"]" if isinstance(asked, list) else answer(asked)
        return web.Response(body=body, content_type="application/json")

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        report.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(main())


def _blocks(logs: list[Any]) -> Iterator[list[tuple[int, Any]]]:
    numbered = list(enumerate(logs))
    for start in range(0, len(numbered), _LOGS_PER_BLOCK):
        yield numbered[start : start + _LOGS_PER_BLOCK]
