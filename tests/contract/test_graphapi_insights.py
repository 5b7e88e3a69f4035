"""The numbers that the Graph API gives about posts, stories, accounts and audiences."""

from __future__ import annotations

from typing import Any

import pytest

from core.crawler.errors import Malformed, NotFoundHere
from instagram.models.pages import Audience, Series, SeriesValue
from tests.support.instagram import GRAPH, read, recorded

JAN_26, JAN_27 = 1674720000, 1674806400
FUNCTIONS = (
    "fetch_post_insights",
    "fetch_story_insights",
    "fetch_profile_insights",
    "fetch_audience_insights",
    "fetch_follower_audience_insights",
)


def parse(function: str, *items: Any, **asked: str) -> Any:
    return recorded(GRAPH, function).parse({"data": list(items)}, **asked)


def metric(name: str, value: Any) -> dict[str, Any]:
    return {"name": name, "period": "lifetime", "values": [{"value": value}]}


def demographics(name: str, keys: list[str], *results: tuple[list[str], Any]) -> dict[str, Any]:
    """A metric with one breakdown."""
    given = [{"dimension_values": values, "value": value} for values, value in results]
    return {
        "name": name,
        "period": "lifetime",
        "total_value": {"breakdowns": [{"dimension_keys": keys, "results": given}]},
    }


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("fetch_post_insights", {"engagement": 15604, "impressions": 201334, "reach": 178220, "saved": 2210}),
        (
            "fetch_post_insights.video",
            {
                "engagement": 9571,
                "impressions": 120412,
                "reach": 99811,
                "saved": 801,
                "views": 64210,
                "video_views": 64210,
            },
        ),
        (
            "fetch_post_insights.carousel",
            {
                "engagement": 22105,
                "impressions": 260110,
                "reach": 231009,
                "saved": 4122,
                "views": 5120,
                "video_views": 5120,
            },
        ),
        (
            "fetch_post_insights.reel",
            {
                "plays": 2310456,
                "reach": 1733120,
                "saved": 30111,
                "comments": 1203,
                "likes": 84211,
                "shares": 15220,
                "interactions": 130745,
            },
        ),
        (
            "fetch_story_insights",
            {
                "exits": 120,
                "impressions": 20144,
                "reach": 19870,
                "replies": 14,
                "taps_forward": 15011,
                "taps_back": 833,
            },
        ),
    ],
)
def test_numbers_of_a_post_or_story_are_read(file: str, expected: dict[str, int]) -> None:
    found = read(GRAPH, file)
    assert (found.metrics, found.gaps) == (expected, {})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, 0),
        (12.0, 12),
        (12.5, 12.5),
        ("12", 12),
        ("12.0", 12),
        ("12.50", 12.5),
        (2**70, 2**70),
        (10**400, None),
        (None, None),
        (-1, None),
        (True, None),
        ("many", None),
        ("", None),
        (float("nan"), None),
        (float("inf"), None),
        ({"a": 1}, None),
        ([3], None),
    ],
)
def test_what_is_no_number_is_left_out(value: Any, expected: Any) -> None:
    found = parse("fetch_post_insights", metric("reach", value), metric("saved", 7))
    assert found.metrics == {"saved": 7, **({} if expected is None else {"reach": expected})}


@pytest.mark.parametrize(
    "item",
    [
        {"name": "reach", "values": []},
        {"name": "reach", "values": None},
        {"name": "reach"},
        {"name": "reach", "values": [{}]},
        {"values": [{"value": 3}]},
        {"name": None, "values": [{"value": 3}]},
        {"name": "brand_new", "values": "?"},
        {"name": "brand_new", "values": [[1]]},
        {"name": "brand_new", "values": {"value": 3}, "total_value": 4},
    ],
)
def test_metrics_without_a_number_or_of_a_new_kind_do_not_cost_the_others(item: dict[str, Any]) -> None:
    assert parse("fetch_post_insights", item, metric("saved", 7)).metrics == {"saved": 7}


def test_a_known_metric_of_another_shape_is_refused_with_its_path() -> None:
    with pytest.raises(Malformed) as refused:
        parse("fetch_post_insights", metric("saved", 7), {"name": "reach", "values": {"value": 3}})
    assert refused.value.path == "data.1.values"


