"""Long lists of posts end for every sequence of pages and hand out each post once, under the name of its row."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.crawler.crawler import Fetched
from core.crawler.provider import Asked, Function, Payload
from core.enums import Platform
from core.models.logs import PostLog, ProfileLog
from instagram.functions.retriever.shortcode import media_pk, shortcode_of
from instagram.models.functions import FETCH_HASHTAG_POSTS
from instagram.models.keys import TAKEN_AT
from instagram.models.pages import PostsPage
from instagram.tasks.own_media import is_recent
from instagram.tasks.page_walk import PageRule
from instagram.tasks.post_lists import posts_walk
from instagram.tasks.posts_ingestion import named, of_account, story_stub, with_hashtags
from instagram.tasks.reparse import reading

R = TypeVar("R")
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
RULE = PageRule(items=50, pages=20)


def post(shortcode: str | None, owner: str | None = None, **dimensions: Any) -> PostLog:
    return PostLog(Platform.INSTAGRAM, shortcode, owner, "source", NOW, dimensions)


def page(names: Collection[int], cursor: str | None, *, steady: bool = False) -> PostsPage:
    posts = [post(f"p{name}") for name in names]
    return PostsPage(posts, cursor is not None, cursor, steady_cursor=steady)


@dataclass
class Pages:
    """Says its pages one after the other; the last one repeats."""

    pages: list[PostsPage]
    asked: int = 0

    async def fetch(
        self,
        function: Function[R],
        asked: Asked,
        *,
        source: str | None = None,
        handle: str | None = None,
        last: Collection[str] = (),
    ) -> Fetched[R]:
        assert (source, handle, [*last]) == ("source" if self.asked else None, None, [])
        said: Any = self.pages[min(self.asked, len(self.pages) - 1)]
        self.asked += 1
        return Fetched(said, "source", Payload("source", function.name, asked, None, NOW))


async def no_pause(seconds: float) -> None:
    """The next page at once."""


async def read_all(pages: list[PostsPage], rule: PageRule = RULE) -> tuple[list[str | None], Any]:
    walk = posts_walk(FETCH_HASHTAG_POSTS, rule)
    names = [log.shortcode async for read in walk.read(Pages(pages), Asked(), no_pause) for log in read.fresh]
    return names, walk


async def test_one_cursor_for_all_pages_is_followed_while_it_brings_new_posts() -> None:
    steady = [page(range(number * 5, number * 5 + 5), "same", steady=True) for number in range(4)]
    names, walk = await read_all(steady)
    assert names == [f"p{number}" for number in range(20)]
    assert (walk.pages, walk.gap.reason) == (6, "empty_pages")


async def test_a_cursor_that_comes_back_ends_a_list() -> None:
    names, walk = await read_all([page([1], "a"), page([2], "b"), page([3], "a"), page([4], "c")])
    assert names == ["p1", "p2", "p3"]
    assert walk.gap.reason == "repeated_cursor"


async def test_posts_that_do_not_say_which_they_are_are_left_out() -> None:
    names, _ = await read_all([PostsPage([post(None), post("A"), post(None, media_pk="5")])])
    assert names == ["A"]


adversary = st.lists(
    st.tuples(st.sets(st.integers(0, 30), max_size=8), st.sampled_from([None, "a", "b", "c"]), st.booleans()),
    min_size=1,
    max_size=12,
)


@given(adversary)
async def test_every_sequence_of_pages_ends_and_gives_each_post_once(
    pages: list[tuple[set[int], str | None, bool]],
) -> None:
    names, walk = await read_all([page(sorted(found), cursor, steady=steady) for found, cursor, steady in pages])
    assert len(names) == len(set(names)) <= 31
    assert walk.pages <= RULE.pages


def test_rows_of_stories_are_named_by_their_number() -> None:
    pk = "3012345678901234567"
    assert named(post("CODE", post_type="story", media_pk=pk)).shortcode == pk
    assert named(post("CnOAG9Tl0uH", post_type="story")).shortcode == pk
    assert named(post(None, post_type="story", short_code="CnOAG9Tl0uH")).shortcode == pk
    assert named(post(None, post_type="story")).shortcode is None
    assert named(post("CODE", post_type="reels", media_pk=pk)).shortcode == "CODE"


def test_the_number_of_a_story_is_its_id_until_graph_has_told_another() -> None:
    pk = "3012345678901234567"
    known = [
        named(post("CODE", post_type="story", media_pk=pk, **said)) for said in ({}, {"post_id": "17900000000000001"})
    ]
    assert [log.dimensions["post_id"] for log in known] == [pk, "17900000000000001"]
    assert "post_id" not in named(post("CODE", post_type="reels", media_pk=pk)).dimensions
    assert "post_id" not in named(post(None, post_type="story")).dimensions


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("Tea #chai, #masala_2!#lake", "#chai,#masala_2,#lake"),
        ("#नमस्ते दुनिया (#चाय)", "#नमस्ते,#चाय"),
        ("#😀 # #", "#😀"),
        ("no word", None),
        (None, None),
    ],
)
def test_posts_found_by_a_hashtag_name_all_of_theirs(caption: str | None, words: str | None) -> None:
    (log,) = with_hashtags([post("A", "1", caption=caption)])
    assert log.dimensions.get("hashtags") == words


def test_posts_of_an_account_that_is_not_stored_tell_whose_they_are() -> None:
    mine, others = post("A", "1", handle="Me"), post("B", "2", handle="friend")
    silent = post("C")
    found = {log.shortcode: log for log in of_account([others, mine, silent], None, "me")}
    assert {name: log.profile_id for name, log in found.items()} == {"A": "1", "B": "2", "C": "1"}
    assert found["B"].dimensions["collab_profile_id"] == "1"
    assert [log.profile_id for log in of_account([silent], None, "me")] == [None]


def test_a_lost_story_keeps_what_is_known_of_it() -> None:
    account = ProfileLog(Platform.INSTAGRAM, "1", "", NOW, {"handle": "me"})
    stub = story_stub("7", account, {"profile_er": 2.0})
    assert (stub.shortcode, stub.profile_id, stub.source, stub.metrics) == ("7", "1", "", {"profile_er": 2.0})


@pytest.mark.parametrize(("taken", "recent"), [(None, True), (0, True), (1, True), (-1, False)])
def test_a_post_is_recent_unless_it_is_known_to_be_older(taken: int | None, recent: bool) -> None:
    said: dict[str, Any] = {} if taken is None else {TAKEN_AT: int(NOW.timestamp()) + taken}
    assert is_recent(post("A", **said), NOW) is recent


@given(st.integers(1, 2**63 - 1))
def test_a_number_and_its_shortcode_are_the_same_thing(pk: int) -> None:
    shortcode = shortcode_of(str(pk))
    assert shortcode is not None
    assert media_pk(shortcode) == str(pk)


@pytest.mark.parametrize(
    ("shortcode", "pk"),
    [
        ("Cm-9TgUDRHL", "3008111222333444555"),
        ("CnL_AhwKUgv", "3011777888999000111"),
        ("CnL_AhwKUgv" + "Ab-_" * 7, "3011777888999000111"),
        ("", None),
        ("AAA", None),
        ("CnL?AhwKUgv", None),
    ],
)
def test_the_number_of_a_shortcode_is_its_first_eleven_digits(shortcode: str, pk: str | None) -> None:
    assert media_pk(shortcode) == pk
    assert pk is None or shortcode_of(pk) == shortcode[:11]


def test_what_is_no_number_has_no_shortcode() -> None:
    assert [shortcode_of(text) for text in ("", "0", "CzzzA", "-5", "١٢", "9" * 21)] == [None] * 6


@pytest.mark.parametrize(
    ("function", "owner"),
    [
        ("fetch_profile_posts_by_id", "1"),
        ("fetch_reels_posts", "1"),
        ("fetch_tagged_posts", None),
        ("fetch_hashtag_posts", None),
    ],
)
def test_a_kept_page_gives_the_account_asked_for_only_posts_that_can_be_its_own(
    function: str, owner: str | None
) -> None:
    payload = Payload("source", function, Asked(profile_id="1"), None, NOW)
    read = reading(payload, PostsPage([post("a"), post("b", owner="2")]), stored=True)
    assert read is not None
    assert [(log.profile_id, log.dimensions.get("profile_id")) for log in read.posts] == [(owner, owner), ("2", "2")]
