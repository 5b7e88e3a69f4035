"""Documented sample bodies as templates: an answer starts as a fresh copy of one, so keys and types stay the wire's."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parents[1] / "contract" / "samples"
Json = dict[str, Any]


class Template:
    """One part of one sample body; ``new()`` gives a copy that may be written to."""

    def __init__(self, source: str, name: str, *path: str | int, drop: tuple[str, ...] = ()) -> None:
        part = sample(source, name)
        for step in path:
            part = part[step]
        if drop:
            part = {key: value for key, value in part.items() if key not in drop}
        self._text = json.dumps(part)

    def new(self) -> Any:
        """A deep copy (decoding is faster than copy.deepcopy)."""
        return json.loads(self._text)


def sample(source: str, name: str) -> Any:
    """The decoded body of one sample file, a fresh copy each time."""
    return json.loads(_raw(source, name))


@lru_cache(maxsize=256)
def _raw(source: str, name: str) -> bytes:
    return (SAMPLES / source / f"{name}.json").read_bytes()


@lru_cache(maxsize=256)
def sample_bytes(source: str, name: str) -> bytes:
    """A sample body as it goes over the wire, for errors that carry no ids."""
    return encode(sample(source, name))


def encode(body: Any) -> bytes:
    """UTF-8 JSON without padding."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def typed_like(old: object, number: int) -> int | str:
    """``number`` as text where the template has text: pk is an int at one provider and a string at the next."""
    return str(number) if isinstance(old, str) else number


def edit(body: Any, path: tuple[str, ...], change: Callable[[Any, str], None]) -> bool:
    """Apply ``change(container, key)`` wherever ``path`` leads; ``*`` means every element or value. False: nowhere."""
    if isinstance(body, list):
        rest = path[1:] if path[0] == "*" else path
        return any(list(map(partial(edit, path=rest, change=change), body)))
    if not isinstance(body, dict):
        return False
    if path[0] == "*":
        return any(list(map(partial(edit, path=path[1:], change=change), body.values())))
    if path[0] not in body:
        return False
    if len(path) == 1:
        change(body, path[0])
        return True
    return edit(body[path[0]], path[1:], change)
