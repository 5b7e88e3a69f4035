"""Lists of posts against the provider sandbox: what is asked, what is stored page by page, what is announced."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from core.crawler.crawler import Fetched
from core.crawler.errors import CredentialBusy, NoSourceAvailable, NotFound, Private, ProviderError
from core.crawler.provider import Asked, Credential, Function, Payload
from core.enums import Platform
from core.models.logs import PostLog
from core.models.params import (
    HandleMentionsParams,
    HandlePostsParams,
    HashtagPostsParams,
    HashtagTopParams,
    PostIdParams,
    ProfileCustomParams,
    ProfileIdParams,
    ProfilePostsParams,
    RecentPostsParams,
)
from core.runtime import FlowContext
from instagram.flows import fetch_posts as lists
from instagram.flows import profile_posts as own
from instagram.flows.refresh_post import refresh_post_by_post_id
from instagram.flows.refresh_profile import refresh_profile_by_profile_id, refresh_profile_custom
from instagram.models.pages import PostsPage
from instagram.tasks.hashtag_budget import hashtag_budget, hashtag_word
from tests.sandbox.credentials import token_owners
from tests.sandbox.expected import ARRAYBOBO, GRAPH, JOTUCKER
from tests.sandbox.hosts.graph_media import own_posts
from tests.sandbox.lists import posts_with, tagged_posts
from tests.sandbox.posts import DAY, Post, posts_of, reels_of
from tests.sandbox.universe import GRAPH_KINDS, OPEN_KINDS, Creator, Kind, Trait
from tests.support.flow_runtime import flow_context
from tests.support.sandbox import Sandbox
from tests.support.stored import announced, stored_posts, told, truth

LAMA, ROCKETAPI = "lama", "rocketapi"
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
async def ctx(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FlowContext]:
    async with flow_context(sandbox, program_env, monkeypatch, [GRAPH, JOTUCKER, ARRAYBOBO]) as context:
        yield context


def creators(sandbox: Sandbox) -> list[Creator]:
    return [sandbox.universe.creator(index) for index in range(200)]


def one(sandbox: Sandbox, trait: Trait, kinds: frozenset[Kind] = OPEN_KINDS) -> Creator:
    return next(who for who in creators(sandbox) if who.trait is trait and who.kind in kinds)


async def assert_stored(sandbox: Sandbox, pg: asyncpg.Connection, posts: Sequence[Post]) -> None:
    """These posts and no others, as they are, each announced once."""
    rows = await stored_posts(pg)
    assert rows.keys() == {post.shortcode for post in posts}
    for post in posts:
        wanted = truth(sandbox.universe, post)
        assert told(rows[post.shortcode], wanted) == wanted
    events = Counter(event["shortcode"] for event in await announced(pg))
    assert events == Counter(list(rows))


async def test_tagged_posts_are_those_of_others_and_say_whom_they_tag(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = max(creators(sandbox), key=lambda who: len(tagged_posts(sandbox.universe, who)) * (who.kind in OPEN_KINDS))
    posts = tagged_posts(sandbox.universe, who)
    params = ProfilePostsParams(profile_id=str(who.pk), max_posts=100)
    result = await lists.fetch_tagged_posts(params, ctx)
    assert result == {
        "profile_id": str(who.pk), "source": ARRAYBOBO, "sources": [ARRAYBOBO], "pages": 1, "gaps": [],
        "posts": len(posts), "cursor": None,
    }  # fmt: skip
    assert len(posts) > 1
    await assert_stored(sandbox, pg, posts)
    assert {event["dimensions"]["tagged_user_ids"] for event in await announced(pg)} == {str(who.pk)}


async def test_an_account_without_tags_is_a_success_and_an_unknown_one_a_failure(
    ctx: FlowContext, sandbox: Sandbox
) -> None:
    nobody = next(
        who for who in creators(sandbox) if who.kind in OPEN_KINDS and not tagged_posts(sandbox.universe, who)
    )
    result = await lists.fetch_tagged_posts(ProfilePostsParams(profile_id=str(nobody.pk), max_posts=5), ctx)
    assert (result["posts"], result["gaps"]) == (0, [])
    with pytest.raises(NotFound):
        await lists.fetch_tagged_posts(ProfilePostsParams(profile_id="1", max_posts=5), ctx)


async def test_mentions_come_with_the_token_of_the_account_and_nobody_elses(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    owner = max(token_owners(sandbox.universe), key=lambda who: len(tagged_posts(sandbox.universe, who)))
    posts = tagged_posts(sandbox.universe, owner)
    result = await lists.fetch_mentioned_posts(HandleMentionsParams(handle=f"@{owner.handle.upper()}"), ctx)
    assert (result["source"], result["posts"]) == (GRAPH, len(posts))
    rows = await stored_posts(pg)
    assert rows.keys() == {post.shortcode for post in posts}
    assert {event["dimensions"]["tagged_user_handles"] for event in await announced(pg)} == {owner.handle} or not posts
    stranger = one(sandbox, Trait.HIDDEN_LIKES)
    with pytest.raises(NoSourceAvailable):
        await lists.fetch_mentioned_posts(HandleMentionsParams(handle=stranger.handle), ctx)


async def test_hashtag_posts_end_when_there_are_enough_and_go_on_from_their_cursor(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    posts = posts_with(sandbox.universe, "fashion")
    assert len(posts) > 100
    first = await lists.fetch_hashtag_posts(HashtagPostsParams(hashtag="#fashion", max_posts=50), ctx)
    assert (first["source"], first["pages"], first["posts"]) == (JOTUCKER, 1, 50)
    await assert_stored(sandbox, pg, posts[:50])
    params = HashtagPostsParams(hashtag="fashion", max_posts=1000, cursor=first["cursor"])
    rest = await lists.fetch_hashtag_posts(params, ctx)
    assert (rest["posts"], rest["cursor"], rest["gaps"]) == (len(posts) - 50, None, [])
    await assert_stored(sandbox, pg, posts)
    words = {event["shortcode"]: event["dimensions"].get("hashtags") for event in await announced(pg)}
    assert words == {post.shortcode: ",".join(re.findall(r"#\w+", post.caption or "")) or None for post in posts}


async def test_a_source_that_keeps_failing_is_left_and_each_post_is_still_stored_once(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = posts_with(sandbox.universe, "fashion")
    first = await lists.fetch_hashtag_posts(HashtagPostsParams(hashtag="fashion", max_posts=50), ctx)
    await pg.execute("truncate instagram_post, event_outbox, post_log")
    await sandbox.fault(JOTUCKER, "truncated_json", function="fetch_hashtag_posts")
    params = HashtagPostsParams(hashtag="fashion", max_posts=1000, cursor=first["cursor"])
    result = await lists.fetch_hashtag_posts(params, ctx)
    assert result["sources"] == [ARRAYBOBO]
    stored = (await stored_posts(pg)).keys()
    assert stored <= {post.shortcode for post in posts}
    assert len(stored) == result["posts"] > 50
    assert Counter(event["shortcode"] for event in await announced(pg)) == Counter(list(stored))


async def test_without_any_source_left_a_hashtag_fails_and_keeps_the_pages_that_it_read(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, pg: asyncpg.Connection
) -> None:
    async with flow_context(sandbox, program_env, monkeypatch, [JOTUCKER]) as ctx:
        fetch = ctx.runtime.http.request

        async def failing_later(method: str, url: str, **options: object) -> object:
            if (options.get("params") or {}).get("next_cursor"):  # type: ignore[attr-defined]
                options["params"] = {**options["params"], "next_cursor": "nonsense"}  # type: ignore[dict-item]
            return await fetch(method, url, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(ctx.runtime.http, "request", failing_later)
        with pytest.raises(ProviderError):
            await lists.fetch_hashtag_posts(HashtagPostsParams(hashtag="fashion", max_posts=1000), ctx)
    assert len(await stored_posts(pg)) == 50


async def test_top_posts_of_a_hashtag_come_from_graph_and_are_counted(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    result = await lists.fetch_hashtag_top_posts(HashtagTopParams(hashtag="Fashion", max_posts=50), ctx)
    assert (result["source"], result["gaps"]) == (GRAPH, [])
    rows = await stored_posts(pg)
    assert len(rows) == result["posts"] == 50
    assert all(row["post_id"] and row["post_type"] for row in rows.values())
    assert [row["hashtag"] for row in await pg.fetch("select hashtag from hashtag_budget")] == ["fashion"]


async def test_a_source_with_one_cursor_for_all_pages_is_read_to_its_end(
    ctx: FlowContext, pg: asyncpg.Connection
) -> None:
    result = await lists.fetch_hashtag_top_posts(HashtagTopParams(hashtag="fashion", max_posts=1000), ctx)
    assert (result["source"], result["pages"], result["gaps"]) == (GRAPH, 2, [])
    assert len(await stored_posts(pg)) == result["posts"] > 50


async def test_accounts_that_ask_at_the_same_moment_stay_within_their_thirty_hashtags(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    admit = hashtag_budget(ctx.runtime.database)
    credential = Credential(1, GRAPH, None, {"user_id": "1"})
    asked = [Asked(hashtag=f"{sign}tag{number}") for number in range(40) for sign in ("", "#")]
    outcomes = await asyncio.gather(
        *(admit(credential, "fetch_hashtag_posts", one) for one in asked), return_exceptions=True
    )
    refused = [one for one in outcomes if one is not None]
    assert len(refused) == 20
    assert all(isinstance(one, CredentialBusy) and 604_000 < (one.retry_after_s or 0) <= 604_800 for one in refused)
    assert await pg.fetchval("select count(*) from hashtag_budget") == 30
    for free in (Credential(2, JOTUCKER, None, {}), Credential(3, GRAPH, None, {"user_id": "2"})):
        await admit(free, "fetch_hashtag_posts", Asked(hashtag="one more"))
    others = await pg.fetch("select user_id, hashtag from hashtag_budget where user_id <> '1'")
    assert [tuple(row) for row in others] == [("2", "one more")]
    await admit(credential, "fetch_profile_by_handle", Asked(handle="me"))


async def test_a_refused_hashtag_may_be_asked_for_once_the_oldest_one_is_forgotten(
    ctx: FlowContext, pg: asyncpg.Connection
) -> None:
    admit = hashtag_budget(ctx.runtime.database)
    await pg.execute(
        "insert into hashtag_budget select '1', 'tag' || n, now() - make_interval(days => 7, hours => -n)"
        " from generate_series(1, 30) n"
    )
    await pg.execute("insert into hashtag_budget values ('2', 'tag', now() - interval '6 days 23 hours 59 minutes')")
    credential = Credential(1, GRAPH, None, {"user_id": "1"})
    with pytest.raises(CredentialBusy) as refused:
        await admit(credential, "fetch_hashtag_posts", Asked(hashtag="more"))
    assert 3000 < (refused.value.retry_after_s or 0) <= 3600
    await pg.execute("update hashtag_budget set used_at = now() - interval '7 days' where hashtag = 'tag1'")
    await admit(credential, "fetch_hashtag_posts", Asked(hashtag="more"))
    left = {row["hashtag"] for row in await pg.fetch("select hashtag from hashtag_budget where user_id = '1'")}
    assert left == {"more"} | {f"tag{number}" for number in range(2, 31)}


@pytest.mark.parametrize("written", ["Chai", "#chai", " #CHAI ", "ch\0ai"])
def test_a_hashtag_is_counted_as_one_word_however_it_is_written(written: str) -> None:
    assert hashtag_word(written) == "chai"


async def test_graph_is_passed_over_when_all_its_accounts_have_asked_for_thirty_hashtags(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    users = [str(owner.fbid) for owner in token_owners(sandbox.universe)]
    for user in users:
        await pg.execute("insert into hashtag_budget select $1, 'tag' || n from generate_series(1, 30) n", user)
    result = await lists.fetch_hashtag_top_posts(HashtagTopParams(hashtag="tech", max_posts=10), ctx)
    assert result["source"] == JOTUCKER
    assert GRAPH not in (await sandbox.stats())["by_source"]
    await pg.execute("update hashtag_budget set used_at = now() - interval '8 days' where user_id = $1", users[0])
    again = await lists.fetch_hashtag_top_posts(HashtagTopParams(hashtag="tech", max_posts=10), ctx)
    assert again["source"] in {GRAPH, JOTUCKER}  # three accounts at most are tried, by chance
    assert await pg.fetchval("select max(n) from (select count(*) n from hashtag_budget group by user_id) u") <= 30


async def test_a_hashtag_asked_for_before_costs_nothing_more(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    for owner in token_owners(sandbox.universe):
        await pg.execute(
            "insert into hashtag_budget select $1, tag from (select 'tag' || n from generate_series(1, 29) n "
            "union all select 'tech') t (tag)",
            str(owner.fbid),
        )
    before = await pg.fetch("select * from hashtag_budget order by 1, 2")
    result = await lists.fetch_hashtag_top_posts(HashtagTopParams(hashtag="tech", max_posts=10), ctx)
    assert result["source"] == GRAPH
    assert await pg.fetch("select * from hashtag_budget order by 1, 2") == before


async def test_posts_of_a_handle_are_paged_inside_the_media_edge(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = one(sandbox, Trait.MANY_RECENT, GRAPH_KINDS - {Kind.RENAMED})
    posts = own_posts(sandbox.universe, who)
    assert len(posts) > 50
    result = await own.refresh_profile_posts_by_handle(HandlePostsParams(handle=who.handle, max_posts=1000), ctx)
    assert (result["source"], result["pages"], result["posts"]) == (GRAPH, 2, len(posts))
    await assert_stored(sandbox, pg, posts)
    some = await own.refresh_profile_posts_by_handle(HandlePostsParams(handle=who.handle), ctx)
    assert (some["pages"], some["posts"]) == (1, 50)


async def test_posts_of_a_personal_account_come_from_the_next_source(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = one(sandbox, Trait.PLAIN, frozenset({Kind.PERSONAL}))
    result = await own.refresh_profile_posts_by_handle(HandlePostsParams(handle=who.handle, max_posts=1000), ctx)
    assert result["source"] == ARRAYBOBO
    await assert_stored(sandbox, pg, posts_of(sandbox.universe, who))


@pytest.mark.parametrize("days", [30, 60, 365])
async def test_posts_of_an_account_are_read_until_a_page_is_old_enough(
    sandbox: Sandbox, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, pg: asyncpg.Connection, days: int
) -> None:
    universe = sandbox.universe
    plain = (who for who in creators(sandbox) if who.kind in OPEN_KINDS and who.trait is Trait.PLAIN)
    who = next(one for one in plain if len(posts_of(universe, one)) > 36)
    posts = posts_of(universe, who)
    recent = [post for post in posts if post.taken_at > universe.now - days * DAY]
    whole_pages = posts[: len(recent) // 12 * 12 + 12]
    async with flow_context(sandbox, program_env, monkeypatch, [ARRAYBOBO]) as ctx:
        params = RecentPostsParams(profile_id=str(who.pk), days=days, max_posts=1000)
        result = await own.refresh_profile_posts_by_profile_id(params, ctx)
    assert (len(whole_pages) < len(posts)) == (days < 365)
    assert (result["source"], result["gaps"], result["cursor"] is None) == (ARRAYBOBO, [], days == 365)
    await assert_stored(sandbox, pg, whole_pages)
    collaborations = {event["shortcode"] for event in await announced(pg) if "collab_profile_id" in event["dimensions"]}
    assert collaborations == {post.shortcode for post in whole_pages if post.owner != who.index}


@dataclass
class Pages:
    """Says one page after the other, and then that there is nothing."""

    pages: list[PostsPage]

    async def fetch(self, function: Function[Any], asked: Asked, **_: object) -> Fetched[Any]:
        if not self.pages:
            raise NotFound("nothing here")
        return Fetched(self.pages.pop(0), "source", Payload("source", function.name, asked, None, NOW))


def said(shortcode: str | None, **dimensions: Any) -> PostLog:
    return PostLog(Platform.INSTAGRAM, shortcode, None, "source", NOW, dimensions)


async def test_a_list_that_ends_early_keeps_its_pages_and_says_all_that_is_missing(
    ctx: FlowContext, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = said(None, post_type="story", media_pk="3012345678901234567")
    pages = Pages(
        [
            PostsPage([said("A"), said(None), said(None)], has_next_page=True, cursor="first"),
            PostsPage([said("A"), said("B"), story, said(None)], has_next_page=True, cursor="second"),
        ]
    )
    monkeypatch.setattr("instagram.tasks.post_lists.crawler_of", lambda _: pages)
    result = await lists.fetch_tagged_posts(ProfilePostsParams(profile_id="1", max_posts=100), ctx)
    assert (result["posts"], result["pages"], result["cursor"]) == (3, 2, "second")
    early, lost = result["gaps"]
    assert (early["step"], early["class"], early["message"]) == ("fetch_tagged_posts", "not_found", "nothing here")
    assert (lost["step"], lost["message"]) == ("posts", "3 posts do not say their shortcode")
    assert Counter(event["shortcode"] for event in await announced(pg)) == {"A": 1, "B": 1, "3012345678901234567": 1}


async def test_reels_of_an_account_are_only_reels(ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection) -> None:
    who = one(sandbox, Trait.MANY_REELS)
    params = RecentPostsParams(profile_id=str(who.pk), days=365, max_posts=1000)
    result = await own.refresh_reels_posts_by_profile_id(params, ctx)
    reels = reels_of(sandbox.universe, who)
    assert (result["source"], result["posts"]) == (ARRAYBOBO, len(reels))
    await assert_stored(sandbox, pg, reels)
    few = await own.refresh_reels_posts_by_profile_id(RecentPostsParams(profile_id=str(who.pk), max_posts=9), ctx)
    assert (few["pages"], few["posts"]) == (1, 10)


@pytest.mark.parametrize("trait", [Trait.EMPTY_PAGES, Trait.SAME_CURSOR, Trait.EMPTY_CURSOR, Trait.NO_POSTS])
async def test_lists_that_never_end_are_ended(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection, trait: Trait
) -> None:
    who = one(sandbox, trait)
    params = RecentPostsParams(profile_id=str(who.pk), days=365, max_posts=1000)
    result = await own.refresh_profile_posts_by_profile_id(params, ctx)
    assert result["pages"] < 8
    await assert_stored(sandbox, pg, posts_of(sandbox.universe, who))


async def test_posts_of_private_accounts_are_not_had(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = one(sandbox, Trait.PLAIN, frozenset({Kind.PRIVATE}))
    with pytest.raises(Private):
        await own.refresh_profile_posts_by_profile_id(RecentPostsParams(profile_id=str(who.pk)), ctx)
    assert await pg.fetchval("select count(*) from event_outbox") == 0


async def test_a_custom_refresh_stores_the_profile_with_as_many_posts_as_wanted(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = one(sandbox, Trait.MANY_RECENT, frozenset({Kind.PERSONAL, Kind.CREATOR, Kind.BUSINESS}))
    posts = posts_of(sandbox.universe, who)
    result = await refresh_profile_custom(ProfileCustomParams(profile_id=str(who.pk), max_posts=40), ctx)
    assert (result["posts"], result["gaps"]) == (50, [])
    assert (await stored_posts(pg)).keys() == {post.shortcode for post in posts[:50]}
    row = await pg.fetchrow("select * from instagram_account")
    assert row is not None
    assert row["refreshed_at"] is not None
    assert (row["followers"], row["avg_likes"] is not None) == (who.followers, True)
    keys = Counter(row["routing_key"] for row in await pg.fetch("select routing_key from event_outbox"))
    assert keys == {"profile_log_events": 1, "post_log_events": 50}


async def test_a_custom_refresh_without_posts_keeps_the_profile_and_names_the_gap(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = one(sandbox, Trait.PLAIN)
    for source in (JOTUCKER, ARRAYBOBO):
        await sandbox.fault(source, "server_error", function="fetch_profile_posts_by_id")
    result = await refresh_profile_custom(ProfileCustomParams(profile_id=str(who.pk), max_posts=40), ctx)
    assert [gap["step"] for gap in result["gaps"]] == ["fetch_profile_posts_by_id"]
    assert await pg.fetchval("select count(*) from instagram_account") == 1


async def test_a_refresh_that_is_cancelled_stores_what_it_has_read(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = one(sandbox, Trait.MANY_REELS)
    await sandbox.fault(ARRAYBOBO, "hang", function="fetch_reels_posts", seconds=60)
    task = asyncio.create_task(refresh_profile_by_profile_id(ProfileIdParams(profile_id=str(who.pk)), ctx))
    while not (await sandbox.hits()).get(ARRAYBOBO):
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await stored_posts(pg)) >= 12
    row = await pg.fetchrow("select followers, refreshed_at from instagram_account")
    assert row is not None
    assert tuple(row) == (who.followers, None)


async def test_a_post_is_found_by_its_number_and_by_a_graph_id_that_is_stored(
    ctx: FlowContext, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who = one(sandbox, Trait.PLAIN)
    post = next(post for post in posts_of(sandbox.universe, who) if post.owner == who.index)
    result = await refresh_post_by_post_id(PostIdParams(post_id=f"{post.pk}_{who.pk}"), ctx)
    assert (result["shortcode"], result["posts"]) == (post.shortcode, 1)
    await assert_stored(sandbox, pg, [post])
    with pytest.raises(NotFound, match="no stored post has the Graph media id"):
        await refresh_post_by_post_id(PostIdParams(post_id=str(post.graph_id)), ctx)
    await pg.execute("update instagram_post set post_id = $1", str(post.graph_id))
    found = await refresh_post_by_post_id(PostIdParams(post_id=str(post.graph_id)), ctx)
    assert found["shortcode"] == post.shortcode
    with pytest.raises(NotFound, match="no media id"):
        await refresh_post_by_post_id(PostIdParams(post_id="CzzzzzzzzzA"), ctx)
