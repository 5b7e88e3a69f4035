"""Long lists, page after page: pauses, patience with the source that began, a fresh start elsewhere, and an end.

Each page is handed out as it comes, so that it is stored before the next one is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

from loguru import logger

from core.crawler.crawler import Fetched
from core.crawler.errors import NoSourceAvailable, ProviderError, Retry, retry_rule
from core.crawler.provider import Asked, Function
from core.models.logs import PostLog
from core.runtime import FlowContext
from instagram.models.pages import Comment, CommentsPage, PeoplePage, Person, PostsPage
from instagram.tasks.retrieval import Gap

R = TypeVar("R")
P = TypeVar("P", PeoplePage, CommentsPage, PostsPage)
T = TypeVar("T", Person, Comment, PostLog)

Pause = Callable[[float], Awaitable[None]]
"""Waits so many seconds."""


class FetchesPages(Protocol):
    """The part of the crawler that a walk needs."""

    async def fetch(
        self,
        function: Function[R],
        asked: Asked,
        *,
        source: str | None = None,
        handle: str | None = None,
        last: Collection[str] = (),
    ) -> Fetched[R]:
        """The first source's answer that can be read."""


@dataclass(frozen=True, slots=True)
class PageRule:
    """How long to go on: until ``items`` were read or ``pages``, or ``empty`` pages in a row said nothing new.

    The source that began is forgiven ``failures`` in a row; then another one starts over, ``restarts`` times at most.
    """

    items: int
    pause_s: float = 0.0
    failures: int = 5
    failure_pause_s: float = 10.0
    restarts: int = 2
    pages: int = 500
    empty: int = 2


@dataclass(frozen=True, slots=True)
class Listing(Generic[P, T]):
    """A function that gives pages, what is on them, and what tells two items apart."""

    function: Function[P]
    items: Callable[[P], list[T]]
    key: Callable[[T], Hashable]
    last: Callable[[P], bool] | None = None
    """Whether nothing behind a page is wanted."""


@dataclass(frozen=True, slots=True)
class Read(Generic[P, T]):
    """A page as it came, and those of its items that no page before had."""

    page: P
    fresh: list[T]
    fetched: Fetched[P]


@dataclass(slots=True)
class _Pass:
    """From a first page on: which one is next, and what this source has said so far."""

    asked: Asked
    cursors: set[str] = field(default_factory=set)
    keys: set[Hashable] = field(default_factory=set)
    empty: int = 0
    failures: int = 0


@dataclass(slots=True)
class Walk(Generic[P, T]):
    """One list, being read. ``source`` is who gives the pages: set it beforehand only for a cursor of that source."""

    listing: Listing[P, T]
    rule: PageRule
    source: str | None = None
    handle: str | None = None
    count: int = 0
    pages: int = 0
    gap: Gap | None = None
    sources: list[str] = field(default_factory=list)
    _given_up: list[str] = field(default_factory=list)
    _keys: set[Hashable] = field(default_factory=set)

    async def read(self, crawler: FetchesPages, asked: Asked, pause: Pause) -> AsyncIterator[Read[P, T]]:
        """Each page with what is new on it.

        Raises:
            ProviderError: no source began the list, or none was left to go on with it.
        """
        at = _Pass(asked)
        while self.pages < self.rule.pages:
            try:
                fetched = await crawler.fetch(
                    self.listing.function, at.asked, source=self.source, handle=self.handle, last=self._given_up
                )
            except ProviderError as error:
                at = await self._after(error, at, pause)
                continue
            page = fetched.value
            self._note(fetched.source)
            items = self.listing.items(page)
            yield Read(page, self._fresh(items), fetched)
            if self._ended(page, items, at):
                return
            at.asked = replace(at.asked, cursor=page.cursor, beside=getattr(page, "beside", None))
            await pause(self.rule.pause_s)
        self.gap = self._gap("too_many_pages", f"stopped after {self.rule.pages} pages")

    def _note(self, source: str) -> None:
        self.source = source
        self.pages += 1
        if source not in self.sources:
            self.sources.append(source)

    def _fresh(self, items: list[T]) -> list[T]:
        fresh = {key: item for item in items if (key := self.listing.key(item)) not in self._keys}
        self._keys.update(fresh)
        self.count += len(fresh)
        return list(fresh.values())

    def _ended(self, page: P, items: list[T], at: _Pass) -> bool:
        known = len(at.keys)
        at.keys.update(map(self.listing.key, items))
        at.empty = at.empty + 1 if len(at.keys) == known else 0
        at.failures = 0
        if page.cursor is None or len(at.keys) >= self.rule.items or self._is_last(page):
            return True
        if page.cursor in at.cursors and not getattr(page, "steady_cursor", False):
            self.gap = self._gap("repeated_cursor", "the source gave the same page link twice")
        elif at.empty >= self.rule.empty:
            self.gap = self._gap("empty_pages", f"{at.empty} pages in a row said nothing new and promised more")
        at.cursors.add(page.cursor)
        return self.gap is not None

    def _is_last(self, page: P) -> bool:
        return self.listing.last is not None and self.listing.last(page)

    async def _after(self, error: ProviderError, at: _Pass, pause: Pause) -> _Pass:
        """Where to go on: at the same page after a while, or from the beginning with the other sources first."""
        if self.source is None:
            raise error  # every source was asked: the queue knows when to try again
        at.failures += 1
        said = {"function": self.listing.function.name, "source": self.source, "reason": error.word}
        if at.failures <= self.rule.failures and self._may_pass(error):
            logger.bind(failures=at.failures, **said).warning("page failed, asking again")
            await pause(self.rule.failure_pause_s)
            return at
        if self.handle is not None or len(self._given_up) >= self.rule.restarts:
            raise error
        logger.bind(pages=self.pages, **said).warning("source given up, list starts over")
        self._given_up.append(self.source)
        self.source = None
        return _Pass(replace(at.asked, cursor=None, beside=None))

    def _may_pass(self, error: ProviderError) -> bool:
        """Whether asking the same source again within our patience can help."""
        if isinstance(error, NoSourceAvailable):
            return False
        patience_s = self.rule.failures * self.rule.failure_pause_s
        return retry_rule(error) is not Retry.NEVER and (error.retry_after_s or 0.0) <= patience_s

    def _gap(self, reason: str, message: str) -> Gap:
        return Gap(self.listing.function.name, reason, message=message)

    def as_result(self) -> dict[str, Any]:
        """What the task says about it."""
        gaps = [] if self.gap is None else [self.gap.as_result()]
        return {"source": self.source, "sources": self.sources, "pages": self.pages, "gaps": gaps}


def pauses_of(ctx: FlowContext) -> Pause:
    """Pauses between pages, as long as the settings want them."""
    factor = ctx.runtime.settings.providers.page_pause_factor

    async def pause(seconds: float) -> None:
        await asyncio.sleep(seconds * factor)

    return pause
