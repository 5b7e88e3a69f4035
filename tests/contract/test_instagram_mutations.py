"""Whatever a source sends, its parser gives a log or an error of the crawler's own kind."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.crawler.errors import Malformed, ProviderError
from core.crawler.provider import Asked, Payload
from core.models.logs import PostLog
from instagram.functions.retriever.crawler import INSTAGRAM
from instagram.functions.retriever.judge import judge
from instagram.models.pages import CommentsPage, PeoplePage, PostsPage, ProfilePage
from instagram.parse_form import form
from instagram.tasks.ingestion import complete_post, complete_profile
from instagram.tasks.transformer import account_row, post_row
from tests.support.instagram import FETCHED, Recorded, data_cases

CASES = data_cases()
ASKED = (
    Asked(),
    Asked(profile_id="5820113374"),
    Asked(handle="aurora.kitchen"),
    Asked(shortcode="CnOAG9Tl0uH"),
)


@dataclass(frozen=True)
class Cell:
    """A function of a source, and the recordings to start from: others' where it has none of its own."""

    source: str
    function: str

    def __str__(self) -> str:
        return f"{self.source}-{self.function}"

    @property
    def cases(self) -> list[Recorded]:
        alike = [case for case in CASES if case.function == self.function] or CASES
        return [case for case in alike if case.source == self.source] or alike


CELLS = [Cell(source, function) for source, provider in INSTAGRAM.providers.items() for function in provider.parsers]

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


def change(draw: st.DrawFn, body: Any) -> None:
    """Replace, rename or remove up to four values of a body."""
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


def exercise(cell: Cell, body: Any, asked: Asked) -> None:
    """Judge, read, show and prepare for storing; anything but a ProviderError escapes."""
    provider = INSTAGRAM.providers[cell.source]
    with suppress(ProviderError):
        provider.judge(200, {}, body)
        value = provider.parsers[cell.function](Payload(cell.source, cell.function, asked, body, FETCHED))
        json.dumps(form(cell.function, value), allow_nan=False)
        if isinstance(value, PostsPage | PeoplePage | CommentsPage):
            assert value.has_next_page is (value.cursor is not None)
        if isinstance(value, ProfilePage):
            account_row(complete_profile(value.profile))
        for log in [value] if isinstance(value, PostLog) else getattr(value, "posts", []):
            if log.shortcode:
                post_row(complete_post(log))


QUIET = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@pytest.mark.parametrize("cell", CELLS, ids=str)
@QUIET
@given(st.data())
def test_a_changed_answer_is_read_or_refused_by_name(cell: Cell, data: st.DataObject) -> None:
    body = data.draw(st.sampled_from(cell.cases)).body
    data.draw(st.composite(change)(body))
    exercise(cell, body, data.draw(st.sampled_from(ASKED)))


@pytest.mark.parametrize("cell", CELLS, ids=str)
@settings(QUIET, max_examples=10)
@given(anything, st.sampled_from(ASKED))
def test_any_json_is_read_or_refused_by_name(cell: Cell, body: Any, asked: Asked) -> None:
    exercise(cell, body, asked)


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
    body = case.body
    for container, key in places(body):
        whole, container[key] = container[key], {"unexpected": [1]}
        refused = refusal(case, body)
        container[key] = whole
        if isinstance(refused, Malformed):
            assert refused.path
            assert "unexpected" not in str(refused)
