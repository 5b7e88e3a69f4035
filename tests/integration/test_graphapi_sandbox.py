"""The Graph API's own-account calls against the sandbox: every answer is of the universe's account and can be read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from core.crawler.errors import InsufficientData, NotFoundHere, Unsupported
from core.crawler.provider import Asked, Credential
from credentials.validator import GraphTokens
from instagram.functions.retriever.graphapi.graphapi import GraphApi
from tests.sandbox.posts import Media, Post, posts_of, stories_of
from tests.sandbox.universe import Creator
from tests.support.sandbox import Sandbox
from utils.request import HttpClient, HttpOptions

KINDS = {Media.IMAGE: "image", Media.CAROUSEL: "carousel", Media.VIDEO: "reels", Media.REEL: "reels"}


class Own:
    """One connected account and the source that answers with its token."""

    def __init__(self, sandbox: Sandbox, http: HttpClient, number: int) -> None:
        found = sandbox.credentials["graphapi"][number]
        owner = sandbox.universe.by_handle(found.handle or "")
        assert owner is not None
        self.owner: Creator = owner
        self.asked = Asked(handle=owner.handle)
        self.source = GraphApi(Credential(number, "graphapi", found.handle, found.credentials), http)

    async def fetch(self, function: str, asked: Asked | None = None) -> Any:
        payload = await getattr(self.source, function)(asked or self.asked)
        return self.source.parsers[function](payload)


@pytest.fixture
async def http(sandbox: Sandbox) -> AsyncIterator[HttpClient]:
    async with aclosing(HttpClient(HttpOptions(sandbox_url=sandbox.url))) as client:
        yield client


@pytest.fixture
def accounts(sandbox: Sandbox, http: HttpClient) -> list[Own]:
    return [Own(sandbox, http, number) for number in range(len(sandbox.credentials["graphapi"]))]


async def test_own_profile_and_media_are_the_accounts(sandbox: Sandbox, accounts: list[Own]) -> None:
    for own in accounts:
        page = await own.fetch("fetch_profile_by_id")
        assert page.profile.profile_id == str(own.owner.pk)
        posts = [post for post in posts_of(sandbox.universe, own.owner) if post.owner == own.owner.index]
        asked, read = own.asked, []
        while True:
            listed = await own.fetch("fetch_profile_posts_by_id", asked)
            read += listed.posts
            if listed.cursor is None:
                break
            asked = Asked(handle=own.owner.handle, cursor=listed.cursor)
        assert [log.shortcode for log in read] == [post.shortcode for post in posts]
        assert [log.dimensions["post_id"] for log in read] == [str(post.graph_id) for post in posts]
        assert [log.dimensions["media_pk"] for log in read] == [str(post.pk) for post in posts]


async def test_own_stories_and_their_numbers(sandbox: Sandbox, accounts: list[Own]) -> None:
    seen = 0
    for own in accounts:
        stories = stories_of(sandbox.universe, own.owner)
        page = await own.fetch("fetch_stories_posts")
        assert {log.dimensions["media_pk"] for log in page.posts} == {str(story.pk) for story in stories}
        for log in page.posts:
            assert log.dimensions["post_type"] == "story"
            try:
                found = await own.fetch("fetch_story_insights", Asked(post_id=log.dimensions["post_id"]))
            except InsufficientData:
                continue
            assert set(found.metrics) == {"exits", "impressions", "reach", "replies", "taps_forward", "taps_back"}
            seen += 1
    assert seen


async def insights(own: Own, post: Post) -> Any:
    asked = Asked(post_id=str(post.graph_id), post_type=KINDS[post.media], product_type=product_type(post))
    return await own.fetch("fetch_post_insights", asked)


def product_type(post: Post) -> str:
    return "REELS" if post.media is Media.REEL else "FEED"


async def test_each_kind_of_post_has_its_numbers(sandbox: Sandbox, accounts: list[Own]) -> None:
    seen = set()
    for own in accounts:
        for post in posts_of(sandbox.universe, own.owner)[:12]:
            if post.media in seen:
                continue
            metrics = (await insights(own, post)).metrics
            seen.add(post.media)
            assert metrics["reach"] >= 0
            assert ("interactions" in metrics) is (post.media is Media.REEL)
            assert ("engagement" in metrics) is (post.media is not Media.REEL)
            assert metrics.get("views") == metrics.get("video_views")
            assert ("views" in metrics) is (post.media in {Media.VIDEO, Media.CAROUSEL})
    assert {Media.IMAGE, Media.REEL, Media.VIDEO} <= seen


async def test_a_video_of_an_unknown_kind_is_found_by_trying(sandbox: Sandbox, accounts: list[Own]) -> None:
    own, video = next(
        (own, post)
        for own in accounts
        for post in posts_of(sandbox.universe, own.owner)
        if post.media is Media.VIDEO and post.taken_at > sandbox.universe.now - 90 * 86400
    )
    found = await own.fetch("fetch_post_insights", Asked(post_id=str(video.graph_id)))
    assert "views" in found.metrics


async def test_a_post_of_another_account_is_not_found_and_the_wrong_metrics_are_unsupported(
    sandbox: Sandbox, accounts: list[Own]
) -> None:
    mine = accounts[0]
    other = next(post for own in accounts[1:] for post in posts_of(sandbox.universe, own.owner))
    with pytest.raises(NotFoundHere):
        await insights(mine, other)
    photo = next(
        (own, post) for own in accounts for post in posts_of(sandbox.universe, own.owner) if post.media is Media.IMAGE
    )
    with pytest.raises(Unsupported):
        await photo[0].fetch("fetch_post_insights", Asked(post_id=str(photo[1].graph_id), product_type="clips"))


async def test_numbers_of_the_account_and_its_audience(accounts: list[Own]) -> None:
    own = next(own for own in accounts if own.owner.followers >= 100)
    series = (await own.fetch("fetch_profile_insights")).series
    assert {(one.name, one.period) for one in series} >= {("follower_count", "day"), ("reach", "days_28")}
    audience = await own.fetch("fetch_audience_insights")
    assert all((audience.city, audience.country, audience.gender_age, audience.locale))
    assert set(audience.gaps) == {"reached_audience_demographics", "engaged_audience_demographics"}
    own.source = GraphApi.at_version("v18.0")(own.source.credential, own.source.http)
    later = await own.fetch("fetch_audience_insights")
    assert all(who.city and who.country and who.gender_age for who in (later, later.reached, later.engaged))
    assert set(later.gaps) == {"audience_locale"}


async def test_tags_comments_and_hashtags(sandbox: Sandbox, accounts: list[Own]) -> None:
    for own in accounts:
        tagged = await own.fetch("fetch_tagged_posts")
        assert own.owner.handle not in {log.dimensions["handle"] for log in tagged.posts}
    own = accounts[0]
    post = next(
        post for post in posts_of(sandbox.universe, own.owner) if post.comments and post.owner == own.owner.index
    )
    page = await own.fetch("fetch_post_comments", Asked(post_id=str(post.graph_id)))
    assert len(page.comments) == min(post.comments, 50)
    assert all(one.handle and one.text and one.publish_time for one in page.comments)
    word = next(
        word[1:] for log in (await own.fetch("fetch_profile_posts_by_id")).posts
        for word in log.dimensions.get("caption", "").split() if word.startswith("#")
    )  # fmt: skip
    for function in ("fetch_hashtag_posts", "fetch_hashtag_top_posts"):
        found = await own.fetch(function, Asked(hashtag=word))
        assert found.posts
        assert all(f"#{word}" in log.dimensions["caption"] for log in found.posts)


async def test_the_same_cursor_leads_to_the_next_page_of_a_hashtag(accounts: list[Own]) -> None:
    first = await accounts[0].fetch("fetch_hashtag_posts", Asked(hashtag="mealprep"))
    assert first.steady_cursor
    second = await accounts[0].fetch("fetch_hashtag_posts", Asked(hashtag="mealprep", cursor=first.cursor))
    assert (len(first.posts), second.cursor) == (50, None)
    assert {log.shortcode for log in first.posts}.isdisjoint(log.shortcode for log in second.posts)


async def test_a_token_is_checked_at_the_version_in_use(sandbox: Sandbox, http: HttpClient) -> None:
    tokens = GraphTokens.at_version(http, "123|app-secret", "v17.0")
    assert tokens.url == "https://graph.facebook.com/v17.0/debug_token"
    good = sandbox.credentials["graphapi"][0].credentials["token"]
    assert (await tokens.check(good)).is_valid
    assert not (await tokens.check("EAABsomethingelse")).is_valid
