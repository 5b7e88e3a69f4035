"""What the demo expects in the database agrees with what the sources really hand out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.sandbox.expected import ARRAYBOBO, JOTUCKER, expected_rows
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


FEEDS = {
    JOTUCKER: Feed(
        JOTUCKER,
        "fetch_profile_posts_by_id",
        50,
        50,
        lambda body: [(item["code"], item["taken_at"]) for item in body["items"]],
        lambda body: body.get("next_max_id") or "",
    ),
    ARRAYBOBO: Feed(
        ARRAYBOBO,
        "fetch_profile_posts_by_id",
        12,
        50,
        lambda body: [(e["node"]["shortcode"], e["node"]["taken_at_timestamp"]) for e in _timeline(body)["edges"]],
        lambda body: _timeline(body)["page_info"]["end_cursor"] or "",
    ),
    "reels": Feed(
        ARRAYBOBO,
        "fetch_reels_posts",
        10,
        10,
        lambda body: [(item["media"]["code"], item["media"]["taken_at"]) for item in body["items"]],
        lambda body: body["paging_info"].get("max_id") or "",
    ),
}


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


@pytest.mark.parametrize("source", [JOTUCKER, ARRAYBOBO])
def test_expected_posts_are_those_that_the_loops_collect(source: str) -> None:
    for who in CREATORS:
        if who.kind in OPEN_KINDS:
            expected = expected_rows(WORLD, [str(who.pk)])[str(who.pk)]
            collected = {*walk(FEEDS[source], who.pk), *walk(FEEDS["reels"], who.pk)}
            assert set(expected.posts[source]) == collected, who


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
