"""Recorded profiles are read as their documentation says."""

from __future__ import annotations

from typing import Any

import pytest

from core.crawler.errors import Malformed, NotFoundHere
from instagram.functions.retriever.checks import same_handle
from tests.support.instagram import ARRAYBOBO, FETCHED, GRAPH, JOTUCKER, picture, read, recorded

BIO = "Slow food, bright plates 🍋\nNew recipe every Thursday\n📍 Lisbon"
PICTURE = "602790008_699992958600245_4434410881232848924_n.jpg?stp=dst-jpg_e35_s150x150"
NUMBERS = {"followers": 1284533, "following": 431, "media_count": 1892}
V1 = {
    "profile_id": "5820113374",
    "handle": "aurora.kitchen",
    "full_name": "Aurora Kitchen",
    "bio": BIO,
    "profile_type": "business",
    "fbid": "17841405820113374",
    "category": "Kitchen/cooking",
    "category_id": "200600219953504",
    "external_url": "https://aurorakitchen.example/links",
    "is_private": False,
    "is_verified": True,
    "is_business": True,
    "is_business_or_creator": True,
}
V1_FILES = [
    (ARRAYBOBO, "fetch_profile_by_id"),
    (ARRAYBOBO, "fetch_profile_by_handle"),
    (JOTUCKER, "fetch_profile_by_id"),
    (JOTUCKER, "fetch_profile_by_handle"),
]


@pytest.mark.parametrize(("source", "file"), V1_FILES)
def test_a_mobile_profile_is_read(source: str, file: str) -> None:
    page = read(source, file, handle="Aurora.Kitchen")
    dimensions = dict(page.profile.dimensions)
    assert picture(dimensions.pop("profile_pic_url")) == PICTURE
    assert dimensions == V1
    assert page.profile.metrics == NUMBERS
    assert (page.profile.profile_id, page.profile.source, page.profile.timestamp) == ("5820113374", source, FETCHED)
    assert page.posts == []


def test_a_discovered_profile_has_the_id_that_other_sources_know() -> None:
    page = read(GRAPH, "fetch_profile_by_handle", handle="aurora.kitchen")
    dimensions = dict(page.profile.dimensions)
    assert picture(dimensions.pop("profile_pic_url")) == PICTURE
    assert dimensions == {
        "profile_id": "5820113374",
        "handle": "aurora.kitchen",
        "full_name": "Aurora Kitchen",
        "bio": BIO,
        "external_url": "https://aurorakitchen.example/links",
        "fbid": "17841405820113374",
        "is_business_or_creator": True,
    }
    assert page.profile.metrics == NUMBERS
    assert page.profile.profile_id == "5820113374"
    assert page.posts == []


def test_a_discovered_profile_brings_its_newest_posts() -> None:
    case = recorded(GRAPH, "fetch_profile_posts_by_handle")
    page = recorded(GRAPH, "fetch_profile_by_handle").parse(case.body, handle="aurora.kitchen")
    assert [log.shortcode for log in page.posts] == ["CnOAG9Tl0uH", "CnJLVGW5VAN", "Cm-9TgUDRHL"]


@pytest.mark.parametrize(("source", "file"), [*V1_FILES, (GRAPH, "fetch_profile_by_handle")])
def test_another_handle_is_no_answer(source: str, file: str) -> None:
    with pytest.raises(NotFoundHere, match="another handle"):
        read(source, file, handle="aurora_kitchen")


@pytest.mark.parametrize(("source", "file"), V1_FILES)
def test_another_id_is_no_answer_even_with_the_right_handle(source: str, file: str) -> None:
    with pytest.raises(NotFoundHere, match="another profile"):
        read(source, file, profile_id="58201133740", handle="aurora.kitchen")


def v1_user(**changes: Any) -> Any:
    case = recorded(JOTUCKER, "fetch_profile_by_id")
    body = case.body
    for key, value in changes.items():
        if value is ...:
            del body["user"][key]
        else:
            body["user"][key] = value
    return case.parse(body).profile


