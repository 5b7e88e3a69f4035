"""An account's own posts and stories, asked for with its own token: only there Graph's media ids are said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.crawler.provider import Asked
from core.models.logs import PostLog
from core.runtime import FlowContext
from instagram.functions.retriever.crawler import GRAPH
from instagram.functions.retriever.shortcode import media_pk
from instagram.models.functions import FETCH_PROFILE_POSTS_BY_ID, FETCH_STORIES_POSTS
from instagram.models.keys import TAKEN_AT
from instagram.models.pages import PostsPage
from instagram.tasks.lookups import account_by_handle
from instagram.tasks.page_walk import PageRule, pauses_of
from instagram.tasks.post_lists import PostsWalk, posts_walk
from instagram.tasks.posts_ingestion import of_account
from instagram.tasks.processing import upsert_posts
from instagram.tasks.retrieval import crawler_of
from utils.handles import bare_handle

RULE = PageRule(items=1000, failures=1)
"""A thousand posts are 20 pages."""

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
    return bare_handle(handle).lower()


async def stored_post(session: AsyncSession, shortcode: str) -> StoredPost:
    """The row of a post; without one only its shortcode is known."""
    row = (await session.execute(_POST, {"shortcode": shortcode})).one_or_none()
    return StoredPost(*row) if row else StoredPost(shortcode)


def own_posts(handle: str, since: datetime) -> PostsWalk:
    """The account's own posts, newest first, until one is older than ``since``."""

    def is_last(page: PostsPage) -> bool:
        return not all(is_recent(log, since) for log in page.posts)

    return posts_walk(FETCH_PROFILE_POSTS_BY_ID, RULE, is_last, source=GRAPH, handle=handle)


def own_stories(handle: str) -> PostsWalk:
    """The account's own stories of the last day."""
    return posts_walk(FETCH_STORIES_POSTS, RULE, source=GRAPH, handle=handle)


def is_recent(log: PostLog, since: datetime) -> bool:
    """Whether a post is not known to be older."""
    taken = log.dimensions.get(TAKEN_AT)
    return taken is None or taken >= since.timestamp()


async def store_own(ctx: FlowContext, walk: PostsWalk, handle: str) -> AsyncGenerator[list[PostLog], None]:
    """Read on, store each page in a transaction of its own, and hand out what it held.

    Raises:
        ProviderError: the account's own token did not give a page; the pages before are stored.
    """
    account = (await account_by_handle(ctx, handle)).as_log()
    async for read in walk.read(crawler_of(ctx), Asked(handle=handle), pauses_of(ctx)):
        posts = await asyncio.to_thread(of_account, read.fresh, account)  # keywords take milliseconds
        async with ctx.runtime.database.sessions() as session:
            await upsert_posts(session, posts)
        yield posts
