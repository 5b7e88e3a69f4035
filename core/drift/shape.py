"""The shape of a JSON answer: which paths it has and what kind of value stands at each. Never a value.

A path is keys joined by dots; ``[]`` stands for every item of a list and ``{}`` for every key that is data and not a
name, such as an id: ``data.user.edges[].node.id``, ``reels{}.items[].pk``, ``$`` for the answer itself.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Any

ROOT, ITEM, ANY = "$", "[]", "{}"

NO_CHANCE, NOTHING, OBJECT, LIST, TEXT, NUMBER, FLAG = range(7)
KINDS = ("", "nothing", "object", "list", "text", "number", "flag")
"""What can stand at a path, by code; ``nothing`` is null or absent while that which it belongs to is there."""

_CODES = {dict: OBJECT, list: LIST, str: TEXT, int: NUMBER, float: NUMBER, bool: FLAG, type(None): NOTHING}
_NAME = re.compile(r"(?!.*[0-9]{5})[A-Za-z_$][A-Za-z0-9_$-]{0,63}", re.ASCII)
_STEP = re.compile(r"\[\]|\{\}|[^.\[\]{}]+")

MOST_ITEMS = 10
MOST_VALUES = 5000
MOST_KEYS = 300
DEEPEST = 14
LONGEST = 240
"""Bounds of a fingerprint: items per list, values in all, names per object, steps and characters of a path."""


def kind_of(value: object) -> str:
    """The word for a decoded value."""
    return KINDS[_CODES.get(type(value), TEXT)]


def parent_of(path: str) -> str:
    """The path that a path stands under; that of ``$`` is empty."""
    if path == ROOT:
        return ""
    if path.endswith((ITEM, ANY)):
        return path[:-2] or ROOT
    return path.rpartition(".")[0] or ROOT


class Reads:
    """The paths that a parser reads, ready to be looked up in an answer."""

    __slots__ = ("_nodes", "maps", "paths")

    def __init__(self, paths: Iterable[str]) -> None:
        known: dict[tuple[str, ...], int] = {(): -1}
        nodes: list[tuple[int, str]] = []
        for path in sorted(paths):
            steps = tuple(_STEP.findall(path)) if path != ROOT else ()
            for depth in range(1, len(steps) + 1):
                if steps[:depth] not in known:
                    known[steps[:depth]] = len(nodes)
                    nodes.append((known[steps[: depth - 1]], steps[depth - 1]))
        self._nodes = tuple(nodes)
        self.paths = (ROOT, *(_text(steps) for steps in known if steps))
        self.maps = frozenset(parent_of(path) for path in self.paths if path.endswith(ANY))

    def kinds(self, answer: Any) -> bytes:
        """A code for each of ``paths``. Runs on every answer: of a list or a map only the first item is looked at."""
        values: list[Any] = []
        codes = bytearray([_CODES.get(type(answer), TEXT)])
        for above, step in self._nodes:
            inside = answer if above < 0 else values[above]
            value = None
            code = NO_CHANCE
            if step == ITEM:
                if type(inside) is list and inside:
                    value = inside[0]
                    code = _CODES.get(type(value), TEXT)
            elif type(inside) is dict:
                if step != ANY:
                    value = inside.get(step)
                    code = _CODES.get(type(value), TEXT)
                elif inside:
                    value = next(iter(inside.values()))
                    code = _CODES.get(type(value), TEXT)
            values.append(value)
            codes.append(code)
        return bytes(codes)


def _text(steps: Iterable[str]) -> str:
    path = ""
    for step in steps:
        path += step if step in (ITEM, ANY) or not path else f".{step}"
    return path


def fingerprint(answer: Any, maps: frozenset[str] = frozenset()) -> set[tuple[str, str]]:
    """(path, kind) of everything in the answer, outermost first as far as the bounds go; ``maps`` have data as keys."""
    found: set[tuple[str, str]] = set()
    todo: deque[tuple[str, Any, int]] = deque([("", answer, 0)])
    looked_at = 0
    while todo and looked_at < MOST_VALUES:
        path, value, depth = todo.popleft()
        looked_at += 1
        found.add((path or ROOT, kind_of(value)))
        if depth == DEEPEST:
            continue
        if isinstance(value, list):
            inside = [(f"{path}{ITEM}", item) for item in value[:MOST_ITEMS]]
        elif isinstance(value, dict):
            inside = _entries(path, value, maps)
        else:
            continue
        todo.extend((under, item, depth + 1) for under, item in inside if len(under) <= LONGEST)
    return found


def _entries(path: str, value: dict[str, Any], maps: frozenset[str]) -> list[tuple[str, Any]]:
    if (path or ROOT) in maps or _is_map(value):
        return [(f"{path}{ANY}", item) for item in list(value.values())[:MOST_ITEMS]]
    before = f"{path}." if path else ""
    unnamed = 0
    found: list[tuple[str, Any]] = []
    for key, item in value.items():
        if _NAME.fullmatch(key):
            found.append((before + key, item))
        elif (unnamed := unnamed + 1) <= MOST_ITEMS:
            found.append((f"{path}{ANY}", item))
    return found


def _is_map(value: dict[str, Any]) -> bool:
    """Whether the keys are data: too many, or three and more that all hold an object of the same keys."""
    if len(value) > MOST_KEYS:
        return True
    items = iter(value.values())
    first = next(items, None)
    return (
        len(value) >= 3
        and isinstance(first, dict)
        and bool(first)
        and all(isinstance(item, dict) and item.keys() == first.keys() for item in items)
    )


def holds_more(answer: Any) -> bool:
    """Whether an answer that was read as "no such thing" holds something all the same, on its two outer levels."""
    outer = list(answer.values()) if isinstance(answer, dict) else answer if isinstance(answer, list) else []
    inner = [item for value in outer[:50] if isinstance(value, dict) for item in list(value.values())[:50]]
    return any(isinstance(value, dict) and len(value) >= _RICH for value in outer[:50] + inner) or any(
        isinstance(value, list) and value and isinstance(value[0], dict) for value in outer[:50] + inner
    )


_RICH = 5
"""An object with so many keys says something."""
