"""Owners' numbers as logs: names, parts that are missing, and which id of a post Graph knows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from core.crawler.crawler import Fetched
from core.crawler.errors import InsufficientData
from core.crawler.provider import Asked, Payload
from instagram.functions.retriever.shortcode import media_pk
from instagram.models.pages import Audience, Insights
from instagram.tasks.insights_ingestion import (
    AUDIENCE_COLUMNS,
    audience_columns,
    audience_gaps,
    audience_log,
    by_gender,
    insights_gaps,
    insights_log,
)
from instagram.tasks.own_media import StoredPost

WHEN = datetime(2023, 1, 27, 10, tzinfo=UTC)
CODE, GRAPH_ID = "CnOAG9Tl0uH", "17895695668004550"


def fetched(value: Any) -> Fetched[Any]:
    return Fetched(value, "graphapi", Payload("graphapi", "f", Asked(), {}, WHEN))


@pytest.mark.parametrize(
    ("post_id", "given", "found"),
    [
        (GRAPH_ID, "", GRAPH_ID),
        (None, GRAPH_ID, GRAPH_ID),
        (None, f"{GRAPH_ID}_17", GRAPH_ID),
        ("3333", GRAPH_ID, GRAPH_ID),
        (None, "3333_7", None),
        (None, "None", None),
        (None, "\u0663", None),
        ("", "", None),
        (GRAPH_ID, "17000000000000000", GRAPH_ID),
    ],
)
def test_a_number_behind_the_shortcode_is_no_id_of_graph(post_id: str | None, given: str, found: str | None) -> None:
    post = StoredPost(CODE, post_id=post_id, media_pk="3333")
    assert post.graph_id(given) == found


def test_the_number_behind_a_shortcode_is_known_without_a_row() -> None:
    assert StoredPost(CODE).graph_id(f"{media_pk(CODE)}_787132") is None
    assert StoredPost("3333", post_id="3333").graph_id("3333_7") is None  # a story is named by it


def test_graphs_words_become_those_of_logs_and_readers_find_both_names() -> None:
    said = {
        "plays": 1,
        "views": 2,
        "taps_forward": 3,
        "taps_back": 4,
        "exits": 5,
        "saved": 6,
        "swipe_up": 7,
        "reach": 8,
    }
    log = insights_log(fetched(Insights(said)), StoredPost(CODE, "7"), GRAPH_ID, "me")
    assert log.metrics == {
        "play_count": 1, "view_count": 2, "tap_forward": 3, "taps_forward": 3, "tap_back": 4, "taps_back": 4,
        "tap_exit": 5, "exits": 5, "saved": 6, "saves": 6, "swipe_up": 7, "swipe_ups": 7, "reach": 8,
    }  # fmt: skip
    assert log.dimensions == {"handle": "me", "post_id": GRAPH_ID, "profile_id": "7"}
    assert (log.shortcode, log.profile_id, log.timestamp) == (CODE, "7", WHEN)


def test_a_log_of_numbers_leaves_out_whose_they_are_while_nobody_knows() -> None:
    log = insights_log(fetched(Insights({"reach": 1})), StoredPost(CODE), GRAPH_ID, None)
    assert (log.profile_id, log.dimensions) == (None, {"post_id": GRAPH_ID})


@pytest.mark.parametrize("numbers", [{}, {"reach": 2**63}])
def test_no_numbers_that_could_be_stored_are_insufficient(numbers: dict[str, int]) -> None:
    with pytest.raises(InsufficientData):
        insights_log(fetched(Insights(numbers)), StoredPost(CODE), GRAPH_ID, None)
    with pytest.raises(InsufficientData):
        audience_log(fetched(Audience(city={}, reached=Audience())), "7", "me")


def test_genders_and_ages_are_nested_and_nobody_is_lost() -> None:
    flat = {"F.25-34": 1, "M.65+": 2, "U.18-24": 3, "X.18-24": 4, "13-17": 5, "m.65+": 6}
    assert by_gender(flat) == {
        "male": {"65+": 8},
        "female": {"25-34": 1},
        "uncategorized": {"18-24": 7, "13-17": 5},
    }


def test_each_audience_stands_under_its_own_name_and_empty_parts_nowhere() -> None:
    audience = Audience(
        city={"Pune": 1},
        country={},
        locale={"en_US": 2},
        reached=Audience(country={"IN": 3}, locale={"x": 9}),
        engaged=Audience(gender_age={"F.25-34": 4}),
    )
    assert audience_columns(audience) == {
        "audience_city": {"Pune": 1},
        "audience_locale": {"en_US": 2},
        "reached_audience_country": {"IN": 3},
        "engaged_audience_gender_age": {"male": {}, "female": {"25-34": 4}, "uncategorized": {}},
    }


def test_every_column_is_stored_or_named_with_the_reason_of_its_own_call() -> None:
    audience = Audience(
        city={"Pune": 1},
        gaps={
            "follower_demographics by country": "upstream: away",
            "reached_audience_demographics by age,gender": "rate_limited: slow down",
            "engaged_audience_demographics": "unsupported: needs v18.0",
            "audience_locale": "unsupported: gone",
        },
    )
    found = {
        gap.step: (gap.reason, gap.message) for gap in audience_gaps(audience, AUDIENCE_COLUMNS, {"audience_city": 1})
    }
    assert found.keys() == set(AUDIENCE_COLUMNS) - {"audience_city"}
    assert found["audience_country"] == ("upstream", "away")
    assert found["reached_audience_gender_age"] == ("rate_limited", "slow down")
    assert found["engaged_audience_city"] == ("unsupported", "needs v18.0")
    assert found["audience_locale"] == ("unsupported", "gone")
    assert found["reached_audience_city"] == ("insufficient_data", "the source gave no numbers")


def test_a_part_that_could_not_be_read_is_a_gap_too() -> None:
    gaps = insights_gaps(Insights({"reach": 1}, {"navigation": "data.0.total_value.value: expected a number"}))
    assert [(gap.step, gap.reason) for gap in gaps] == [("navigation", "malformed")]
    assert gaps[0].message == "data.0.total_value.value: expected a number"
