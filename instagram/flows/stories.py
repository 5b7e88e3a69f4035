"""What the tasks about stories mean: those of a connected account, and those of any account."""

from __future__ import annotations

from typing import Any

from core.crawler.errors import ProviderError
from core.crawler.provider import Asked
from core.models.logs import PostLog, ProfileLog
from core.models.params import HandleParams, ProfileStoriesParams
from core.runtime import FlowContext
from instagram.functions.retriever.crawler import GRAPH
from instagram.models import functions as f
from instagram.models import keys as k
from instagram.tasks.ingestion import nameless
from instagram.tasks.lookups import Account, account_by_handle
from instagram.tasks.page_walk import PageRule
from instagram.tasks.post_lists import PostList, lost_posts, store_list
from instagram.tasks.posts_ingestion import named, of_account, story_stub, with_metrics
from instagram.tasks.processing import upsert_posts
from instagram.tasks.retrieval import Gap, crawler_of
from utils.handles import bare_handle

OWN_POSTS, OWN_DAYS = 150, 90


async def refresh_stories_posts(params: HandleParams, ctx: FlowContext) -> dict[str, Any]:
    """The stories of a connected account, then its own media of the last 90 days, until there are more than 150.

    Raises:
        ProviderError: Graph gave no stories, or the account is not connected. Media that cannot be had are a gap.
    """
    handle = bare_handle(params.handle).lower()
    account = await _own_account(ctx, handle)
    rule = PageRule(items=OWN_POSTS + 1, failures=1)
    stories, media = (
        PostList(
            function,
            Asked(handle=handle),
            rule,
            lambda posts: of_account(posts, account),
            days=days,
            source=GRAPH,
            handle=handle,
        )
        for function, days in ((f.FETCH_STORIES_POSTS, None), (f.FETCH_PROFILE_POSTS_BY_ID, OWN_DAYS))
    )
    found = await store_list(ctx, stories)
    try:
        listed = await store_list(ctx, media)
    except ProviderError as error:
        listed = {"posts": 0, "gaps": [Gap.of("media", error).as_result()]}
    gaps = [*found["gaps"], *listed["gaps"]]
    return {"source": GRAPH, "handle": handle, "stories": found["posts"], "posts": listed["posts"], "gaps": gaps}


async def _own_account(ctx: FlowContext, handle: str) -> ProfileLog:
    """The account as stored, else as Graph tells its owner."""
    stored = (await account_by_handle(ctx, handle)).as_log()
    if stored is not None:
        return stored
    asked = Asked(handle=handle)
    fetched = await crawler_of(ctx).fetch(f.FETCH_PROFILE_BY_ID, asked, source=GRAPH, handle=handle)
    return fetched.value.profile


async def refresh_story_posts_by_profile_id(params: ProfileStoriesParams, ctx: FlowContext) -> dict[str, Any]:
    """The stories that an account shows now; ids of ``story_ids`` that are gone become rows that say so.

    Raises:
        ProviderError: no source could tell.
    """
    fetched = await crawler_of(ctx).fetch(f.FETCH_STORY_POSTS_BY_PROFILE_ID, Asked(profile_id=params.profile_id))
    account = Account(params.profile_id, bare_handle(params.handle).lower()).as_log()
    assert account is not None
    stories = [named(log) for log in fetched.value.posts]
    shown = {log.shortcode: log for log in stories if log.shortcode}
    metrics = _profile_metrics(params)
    asked = dict.fromkeys(one.partition("_")[0] for one in params.story_ids or ())
    gone = [pk for pk in asked if pk and pk not in shown]
    stubs = [story_stub(story_id, account, metrics) for story_id in gone]
    await _store(ctx, [*with_metrics(of_account(list(shown.values()), account), metrics), *stubs])
    return {
        "source": fetched.source,
        "profile_id": params.profile_id,
        "stories": len(shown),
        "stubs": len(stubs),
        "gaps": lost_posts(nameless(stories)),
    }


def _profile_metrics(params: ProfileStoriesParams) -> dict[str, float]:
    given = {
        k.PROFILE_FOLLOWER: params.profile_follower,
        k.PROFILE_ER: params.profile_er,
        k.PROFILE_STATIC_ER: params.profile_static_er,
        k.PROFILE_REELS_ER: params.profile_reels_er,
    }
    return {key: value for key, value in given.items() if value is not None}


async def _store(ctx: FlowContext, posts: list[PostLog]) -> None:
    async with ctx.runtime.database.sessions() as session:
        await upsert_posts(session, posts)
