"""What the demo expects in the database agrees with what the sources really hand out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.sandbox.expected import (
    ARRAYBOBO,
    BESTSOLUTIONS,
    IGAPI,
    JOTUCKER,
    LAMA,
    NEOTANK,
    POSTS_PAGE,
    REELS_PAGE,
    ROCKETAPI,
    expected_rows,
)
from tests.sandbox.hosts import all_hosts
from tests.sandbox.hosts.base import Call
from tests.sandbox.posts import DAY, posts_of
from tests.sandbox.universe import OPEN_KINDS, Kind, Trait, Universe

WORLD = Universe(seed=11, size=75)
HOSTS = {host.source: host for host in all_hosts(WORLD).values()}
CREATORS = [WORLD.creator(index) for index in range(WORLD.size)]


@dataclass(frozen=True)
class Feed:
    """How one list of posts is read: (shortcode, taken_at) of a body's items, and its cursor ('' at the end)."""

    source: str
    function: str
    size: int
    more_than: int
    items: Callable[[Any], list[tuple[str, int]]]
    cursor: Callable[[Any], str]


def _timeline(body: Any) -> Any:
    return body["data"]["user"]["edge_owner_to_timeline_media"]


def _timeline_codes(edges: Any) -> list[tuple[str, int]]:
    return [(edge["node"]["shortcode"], edge["node"]["taken_at_timestamp"]) for edge in edges]


def _v1_codes(items: Any) -> list[tuple[str, int]]:
    return [(item["code"], item["taken_at"]) for item in items]


def _lama_codes(body: Any) -> list[tuple[str, int]]:
    return [(item["code"], item["taken_at_ts"]) for item in body[0]]


def _inner(body: Any) -> Any:
    return body["response"]["body"]


def _unwrapped(body: Any) -> list[tuple[str, int]]:
    return _v1_codes(item["media"] for item in body["items"])


TIMELINES = {
    JOTUCKER: (lambda body: _v1_codes(body["items"]), lambda body: body.get("next_max_id", "")),
    LAMA: (_lama_codes, lambda body: body[1]),
    ARRAYBOBO: (
        lambda body: _timeline_codes(_timeline(body)["edges"]),
        lambda body: _timeline(body)["page_info"]["end_cursor"],
    ),
    BESTSOLUTIONS: (lambda body: _v1_codes(body["items"]), lambda body: body["next_max_id"]),
    ROCKETAPI: (lambda body: _v1_codes(_inner(body)["items"]), lambda body: _inner(body).get("next_max_id", "")),
    IGAPI: (lambda body: _timeline_codes(body["edges"]), lambda body: body["page_info"]["end_cursor"] or ""),
    NEOTANK: (lambda body: _timeline_codes(body["edges"]), lambda body: body["page_info"]["end_cursor"]),
}
REELS = {
    ARRAYBOBO: (_unwrapped, lambda body: body["paging_info"].get("max_id", "")),
    ROCKETAPI: (
        lambda body: _unwrapped(_inner(body)),
        lambda body: _inner(body)["paging_info"].get("max_id", ""),
    ),
    LAMA: (_lama_codes, lambda body: body[1]),
    IGAPI: (lambda body: _v1_codes(body["items"]), lambda body: body["paging_info"].get("max_id", "")),
}
POSTS_FEEDS = [
    Feed(source, "fetch_profile_posts_by_id", POSTS_PAGE[source], 50, *read) for source, read in TIMELINES.items()
]
REELS_FEEDS = [Feed(source, "fetch_reels_posts", REELS_PAGE[source], 10, *read) for source, read in REELS.items()]


def walk(feed: Feed, pk: int) -> list[str]:
    """Read pages as the rules say: until no new cursor, an empty page, a post older than 30 days, or enough posts."""
    found: list[str] = []
    seen: set[str] = set()
    cursor = ""
    while True:
        seen |= {cursor, ""}
        answer = HOSTS[feed.source].render(Call(feed.function, "pk", str(pk), cursor, feed.size))
        body = json.loads(answer.body)
        page = feed.items(body)
        found += [code for code, _ in page]
        cursor = feed.cursor(body)
        old = any(taken_at < WORLD.now - 30 * DAY for _, taken_at in page)
        if cursor in seen or not page or old or len(found) > feed.more_than:
            return found


