"""Getting payloads: which function, and how many pages. Network only; no transaction is open meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from loguru import logger

from core.crawler.crawler import Crawler, Fetched
from core.crawler.errors import Outcome, ProviderError
from core.crawler.provider import Asked, Function
from core.models.logs import PostLog
from core.runtime import FlowContext
from instagram.functions.retriever.crawler import instagram_sources
from instagram.models.functions import (
    FETCH_POST_BY_SHORTCODE,
    FETCH_PROFILE_BY_HANDLE,
    FETCH_PROFILE_BY_ID,
    FETCH_PROFILE_POSTS_BY_ID,
    FETCH_REELS_POSTS,
)
from instagram.models.keys import MEDIA_PK, TAKEN_AT
from instagram.models.pages import PostsPage, ProfilePage
from instagram.tasks.hashtag_budget import hashtag_budget
from utils.handles import bare_handle

T = TypeVar("T")


class Fetches(Protocol):
    """The part of the crawler that retrieval needs."""

    async def fetch(self, function: Function[T], asked: Asked, *, source: str | None = None) -> Fetched[T]:
        """The first source's answer that can be read."""


@dataclass(frozen=True, slots=True)
class StopRule:
    """When enough pages were read: a post older than ``days``, or more than ``posts`` collected.

    Pinned posts stand on the first page however old they are, and say nothing about the others.
    """

    days: int
    posts: int
    pages: int = 30

    def reached(self, page: PostsPage, collected: int, now: datetime) -> bool:
        """Whether the page just read was the last one wanted."""
        since = int((now - timedelta(days=self.days)).timestamp())
        said = [log.dimensions for log in page.posts if log.dimensions.get(MEDIA_PK) not in page.pinned]
        times = [taken for one in said if (taken := one.get(TAKEN_AT)) is not None]
        return collected > self.posts or (bool(times) and min(times) < since)


RECENT_POSTS = StopRule(days=30, posts=50)
RECENT_REELS = StopRule(days=30, posts=10)


@dataclass(frozen=True, slots=True)
class Gap:
    """A part of a refresh that is missing, and why; ``outcomes`` says it source by source."""

    step: str
    reason: str
    status: int | None = None
    message: str = ""
    outcomes: tuple[Outcome, ...] = ()

    @classmethod
    def of(cls, step: str, error: ProviderError) -> Gap:
        """A gap that an error left; of a failed chain the word of the source that decided it."""
        words = [outcome.error.word for outcome in error.outcomes if outcome.error.code == error.code]
        return cls(step, words[0] if words else error.word, error.code, error.message, error.outcomes)

    def as_result(self) -> dict[str, Any]:
        """The JSON form kept with the task."""
        return {
            "step": self.step,
            "class": self.reason,
            "status": self.status,
            "message": self.message,
            "sources": [outcome.as_result() for outcome in self.outcomes],
        }


@dataclass(slots=True)
class Collected:
    """Posts of several pages in the order read, the source of all of them, and what is missing."""

    posts: list[PostLog] = field(default_factory=list)
    source: str | None = None
    pages: int = 0
    gap: Gap | None = None


def crawler_of(ctx: FlowContext) -> Crawler:
    """The crawler over Instagram's sources."""
    crawler = ctx.runtime.crawler(instagram_sources(ctx.runtime.settings.providers.graph_version))
    if crawler.admission is None:
        crawler.admission = hashtag_budget(ctx.runtime.database)
    return crawler


async def retrieve_profile(crawler: Fetches, profile_id: str | None, handle: str | None) -> Fetched[ProfilePage]:
    """A profile by its id when there is one, else by its handle.

    Raises:
        ProviderError: no source gave it.
    """
    if profile_id:
        return await crawler.fetch(FETCH_PROFILE_BY_ID, Asked(profile_id=profile_id))
    return await crawler.fetch(FETCH_PROFILE_BY_HANDLE, Asked(handle=bare_handle(handle or "")))


async def retrieve_post(crawler: Fetches, shortcode: str) -> Fetched[PostLog]:
    """One post.

    Raises:
        ProviderError: no source gave it.
    """
    return await crawler.fetch(FETCH_POST_BY_SHORTCODE, Asked(shortcode=shortcode))


async def recent_posts(crawler: Fetches, asked: Asked, now: datetime, found: Collected | None = None) -> Collected:
    """A profile's posts of the last 30 days, about 50 at most. A failure leaves a gap, never an error."""
    return await collect(crawler, FETCH_PROFILE_POSTS_BY_ID, asked, RECENT_POSTS, now, found)


async def recent_reels(crawler: Fetches, asked: Asked, now: datetime, found: Collected | None = None) -> Collected:
    """A profile's reels of the last 30 days, about 10 at most. A failure leaves a gap, never an error."""
    return await collect(crawler, FETCH_REELS_POSTS, asked, RECENT_REELS, now, found)


async def collect(
    crawler: Fetches,
    function: Function[PostsPage],
    asked: Asked,
    rule: StopRule,
    now: datetime,
    found: Collected | None = None,
) -> Collected:
    """Page after page from the source that gave the first one, until the rule or the last page.

    An empty page, a cursor seen before and too many pages end it as well; what was collected is kept. Where a source
    gives one cursor for all pages, a page without a new post ends it. Pages go into ``found`` as they are read.
    """
    found = Collected() if found is None else found
    seen: set[str] = set()
    while found.pages < rule.pages:
        try:
            fetched = await crawler.fetch(function, asked, source=found.source)
        except ProviderError as error:
            found.gap = Gap.of(function.name, error)
            logger.bind(function=function.name, pages=found.pages, reason=found.gap.reason).warning("pages ended early")
            return found
        page = fetched.value
        found.source = fetched.source
        found.pages += 1
        circles = page.cursor in seen and not (page.steady_cursor and _has_new(page, found.posts))
        found.posts += page.posts
        if not page.posts or page.cursor is None or rule.reached(page, len(found.posts), now):
            return found
        if circles:
            found.gap = Gap(function.name, "repeated_cursor", message="the source gave the same page link twice")
            return found
        seen.add(page.cursor)
        asked = replace(asked, cursor=page.cursor)
    found.gap = Gap(function.name, "too_many_pages", message=f"stopped after {rule.pages} pages")
    return found


def _has_new(page: PostsPage, posts: list[PostLog]) -> bool:
    known = {log.shortcode for log in posts}
    return any(log.shortcode is not None and log.shortcode not in known for log in page.posts)
