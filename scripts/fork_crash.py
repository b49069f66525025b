"""Push prices down on a fork of a chain, let the keeper liquidate what falls, and print its ledger.

Usage: python scripts/fork_crash.py --config keeper.toml --fall WETH=20 [--fall 0xToken=15] [--rpc-url URL]

The markets, venues and policy are those of the configuration; the chain is a copy that ends with the script, the key a
new one, and the state file a fresh one. Nothing is sent anywhere else.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path

from keeper.cli import tables
from keeper.cli.common import exit_code
from keeper.config.load import load_settings
from keeper.domain.errors import KeeperError
from keeper.lab.fork import Crash, CrashOptions, rehearse_crash
from keeper.observe.logs import redact_text


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True, help="the keeper's TOML file")
    parser.add_argument(
        "--fall",
        type=fall,
        action="append",
        required=True,
        metavar="TOKEN=PERCENT",
        help="a reserve, by symbol or address",
    )
    parser.add_argument("--rpc-url", help="what to fork (default: the configuration's first rpc_urls)")
    parser.add_argument(
        "--chain-id", type=int, default=31337, help="of the fork: a devnet's, so that a new key may sign"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args(arguments)


def fall(text: str) -> tuple[str, Decimal]:
    """Return (token, percent) of TOKEN=PERCENT."""
    token, _, number = text.partition("=")
    try:
        percent = Decimal(number)
    except InvalidOperation:
        percent = Decimal(-1)
    if not token or not 0 <= percent < 100:
        raise argparse.ArgumentTypeError(f"{text!r}: give TOKEN=PERCENT, such as WETH=20, below 100")
    return token, percent


async def rehearse(options: CrashOptions) -> Crash:
    """Run the rehearsal; SIGTERM ends it as Ctrl-C does, and no process stays."""
    work = asyncio.ensure_future(rehearse_crash(options))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    return await work


def show(crash: Crash) -> None:
    """Print what fell, the ledger, and what the treasury gained."""
    print(f"Forked at block {crash.fork_block}.")
    for feed in crash.feeds:
        print(f"{feed.symbol}: the oracle's price fell from {feed.before_base} to {feed.after_base}.")
    print(f"{crash.liquidatable} accounts became liquidatable; {len(crash.run['entries'])} liquidations were mined.")
    tables.print_pnl(crash.ledger)
    for token, raw in crash.gained_raw.items():
        print(f"The treasury gained {raw} of {token}.")


def document(crash: Crash) -> str:
    """Return the outcome as JSON."""
    gained = {token: str(raw) for token, raw in crash.gained_raw.items()}
    feeds = [
        {
            "symbol": feed.symbol,
            "token": feed.token,
            "source": feed.source,
            "before_base": str(feed.before_base),
            "after_base": str(feed.after_base),
        }
        for feed in crash.feeds
    ]
    return json.dumps(
        {
            "fork_block": crash.fork_block,
            "feeds": feeds,
            "liquidatable": crash.liquidatable,
            "run": crash.run,
            "pnl": crash.ledger,
            "gained_raw": gained,
        },
        indent=2,
    )


def main(arguments: list[str]) -> int:
    """Rehearse and print; an expected failure is one line and its exit code."""
    options = parse(arguments)
    try:
        load_settings(options.config)  # says what is wrong with it, in one line
        wanted = CrashOptions(
            config=options.config, falls=dict(options.fall), rpc_url=options.rpc_url, chain_id=options.chain_id
        )
        crash = asyncio.run(rehearse(wanted))
    except KeeperError as error:
        print(f"fork_crash: {redact_text(str(error))}", file=sys.stderr)
        return exit_code(error)
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    if options.json:
        print(document(crash))
    else:
        show(crash)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
