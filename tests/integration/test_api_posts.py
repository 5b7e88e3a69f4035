"""Posts on demand and the stored recent ones: real database and Redis, providers simulated by the sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx2
import pytest
from redis import Redis

from config import Settings
from core.crawler.errors import ChainFailed, CredentialBusy, NotFound, Outcome, RateLimited, SourceBusy
from tests.integration.test_api_profiles import LIMITED, asked, put_account, some
from tests.integration.test_insights_flows import owners, recent, row_of
from tests.sandbox.posts import Media, Post, posts_of, stories_of
from tests.sandbox.universe import OPEN_KINDS, Creator, Kind
from tests.support.api import running_api, with_settings
from tests.support.redis import flush
from tests.support.sandbox import Sandbox
from utils.rate_limit import redis_key

SOURCES = ("graphapi", "rapidapi-arraybobo", "lama")
KEYS = {
    "platform", "handle", "shortcode", "post_id", "post_type", "content_type", "thumbnail", "display_url",
    "story_links", "story_hashtags", "publish_time", "updated_at", "metrics",
}  # fmt: skip
RECENT = {"shortcode", "post_id", "post_type", "post_url", "publish_time", "updated_at", "metrics", "dimensions"}


@pytest.fixture
async def api(settings: Settings, sandbox: Sandbox) -> AsyncIterator[httpx2.AsyncClient]:
    """An API with the credentials of connected accounts, of a source of all posts, and of lama."""
    async with running_api(with_settings(settings, "providers", provider_sandbox_url=sandbox.url)) as client:
        for each in (one for source in SOURCES for one in sandbox.credentials[source]):
            body = {"source": each.source, "credentials": each.credentials, "handle": each.handle}
            assert (await client.post("/tokens", json=body)).status_code == 200
        yield client


async def get(api: httpx2.AsyncClient, path: str, **params: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await api.get(path, params=params)).json()
    return answer


def by_code(post: Post) -> str:
    return f"/posts/instagram/byshortcode/{post.shortcode}"


async def test_a_post_of_a_connected_account_is_answered_with_the_owners_numbers(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    who, post = next(recent(sandbox, Media.REEL))
    answer = await get(api, by_code(post), handle=f"@{who.handle.upper()}")
    assert answer["status"] == {"type": "SUCCESS", "message": "Post Retrieved"}, answer
    shown = answer["post"]
    assert set(shown) == KEYS | {"data_provider"}
    assert (shown["platform"], shown["handle"], shown["data_provider"]) == ("instagram", who.handle, "GRAPHAPI")
    assert (shown["shortcode"], shown["post_id"]) == (post.shortcode, str(post.graph_id))
    assert set(shown["metrics"]) == {"reach", "views", "likes", "play_count", "comments"}
    row = await row_of(pg, post.shortcode)
    assert (shown["metrics"]["reach"], shown["metrics"]["play_count"]) == (row["reach"], post.plays)
    assert row["profile_id"] == str(who.pk)


async def test_a_known_post_is_not_looked_for_again(api: httpx2.AsyncClient, sandbox: Sandbox, redis_url: str) -> None:
    who, post = next(recent(sandbox, Media.REEL))
    await get(api, by_code(post), handle=who.handle)
    flush(redis_url)
    await sandbox.clear()
    await get(api, by_code(post), handle=who.handle)
    assert {row["function"] for row in (await sandbox.stats())["rows"]} == {"fetch_post_insights"}


def foreign(sandbox: Sandbox) -> tuple[Creator, Post]:
    """A post of somebody who is not connected."""
    who = some(sandbox, Kind.PERSONAL)
    return who, next(post for post in posts_of(sandbox.universe, who) if post.owner == who.index)


async def test_without_the_owners_token_there_is_no_post_unless_another_source_may_be_asked(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection, redis_url: str
) -> None:
    who, post = foreign(sandbox)
    refused = await get(api, by_code(post), handle=who.handle)
    assert (refused["status"]["type"], refused["status"]["code"]) == ("ERROR", 503)
    flush(redis_url)
    answer = await get(api, by_code(post), handle=who.handle, third_party_fallback="true")
    assert answer["post"]["data_provider"] == "LAMA", answer
    assert set((await sandbox.stats())["by_source"]) == {"lama"}
    assert (answer["post"]["shortcode"], answer["post"]["handle"]) == (post.shortcode, who.handle)
    assert await pg.fetchval("select count(*) from instagram_post") == 1


@pytest.mark.parametrize(
    "other", [{"third_party_fallback": "0"}, {"handle": "somebody.else"}], ids=["no other source", "another owner"]
)
async def test_a_post_wanted_at_once_in_two_ways_is_not_answered_in_one(
    api: httpx2.AsyncClient, sandbox: Sandbox, other: dict[str, str]
) -> None:
    who, post = foreign(sandbox)
    wanted = {"handle": who.handle, "third_party_fallback": "1"}
    refused, answer = await asyncio.gather(
        get(api, by_code(post), **(wanted | other)), get(api, by_code(post), **wanted)
    )
    assert refused["status"]["type"] == "ERROR"
    assert refused["status"] != answer["status"]


async def test_a_post_of_somebody_else_is_neither_answered_nor_stored(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    _, post = foreign(sandbox)
    answer = await get(api, by_code(post), handle="somebody.else", third_party_fallback="1")
    assert answer["status"] == {"type": "ERROR", "code": 404, "message": f"Post not found - {post.shortcode}"}
    assert await pg.fetchval("select count(*) from instagram_post") == 0


async def test_a_shortcode_that_the_owner_does_not_have_is_not_found(api: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    answer = await get(api, "/posts/instagram/byshortcode/CzzzzzzzzzA", handle=owners(sandbox)[0].handle)
    assert answer["status"] == {"type": "ERROR", "code": 404, "message": "Post not found - CzzzzzzzzzA"}


async def test_a_post_by_its_kind_is_asked_for_each_time(
    api: httpx2.AsyncClient, sandbox: Sandbox, redis_url: str
) -> None:
    who, post = foreign(sandbox)
    path = f"/posts/instagram/reels/{post.shortcode}"
    answer = await get(api, path, profile_id=str(who.pk))
    assert answer["status"] == {"type": "SUCCESS", "message": "reels Retrieved"}, answer
    assert set(answer["post"]) == KEYS
    flush(redis_url)
    before = await asked(sandbox)
    await get(api, path, profile_id=str(who.pk))
    assert await asked(sandbox) == before + 1


async def test_a_story_is_found_among_those_that_its_account_shows(api: httpx2.AsyncClient, sandbox: Sandbox) -> None:
    universe = sandbox.universe
    who = next(c for c in map(universe.creator, range(200)) if c.kind in OPEN_KINDS and stories_of(universe, c))
    story = stories_of(universe, who)[0]
    answer = await get(api, f"/posts/instagram/story/{story.pk}", profile_id=str(who.pk))
    assert answer["status"] == {"type": "SUCCESS", "message": "Stories Retrieved"}, answer
    shown = answer["post"]
    assert (shown["shortcode"], shown["post_type"], shown["data_provider"]) == (str(story.pk), "story", "GRAPHAPI")


async def test_everything_stored_about_a_post_is_answered_under_its_own_name(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def known(*_: object) -> None:
        pass

    monkeypatch.setattr("instagram.post_views.refresh_post_by_shortcode", known)
    await put_post(
        pg, "A", 1, handle="me", post_id="17", post_type="carousel", content_type="image", thumbnail_url="https://t",
        display_url="https://d", story_links=["https://shop"], story_hashtags=["lake"], reach=1, views=2, likes=3,
        plays=4, comments=5, updated_at=datetime(2026, 3, 2, 12, tzinfo=UTC),
    )  # fmt: skip
    await pg.execute("update instagram_post set publish_time = '2026-03-01 12:00Z'")
    answer = await get(api, "/posts/instagram/carousel/A", profile_id="7")
    assert answer["post"] == {
        "platform": "instagram", "handle": "me", "shortcode": "A", "post_id": "17", "post_type": "carousel",
        "content_type": "image", "thumbnail": "https://t", "display_url": "https://d", "story_links": ["https://shop"],
        "story_hashtags": ["lake"], "publish_time": "2026-03-01T12:00:00", "updated_at": "2026-03-02T12:00:00",
        "metrics": {"reach": 1, "views": 2, "likes": 3, "play_count": 4, "comments": 5},
    }  # fmt: skip
    await pg.execute("update instagram_post set thumbnail_url = 'None', display_url = ''")
    flush(redis_url)
    answer = await get(api, "/posts/instagram/image/A", profile_id="7")
    assert (answer["post"]["thumbnail"], answer["post"]["display_url"]) == (None, None)


async def test_what_nobody_shows_is_not_found_in_the_words_of_its_kind(
    api: httpx2.AsyncClient, sandbox: Sandbox
) -> None:
    who = some(sandbox, Kind.BUSINESS)
    story = await get(api, "/posts/instagram/story/3333", profile_id=str(who.pk))
    image = await get(api, "/posts/instagram/image/CzzzzzzzzzA", profile_id=str(who.pk))
    assert story["status"]["code"] == image["status"]["code"] == 404
    assert story["status"]["message"].startswith(("story not found for shortcode - 3333", "Story not found - "))
    assert image["status"]["message"].startswith("image not found - ")


@pytest.mark.parametrize("path", ["/posts/instagram/byshortcode/CzzzzzzzzzA", "/posts/instagram/image/CzzzzzzzzzA"])
@pytest.mark.parametrize(
    "level", [("daily", 20_000, 86_400), ("per_minute", 60, 60), ("per_shortcode_CzzzzzzzzzA", 1, 1)], ids=str
)
async def test_a_used_up_limit_refuses_the_request(
    api: httpx2.AsyncClient, sandbox: Sandbox, redis_url: str, path: str, level: tuple[str, int, int]
) -> None:
    name, count, per_s = level
    with Redis.from_url(redis_url) as redis:
        redis.set(redis_key("beat_server_", f"refresh_post_insta_{name}", count, per_s), count, ex=60)
    assert await get(api, path, handle="x", profile_id="1") == {"status": LIMITED}
    assert await asked(sandbox) == 0


@pytest.mark.parametrize(
    ("error", "own", "public"),
    [
        (ChainFailed("f", (Outcome("a", SourceBusy("our own limit")),)), 2, 2),
        (ChainFailed("f", (Outcome("a", CredentialBusy("our own limit")), Outcome("b", RateLimited("theirs")))), 2, 2),
        (ChainFailed("f", (Outcome("a", RateLimited("theirs")),)), 429, 404),
        (NotFound("gone"), 404, 404),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
async def test_the_limits_that_beat_keeps_are_told_from_what_sources_say(
    settings: Settings, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, error: Exception, own: int, public: int
) -> None:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("core.api.posts.resolve", lambda _: SimpleNamespace(own=fail, public=fail))
    async with running_api(settings) as client:
        answers = [
            await get(client, "/posts/instagram/byshortcode/CzzzzzzzzzA", handle="x"),
            await get(client, "/posts/instagram/image/CzzzzzzzzzB", profile_id="1"),
        ]
    assert [answer["status"]["code"] for answer in answers] == [own, public]
    assert all((answer["status"] == LIMITED) is (answer["status"]["code"] == 2) for answer in answers)


@pytest.mark.parametrize(
    ("path", "platform"),
    [
        ("/posts/youtube/byshortcode/a?handle=x", "youtube"),
        ("/posts/shopify/image/a?profile_id=1", "shopify"),
        ("/recent/posts/YouTube/byprofileid/1", "YouTube"),
    ],
)
async def test_other_platforms_have_no_posts_here(api: httpx2.AsyncClient, path: str, platform: str) -> None:
    status = (await api.get(path)).json()["status"]
    assert (status["code"], status["message"]) == (400, f"Platform not supported - {platform}")


@pytest.mark.parametrize(
    "path",
    [
        "/posts/instagram/byshortcode/a",
        "/posts/instagram/image/a",
        "/posts/instagram/byshortcode/%20?handle=x",
        "/posts/instagram/byshortcode/a?handle=%20",
        "/posts/instagram/a1/a?profile_id=1",
        "/posts/instagram/story/1?profile_id=",
        "/posts/instagram/story/1?profile_id=%20",
        "/recent/posts/instagram/byprofileid/1?post_types=video",
    ],
)
async def test_bad_input_is_refused(api: httpx2.AsyncClient, path: str) -> None:
    assert (await api.get(path)).status_code == 422


async def put_post(pg: asyncpg.Connection, shortcode: str, age_days: int, **columns: Any) -> None:
    values = {"post_type": "image", "thumbnail_url": f"https://cdn.example/{shortcode}.jpg", "likes": 10, **columns}
    names = ", ".join(values)
    places = ", ".join(f"${number}" for number in range(3, 3 + len(values)))
    await pg.execute(
        "insert into instagram_post (profile_id, shortcode, publish_time, " + names + ")"
        f" values ('7', $1, now() - make_interval(days => $2), {places})",
        shortcode,
        age_days,
        *values.values(),
    )


async def recent_of(api: httpx2.AsyncClient, **params: Any) -> list[str]:
    answer = await get(api, "/recent/posts/instagram/byprofileid/7", **params)
    return [post["shortcode"] for post in answer["data"]["recent_posts"]]


async def test_recent_posts_are_the_twelve_newest_with_a_picture_and_no_stories(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    await put_account(pg, "7", "somebody", followers=1000)
    for number in range(14):
        await put_post(pg, f"P{number}", number + 10, comments=2)
    for number, url in enumerate((None, "None", " ", "")):
        await put_post(pg, f"X{number}", 1, thumbnail_url=url)
    await put_post(pg, "S", 1, post_type="story")
    answer = await get(api, "/recent/posts/instagram/byprofileid/7")
    assert answer["status"] == {"type": "SUCCESS", "message": "Recent Posts Retrieved"}
    assert (set(answer["data"]), answer["data"]["platform"]) == (
        {"platform", "profile_id", "recent_posts"},
        "instagram",
    )
    posts = answer["data"]["recent_posts"]
    assert [post["shortcode"] for post in posts] == [f"P{number}" for number in range(12)]
    assert all(set(post) == RECENT for post in posts)
    assert posts[0]["post_url"] == "https://www.instagram.com/p/P0"
    assert (posts[0]["metrics"]["engagement_rate"], posts[0]["dimensions"]["comments"]) == (1.2, 2)
    assert await asked(sandbox) == 0


async def test_recent_posts_are_those_of_one_account_and_without_a_time_they_are_last(
    api: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    await put_account(pg, "7", "somebody")
    for code in ("none", "old", "same", "also"):
        await put_post(pg, code, 3)
    await put_post(pg, "new", 1, post_type="igtv")
    await put_post(pg, "foreign", 1)
    await pg.execute("update instagram_post set profile_id = '8' where shortcode = 'foreign'")
    await pg.execute("update instagram_post set publish_time = '2026-03-01' where shortcode in ('old', 'same', 'also')")
    await pg.execute("update instagram_post set publish_time = null where shortcode = 'none'")
    assert await recent_of(api) == ["new", "also", "same", "old", "none"]
    posts = (await get(api, "/recent/posts/instagram/byprofileid/7"))["data"]["recent_posts"]
    assert [post["post_url"] for post in posts[:2]] == [" new", "https://www.instagram.com/p/also"]


async def test_kinds_of_recent_posts_may_be_chosen_in_each_way_of_writing_a_list(
    api: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    await put_account(pg, "7", "somebody")
    for number, kind in enumerate(("image", "carousel", "reels", "story")):
        await put_post(pg, kind, number + 1, post_type=kind)
    await put_post(pg, "played", 9, post_type="reels", plays=0)
    assert await recent_of(api, post_types="reels") == ["played"]
    assert await recent_of(api, post_types=["reels", "image"]) == ["image", "reels", "played"]
    assert await recent_of(api, post_types="image,carousel") == ["image", "carousel"]
    assert await recent_of(api, post_types="story") == ["story"]


async def test_without_the_account_or_its_posts_there_is_an_error(
    api: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    path = "/recent/posts/instagram/byprofileid/7"
    none = (await get(api, path))["status"]
    assert (none["code"], none["message"]) == (500, "Failed to fetch Instagram account for handle - 7")
    await put_account(pg, "7", "somebody")
    empty = (await get(api, path))["status"]
    assert (empty["code"], empty["message"]) == (500, "Failed to fetch recent posts for profile_id - 7")


async def test_copied_pictures_take_the_place_of_those_that_expire(settings: Settings, pg: asyncpg.Connection) -> None:
    await put_account(pg, "7", "somebody")
    for code in ("A", "B", "C", "D", "E"):
        await put_post(pg, code, 1)
    await pg.execute(
        "insert into asset (entity_id, entity_type, asset_type, platform, asset_url, updated_at) values"
        " ('A', 'POST', 'IMAGE', 'instagram', 'assets/posts/instagram/A.newer.jpg', now() + interval '1 day'),"
        " ('E', 'POST', 'IMAGE', 'YOUTUBE', 'assets/posts/youtube/E.jpg', now())"
    )
    for entity, kind, asset, url in (
        ("A", "POST", "IMAGE", "assets/posts/instagram/A.jpg"),
        ("B", "POST", "VIDEO", "assets/posts/instagram/B.mp4"),
        ("C", "PROFILE", "IMAGE", "assets/profiles/instagram/C.jpg"),
        ("D", "POST", "IMAGE", ""),  # its object is gone
    ):
        await pg.execute(
            "insert into asset (entity_id, entity_type, asset_type, platform, asset_url)"
            " values ($1, $2, $3, 'INSTAGRAM', $4)",
            entity, kind, asset, url,
        )  # fmt: skip
    async with running_api(with_settings(settings, "api", asset_cdn_host="cdn.beat.example")) as client:
        posts = (await get(client, "/recent/posts/instagram/byprofileid/7"))["data"]["recent_posts"]
    assert {post["shortcode"]: post["dimensions"]["thumbnail_url"] for post in posts} == {
        "A": "https://cdn.beat.example/assets/posts/instagram/A.newer.jpg",
        "B": "https://cdn.example/B.jpg",
        "C": "https://cdn.example/C.jpg",
        "D": "https://cdn.example/D.jpg",
        "E": "https://cdn.example/E.jpg",
    }
