"""The JSON form of what parsers give."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from core.crawler import errors
from core.enums import Platform, PostType
from core.models.logs import PostLog, ProfileLog
from instagram.models import keys as k
from instagram.models import pages as p
from instagram.parse_form import RETRYABLE, error_form, form
from instagram.tasks.transformer import ACCOUNT_COLUMNS, POST_COLUMNS

WHEN = datetime(2023, 1, 28, tzinfo=UTC)


def test_every_class_of_error_can_be_retried_or_not() -> None:
    def kinds(kind: type[errors.ProviderError]) -> list[type[errors.ProviderError]]:
        return [kind, *(one for child in kind.__subclasses__() for one in kinds(child))]

    assert {kind.word for kind in kinds(errors.ProviderError)} == {
        "not_found", "private", "auth", "rate_limited", "quota_exhausted", "upstream", "unsupported",
        "insufficient_data", "malformed",
    }  # fmt: skip
    assert {"rate_limited", "upstream"} == RETRYABLE


def test_an_error_is_its_class_and_its_words() -> None:
    expected = {"class": "quota_exhausted", "retryable": False, "message": "no more"}
    assert error_form(errors.QuotaExhausted("no more")) == {"kind": "error", "error": expected}


def test_a_post_has_all_columns_and_the_id_that_the_source_knows_it_by() -> None:
    said = {k.MEDIA_PK: "30", k.POST_TYPE: PostType.REELS, k.TAKEN_AT: 1674813600, k.THUMBNAIL: "t", k.HANDLE: "a"}
    log = PostLog(Platform.INSTAGRAM, "Cn", "5", "lama", WHEN, {**said, k.PRODUCT_TYPE: "clips"}, {k.PLAY_COUNT: 0})
    post = form("fetch_post_by_shortcode", log)["post"]
    assert set(post) == {"shortcode", "profile_id", "product_type", *POST_COLUMNS.values()}
    assert {key: value for key, value in post.items() if value is not None} == {
        "post_id": "30",
        "media_pk": "30",
        "shortcode": "Cn",
        "profile_id": "5",
        "handle": "a",
        "post_type": "reels",
        "product_type": "clips",
        "plays": 0,
        "thumbnail_url": "t",
        "publish_time": "2023-01-27T10:00:00Z",
    }
    log.dimensions[k.POST_ID] = "17"
    post = form("fetch_post_by_shortcode", log)["post"]
    assert (post["post_id"], post["media_pk"]) == ("17", "30")


def test_a_profile_has_all_columns_and_the_posts_that_came_along() -> None:
    said = {k.HANDLE: "a", k.BIO: "", k.EXTERNAL_URL: "https://a.example", "unheard_of": 1}
    log = ProfileLog(Platform.INSTAGRAM, "5", "lama", WHEN, said, {k.FOLLOWERS: 0})
    post = PostLog(Platform.INSTAGRAM, "Cn", "5", "lama", WHEN)
    page = form("fetch_profile_by_id", p.ProfilePage(log, [post]))
    assert (page["kind"], page["items"]) == ("profile", [form("fetch_post_by_shortcode", post)["post"]])
    assert set(page["profile"]) == {"profile_id", "external_url", *ACCOUNT_COLUMNS.values()}
    assert {key: value for key, value in page["profile"].items() if value is not None} == {
        "profile_id": "5",
        "handle": "a",
        "biography": "",
        "external_url": "https://a.example",
        "followers": 0,
    }


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, None), (0, "1970-01-01T00:00:00Z"), (10**12, None), (10**17, None), (10**30, None)]
)
def test_a_time_that_no_calendar_holds_is_not_said(seconds: int | None, said: str | None) -> None:
    page = p.CommentsPage([p.Comment("1", publish_time=seconds)])
    assert form("fetch_post_comments", page)["items"][0]["publish_time"] == said


PERSON = p.Person("9", "b", "", is_private=True)
PERSON_FORM = {
    "profile_id": "9",
    "handle": "b",
    "full_name": "",
    "is_private": True,
    "is_verified": None,
    "profile_pic_url": None,
}


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        (
            "fetch_hashtag_posts",
            p.PostsPage([], True, "c", {"next_page": 2, "next_media_ids": ["1"]}),
            {
                "kind": "posts",
                "items": [],
                "has_next_page": True,
                "cursor": "c",
                "next_page": 2,
                "next_media_ids": ["1"],
            },
        ),
        (
            "fetch_stories_posts",
            p.PostsPage([]),
            {"kind": "stories", "items": [], "has_next_page": False, "cursor": None},
        ),
        (
            "fetch_story_posts_by_profile_id",
            p.PostsPage([]),
            {"kind": "stories", "items": [], "has_next_page": False, "cursor": None},
        ),
        (
            "fetch_highlight_posts",
            p.PostsPage([]),
            {"kind": "stories", "items": [], "has_next_page": False, "cursor": None},
        ),
        (
            "fetch_profile_highlights",
            p.HighlightsPage([p.Highlight("7", "Travel"), p.Highlight("8")]),
            {
                "kind": "highlights",
                "items": [{"highlight_id": "7", "title": "Travel"}, {"highlight_id": "8", "title": None}],
            },
        ),
        (
            "fetch_followers",
            p.PeoplePage([PERSON], True, "c"),
            {"kind": "relationships", "items": [PERSON_FORM], "has_next_page": True, "cursor": "c"},
        ),
        (
            "fetch_post_likes",
            p.PeoplePage([]),
            {"kind": "likers", "items": [], "has_next_page": False, "cursor": None},
        ),
        (
            "fetch_post_comments",
            p.CommentsPage([p.Comment("1", "", "9", likes=0, publish_time=1674813600, replies=3)]),
            {
                "kind": "comments",
                "items": [
                    {
                        "comment_id": "1",
                        "text": "",
                        "profile_id": "9",
                        "handle": None,
                        "likes": 0,
                        "publish_time": "2023-01-27T10:00:00Z",
                    }
                ],
                "has_next_page": False,
                "cursor": None,
            },
        ),
        (
            "fetch_story_insights",
            p.Insights({"exits": 2, "engagement": 1.5}),
            {"kind": "insights", "insights": {"exits": 2, "engagement": 1.5}},
        ),
        (
            "fetch_profile_insights",
            p.InsightsSeries([p.Series("reach", "day", [p.SeriesValue(7, 1588575600), p.SeriesValue(8)])]),
            {
                "kind": "insights_series",
                "series": [
                    {
                        "name": "reach",
                        "period": "day",
                        "values": [{"value": 7, "end_time": "2020-05-04T07:00:00Z"}, {"value": 8, "end_time": None}],
                    }
                ],
            },
        ),
        (
            "fetch_audience_insights",
            p.Audience(city={"Lisbon": 1}),
            {
                "kind": "audience",
                "audience": {"city": {"Lisbon": 1}, "country": None, "gender_age": None, "locale": None},
            },
        ),
    ],
)
def test_each_kind_of_result_has_its_form(function: str, value: Any, expected: dict[str, Any]) -> None:
    assert form(function, value) == expected


def test_every_type_of_result_has_a_form() -> None:
    types = [kind for kind in vars(p).values() if isinstance(kind, type) and kind.__module__ == p.__name__]
    parts = (p.Person, p.Comment, p.Highlight, p.SeriesValue, p.Series)
    made = {
        form("fetch_anything", kind(*([] if kind is p.Audience else [[]])))["kind"]
        for kind in types
        if kind not in (*parts, p.ProfilePage)
    }
    assert made == {"posts", "relationships", "comments", "highlights", "insights", "insights_series", "audience"}