@pytest.mark.parametrize("feed", [*POSTS_FEEDS, *REELS_FEEDS], ids=lambda feed: f"{feed.source}:{feed.function}")
def test_expected_posts_are_those_that_the_loops_collect(feed: Feed) -> None:
    for who in CREATORS:
        if who.kind in OPEN_KINDS:
            expected = expected_rows(WORLD, [str(who.pk)])[str(who.pk)]
            rows = expected.reels if feed.function == "fetch_reels_posts" else expected.timelines
            assert set(rows[feed.source]) == set(walk(feed, who.pk)), who


def test_every_source_is_walked() -> None:
    assert {feed.source for feed in POSTS_FEEDS} == set(POSTS_PAGE)
    assert {feed.source for feed in REELS_FEEDS} == set(REELS_PAGE)


def test_one_source_alone_says_that_an_account_has_many_more_followers() -> None:
    who = next(who for who in CREATORS if who.trait is Trait.FOLLOWER_JUMP and who.kind in OPEN_KINDS)
    row = expected_rows(WORLD, [str(who.pk)])[str(who.pk)]
    said = {source: profile.followers for source, profile in row.profiles.items()}
    assert said.pop(JOTUCKER) == 25 * who.followers
    assert set(said.values()) == {who.followers}


def test_the_rules_leave_posts_out_and_depend_on_the_page_length() -> None:
    rows = expected_rows(WORLD, [who.handle for who in CREATORS])
    public = [(rows[who.handle], posts_of(WORLD, who)) for who in CREATORS if who.kind in OPEN_KINDS]
    assert any(len(row.posts[ARRAYBOBO]) < len(posts) for row, posts in public)
    assert any(set(row.posts[ARRAYBOBO]) < set(row.posts[JOTUCKER]) for row, _ in public)
    assert any(len(row.usual_posts) > 50 for row, _ in public)


def test_every_kind_ends_as_its_sources_make_it_end() -> None:
    ends = {
        Kind.BUSINESS: ("COMPLETE", None),
        Kind.CREATOR: ("COMPLETE", None),
        Kind.PERSONAL: ("COMPLETE", None),
        Kind.PRIVATE: ("COMPLETE", None),
        Kind.CLOSED: ("FAILED", 403),
        Kind.MISSING: ("FAILED", 404),
        Kind.RENAMED: ("FAILED", 404),
    }
    rows = expected_rows(WORLD, [who.asked_handle for who in CREATORS])
    for who in CREATORS:
        row = rows[who.asked_handle]
        assert (row.kind, (row.status, row.code)) == (who.kind, ends[who.kind])
        assert (row.profile is None) == (row.status == "FAILED")


def test_a_renamed_account_completes_by_id_under_its_new_handle() -> None:
    who = next(who for who in CREATORS if who.kind is Kind.RENAMED)
    row = expected_rows(WORLD, [str(who.pk)])[str(who.pk)]
    assert row.status == "COMPLETE"
    assert row.profile is not None
    assert row.profile.handle == who.handle != who.asked_handle


def test_a_private_account_that_shows_its_profile_has_counts_and_no_posts() -> None:
    who = next(who for who in CREATORS if who.kind is Kind.PRIVATE)
    row = expected_rows(WORLD, [who.handle])[who.handle]
    assert row.profile is not None
    assert row.profile.is_private is True
    assert row.profile.media_count == len(posts_of(WORLD, who))
    assert row.usual_posts == {}


def test_hidden_likes_are_null_and_plays_come_from_reels() -> None:
    hidden = [who for who in CREATORS if who.trait is Trait.HIDDEN_LIKES and who.kind in OPEN_KINDS]
    rows = expected_rows(WORLD, [str(who.pk) for who in hidden])
    posts = [post for row in rows.values() for post in row.usual_posts.values()]
    assert posts
    assert all(post.likes is None and post.comments is not None for post in posts)
    assert {post.plays is None for post in posts if post.post_type == "reels"} == {True, False}
    assert all(post.plays is None and post.views is None for post in posts if post.post_type != "reels")


def test_collaborations_belong_to_their_owner() -> None:
    open_creators = [who for who in CREATORS if who.kind in OPEN_KINDS]
    rows = expected_rows(WORLD, [str(who.pk) for who in open_creators])
    foreign = [
        post
        for who in open_creators
        for post in rows[str(who.pk)].usual_posts.values()
        if post.profile_id != str(who.pk)
    ]
    assert foreign
    assert all(WORLD.by_pk(post.profile_id) is not None for post in foreign)
