"""What is wrong with a configuration, in one line: the key, what it has to be, and what was found there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from keeper.config.model import Settings

_WORDS: Final = {
    "bool": "must be true or false",
    "decimal": "must be a number",
    "finite": "must be a finite number",
    "float": "must be a number",
    "greater": "must be above {gt}",
    "int": "must be a whole number",
    "less": "must be below {lt}",
    "literal": "must be {expected}",
    "model": "must be a table, in braces or under a heading of its own",
    "string": "must be a text, in quotes",
    "too": "must have at least one entry",
    "tuple": "must be a list, in square brackets",
}
"""By the first word of the validator's name for the problem; in braces, what it tells beside."""

_EXACT: Final = {
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
}
"""The same, for those whose whole name matters."""


def explain(error: ValidationError) -> str:
    """Return the first problem of a configuration; addresses of nodes are not repeated in it."""
    problems = error.errors(include_url=False)
    # An unknown key comes first: a misspelt one also shows up as a missing one.
    first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {place}{_suggestion(first['loc'])}"
    if first["type"] == "missing":
        return f"{place} is missing; add it"
    return f"{place}: {_words(first)}{_shown(place, first['input'])}"


def _words(problem: Mapping[str, Any]) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    context = {name: _plain(value) for name, value in context.items()}
    words = _EXACT.get(kind) or _WORDS.get(kind.split("_")[0])
    return str(problem["msg"]) if words is None else words.format(**context)


def _plain(value: Any) -> str:
    """Return a bound as people write it: the validator makes 0.0 of 0 and says "Decimal('0.9')" of 0.9."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text.removeprefix("Decimal('").removesuffix("')") if text.startswith("Decimal") else text


def _shown(place: str, found: Any) -> str:
    """Return the value refused as the file has it, but no list or table, and nothing that may hold an access key."""
    if "url" in place or isinstance(found, dict | list) or "://" in str(found):
        return ""
    if isinstance(found, bool):
        return f" (it is {str(found).lower()})"
    return f" (it is {found!s:.80})" if isinstance(found, Decimal) else f" (it is {found!r:.80})"


def _suggestion(location: tuple[int | str, ...]) -> str:
    known = sorted(_keys_at(location[:-1]))
    near = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; known here: {', '.join(known)}"


def _keys_at(location: tuple[int | str, ...]) -> set[str]:
    model: type[BaseModel] = Settings
    for part in location:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    return set(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
