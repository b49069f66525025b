"""What else is to be pushed over the connection that announces heads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

OnPush = Callable[[Any], None]
"""Called with what the node pushed, unchecked; must be quick and must not raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One subscription: the parameters of `eth_subscribe`, others for nodes that refuse them, and who is told."""

    params: tuple[Any, ...]
    on_push: OnPush
    instead: tuple[Any, ...] | None = None


class Topics:
    """The subscriptions wanted, by name. They may change at any time; a connection follows."""

    def __init__(self) -> None:
        self._wanted: dict[str, Topic] = {}
        self._listeners: list[Callable[[], None]] = []

    def want(self, name: str, params: Sequence[Any], on_push: OnPush, *, instead: Sequence[Any] | None = None) -> None:
        """Have `on_push` told of what `eth_subscribe(*params)` announces, in place of what `name` was before.

        A node that refuses is asked for `instead`.
        """
        topic = Topic(params=tuple(params), on_push=on_push, instead=None if instead is None else tuple(instead))
        if self._wanted.get(name) != topic:
            self._wanted[name] = topic
            for tell in self._listeners:
                tell()

    def wanted(self) -> dict[str, Topic]:
        """Return all that is wanted now."""
        return dict(self._wanted)

    def listen(self, tell: Callable[[], None]) -> Callable[[], None]:
        """Have `tell` called at each change; return what ends that."""
        self._listeners.append(tell)
        return lambda: self._listeners.remove(tell)
