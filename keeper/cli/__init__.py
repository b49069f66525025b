"""The command line: one module per command, each of which parses, calls and prints."""

from __future__ import annotations

from keeper.cli.main import main

__all__ = ["main"]