@pytest.mark.parametrize(
    ("key", "value", "where", "expected"),
    [
        ("follower_count", -1, "followers", None),
        ("follower_count", None, "followers", None),
        ("follower_count", ..., "followers", None),
        ("follower_count", "1284533", "followers", 1284533),
        ("follower_count", 12.0, "followers", 12),
        ("follower_count", "12.0", "followers", 12),
        ("follower_count", 0, "followers", 0),
        ("follower_count", 2**70, "followers", 2**70),
        ("full_name", "", "full_name", ""),
        ("full_name", None, "full_name", None),
        ("biography", "", "bio", ""),
        ("category", "", "category", None),
        ("external_url", "", "external_url", None),
        ("pk", 3012345678901234567, "profile_id", "3012345678901234567"),
        ("pk", "0042", "profile_id", "0042"),
        ("fbid_v2", 17841405820113374, "fbid", "17841405820113374"),
        ("account_type", 3, "profile_type", "creator"),
        ("account_type", 9, "profile_type", None),
        ("latitude", 38.72, "location_lat", 38.72),
        ("latitude", "", "location_lat", None),
        ("latitude", "38.72", "location_lat", 38.72),
    ],
)
def test_absent_hidden_and_odd_values_of_a_profile(key: str, value: Any, where: str, expected: Any) -> None:
    log = v1_user(**{key: value})
    assert {**log.dimensions, **log.metrics}.get(where) == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("Me", "mE", True), ("me", "you", False), (None, None, False), (None, "", False), ("me", None, False)],
)
def test_handles_are_the_same_in_any_case_and_unknown_ones_never(
    one: str | None, other: str | None, same: bool
) -> None:
    assert same_handle(one, other) is same
    assert same_handle(other, one) is same


@pytest.mark.parametrize(
    ("is_business", "account_type", "expected"),
    [(False, 1, False), (False, 3, True), (True, 1, True), (..., ..., None), (..., 2, True), (False, ..., False)],
)
def test_business_or_creator_needs_one_of_two_signs(is_business: Any, account_type: Any, expected: bool | None) -> None:
    log = v1_user(is_business=is_business, account_type=account_type)
    assert log.dimensions.get("is_business_or_creator") is expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pk", 5820113374.0),
        ("pk", True),
        ("pk", ...),
        ("pk", ""),
        ("username", ""),
        ("username", 7),
        ("follower_count", True),
        ("follower_count", 1.5),
        ("follower_count", float("nan")),
        ("follower_count", float("inf")),
        ("follower_count", "many"),
        ("follower_count", {"count": 3}),
        ("is_private", "false"),
        ("is_verified", 1),
        ("biography", ["a"]),
        ("latitude", "x"),
        ("latitude", 10**400),
    ],
)
def test_a_value_of_another_kind_is_refused_with_its_path(key: str, value: Any) -> None:
    with pytest.raises(Malformed) as refused:
        v1_user(**{key: value})
    assert refused.value.path == f"user.{key}"


@pytest.mark.parametrize("body", [None, {}, {"user": None}, {"status": "ok"}])
@pytest.mark.parametrize(("source", "file"), V1_FILES)
def test_no_user_is_not_found_and_not_final(source: str, file: str, body: Any) -> None:
    with pytest.raises(NotFoundHere):
        recorded(source, file).parse(body, handle="aurora.kitchen")


def test_a_profile_of_jotucker_may_be_that_of_the_web_site() -> None:
    user = recorded("rapidapi-igapi", "fetch_profile_by_handle").body
    page = recorded(JOTUCKER, "fetch_profile_by_handle").parse({"data": {"user": user}}, handle="aurora.kitchen")
    assert (page.profile.profile_id, page.profile.metrics["followers"]) == ("5820113374", 1284533)


def test_a_bare_list_is_how_jotucker_says_that_there_is_nobody() -> None:
    with pytest.raises(NotFoundHere):
        recorded(JOTUCKER, "fetch_profile_by_id").parse([], profile_id="1")
    with pytest.raises(Malformed):
        recorded(ARRAYBOBO, "fetch_profile_by_id").parse([], profile_id="1")


def test_a_decoy_user_beside_the_profile_does_not_leak() -> None:
    case = recorded(ARRAYBOBO, "fetch_profile_by_handle")
    plain = case.parse(case.body, handle="aurora.kitchen")
    decoy = {"pk": 99, "username": "decoy", "follower_count": 1, "is_private": True, "user": {"pk": 98}}
    body = {"graphql": {"user": decoy}, "viewer": decoy, "users": [decoy], **case.body, "pk": 97, "username": "decoy"}
    body["user"] = {"chaining": [decoy], "friend": decoy, **body["user"], "reel": {"owner": decoy}}
    assert case.parse(body, handle="aurora.kitchen") == plain


def test_the_token_owner_of_a_discovery_does_not_leak() -> None:
    case = recorded(GRAPH, "fetch_profile_by_handle")
    plain = case.parse(case.body, handle="aurora.kitchen")
    body = {"ig_id": 1, "username": "token.owner", "followers_count": 3, "media": {"data": [{"id": "1"}]}, **case.body}
    assert case.parse(body, handle="aurora.kitchen") == plain
