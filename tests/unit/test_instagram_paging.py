"""Page loops end for every sequence of pages, and keep what they read."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.crawler.crawler import Fetched
from core.crawler.errors import ChainFailed, Malformed, Outcome, ProviderError, RateLimited
from core.crawler.provider import Asked, Function, Payload
from core.enums import Platform
from core.models.logs import PostLog
from instagram.models.functions import FETCH_PROFILE_POSTS_BY_ID
from instagram.models.pages import PostsPage
from instagram.tasks.retrieval import (
    RECENT_POSTS,
    RECENT_REELS,
    Collected,
    StopRule,
    collect,
    recent_posts,
    recent_reels,
)

T = TypeVar("T")
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
ASKED = Asked(profile_id="1")
_numbers = itertools.count()


def posts(count: int, days: float | None = 1) -> list[PostLog]:
    taken = {} if days is None else {"taken_at_timestamp": int((NOW - timedelta(days=days)).timestamp())}
    return [PostLog(Platform.INSTAGRAM, f"p{next(_numbers)}", "1", "s", NOW, dict(taken)) for _ in range(count)]


def page(count: int, cursor: str | None, days: float | None = 1) -> PostsPage:
    return PostsPage(posts(count, days), cursor is not None, cursor)


class Pages:
    """A source that gives prepared pages, then repeats the last one; remembers how it was asked."""

    def __init__(self, *pages: PostsPage | ProviderError | Callable[[int], PostsPage]) -> None:
        self.pages = pages
        self.asked: list[tuple[str | None, str | None]] = []

    async def fetch(self, function: Function[T], asked: Asked, *, source: str | None = None) -> Fetched[T]:
        index = len(self.asked)
        self.asked.append((asked.cursor, source))
        given_page = self.pages[min(index, len(self.pages) - 1)]
        if isinstance(given_page, ProviderError):
            raise given_page
        value: Any = given_page(index) if callable(given_page) else given_page
        return Fetched(value, "first-source", Payload("first-source", function.name, asked, None, NOW))


async def test_pages_are_read_from_the_source_that_gave_the_first() -> None:
    source = Pages(page(12, "a"), page(12, "b"), page(5, None))
    found = await recent_posts(source, ASKED, NOW)
    assert (len(found.posts), found.pages, found.gap, found.source) == (29, 3, None, "first-source")
    assert source.asked == [(None, None), ("a", "first-source"), ("b", "first-source")]


async def test_a_page_with_a_post_older_than_thirty_days_is_the_last() -> None:
    source = Pages(page(12, "a", 29.9), page(12, "b", 30.1), page(12, "c"))
    assert len((await recent_posts(source, ASKED, NOW)).posts) == 24


async def test_one_old_post_among_newer_ones_makes_a_page_the_last() -> None:
    mixed = replace(page(0, "b"), posts=[*posts(5, 1), *posts(1, 31), *posts(5, 2)])
    assert len((await recent_posts(Pages(page(12, "a"), mixed, page(12, "c")), ASKED, NOW)).posts) == 23


async def test_a_pinned_post_does_not_end_the_loop_however_old_it_is() -> None:
    first = page(12, "a")
    old = posts(1, 900)[0]
    old.dimensions["media_pk"] = "7"
    source = Pages(replace(first, posts=[old, *first.posts], pinned=frozenset({"7"})), page(12, "b", 31), page(12, "c"))
    assert len((await recent_posts(source, ASKED, NOW)).posts) == 25


async def test_more_than_fifty_posts_are_enough() -> None:
    source = Pages(lambda index: page(25, f"c{index}"))
    found = await recent_posts(source, ASKED, NOW)
    assert (len(found.posts), found.pages) == (75, 3)


async def test_more_than_ten_reels_are_enough() -> None:
    found = await recent_reels(Pages(lambda index: page(10, f"c{index}")), ASKED, NOW)
    assert (len(found.posts), found.pages) == (20, 2)


async def test_an_empty_page_ends_the_loop_and_keeps_what_was_read() -> None:
    found = await recent_posts(Pages(page(3, "a"), page(0, "b"), page(3, "c")), ASKED, NOW)
    assert (len(found.posts), found.pages, found.gap) == (3, 2, None)


async def test_a_cursor_that_comes_back_ends_the_loop() -> None:
    found = await recent_posts(Pages(page(2, "a"), page(2, "b"), page(2, "a")), ASKED, NOW)
    assert (len(found.posts), found.pages) == (6, 3)
    assert found.gap is not None
    assert found.gap.reason == "repeated_cursor"


async def test_one_cursor_for_all_pages_leads_on_while_there_are_new_posts() -> None:
    def steady(count: int) -> PostsPage:
        return replace(page(count, "same"), steady_cursor=True)

    last = steady(2)
    found = await recent_posts(Pages(steady(3), steady(3), last, last), ASKED, NOW)
    assert (len(found.posts), found.pages) == (10, 4)
    assert found.gap is not None
    assert found.gap.reason == "repeated_cursor"


async def test_posts_without_a_date_do_not_end_the_loop_but_the_number_of_pages_does() -> None:
    rule = StopRule(days=30, posts=10**6, pages=7)
    source = Pages(lambda index: page(1, f"c{index}", None))
    found = await collect(source, FETCH_PROFILE_POSTS_BY_ID, ASKED, rule, NOW)
    assert (found.pages, found.gap and found.gap.reason) == (7, "too_many_pages")


@pytest.mark.parametrize("good_pages", [0, 1, 2])
async def test_a_failure_leaves_a_gap_with_its_reason_and_keeps_the_pages_before(good_pages: int) -> None:
    failure = ChainFailed("fetch_profile_posts_by_id", (Outcome("first-source", RateLimited("slow down")),))
    source = Pages(*(page(4, f"c{index}") for index in range(good_pages)), failure)
    found = await recent_posts(source, ASKED, NOW)
    assert len(found.posts) == 4 * good_pages
    assert found.gap is not None
    assert found.gap.as_result() == {
        "step": "fetch_profile_posts_by_id",
        "class": "rate_limited",
        "status": 429,
        "message": "slow down",
        "sources": [{"source": "first-source", "class": "rate_limited", "status": 429, "message": "slow down"}],
    }


async def test_a_gap_has_the_word_of_the_source_that_decided_it() -> None:
    outcomes = (Outcome("one", Malformed("odd")), Outcome("two", RateLimited("slow down")))
    found = await recent_posts(Pages(ChainFailed("fetch_profile_posts_by_id", outcomes)), ASKED, NOW)
    assert found.gap is not None
    assert (found.gap.reason, found.gap.status) == ("rate_limited", 429)


async def test_what_was_read_is_at_hand_when_the_task_is_cancelled() -> None:
    def never(index: int) -> PostsPage:
        raise asyncio.CancelledError

    found = Collected()
    with pytest.raises(asyncio.CancelledError):
        await recent_posts(Pages(page(4, "a"), never), ASKED, NOW, found)
    assert (len(found.posts), found.pages, found.source) == (4, 1, "first-source")


adversary = st.lists(
    st.tuples(
        st.integers(0, 60), st.sampled_from([None, "a", "b", "c", "d"]), st.sampled_from([None, -1.0, 1.0, 29.0, 40.0])
    ),
    min_size=1,
    max_size=12,
)


@given(adversary, st.sampled_from([RECENT_POSTS, RECENT_REELS]))
async def test_every_sequence_of_pages_ends(pages: list[tuple[int, str | None, float | None]], rule: StopRule) -> None:
    source = Pages(*(page(*values) for values in pages))
    found = await collect(source, FETCH_PROFILE_POSTS_BY_ID, ASKED, rule, NOW)
    assert len(source.asked) == found.pages <= rule.pages
    assert len({log.shortcode for log in found.posts}) <= sum(count for count, *_ in pages)
