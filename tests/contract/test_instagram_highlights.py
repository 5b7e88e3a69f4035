"""Highlights: which there are, and the stories in one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.crawler.errors import Malformed, NotFoundHere, ProviderError
from instagram.models import keys as k
from instagram.models.pages import Highlight
from tests.support.instagram import ARRAYBOBO, Recorded, recorded

TRAY = Recorded(ARRAYBOBO, "fetch_profile_highlights", "")
STORIES = Recorded(ARRAYBOBO, "fetch_highlight_posts", "")
NAME = "highlight:17900000000000001"
OWNER = "5820113374"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def tray(**of_user: Any) -> dict[str, Any]:
    user = {"user": of_user} if of_user else {}
    return {"tray": [{"id": NAME, "title": "Trips", **user}, {"id": "highlight:2", **user}], "status": "ok"}


def stories() -> dict[str, Any]:
    """The recorded stories of an account, as those of a highlight."""
    (kept,) = recorded(ARRAYBOBO, "fetch_story_posts_by_profile_id").body["reels"].values()
    return {"reels": {NAME: kept}, "status": "ok"}


def test_the_tray_names_the_highlights() -> None:
    assert TRAY.parse(tray(), profile_id=OWNER).highlights == [Highlight(NAME, "Trips"), Highlight("highlight:2")]
    assert TRAY.parse(tray(pk=5820113374), profile_id=OWNER).highlights[0].title == "Trips"
    assert TRAY.parse({"tray": [{"id": NAME, "title": ""}]}).highlights == [Highlight(NAME)]
    assert TRAY.parse({"tray": []}, profile_id=OWNER).highlights == []


def test_stories_of_a_highlight_are_read_as_stories() -> None:
    posts = STORIES.parse(stories(), profile_id=OWNER, highlight_id=NAME).posts
    same = recorded(ARRAYBOBO, "fetch_story_posts_by_profile_id")
    assert posts == same.parse(same.body, profile_id=OWNER).posts
    assert {log.dimensions[k.POST_TYPE] for log in posts} == {"story"}
    assert STORIES.parse({"reels": {}}, highlight_id=NAME).posts == []


@pytest.mark.parametrize(
    ("case", "body", "asked"),
    [
        (TRAY, tray(pk=1), {"profile_id": OWNER}),
        (TRAY, {"status": "ok"}, {}),
        (STORIES, stories(), {"profile_id": OWNER, "highlight_id": "highlight:3"}),
        (STORIES, stories(), {"profile_id": "1", "highlight_id": NAME}),
        (STORIES, {"reels": None}, {}),
        (STORIES, {"reels": {NAME: None}}, {"highlight_id": NAME}),
    ],
)
def test_highlights_of_others_and_missing_ones_are_not_found(case: Recorded, body: Any, asked: dict[str, str]) -> None:
    with pytest.raises(NotFoundHere):
        case.parse(body, **asked)


@pytest.mark.parametrize(
    ("case", "body", "path"),
    [
        (TRAY, {"tray": {}}, "tray"),
        (TRAY, {"tray": [{"title": "no id"}]}, "tray.0.id"),
        (STORIES, {"reels": []}, "reels"),
        (STORIES, {"reels": {NAME: {"items": [{"media_type": 1}]}}}, f"reels.{NAME}.items.0.pk"),
    ],
)
def test_another_shape_is_malformed_and_says_where(case: Recorded, body: Any, path: str) -> None:
    with pytest.raises(Malformed) as failure:
        case.parse(body)
    assert failure.value.path == path


@given(json_values, st.sampled_from(["tray", "reels"]))
def test_anything_is_read_or_refused_by_name(value: Any, key: str) -> None:
    for case in (TRAY, STORIES):
        for body in (value, {key: value}, {key: {NAME: value}}, {key: [value]}):
            try:
                case.parse(body, profile_id=OWNER, highlight_id=NAME)
            except ProviderError:
                continue
