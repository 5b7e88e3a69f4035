"""rocketapi: its recorded answers, and what else its documentation allows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.crawler.errors import (
    NotFoundHere,
)
from instagram.functions.retriever.rocketapi.rocketapi import RocketApi
from tests.support.instagram import OWNER, TAGGED, flat, picture, recorded
from tests.support.sources import Source

ROCKET = Source(RocketApi)
REEL_PICTURE = "218391880_135469964300879_9541345474166367801_n.jpg?stp=dst-jpg_e35_s720x1280"
CAROUSEL_PICTURE = "128317233_325666265692521_9737836719217387006_n.jpg?stp=dst-jpg_e35"
BASE: dict[str, Any] = {**OWNER, "owner": "5820113374", "is_paid_partnership": False}
REEL = {
    **BASE,
    "shortcode": "CnOAG9Tl0uH",
    "media_pk": "3012345678901234567",
    "post_type": "reels",
    "product_type": "clips",
    "taken_at_timestamp": 1674813600,
    "caption": "Lemon risotto in 40 seconds 🍋 #risotto #weeknightdinner @marlow.spices",
    "display_url": REEL_PICTURE,
    "thumbnail_src": REEL_PICTURE,
    "video_duration": 41.733,
    "user_tags": TAGGED,
    "likes": 84211,
    "comments": 1203,
    "play_count": 2310456,
    "view_count": 812334,
}
CAROUSEL = {
    **BASE,
    "shortcode": "CnJLVGW5VAN",
    "media_pk": "3010987654321098765",
    "post_type": "carousel",
    "product_type": "carousel_container",
    "taken_at_timestamp": 1674651605,
    "caption": "Swipe for the full grocery list ➡️\n\n#mealprep",
    "display_url": CAROUSEL_PICTURE,
    "thumbnail_src": CAROUSEL_PICTURE,
    "likes": 20455,
    "comments": 388,
}
PROFILE = {
    **OWNER,
    "full_name": "Aurora Kitchen",
    "bio": "Slow food, bright plates 🍋\nNew recipe every Thursday\n📍 Lisbon",
    "fbid": "17841405820113374",
    "category": "Kitchen/cooking",
    "external_url": "https://aurorakitchen.example/links",
    "is_private": False,
    "is_verified": True,
    "is_business": True,
    "is_business_or_creator": True,
}
PROFILE_PICTURE = "602790008_699992958600245_4434410881232848924_n.jpg?stp=dst-jpg_e35_s150x150"
PEOPLE = [
    ("61200099001", "miso.and.maple", "Miso & Maple", False, False),
    ("2210094512", "ren_tabeta", "れん", True, False),
    ("50099281734", "olive_and_oat", "", False, False),
    ("390011227", "kofi.bakes", "Kofi Bakes 🥐", False, True),
]


def done(body: Any, status: Any = 200, content_type: Any = "application/json") -> dict[str, Any]:
    """An envelope around a body."""
    return {"status": "done", "response": {"status_code": status, "content_type": content_type, "body": body}}


def inside(file: str) -> Any:
    """The body inside a recorded envelope."""
    return ROCKET.body(file)["response"]["body"]


@pytest.mark.parametrize(
    ("file", "extra"),
    [
        ("fetch_profile_by_handle", {"business_category": "Food & Personal Goods", "is_professional": True}),
        ("fetch_profile_by_id", {"profile_type": "business", "category_id": "200600219953504"}),
    ],
)
def test_a_profile_is_read(file: str, extra: dict[str, Any]) -> None:
    page = ROCKET.read(file, handle="Aurora.Kitchen")
    dimensions = dict(page.profile.dimensions)
    assert picture(dimensions.pop("profile_pic_url")) == PROFILE_PICTURE
    assert dimensions == {**PROFILE, **extra}
    assert page.profile.metrics == {"followers": 1284533, "following": 431, "media_count": 1892}
    with pytest.raises(NotFoundHere):
        ROCKET.read(file, profile_id="58201133740")


def test_a_profile_of_the_web_site_brings_its_newest_posts() -> None:
    (post,) = ROCKET.read("fetch_profile_by_handle").posts
    assert flat(post) == {
        **{key: value for key, value in BASE.items() if key != "is_paid_partnership"},
        "shortcode": "Cm-9TgUDRHL",
        "media_pk": "3008111222333444555",
        "post_type": "image",
        "taken_at_timestamp": 1674309000,
        "caption": "Breakfast, but make it golden ☀️",
        "display_url": "847024946_122396925687831_6501609655201965184_n.jpg?stp=dst-jpg_e35",
        "thumbnail_src": "847024946_122396925687831_6501609655201965184_n.jpg?stp=dst-jpg_e35_s640x640",
        "location": "London, United Kingdom",
        "user_tags": TAGGED,
        "likes": 15022,
        "comments": 204,
    }


@pytest.mark.parametrize("function", ["fetch_profile_by_id", "fetch_profile_by_handle"])
def test_either_profile_call_is_read_in_either_dialect(function: str) -> None:
    for file in ("fetch_profile_by_handle", "fetch_profile_by_id"):
        assert ROCKET.parse(function, ROCKET.body(file)).profile.profile_id == "5820113374"


@pytest.mark.parametrize("function", ["fetch_profile_posts_by_id", "fetch_profile_posts_by_handle"])
def test_a_page_of_posts_is_read(function: str) -> None:
    page = ROCKET.parse(function, ROCKET.body("fetch_profile_posts_by_id"), **OWNER)
    assert [flat(log) for log in page.posts] == [REEL, CAROUSEL]
    assert (page.has_next_page, page.cursor) == (True, "3010987654321098765_5820113374")
    last = ROCKET.parse(function, ROCKET.body("fetch_profile_posts_by_id.page2"), **OWNER)
    assert [log.shortcode for log in last.posts] == ["CmmhvAytrrA"]
    assert (last.has_next_page, last.cursor) == (False, None)


def test_a_page_of_posts_of_the_web_site_is_read() -> None:
    body = recorded("rapidapi-arraybobo", "fetch_profile_posts_by_id").body
    page = ROCKET.parse("fetch_profile_posts_by_handle", done(body), handle="aurora.kitchen")
    assert [log.shortcode for log in page.posts][:2] == ["CnOAG9Tl0uH", "CnJLVGW5VAN"]
    assert page.has_next_page


@pytest.mark.parametrize(
    ("changes", "cursor"),
    [
        ({}, "3010987654321098765_5820113374"),
        ({"more_available": None}, "3010987654321098765_5820113374"),
        ({"more_available": False}, None),
        ({"next_max_id": ""}, None),
        ({"next_max_id": None}, None),
        ({"next_max_id": 301}, "301"),
        ({"next_max_id": "301", "data": {"user": None}}, "301"),
    ],
)
def test_a_next_page_needs_cursor_and_flag(changes: dict[str, Any], cursor: str | None) -> None:
    page = ROCKET.parse("fetch_profile_posts_by_id", done({**inside("fetch_profile_posts_by_id"), **changes}))
    assert (page.has_next_page, page.cursor) == (cursor is not None, cursor)


def test_reels_are_read() -> None:
    page = ROCKET.read("fetch_reels_posts", **OWNER)
    assert flat(page.posts[0]) == REEL
    assert (page.posts[1].shortcode, page.posts[1].metrics["play_count"]) == ("Cme-8RJEpHL", 190221)
    assert (page.has_next_page, page.cursor) == (True, "QVFCMzFhY2Q0")
    last = ROCKET.read("fetch_reels_posts.page2", **OWNER)
    assert ([log.shortcode for log in last.posts], last.cursor) == (["Cl-nUJrySAE"], None)
    with pytest.raises(NotFoundHere):
        ROCKET.read("fetch_reels_posts", profile_id="1")


def test_a_post_is_read() -> None:
    assert flat(ROCKET.read("fetch_post_by_shortcode", shortcode="CnOAG9Tl0uH")) == REEL
    with pytest.raises(NotFoundHere):
        ROCKET.read("fetch_post_by_shortcode", shortcode="CnOAG9Tl0uI")


def test_reels_end_where_their_flag_says() -> None:
    for paging in ({"max_id": "c", "more_available": False}, {"max_id": ""}):
        page = ROCKET.parse("fetch_reels_posts", done({"items": [], "paging_info": paging, "next_max_id": "d"}))
        assert (page.has_next_page, page.cursor) == (False, None)


def test_likers_have_no_pages() -> None:
    page = ROCKET.parse("fetch_post_likes", done({**inside("fetch_post_likes"), "next_max_id": "c"}))
    assert (len(page.people), page.has_next_page, page.cursor) == (len(PEOPLE), False, None)


def test_a_post_in_a_wrapper_is_read() -> None:
    (item,) = inside("fetch_post_by_shortcode")["items"]
    assert flat(ROCKET.parse("fetch_post_by_shortcode", done({"items": [{"media": item}]}))) == REEL


def test_tagged_posts_are_those_of_others() -> None:
    page = ROCKET.read("fetch_tagged_posts", **OWNER)
    (post,) = page.posts
    assert (post.shortcode, post.profile_id, post.metrics) == (
        "CnKAsIUr4OS",
        "41009288113",
        {"likes": 1204, "comments": 33},
    )
    assert post.dimensions["user_tags"] == [OWNER]
    assert page.cursor is not None
    assert page.cursor.startswith("QVFlM2I5")


@pytest.mark.parametrize("function", ["fetch_hashtag_posts", "fetch_hashtag_top_posts"])
def test_a_hashtag_page_is_read_with_what_stands_beside_its_cursor(function: str) -> None:
    page = ROCKET.parse(function, ROCKET.body("fetch_hashtag_posts"), hashtag="saffron")
    assert [(log.shortcode, log.metrics["likes"]) for log in page.posts] == [("CnL_AhwKUgv", 980)]
    assert (page.has_next_page, page.cursor) == (True, "87626e0cf46b4c7ca5bbc1359f05e087")
    assert page.beside == {"next_page": 1, "next_media_ids": []}


def test_stories_are_read() -> None:
    page = ROCKET.read("fetch_story_posts_by_profile_id", **OWNER)
    image, video = page.posts
    assert flat(image) == {
        **BASE,
        "shortcode": "CnQUqCGPI49",
        "short_code": "CnQUqCGPI49",
        "media_pk": "3012999000111222333",
        "post_type": "story",
        "product_type": "story",
        "content_type": "image",
        "taken_at_timestamp": 1674892000,
        "display_url": "915083567_130908245845845_4256615280276748928_n.jpg?stp=dst-jpg_e35",
        "thumbnail_src": "915083567_130908245845845_4256615280276748928_n.jpg?stp=dst-jpg_e35",
        "user_tags": TAGGED,
        "story_links": ["https://l.instagram.com/?u=https://aurorakitchen.example/new"],
    }
    assert (video.dimensions["content_type"], video.dimensions["post_type"]) == ("video", "story")
    assert (video.dimensions["taken_at_timestamp"], video.dimensions["video_duration"]) == (1674892065, 14.866)
    assert not page.has_next_page


def test_no_stories_are_an_answer_and_those_of_others_are_none() -> None:
    assert ROCKET.read("fetch_story_posts_by_profile_id.no-stories", **OWNER).posts == []
    with pytest.raises(NotFoundHere):
        ROCKET.read("fetch_story_posts_by_profile_id", profile_id="1")


@pytest.mark.parametrize(
    ("file", "people", "cursor"),
    [
        ("fetch_followers", PEOPLE[:3], "QVFDdER2LUxBd1lG"),
        ("fetch_followers.page2", PEOPLE[3:], None),
        ("fetch_following", PEOPLE, "100"),
        ("fetch_post_likes", PEOPLE, None),
    ],
)
def test_lists_of_people_are_read(file: str, people: list[Any], cursor: str | None) -> None:
    page = ROCKET.read(file)
    fields = ("profile_id", "handle", "full_name", "is_private", "is_verified")
    assert [tuple(getattr(one, name) for name in fields) for one in page.people] == people
    assert (page.has_next_page, page.cursor) == (cursor is not None, cursor)


def test_people_may_say_their_number_as_pk_id_alone() -> None:
    body = ROCKET.body("fetch_followers")
    for user in body["response"]["body"]["users"]:
        user["pk_id"] = str(user.pop("pk"))
    assert ROCKET.parse("fetch_followers", body) == ROCKET.read("fetch_followers")


def test_comments_are_read() -> None:
    page = ROCKET.read("fetch_post_comments")
    found = [
        (one.comment_id, one.text, one.profile_id, one.handle, one.likes, one.publish_time) for one in page.comments
    ]
    assert found == [
        ("17871375683530001", "Can I use arborio? 😍", "50811920033", "lina.cooks.daily", 12, 1674815000),
        ("17871375683530002", "Which pan is that?", "1900443312", "pan_reviewer", 0, 1674816211),
    ]
    assert page.has_next_page
    assert json.loads(page.cursor)["cached_comments_cursor"] == "17963428621651302"
    last = ROCKET.read("fetch_post_comments.page2")
    assert (len(last.comments), last.has_next_page, last.cursor) == (1, False, None)


def test_comments_that_are_switched_off_are_an_empty_page() -> None:
    page = ROCKET.parse("fetch_post_comments", done({"comments_disabled": True, "comments": []}))
    assert (page.comments, page.has_next_page) == ([], False)


def test_what_stands_around_the_body_does_not_leak() -> None:
    for file in ("fetch_profile_by_id", "fetch_post_by_shortcode"):
        plain, body = ROCKET.read(file), ROCKET.body(file)
        decoy = {"pk": 99, "id": 99, "username": "decoy", "code": "DECOY"}
        body |= {"user": decoy, "items": [decoy], "body": decoy, "data": {"user": decoy}}
        body["response"] |= {"user": decoy, "items": [decoy], "data": {"user": decoy}}
        body["response"]["body"] |= {"users": [decoy], "media": decoy, "owner": decoy}
        assert ROCKET.parse(file, body) == plain