def test_titles_are_not_read() -> None:
    item = {**metric("reach", 3), "title": "Impressions", "description": "impressions"}
    assert parse("fetch_post_insights", item).metrics == {"reach": 3}


def test_a_total_is_read_where_there_are_no_values() -> None:
    assert parse("fetch_post_insights", {"name": "shares", "total_value": {"value": 4}}).metrics == {"shares": 4}


NAVIGATION = {
    "name": "navigation",
    "period": "lifetime",
    "total_value": {
        "value": 40,
        "breakdowns": [
            {
                "dimension_keys": ["story_navigation_action_type"],
                "results": [
                    {"dimension_values": ["TAP_FORWARD"], "value": 25},
                    {"dimension_values": ["tap_back"], "value": 5},
                    {"dimension_values": ["tap_exit"], "value": None},
                    {"dimension_values": ["swipe_forward"], "value": 10},
                ],
            },
            {"dimension_keys": ["age"], "results": [{"dimension_values": ["18-24"], "value": 1}]},
        ],
    },
}


def test_how_people_moved_on_from_a_story_is_read_by_action() -> None:
    found = parse("fetch_story_insights", metric("reach", 90), metric("total_interactions", 3), NAVIGATION)
    assert found.metrics == {
        "reach": 90,
        "interactions": 3,
        "navigation": 40,
        "tap_forward": 25,
        "tap_back": 5,
        "swipe_forward": 10,
    }


@pytest.mark.parametrize(
    "broken",
    [{"breakdowns": 7}, {"breakdowns": [{"dimension_keys": ["story_navigation_action_type"], "results": 1}]}, []],
)
def test_a_broken_navigation_leaves_a_gap_and_nothing_else(broken: Any) -> None:
    found = parse("fetch_story_insights", metric("reach", 90), {"name": "navigation", "total_value": broken})
    assert found.metrics == {"reach": 90}
    assert list(found.gaps) == ["navigation"]


def test_numbers_of_an_account_by_day_are_read() -> None:
    found = read(GRAPH, "fetch_profile_insights", profile_id="5820113374")
    assert [(series.name, series.period) for series in found.series] == [
        ("impressions", "day"),
        ("reach", "day"),
        ("profile_views", "day"),
        ("follower_count", "day"),
    ]
    assert found.series[3].values == [SeriesValue(512, JAN_26), SeriesValue(478, JAN_27)]


def test_numbers_of_an_account_by_28_days_are_read() -> None:
    assert read(GRAPH, "fetch_profile_insights.days_28").series == [
        Series("impressions", "days_28", [SeriesValue(8210443, JAN_26), SeriesValue(8199120, JAN_27)]),
        Series("reach", "days_28", [SeriesValue(3110220, JAN_26), SeriesValue(3099811, JAN_27)]),
    ]


def test_series_without_numbers_are_left_out() -> None:
    hours = {"name": "online_followers", "period": "lifetime", "values": [{"value": {"0": 3}}, {"value": {}}]}
    total = {"name": "profile_views", "period": "day", "total_value": {"value": 9}}
    mixed = {"name": "reach", "values": [{"value": "x"}, {"value": "4"}]}
    found = parse("fetch_profile_insights", hours, {"name": "impressions", "values": []}, total, mixed)
    assert found.series == [
        Series("profile_views", "day", [SeriesValue(9)]),
        Series("reach", None, [SeriesValue(4)]),
    ]


def test_a_time_that_is_none_is_refused_in_a_series() -> None:
    with pytest.raises(Malformed) as refused:
        parse("fetch_profile_insights", {"name": "reach", "values": [{"value": 1, "end_time": "today"}]})
    assert refused.value.path == "data.0.values.0.end_time"


