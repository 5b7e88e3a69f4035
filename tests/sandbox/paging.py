"""Cutting lists into pages, with the cursors and the traps of a source.

A cursor tells an offset. After the end, accounts with a trap go on: empty pages, each with a new cursor; or one cursor
that leads to itself.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from tests.sandbox.posts import Post
from tests.sandbox.universe import Trait, Universe, as_number

T = TypeVar("T")


class Cursors(Protocol):
    """How a source writes an offset, and reads it again."""

    def write(self, offset: int) -> str:
        """The cursor of a page that starts there."""

    def read(self, text: str) -> int | None:
        """Where a cursor points; None for one that nobody issued. Never called with an empty text."""


@dataclass(frozen=True)
class Opaque:
    """An end_cursor of the usual look."""

    salt: int = 1

    def write(self, offset: int) -> str:
        text = f"{offset}:{self.salt * 2_654_435_761:024d}"
        return "QVF" + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def read(self, text: str) -> int | None:
        raw = text.removeprefix("QVF")
        try:
            offset = int(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)).split(b":")[0])
        except ValueError:
            return None
        return offset if offset >= 0 else None


class Plain:
    """The offset itself, as in lists of followed accounts."""

    def write(self, offset: int) -> str:
        return str(offset)

    def read(self, text: str) -> int | None:
        offset = as_number(text)
        return offset if offset >= 0 else None


@dataclass(frozen=True)
class LastItem:
    """``<media pk>_<user pk>`` of the last item of the page before; counted on after the end."""

    universe: Universe
    posts: Sequence[Post]

    def write(self, offset: int) -> str:
        last = self.posts[min(offset, len(self.posts)) - 1] if self.posts else None
        name = f"{last.pk}_{self.universe.creator(last.owner).pk}" if last else "0_0"
        over = offset - len(self.posts)
        return f"{name}_{over}" if over > 0 else name

    def read(self, text: str) -> int | None:
        pk, _, rest = text.partition("_")
        over = as_number(rest.partition("_")[2] or "0")
        for number, post in enumerate(self.posts, start=1):
            if pk == str(post.pk):
                return number + max(over, 0)
        return max(over, 0) if pk == "0" and not self.posts else None


@dataclass(frozen=True)
class Page(Generic[T]):
    """Part of a list: its items, where it starts, the next cursor ('' at the end), and what the flag claims."""

    items: Sequence[T]
    start: int
    cursor: str
    more: bool
    total: int


def cut(items: Sequence[T], cursor: str, size: int, cursors: Cursors, trait: Trait = Trait.PLAIN) -> Page[T] | None:
    """The page that a cursor asks for, with the trap of ``trait`` at the end; None for a cursor that nobody issued."""
    start = cursors.read(cursor) if cursor else 0
    if start is None:
        return None
    page, total = items[start : start + size], len(items)
    end = start + len(page)
    if end < total:
        return Page(page, start, cursors.write(end), True, total)
    if trait is Trait.EMPTY_PAGES:
        return Page(page, start, cursors.write(max(end, start + (not page))), True, total)
    if trait is Trait.SAME_CURSOR:
        return Page(page, start, cursor or cursors.write(total), True, total)
    return Page(page, start, "", trait is Trait.EMPTY_CURSOR, total)
