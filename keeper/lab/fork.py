"""A rehearsal on a fork: prices are pushed down on a copy of a chain, and the real daemon works on what follows."""

from __future__ import annotations

import secrets
import tomllib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import eth_abi
from eth_abi.exceptions import DecodingError
from eth_utils import keccak

from keeper.artifacts import load_artifact
from keeper.chain.signer import KeySigner
from keeper.devnet.abi import Interface
from keeper.devnet.anvil import Anvil, AnvilOptions, scratch_folder
from keeper.devnet.builder import Builder, Contract
from keeper.devnet.rpc import JsonRpc
from keeper.devnet.settings import toml_table
from keeper.domain.errors import ChainUnreachable, ConfigError, Failed, RpcError, Transient
from keeper.domain.units import WAD, ZERO_ADDRESS, Address, to_address
from keeper.lab.operator import KeeperCommand

_PROVIDER = Interface.of("getPool() (address)", "getPriceOracle() (address)")
_POOL = Interface.of("getReservesList() (address[])")
_ORACLE = Interface.of(
    "getSourceOfAsset(address) (address)", "getAssetPrice(address) (uint256)", "BASE_CURRENCY_UNIT() (uint256)"
)
_TOKEN = Interface.of("decimals() (uint8)", "balanceOf(address) (uint256)")
_SYMBOL = "0x95d89b41"
_TREASURY = to_address(keccak(text="keeper fork treasury")[12:])  # nobody's, so that it starts empty
_GAS_MONEY_WEI = 1_000 * WAD
_BLOCK_INTERVAL_S = 12
_ANSWER_SLOT, _TIME_SLOT, _DECIMALS_SLOT = range(3)  # the feed's layout, see its source
_OF_THE_FORK = frozenset({"chain", "signer", "state", "executor"})
_SYMBOL_TRIES = (("string",), ("bytes32",))


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashOptions:
    """What to rehearse. `falls`: percent by token symbol or address; `rpc_url` None takes the configuration's first."""

    config: Path
    falls: Mapping[str, Decimal]
    rpc_url: str | None = None
    chain_id: int = 31337


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedFeed:
    """One price source replaced; prices are the oracle's integers."""

    symbol: str
    token: Address
    source: Address
    before_base: int
    after_base: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """What came of it: documents as the commands print them, and what the treasury gained by token."""

    fork_block: int
    feeds: tuple[PushedFeed, ...]
    liquidatable: int
    run: dict[str, Any]
    ledger: dict[str, Any]
    gained_raw: Mapping[Address, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reserve:
    symbol: str
    token: Address
    oracle: Address


async def rehearse_crash(options: CrashOptions) -> Crash:
    """Fork, push the feeds down, deploy the executor, run the daemon once, and account for it.

    Everything is done on a chain of our own that ends with the call. The configuration has to be sound: check it
    first. Raises ConfigError for a token without a reserve or an endpoint of another chain, ChainUnreachable, and
    Failed when a command fails.
    """
    settings = tomllib.loads(options.config.read_text(encoding="utf-8"), parse_float=Decimal)
    url = options.rpc_url or settings["chain"]["rpc_urls"][0]
    async with _fork(url, settings["chain"]["id"], options.chain_id) as anvil:
        fork_block = await anvil.block_number()
        signer = await _new_signer(anvil)
        builder = Builder(anvil, signer.address)
        reserves = await _reserves(builder, settings)
        feeds = [await _push(builder, each, percent) for each, percent in _chosen(reserves, options.falls)]
        await anvil.mine()
        with scratch_folder() as folder:
            keeper = await _deploy(settings, anvil, signer, Path(folder))
            scan = await keeper.call("scan")
            run = await keeper.call("run", "--live", "--once")
            ledger = await keeper.call("pnl")
        tokens = sorted({each.token for each in reserves})
        return Crash(
            fork_block=fork_block,
            feeds=tuple(feeds),
            liquidatable=len(scan["liquidatable"]),
            run=run,
            ledger=ledger,
            gained_raw={token: raw for token in tokens if (raw := await _treasury_raw(builder, token))},
        )


# --- the fork ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _fork(url: str, origin_id: int, chain_id: int) -> AsyncIterator[Anvil]:
    """Fork the chain `origin_id` under a devnet's id; block time goes on from the forked block's."""
    try:
        async with JsonRpc(url) as rpc:
            answered_id = int(await rpc.call("eth_chainId"), 16)
            head = await rpc.call("eth_getBlockByNumber", "latest", False)
    except Transient as error:
        raise ChainUnreachable(f"nothing to fork: {error}") from error
    if answered_id != origin_id:
        raise ConfigError(f"[chain] id is {origin_id}, but {url} answers with {answered_id}; name another --rpc-url")
    start = AnvilOptions(
        fork_url=url,
        fork_block=int(head["number"], 16),
        timestamp=int(head["timestamp"], 16),
        extra=("--chain-id", str(chain_id)),
    )
    async with Anvil(start) as anvil:
        if await anvil.chain_id() != chain_id:
            raise Failed(f"the fork does not answer with chain id {chain_id}")
        await anvil.set_block_interval(_BLOCK_INTERVAL_S)
        yield anvil


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signer:
    address: Address
    private_key: str = field(repr=False)


async def _new_signer(anvil: Anvil) -> _Signer:
    """Make an account nobody knows and give it gas money: a public test account may carry code on a real chain."""
    private_key = "0x" + secrets.token_hex(32)
    address = KeySigner.from_hex(private_key).address
    await anvil.set_balance(address, _GAS_MONEY_WEI)
    return _Signer(address=address, private_key=private_key)


# --- the fall ---------------------------------------------------------------------------------------------------------


async def _reserves(builder: Builder, settings: Mapping[str, Any]) -> list[_Reserve]:
    """Return the reserves of all configured markets."""
    found: list[_Reserve] = []
    for market in settings["markets"]:
        provider = Contract(address=to_address(market["addresses_provider"]), interface=_PROVIDER)
        pool = Contract(address=await builder.read(provider, "getPool"), interface=_POOL)
        oracle = await builder.read(provider, "getPriceOracle")
        tokens = await builder.read(pool, "getReservesList")
        requests = [("eth_call", ({"to": token, "data": _SYMBOL}, "latest")) for token in tokens]
        answers = await builder.anvil.rpc.batch_answers(requests)
        for token, answer in zip(tokens, answers, strict=True):
            found.append(_Reserve(symbol=_text(answer.get("result", "0x")), token=token, oracle=oracle))
    return found


def _text(answer: str) -> str:
    """Return a symbol, which old tokens give as 32 bytes; empty when it is neither."""
    data = bytes.fromhex(answer[2:])
    for types in _SYMBOL_TRIES:
        try:
            (value,) = eth_abi.decode(types, data)
        except (DecodingError, UnicodeDecodeError):
            continue
        return value if isinstance(value, str) else value.rstrip(b"\0").decode(errors="replace")
    return ""


def _chosen(reserves: Sequence[_Reserve], falls: Mapping[str, Decimal]) -> list[tuple[_Reserve, Decimal]]:
    chosen = []
    for name, percent in falls.items():
        found = [each for each in reserves if name.lower() in {each.symbol.lower(), each.token.lower()}]
        if not found:
            known = ", ".join(sorted({each.symbol for each in reserves}))
            raise ConfigError(f"--fall {name}: no market has such a reserve; known: {known}")
        chosen += [(each, percent) for each in found]
    return chosen


async def _push(builder: Builder, reserve: _Reserve, percent: Decimal) -> PushedFeed:
    """Put a feed of ours in the place of the reserve's price source, its answer lower by `percent`."""
    oracle = Contract(address=reserve.oracle, interface=_ORACLE)
    source = await builder.read(oracle, "getSourceOfAsset", reserve.token)
    before_base = await builder.read(oracle, "getAssetPrice", reserve.token)
    if source == ZERO_ADDRESS:
        raise ConfigError(f"the oracle has no source for {reserve.symbol}; its price cannot be pushed")
    after_base = int(before_base * (100 - percent) / 100)
    anvil = builder.anvil
    words = {
        _ANSWER_SLOT: after_base,
        _TIME_SLOT: await anvil.timestamp(),
        _DECIMALS_SLOT: await _feed_decimals(builder, source, oracle),
    }
    await anvil.set_code(source, load_artifact("FixedFeed").deployed_bytecode)
    for slot, word in words.items():
        await anvil.rpc.call("anvil_setStorageAt", source, hex(slot), f"0x{word:064x}")
    if await builder.read(oracle, "getAssetPrice", reserve.token) != after_base:
        raise Failed(f"the oracle does not follow the source of {reserve.symbol}, {source}")
    return PushedFeed(
        symbol=reserve.symbol, token=reserve.token, source=source, before_base=before_base, after_base=after_base
    )


async def _feed_decimals(builder: Builder, source: Address, oracle: Contract) -> int:
    """Return the source's decimals, or those of the oracle's unit where a source does not tell."""
    try:
        decimals: int = await builder.read(Contract(address=source, interface=_TOKEN), "decimals")
    except (RpcError, DecodingError):
        return len(str(await builder.read(oracle, "BASE_CURRENCY_UNIT"))) - 1
    return decimals


async def _treasury_raw(builder: Builder, token: Address) -> int:
    raw: int = await builder.read(Contract(address=token, interface=_TOKEN), "balanceOf", _TREASURY)
    return raw


# --- the keeper -------------------------------------------------------------------------------------------------------


async def _deploy(settings: Mapping[str, Any], anvil: Anvil, signer: _Signer, folder: Path) -> KeeperCommand:
    """Write a configuration for the fork and deploy the executor with the keeper's own command."""
    config = folder / "keeper.toml"
    config.write_text(await _fork_config(settings, anvil, executor=None), encoding="utf-8")
    keeper = KeeperCommand(config=config, private_key=signer.private_key, log=folder / "keeper.log")
    deployed = await keeper.call("deploy", "executor", "--treasury", _TREASURY)
    config.write_text(await _fork_config(settings, anvil, executor=deployed["address"]), encoding="utf-8")
    return keeper


async def _fork_config(settings: Mapping[str, Any], anvil: Anvil, *, executor: str | None) -> str:
    """Return the operator's configuration, with chain, signer, executor and state of the fork."""
    chain = {key: settings["chain"].get(key) for key in ("wrapped_native", "native_feed")}
    tables = [
        toml_table("[chain]", id=await anvil.chain_id(), rpc_urls=[anvil.http_url], ws_url=anvil.ws_url, **chain),
        toml_table("[signer]", allow_env_key=True),
        toml_table("[state]", path="state"),
    ]
    if executor is not None:
        tables.append(toml_table("[executor]", address=executor))
    for name, value in settings.items():
        if isinstance(value, list):
            tables += [toml_table(f"[[{name}]]", **each) for each in value]
        elif name not in _OF_THE_FORK:
            tables.append(toml_table(f"[{name}]", **value))
    return "\n".join(tables)
