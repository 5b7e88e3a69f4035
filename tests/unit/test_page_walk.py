"""Long lists end for every sequence of pages, are patient with their source, and start over elsewhere when it fails."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.crawler.crawler import Fetched
from core.crawler.errors import (
    ChainFailed,
    Malformed,
    NoSourceAvailable,
    NotFoundHere,
    Outcome,
    ProviderError,
    QuotaExhausted,
    Unavailable,
)
from core.crawler.provider import Asked, Function, Payload
from instagram.models.functions import FETCH_FOLLOWERS, FETCH_POST_COMMENTS
from instagram.models.pages import Comment, CommentsPage, PeoplePage, Person
from instagram.tasks.page_walk import Listing, PageRule, Walk

R = TypeVar("R")
NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)
ASKED = Asked(profile_id="1")
RULE = PageRule(items=100, pause_s=5, failures=2, failure_pause_s=10, restarts=2, pages=20)
FOLLOWERS = Listing(FETCH_FOLLOWERS, attrgetter("people"), attrgetter("profile_id"))

Said = PeoplePage | CommentsPage | ProviderError


def page(people: range | list[int], cursor: str | None = None) -> PeoplePage:
    return PeoplePage([Person(str(number)) for number in people], cursor is not None, cursor)


@dataclass
class Scripts:
    """Sources in order, each with what it says one time after the other; the last thing repeats."""

    says: dict[str, list[Said]]
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    kept: list[Asked] = field(default_factory=list)
    handles: set[str | None] = field(default_factory=set)

    async def fetch(
        self,
        function: Function[R],
        asked: Asked,
        *,
        source: str | None = None,
        handle: str | None = None,
        last: Collection[str] = (),
    ) -> Fetched[R]:
        self.kept.append(asked)
        self.handles.add(handle)
        outcomes: list[Outcome] = []
        for name in [source] if source else sorted(self.says, key=lambda one: one in last):
            self.asked.append((name, asked.cursor))
            script = self.says[name]
            said: Any = script.pop(0) if len(script) > 1 else script[0]
            if not isinstance(said, ProviderError):
                return Fetched(said, name, Payload(name, function.name, asked, None, NOW))
            outcomes += [] if isinstance(said, NoSourceAvailable) else [Outcome(name, said)]
        if not outcomes:
            raise NoSourceAvailable
        raise ChainFailed(function.name, tuple(outcomes))


@dataclass
class Ended:
    """What a walk handed out, page by page, and how long it paused."""

    walk: Walk[PeoplePage, Person]
    pages: list[list[str]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    @property
    def reason(self) -> str | None:
        return None if self.walk.gap is None else self.walk.gap.reason


async def walked(scripts: Scripts, rule: PageRule = RULE, source: str | None = None, asked: Asked = ASKED) -> Ended:
    ended = Ended(Walk(FOLLOWERS, rule, source=source))
    await into(ended, scripts, asked)
    return ended


async def into(ended: Ended, scripts: Scripts, asked: Asked = ASKED) -> None:
    async def pause(seconds: float) -> None:
        ended.pauses.append(seconds)

    async for read in ended.walk.read(scripts, asked, pause):
        ended.pages.append([person.profile_id for person in read.fresh])


async def test_pages_are_read_from_the_source_that_began_with_a_pause_between_but_not_after_the_last() -> None:
    scripts = Scripts({"a": [page(range(3), "x"), page(range(3, 6), "y"), page([6])], "b": [page([9])]})
    ended = await walked(scripts)
    assert ended.pages == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert scripts.asked == [("a", None), ("a", "x"), ("a", "y")]
    assert (ended.pauses, ended.walk.count, ended.reason) == ([5, 5], 7, None)


async def test_enough_items_end_the_list_and_the_page_that_was_read_is_kept_whole() -> None:
    ended = await walked(Scripts({"a": [page(range(60), "x"), page(range(60, 120), "y"), page([1000], "z")]}))
    assert (ended.walk.count, ended.walk.pages, ended.pauses, ended.reason) == (120, 2, [5], None)


async def test_a_page_that_makes_up_the_number_wanted_is_the_last() -> None:
    scripts = Scripts({"a": [page(range(50), "x"), page(range(50, 100), "y"), page([1000])]})
    assert (await walked(scripts)).walk.count == 100
    assert scripts.asked == [("a", None), ("a", "x")]


async def test_a_source_that_cannot_begin_is_not_the_one_that_is_stuck_to() -> None:
    scripts = Scripts({"a": [Unavailable("down")], "b": [page([1], "x"), page([2])]})
    ended = await walked(scripts)
    assert scripts.asked == [("a", None), ("b", None), ("b", "x")]
    assert (ended.walk.source, ended.walk.sources) == ("b", ["b"])


async def test_when_no_source_can_begin_the_task_fails_without_waiting() -> None:
    ended = Ended(Walk(FOLLOWERS, RULE))
    with pytest.raises(ChainFailed):
        await into(ended, Scripts({"a": [Unavailable("down")], "b": [Malformed("odd")]}))
    assert (ended.pages, ended.pauses) == ([], [])


async def test_a_page_that_fails_is_asked_for_again_at_the_same_source() -> None:
    scripts = Scripts({"a": [page([1], "x"), Unavailable("1"), Unavailable("2"), page([2], "y"), page([3])]})
    ended = await walked(scripts)
    assert scripts.asked == [("a", None), ("a", "x"), ("a", "x"), ("a", "x"), ("a", "y")]
    assert ended.pages == [["1"], ["2"], ["3"]]
    assert ended.pauses == [5, 10, 10, 5]


async def test_a_good_page_renews_the_patience_with_its_source() -> None:
    down = Unavailable("down")
    scripts = Scripts({"a": [page([1], "x"), down, down, page([2], "y"), down, down, page([3])], "b": [page([9])]})
    ended = await walked(scripts)
    assert (ended.pages, ended.walk.sources) == ([["1"], ["2"], ["3"]], ["a"])


async def test_after_repeated_failure_another_source_starts_over_and_nobody_is_handed_out_twice() -> None:
    scripts = Scripts({"a": [page([1, 2], "x"), Unavailable("down")], "b": [page([2, 3], "p"), page([4])]})
    ended = await walked(scripts)
    assert scripts.asked == [("a", None), ("a", "x"), ("a", "x"), ("a", "x"), ("b", None), ("b", "p")]
    assert ended.pages == [["1", "2"], ["3"], ["4"]]
    assert (ended.walk.sources, ended.reason) == (["a", "b"], None)


@pytest.mark.parametrize(
    "error", [NotFoundHere("gone"), QuotaExhausted("month", retry_after_s=86400), NoSourceAvailable()]
)
async def test_an_error_that_will_not_pass_leads_to_another_source_at_once(error: ProviderError) -> None:
    scripts = Scripts({"a": [page([1], "x"), error], "b": [page([2])]})
    ended = await walked(scripts)
    assert scripts.asked == [("a", None), ("a", "x"), ("b", None)]
    assert ended.pages == [["1"], ["2"]]


async def test_sources_that_fail_one_after_the_other_fail_the_task_and_what_was_read_was_handed_out() -> None:
    down = Unavailable("down")
    scripts = Scripts({name: [page([number], name), down] for number, name in enumerate("abcd")})
    ended = Ended(Walk(FOLLOWERS, RULE))
    with pytest.raises(ChainFailed):
        await into(ended, scripts)
    assert ended.pages == [["0"], ["1"], ["2"]]
    assert {name for name, _ in scripts.asked} == {"a", "b", "c"}


async def test_a_cursor_that_was_given_is_asked_of_its_source_only_and_others_start_at_the_beginning() -> None:
    scripts = Scripts({"a": [Malformed("odd")], "b": [page([1])]})
    ended = await walked(scripts, source="a", asked=Asked(profile_id="1", cursor="mine"))
    assert scripts.asked == [("a", "mine"), ("a", "mine"), ("a", "mine"), ("b", None)]
    assert ended.pages == [["1"]]


async def test_what_stands_beside_a_cursor_goes_back_with_it() -> None:
    pages: list[Said] = [CommentsPage([Comment("1")], True, "x", {"name": "max_id"}), CommentsPage([Comment("2")])]
    scripts = Scripts({"a": pages})
    listing = Listing(FETCH_POST_COMMENTS, attrgetter("comments"), attrgetter("comment_id"))

    async def pause(seconds: float) -> None:
        assert seconds == RULE.pause_s

    async for _ in Walk(listing, RULE).read(scripts, ASKED, pause):
        pass
    assert [asked.beside for asked in scripts.kept] == [None, {"name": "max_id"}]


@pytest.mark.parametrize(
    ("pages", "reason", "count"),
    [
        ([page([1], "x"), page([2], "y"), page([3], "x")], "repeated_cursor", 3),
        ([page([1], "x"), page([], "y"), page([], "z")], "empty_pages", 1),
        ([page([1], "x"), page([1], "y"), page([1], "z")], "empty_pages", 1),
        ([page([1], "x"), page([], "y"), page([2], "z"), page([], None)], None, 2),
        ([page([1], "x"), page([], "y"), page([2], "z"), page([], "w"), page([3])], None, 3),
        ([page([])], None, 0),
    ],
)
async def test_pages_that_lead_nowhere_end_the_list(pages: list[Said], reason: str | None, count: int) -> None:
    ended = await walked(Scripts({"a": pages}))
    assert (ended.reason, ended.walk.count) == (reason, count)


async def test_a_walk_of_one_accounts_own_credential_never_goes_elsewhere() -> None:
    scripts = Scripts({"a": [page([1], "x"), Malformed("odd")], "b": [page([2])]})
    ended = Ended(Walk(FOLLOWERS, RULE, source="a", handle="lena"))
    with pytest.raises(ChainFailed):
        await into(ended, scripts)
    assert (scripts.handles, {name for name, _ in scripts.asked}) == ({"lena"}, {"a"})


async def test_too_many_pages_end_the_list() -> None:
    pages: list[Said] = [page([number], f"c{number}") for number in range(50)]
    ended = await walked(Scripts({"a": pages}))
    assert (ended.reason, ended.walk.pages) == ("too_many_pages", 20)


said = st.one_of(
    st.builds(page, st.lists(st.integers(0, 30), max_size=40), st.sampled_from([None, "a", "b", "c", "d"])),
    st.sampled_from([Unavailable("down"), Malformed("odd"), NotFoundHere("gone"), QuotaExhausted("month")]),
)


@given(st.dictionaries(st.sampled_from("abc"), st.lists(said, min_size=1, max_size=8), min_size=1))
async def test_every_sequence_of_pages_and_failures_ends(says: dict[str, list[Said]]) -> None:
    scripts = Scripts(says)
    ended = Ended(Walk(FOLLOWERS, RULE))
    with suppress(ProviderError):
        await into(ended, scripts)
    found = [one for each in ended.pages for one in each]
    assert len(found) == len(set(found)) == ended.walk.count
    assert ended.walk.pages <= RULE.pages
    assert len(scripts.kept) <= RULE.pages * (RULE.failures + 1) + RULE.restarts + RULE.failures + 1
