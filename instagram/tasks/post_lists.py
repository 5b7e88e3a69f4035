"""Long lists of posts: each page is stored before the next one is asked for, each post once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from loguru import logger

from core.crawler.errors import ProviderError
from core.crawler.provider import Asked, Function
from core.models.logs import PostLog
from core.runtime import FlowContext
from instagram.models.pages import PostsPage
from instagram.tasks.ingestion import nameless
from instagram.tasks.page_walk import Listing, PageRule, Walk, pauses_of
from instagram.tasks.posts_ingestion import named
from instagram.tasks.processing import upsert_posts
from instagram.tasks.retrieval import Gap, StopRule, crawler_of

PostsWalk = Walk[PostsPage, PostLog]
Fit = Callable[[Sequence[PostLog]], list[PostLog]]
"""Makes the posts of a page fit for storing."""


@dataclass(frozen=True, slots=True)
class PostList:
    """What is listed, how it is read, and what becomes of it.

    ``source`` and ``handle`` name a source, and an account's own credential, that alone can give it. ``keeps``: a
    failure after the first page is a gap in the result, not the task's end.
    """

    function: Function[PostsPage]
    asked: Asked
    rule: PageRule
    fit: Fit
    days: int | None = None
    source: str | None = None
    handle: str | None = None
    keeps: bool = True


def posts_walk(
    function: Function[PostsPage],
    rule: PageRule,
    last: Callable[[PostsPage], bool] | None = None,
    *,
    source: str | None = None,
    handle: str | None = None,
) -> PostsWalk:
    """A walk over posts; those that do not say which one they are cannot be stored and are left out."""
    return Walk(Listing(function, _storable, attrgetter("shortcode"), last), rule, source=source, handle=handle)


def _storable(page: PostsPage) -> list[PostLog]:
    return [log for log in map(named, page.posts) if log.shortcode]


async def store_list(ctx: FlowContext, wanted: PostList) -> dict[str, Any]:
    """Read and store. ``cursor`` in the result goes on behind what was read.

    Raises:
        ProviderError: no source began the list; unless it ``keeps``, also when none was left to go on with.
    """
    walk = posts_walk(wanted.function, wanted.rule, _last(wanted, ctx), source=wanted.source, handle=wanted.handle)
    stored, lost, cursor = 0, 0, None
    try:
        async for read in walk.read(crawler_of(ctx), wanted.asked, pauses_of(ctx)):
            posts = await asyncio.to_thread(wanted.fit, read.fresh)  # keywords take milliseconds
            async with ctx.runtime.database.sessions() as session:
                await upsert_posts(session, posts)
            stored, cursor = stored + len(posts), read.page.cursor
            lost += nameless(map(named, read.page.posts))
    except ProviderError as error:
        if not wanted.keeps or walk.pages == 0:
            raise
        walk.gap = Gap.of(wanted.function.name, error)
        logger.bind(function=wanted.function.name, pages=walk.pages, reason=walk.gap.reason).warning("list ended early")
    found = walk.as_result()
    return {**found, "posts": stored, "cursor": cursor, "gaps": [*found["gaps"], *lost_posts(lost)]}


def lost_posts(count: int) -> list[dict[str, Any]]:
    """The gap that posts leave which do not say which one they are."""
    if not count:
        return []
    return [Gap("posts", "malformed", message=f"{count} posts do not say their shortcode").as_result()]


def _last(wanted: PostList, ctx: FlowContext) -> Callable[[PostsPage], bool] | None:
    """Whether a page reaches back further than wanted."""
    if wanted.days is None:
        return None
    rule = StopRule(days=wanted.days, posts=wanted.rule.items)
    return lambda page: rule.reached(page, 0, ctx.started_at)
