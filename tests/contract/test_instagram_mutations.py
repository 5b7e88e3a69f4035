"""Whatever a source sends, its parser gives a log or an error of the crawler's own kind."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.crawler.errors import Malformed, ProviderError
from core.models.logs import PostLog
from instagram.functions.retriever.crawler import CHAINS, INSTAGRAM
from instagram.functions.retriever.judge import judge
from instagram.models.pages import PostsPage, ProfilePage
from instagram.tasks.ingestion import complete_post, complete_profile
from instagram.tasks.transformer import account_row, post_row
from tests.support.instagram import Recorded, data_cases

CASES = data_cases()
ASKED: tuple[dict[str, str], ...] = (
    {},
    {"profile_id": "5820113374"},
    {"handle": "aurora.kitchen"},
    {"shortcode": "CnOAG9Tl0uH"},
)

leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**80),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "0", "12", "12.0", "-1", "\x00", "\ud800", "1e999", "٣", "²", "NaN", 10**400, -0.0]),
)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) of a decoded body."""
    found: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        current = pending.pop()
        keys = list(current) if isinstance(current, dict) else range(len(current)) if isinstance(current, list) else ()
        for key in keys:
            found.append((current, key))
            pending.append(current[key])
    return found


@st.composite
def mutated(draw: st.DrawFn) -> tuple[Recorded, Any]:
    """A recording with up to four values replaced, renamed or removed."""
    case = draw(st.sampled_from(CASES))
    body = case.body
    for _ in range(draw(st.integers(1, 4))):
        spots = places(body)
        if not spots:
            break
        container, key = draw(st.sampled_from(spots))
        how = draw(st.sampled_from(["replace", "remove", "rename"]))
        if how == "replace":
            container[key] = draw(anything)
        elif how == "remove":
            del container[key]
        elif isinstance(container, dict):
            container[f"{key}_v2"] = container.pop(key)
    return case, body


def exercise(case: Recorded, body: Any, asked: dict[str, str]) -> None:
    """Judge, read and prepare for storing; anything but a ProviderError escapes."""
    with suppress(ProviderError):
        judge(200, body)
        value = case.parse(body, **asked)
        if isinstance(value, ProfilePage):
            account_row(complete_profile(value.profile))
        posts = [value] if isinstance(value, PostLog) else value.posts
        for log in posts:
            if log.shortcode:
                post_row(complete_post(log))
        if isinstance(value, PostsPage):
            assert value.has_next_page is (value.cursor is not None)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(mutated(), st.sampled_from(ASKED))
def test_a_changed_answer_is_read_or_refused_by_name(change: tuple[Recorded, Any], asked: dict[str, str]) -> None:
    exercise(*change, asked)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(CASES), anything, st.sampled_from(ASKED))
def test_any_json_is_read_or_refused_by_name(case: Recorded, body: Any, asked: dict[str, str]) -> None:
    exercise(case, body, asked)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 999), anything)
def test_any_answer_can_be_judged(status: int, data: Any) -> None:
    failure = judge(status, data)
    assert failure is None or isinstance(failure, ProviderError)


def refusal(case: Recorded, body: Any) -> ProviderError | None:
    """The error that a body is refused with."""
    try:
        case.parse(body)
    except ProviderError as error:
        return error
    return None


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_value_that_is_replaced_by_an_object_is_refused_with_a_path_or_not_read(case: Recorded) -> None:
    for index in range(len(places(case.body))):
        body = case.body
        container, key = places(body)[index]
        container[key] = {"unexpected": [1]}
        refused = refusal(case, body)
        if isinstance(refused, Malformed):
            assert refused.path
            assert "unexpected" not in str(refused)


def test_each_source_has_a_method_and_a_parser_of_the_same_names() -> None:
    for provider in INSTAGRAM.providers.values():
        methods = {name for name in dir(provider) if name.startswith("fetch_")}
        assert methods == set(provider.parsers)


def test_every_source_that_offers_a_function_is_in_its_chain() -> None:
    offered = {(name, source) for source, provider in INSTAGRAM.providers.items() for name in provider.parsers}
    assert offered == {(name, source) for name, chain in CHAINS.items() for source in chain}


def test_sources_are_asked_in_this_order() -> None:
    graph, arraybobo, jotucker = "graphapi", "rapidapi-arraybobo", "rapidapi-jotucker"
    assert dict(CHAINS) == {
        "fetch_profile_by_id": (jotucker, arraybobo),
        "fetch_profile_by_handle": (graph, arraybobo, jotucker),
        "fetch_profile_posts_by_id": (jotucker, arraybobo),
        "fetch_profile_posts_by_handle": (graph, arraybobo),
        "fetch_reels_posts": (arraybobo,),
        "fetch_post_by_shortcode": (arraybobo, jotucker),
    }
