"""What the tasks about a post's likes, comments and replies mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from loguru import logger

from core.crawler.errors import NotFound, ProviderError
from core.crawler.provider import Asked, Function, Payload
from core.models.logs import ActivityLog
from core.models.params import CommentsParams, LikesParams, RepliesParams
from core.runtime import FlowContext
from instagram.functions.retriever.crawler import CHAINS, GRAPH
from instagram.models.functions import FETCH_POST_COMMENT_REPLIES, FETCH_POST_COMMENTS, FETCH_POST_LIKES
from instagram.models.pages import Comment, CommentsPage
from instagram.tasks.activities_ingestion import comments_on, likes_on
from instagram.tasks.activities_processing import owner_handle, upsert_activities
from instagram.tasks.page_walk import Listing, P, PageRule, Read, T, Walk, pauses_of
from instagram.tasks.retrieval import crawler_of

LIKES = 2000
COMMENTS = 1000
COMMENT_PAGES = 100
"""So many pages of comments are looked through for one comment."""

Act = Callable[[list[T], Payload], list[ActivityLog]]


async def fetch_post_likes(params: LikesParams, ctx: FlowContext) -> dict[str, Any]:
    """Who likes a post; ``cursor`` is one of the source that is asked first.

    Raises:
        ProviderError: no source gave them, or none was left to go on with.
    """
    listing = Listing(FETCH_POST_LIKES, attrgetter("people"), attrgetter("profile_id"))
    walk = Walk(listing, PageRule(items=params.max_likes or LIKES), source=_begun(FETCH_POST_LIKES, params.cursor))
    asked = Asked(shortcode=params.shortcode, cursor=params.cursor or None)
    async for read in walk.read(crawler_of(ctx), asked, pauses_of(ctx)):
        await _store(ctx, read, lambda *found: likes_on(params.shortcode, *found))
    return {"shortcode": params.shortcode, "likes": walk.count, **walk.as_result()}


async def fetch_post_comments(params: CommentsParams, ctx: FlowContext) -> dict[str, Any]:
    """The comments on a post, without the replies to them; ``cursor`` is one of the source that is asked first.

    Raises:
        ProviderError: no source gave them, or none was left to go on with.
    """
    rule = PageRule(items=params.max_comments or COMMENTS)
    walk = Walk(_comments(FETCH_POST_COMMENTS), rule, source=_begun(FETCH_POST_COMMENTS, params.cursor))
    asked = Asked(shortcode=params.shortcode, cursor=params.cursor or None)
    async for read in walk.read(crawler_of(ctx), asked, pauses_of(ctx)):
        await _store(ctx, read, lambda *found: comments_on(params.shortcode, *found))
    return {"shortcode": params.shortcode, "comments": walk.count, **walk.as_result()}


async def fetch_post_comment_replies(params: RepliesParams, ctx: FlowContext) -> dict[str, Any]:
    """The replies to a comment: all of them where the post's own account is connected, else those shown under it.

    ``partial`` says that there are more replies than the source gave.

    Raises:
        NotFound: the post has no such comment.
        ProviderError: no source gave its comments.
    """
    async with ctx.runtime.database.sessions() as session:
        handle = await owner_handle(session, params.shortcode)
    if handle is not None:
        try:
            return await _replies(ctx, params, _own_replies(params, handle))
        except ProviderError as error:
            logger.bind(shortcode=params.shortcode, reason=error.word).info("replies not given to their own account")
    return await _replies(ctx, params, _shown_replies(params))


def _own_replies(params: RepliesParams, handle: str) -> Walk[CommentsPage, Comment]:
    rule = PageRule(items=params.max_replies, failures=0)
    return Walk(_comments(FETCH_POST_COMMENT_REPLIES), rule, source=GRAPH, handle=handle)


def _shown_replies(params: RepliesParams) -> Walk[CommentsPage, Comment]:
    """Pages without the comment that is looked for are empty, and no reason to stop."""
    rule = PageRule(items=params.max_replies, pages=COMMENT_PAGES, empty=COMMENT_PAGES)
    return Walk(_comments(FETCH_POST_COMMENT_REPLIES), rule)


async def _replies(ctx: FlowContext, params: RepliesParams, walk: Walk[CommentsPage, Comment]) -> dict[str, Any]:
    asked = Asked(shortcode=params.shortcode, comment_id=params.comment_id)
    announced: int | None = None
    async for read in walk.read(crawler_of(ctx), asked, pauses_of(ctx)):
        announced = read.page.announced if announced is None else announced
        await _store(ctx, read, lambda *found: comments_on(params.shortcode, *found, thread=params.comment_id))
    if walk.source != GRAPH and announced is None and walk.gap is None:
        raise NotFound("the post has no such comment")
    partial = walk.gap is not None or walk.count < (announced or 0)
    said = {"shortcode": params.shortcode, "comment_id": params.comment_id, "replies": walk.count, "partial": partial}
    return {**said, **walk.as_result()}


def _comments(function: Function[CommentsPage]) -> Listing[CommentsPage, Comment]:
    return Listing(function, attrgetter("comments"), attrgetter("comment_id"))


def _begun(function: Function[Any], cursor: str | None) -> str | None:
    return CHAINS[function.name][0] if cursor else None


async def _store(ctx: FlowContext, read: Read[P, T], act: Act[T]) -> None:
    """A page as it comes; what was stored stays when a later page fails."""
    logs = await asyncio.to_thread(act, read.fresh, read.fetched.payload)  # keywords take milliseconds
    async with ctx.runtime.database.sessions() as session:
        await upsert_activities(session, logs)
