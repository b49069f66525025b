"""Start a world by hand: `python -m keeper.devnet --market aave-v3 --borrowers 100`. Ctrl-C ends it."""

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from keeper.devnet.accounts import OPERATOR
from keeper.devnet.anvil import AnvilOptions
from keeper.devnet.settings import SettingsOptions
from keeper.devnet.world import World, WorldOptions, open_world
from keeper.domain.errors import Fatal


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m keeper.devnet", description=__doc__)
    parser.add_argument("--market", choices=["bundled", "aave-v3", "aave-v3.6"], default="bundled")
    parser.add_argument("--borrowers", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--port", type=int, default=0, help="0 lets the system choose")
    parser.add_argument("--chain-id", type=int, default=31337)
    parser.add_argument("--block-time", type=float, help="seconds between blocks; default: a block per transaction")
    parser.add_argument("--fall", type=int, default=0, help="let the volatile assets fall by so many percent")
    parser.add_argument("--config", type=_absolute, default="devnet.toml", help="where to write the configuration")
    parser.add_argument("--save", type=Path, help="save the world into this folder and end")
    return parser.parse_args(arguments)


def _absolute(text: str) -> Path:
    return Path(text).absolute()


async def serve(options: argparse.Namespace) -> None:
    """Build the world, write its configuration, and wait to be interrupted."""
    wanted = WorldOptions(kind=options.market, borrowers=options.borrowers, seed=options.seed)
    start = AnvilOptions(chain_id=options.chain_id, port=options.port, block_time_s=options.block_time)
    stopped = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signum, stopped.set)
    async with open_world(wanted, start) as world:
        await world.deploy_executor()
        if options.fall:
            await world.shock({asset.symbol: -options.fall for asset in world.market.assets if asset.spec.volatile})
        if options.save:
            await world.save(options.save)
            print(f"saved in {options.save}")
            return
        settings = SettingsOptions(ws_url=world.anvil.ws_url, state_path=Path("devnet.sqlite3"))
        await asyncio.to_thread(options.config.write_text, world.config_toml(settings))
        await describe(world, options.config)
        await stopped.wait()


async def describe(world: World, config: Path) -> None:
    """Print where everything is and how to point the keeper at it."""
    print(f"{world.market.kind} market on {world.anvil.http_url}, {len(world.layout.borrowers)} borrowers, ", end="")
    print(f"{len(await world.unhealthy())} liquidatable, block {await world.anvil.block_number()}")
    for asset in world.market.assets:
        print(f"  {asset.symbol:5} {asset.token}  feed {asset.feed}  aggregator {asset.aggregator}")
    print(f"export KEEPER_CONFIG={config} KEEPER_PRIVATE_KEY={OPERATOR.private_key}", flush=True)


def main() -> int:
    """Run until interrupted; a failure is one line."""
    try:
        asyncio.run(serve(parse(sys.argv[1:])))
    except Fatal as error:
        print(f"devnet: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
