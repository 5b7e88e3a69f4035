"""An account's own posts and stories, asked for with its own token: only there Graph's media ids are said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.crawler.provider import Asked, Function
from core.enums import Platform, PostType
from core.models.logs import PostLog, ProfileLog
from core.runtime import FlowContext
from instagram.functions.retriever.checks import same_handle
from instagram.functions.retriever.graphapi.graphapi import GraphApi
from instagram.functions.retriever.shortcode import media_pk
from instagram.models.functions import FETCH_PROFILE_POSTS_BY_ID, FETCH_STORIES_POSTS
from instagram.models.keys import HANDLE, MEDIA_PK, POST_ID, POST_TYPE, TAKEN_AT
from instagram.models.pages import PostsPage
from instagram.tasks.ingestion import complete_post, complete_posts
from instagram.tasks.page_walk import Listing, PageRule, Walk, pauses_of
from instagram.tasks.processing import OWNER_BY_HANDLE, upsert_posts
from instagram.tasks.retrieval import crawler_of
from utils.times import utc_now

GRAPH = GraphApi.source
RULE = PageRule(items=1000, failures=1, failure_pause_s=10)
"""A thousand posts are 20 pages."""

OwnWalk = Walk[PostsPage, PostLog]

_POST = text("""
select shortcode, profile_id, handle, post_id, media_pk, post_type, product_type from instagram_post
where shortcode = :shortcode
""")


@dataclass(frozen=True, slots=True)
class StoredPost:
    """What is known of a post before its owner is asked about it."""

    shortcode: str
    profile_id: str | None = None
    handle: str | None = None
    post_id: str | None = None
    media_pk: str | None = None
    post_type: str | None = None
    product_type: str | None = None

    def graph_id(self, *given: str) -> str | None:
        """Graph's media id: the stored one, else the first of those given; a media pk is none."""
        pks = {self.shortcode, self.media_pk, media_pk(self.shortcode)}
        plain = ((one or "").partition("_")[0] for one in (self.post_id, *given))
        return next((one for one in plain if one.isascii() and one.isdigit() and one not in pks), None)


def clean_handle(handle: str) -> str:
    """As handles are stored."""
    return handle.strip().removeprefix("@").lower()


async def stored_post(session: AsyncSession, shortcode: str) -> StoredPost:
    """The row of a post; without one only its shortcode is known."""
    row = (await session.execute(_POST, {"shortcode": shortcode})).one_or_none()
    return StoredPost(*row) if row else StoredPost(shortcode)


async def account_id(session: AsyncSession, handle: str) -> str | None:
    """The stored account that has a handle now."""
    found: str | None = await session.scalar(OWNER_BY_HANDLE, {"handle": handle})
    return found


def posts_walk(handle: str, since: datetime) -> OwnWalk:
    """The account's own posts, newest first, until one is older than ``since``."""

    def is_last(page: PostsPage) -> bool:
        return not all(is_recent(log, since) for log in page.posts)

    return _walk(FETCH_PROFILE_POSTS_BY_ID, handle, is_last)


def stories_walk(handle: str) -> OwnWalk:
    """The account's own stories of the last day."""
    return _walk(FETCH_STORIES_POSTS, handle, None)


def _walk(function: Function[PostsPage], handle: str, is_last: Callable[[PostsPage], bool] | None) -> OwnWalk:
    return Walk(Listing(function, attrgetter("posts"), _media_id, is_last), RULE, source=GRAPH, handle=handle)


def is_recent(log: PostLog, since: datetime) -> bool:
    """Whether a post is not known to be older."""
    taken = log.dimensions.get(TAKEN_AT)
    return taken is None or taken >= since.timestamp()


async def store_own(ctx: FlowContext, walk: OwnWalk, handle: str) -> AsyncGenerator[list[PostLog], None]:
    """Read on, store each page in a transaction of its own, and hand out what it held.

    Raises:
        ProviderError: the account's own token did not give a page; the pages before are stored.
    """
    sessions = ctx.runtime.database.sessions
    async with sessions() as session:
        owner = await account_id(session, handle)
    async for read in walk.read(crawler_of(ctx), Asked(handle=handle), pauses_of(ctx)):
        posts = await asyncio.to_thread(_complete, read.fresh, owner, handle)  # keywords take milliseconds
        async with sessions() as session:
            await upsert_posts(session, posts)
        yield posts


def _complete(found: list[PostLog], owner: str | None, handle: str) -> list[PostLog]:
    named = [log for one in found if (log := _named(one)).shortcode]
    if owner is None:
        return [complete_post(log) for log in named]
    account = ProfileLog(Platform.INSTAGRAM, owner, GRAPH, utc_now(), {HANDLE: handle})
    mine = [log for log in named if same_handle(log.dimensions.get(HANDLE, handle), handle)]
    others = [log for log in named if not same_handle(log.dimensions.get(HANDLE, handle), handle)]
    return [*complete_posts(mine, account), *map(complete_post, others)]


def _named(log: PostLog) -> PostLog:
    """Rows of stories are named by their media pk."""
    if log.dimensions.get(POST_TYPE) != PostType.STORY:
        return log
    return replace(log, shortcode=log.dimensions.get(MEDIA_PK) or (media_pk(log.shortcode) if log.shortcode else None))


def _media_id(log: PostLog) -> Any:
    return log.dimensions.get(POST_ID)
