"""Tokens and price feeds of a local market."""

from functools import cache

from keeper.artifacts import load_artifact
from keeper.devnet.abi import Interface
from keeper.devnet.builder import Builder, Contract
from keeper.devnet.layout import FEED_DECIMALS, Asset, AssetSpec, Market, feed_answer
from keeper.devnet.npm import deploy_npm
from keeper.domain.units import MAX_UINT256, Address

WETH9 = "@aave/core-v3/artifacts/contracts/dependencies/weth/WETH9.sol/WETH9.json"
TOKEN = Interface.of(
    "approve(address,uint256) (bool)",
    "transfer(address,uint256) (bool)",
    "balanceOf(address) (uint256)",
    "mint(address,uint256)",
    "deposit()",
)


@cache
def own_interface(name: str) -> Interface:
    """Return the interface of one of our own contracts."""
    return Interface(load_artifact(name).abi)


def deploy_own(builder: Builder, name: str, *arguments: object) -> Contract:
    """Queue the deployment of one of our own contracts."""
    artifact = load_artifact(name)
    return builder.deploy(artifact.abi, artifact.bytecode, *arguments, label=name)


def deploy_asset(builder: Builder, spec: AssetSpec, *, real_weth: bool) -> Asset:
    """Queue a token and its feed, already reporting the price; `real_weth` makes the wrapped native token WETH9."""
    if spec.wrapped_native and real_weth:
        token = deploy_npm(builder, WETH9)
    else:
        token = deploy_own(builder, "TestToken", f"{spec.symbol} (test)", spec.symbol, spec.decimals)
    aggregator = deploy_own(builder, "PriceFeed", FEED_DECIMALS, f"{spec.symbol} / USD", builder.deployer)
    builder.send(aggregator, "transmit", feed_answer(spec.price_usd))
    feed = deploy_own(builder, "FeedProxy", aggregator.address, builder.deployer)
    return Asset(spec=spec, token=token.address, feed=feed.address, aggregator=aggregator.address)


def deploy_sequencer(builder: Builder) -> Address:
    """Queue a sequencer's feed (0: up, 1: down) that has been up since long ago; its address."""
    feed = deploy_own(builder, "PriceFeed", 0, "sequencer", builder.deployer)
    builder.send(feed, "transmitAt", 0, 1)
    return feed.address


def token_of(asset: Asset) -> Contract:
    """Return the handle of a reserve's token."""
    return Contract(address=asset.token, interface=TOKEN)


def aggregator_of(asset: Asset) -> Contract:
    """Return the handle of the aggregator that a reserve's feed stands for."""
    return Contract(address=asset.aggregator, interface=own_interface("PriceFeed"))


def mint(builder: Builder, market: Market, asset: Asset, amount_raw: int, to: Address | None = None) -> None:
    """Queue new tokens for `to` (the deployer when left out); real wrapped native is deposited, the rest minted."""
    token = token_of(asset)
    receiver = to or builder.deployer
    if asset.spec.wrapped_native and market.kind != "bundled":
        builder.send(token, "deposit", value_wei=amount_raw)
        if receiver != builder.deployer:
            builder.send(token, "transfer", receiver, amount_raw)
    else:
        builder.send(token, "mint", receiver, amount_raw)


def approve_all(builder: Builder, assets: tuple[Asset, ...], spender: Address) -> None:
    """Queue the deployer's unlimited approval of `spender` for each token."""
    for asset in assets:
        builder.send(token_of(asset), "approve", spender, MAX_UINT256)