def test_an_audience_keeps_its_flat_keys() -> None:
    found = read(GRAPH, "fetch_audience_insights")
    assert found.city["São Paulo, São Paulo (state)"] == 20111
    assert found.country == {"PT": 98211, "GB": 90122, "BR": 60110, "FR": 30112, "US": 210443}
    assert (len(found.gender_age), found.gender_age["F.25-34"], found.gender_age["U.18-24"]) == (14, 310112, 20110)
    assert found.locale == {"pt_PT": 88211, "en_GB": 91022, "en_US": 250331, "pt_BR": 59110, "fr_FR": 28119}
    assert (found.reached, found.engaged, found.gaps) == (None, None, {})


@pytest.mark.parametrize(
    "items",
    [
        [],
        [{"name": "audience_city", "values": []}],
        [{"name": "audience_city"}],
        [metric("audience_city", {})],
        [metric("audience_city", [])],
        [metric("audience_city", None)],
        [metric("audience_city", {"Lisbon": "many"})],
        [metric("online_followers", {"0": 12})],
        [demographics("follower_demographics", ["city"])],
        [{"name": "follower_demographics", "total_value": {"breakdowns": [{"dimension_keys": ["city"]}]}}],
        [demographics("follower_demographics", ["gender"], (["F"], 3))],
    ],
)
def test_an_absent_or_empty_part_of_an_audience_is_null(items: list[Any]) -> None:
    assert parse("fetch_audience_insights", *items) == Audience()


def test_numbers_of_an_audience_may_be_text() -> None:
    found = parse("fetch_audience_insights", metric("audience_country", {"PT": "98211", "GB": 12.0, "US": -1}))
    assert found.country == {"PT": 98211, "GB": 12}


def test_an_audience_of_another_shape_is_refused_with_its_path() -> None:
    with pytest.raises(Malformed) as refused:
        parse("fetch_audience_insights", metric("audience_city", 7))
    assert refused.value.path == "data.0.values.0.value"


def test_followers_reached_and_engaged_are_told_apart_by_name() -> None:
    found = parse(
        "fetch_audience_insights",
        demographics("engaged_audience_demographics", ["country"], (["PT"], 3)),
        demographics("reached_audience_demographics", ["country"], (["PT"], 2), (["BR"], 20)),
        demographics("follower_demographics", ["country"], (["PT"], 1)),
        demographics("follower_demographics", ["city"], (["Lisbon, Lisbon District"], 4)),
        demographics("follower_demographics", ["age", "gender"], (["25-34", "F"], 12), (["65+", "U"], 5)),
        demographics("reached_audience_demographics", ["gender", "age"], (["M", "18-24"], 6)),
    )
    assert found == Audience(
        city={"Lisbon, Lisbon District": 4},
        country={"PT": 1},
        gender_age={"F.25-34": 12, "U.65+": 5},
        reached=Audience(country={"PT": 2, "BR": 20}, gender_age={"M.18-24": 6}),
        engaged=Audience(country={"PT": 3}),
    )


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_numbers_are_an_answer_and_no_list_is_none(function: str) -> None:
    assert parse(function)
    for body in ({"data": None}, {}, None):
        with pytest.raises(NotFoundHere):
            recorded(GRAPH, function).parse(body)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("body", "path"), [({"data": 3}, "data"), ({"data": [3]}, "data.0"), ({"data": [{"nom": "reach"}]}, "data.0.name")]
)
def test_another_shape_is_refused_with_its_path(function: str, body: Any, path: str) -> None:
    with pytest.raises(Malformed) as refused:
        recorded(GRAPH, function).parse(body)
    assert refused.value.path == path


@pytest.mark.parametrize(
    ("file", "asked"),
    [
        ("fetch_post_insights", {"post_id": "17967071530682118"}),
        ("fetch_post_insights", {"post_id": "17967071530682118_5820113374"}),
        ("fetch_story_insights", {"post_id": "17298827483257500"}),
        ("fetch_profile_insights", {"profile_id": "17841405820113374"}),
        ("fetch_audience_insights", {"profile_id": "5820113374"}),
    ],
)
def test_numbers_are_held_against_what_was_asked(file: str, asked: dict[str, str]) -> None:
    read(GRAPH, file, **asked)
    with pytest.raises(NotFoundHere):
        read(GRAPH, file, **{name: f"{value.partition('_')[0]}0" for name, value in asked.items()})
