"""lama: recorded profiles and posts, and what else its documentation allows."""

from __future__ import annotations

from typing import Any

import pytest

from core.crawler.errors import (
    Malformed,
    NotFoundHere,
    ProviderError,
)
from instagram.functions.retriever.lama.lama import Lama
from tests.support.instagram import OWNER, TAGGED, flat, picture, recorded
from tests.support.sources import Source

LAMA = Source(Lama)
REEL_PICTURE = "218391880_135469964300879_9541345474166367801_n.jpg?stp=dst-jpg_e35_s720x1280"
CAROUSEL_PICTURE = "128317233_325666265692521_9737836719217387006_n.jpg?stp=dst-jpg_e35"
IMAGE_PICTURE = "847024946_122396925687831_6501609655201965184_n.jpg?stp=dst-jpg_e35"
VIDEO_PICTURE = "679725602_111434836980261_9337739441145875363_n.jpg?stp=dst-jpg_e35"
BASE: dict[str, Any] = {**OWNER, "owner": "5820113374", "is_paid_partnership": False, "is_sponsor": False}
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
    "user_tags": [],
    "likes": 20455,
    "comments": 388,
}
IMAGE = {
    **BASE,
    "shortcode": "Cm-9TgUDRHL",
    "media_pk": "3008111222333444555",
    "post_type": "image",
    "product_type": "feed",
    "taken_at_timestamp": 1674309000,
    "caption": "Breakfast, but make it golden ☀️",
    "display_url": IMAGE_PICTURE,
    "thumbnail_src": IMAGE_PICTURE,
    "location": "London, United Kingdom",
    "location_lat": 51.5141,
    "location_long": -0.1094,
    "user_tags": TAGGED,
    "likes": 15022,
    "comments": 204,
}
VIDEO = {
    **BASE,
    "shortcode": "Cm3dPjtdN_7",
    "media_pk": "3005999888777666555",
    "post_type": "reels",
    "product_type": "feed",
    "taken_at_timestamp": 1674055800,
    "caption": "How we test a pan (full video)",
    "display_url": VIDEO_PICTURE,
    "thumbnail_src": VIDEO_PICTURE,
    "video_duration": 118.2,
    "user_tags": [],
    "likes": 9120,
    "comments": 151,
    "view_count": 64210,
}


def media(**changes: Any) -> dict[str, Any]:
    """The recorded reel with other values; ``...`` removes a key."""
    body = {**LAMA.body("fetch_post_by_shortcode"), **changes}
    return {key: value for key, value in body.items() if value is not ...}


def post(**changes: Any) -> dict[str, Any]:
    return flat(LAMA.parse("fetch_post_by_shortcode", media(**changes)))


@pytest.mark.parametrize("file", ["fetch_profile_by_handle", "fetch_profile_by_id"])
def test_a_profile_is_read(file: str) -> None:
    page = LAMA.read(file, **({"handle": "Aurora.Kitchen"} if "handle" in file else {"profile_id": "5820113374"}))
    dimensions = dict(page.profile.dimensions)
    assert picture(dimensions.pop("profile_pic_url")) == (
        "602790008_699992958600245_4434410881232848924_n.jpg?stp=dst-jpg_e35_s150x150"
    )
    assert dimensions == {
        **OWNER,
        "full_name": "Aurora Kitchen",
        "bio": "Slow food, bright plates 🍋\nNew recipe every Thursday\n📍 Lisbon",
        "profile_type": "business",
        "category": "Kitchen/cooking",
        "external_url": "https://aurorakitchen.example/links",
        "is_private": False,
        "is_verified": True,
        "is_business": True,
        "is_business_or_creator": True,
    }
    assert page.profile.metrics == {"followers": 1284533, "following": 431, "media_count": 1892}


def test_a_profile_of_the_web_site_is_read_with_its_posts() -> None:
    user = recorded("rapidapi-arraybobo", "fetch_profile_posts_by_id").body["data"]["user"]
    user |= {"id": "5820113374", "username": "aurora.kitchen", "edge_followed_by": {"count": 1284533}, "fbid": "178"}
    page = LAMA.parse("fetch_profile_by_handle", {"graphql": {"user": user}}, handle="aurora.kitchen")
    assert page.profile.profile_id == "5820113374"
    assert page.profile.metrics["followers"] == 1284533
    assert page.profile.dimensions["fbid"] == "178"
    assert [log.shortcode for log in page.posts][:2] == ["CnOAG9Tl0uH", "CnJLVGW5VAN"]


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"pk": 5820113374}, "profile_id", "5820113374"),
        ({"category": "", "category_name": None}, "category", None),
        ({"category": "", "category_name": "Chef"}, "category", "Chef"),
        ({"category": "Cook", "category_name": "Chef"}, "category", "Cook"),
        ({"business_category_name": "Food"}, "business_category", "Food"),
        ({"interop_messaging_user_fbid": 7}, "fbid", None),
        ({"public_email": ""}, "public_email", None),
        ({"biography": ""}, "bio", ""),
    ],
)
def test_older_and_newer_profiles_are_read(changes: dict[str, Any], key: str, expected: Any) -> None:
    body = {**LAMA.body("fetch_profile_by_id"), **changes}
    assert LAMA.parse("fetch_profile_by_id", body).profile.dimensions.get(key) == expected


def test_a_decoy_beside_the_profile_does_not_leak() -> None:
    plain = LAMA.read("fetch_profile_by_id", profile_id="5820113374")
    decoy = {"pk": "99", "id": "99", "username": "decoy", "follower_count": 1, "edge_followed_by": {"count": 1}}
    body = {**LAMA.body("fetch_profile_by_id"), "user": decoy, "graphql": {"user": decoy}, "data": {"user": decoy}}
    assert LAMA.parse("fetch_profile_by_id", body, profile_id="5820113374") == plain


@pytest.mark.parametrize(
    ("function", "body", "kind"),
    [
        ("fetch_profile_by_id", None, NotFoundHere),
        ("fetch_profile_by_id", {}, NotFoundHere),
        ("fetch_profile_by_id", {"graphql": None}, NotFoundHere),
        ("fetch_profile_by_id", {"graphql": {"user": None}}, NotFoundHere),
        ("fetch_profile_by_id", {"pk": None, "username": "aurora.kitchen"}, Malformed),
        ("fetch_profile_by_id", [{"pk": 1}], Malformed),
        ("fetch_post_by_shortcode", {}, NotFoundHere),
        ("fetch_post_by_shortcode", {"items": []}, NotFoundHere),
        ("fetch_post_by_shortcode", {"graphql": {"shortcode_media": None}}, NotFoundHere),
        ("fetch_post_by_shortcode", "x", Malformed),
        ("fetch_profile_posts_by_id", None, NotFoundHere),
        ("fetch_profile_posts_by_id", {}, NotFoundHere),
        ("fetch_profile_posts_by_id", [None, None], NotFoundHere),
        ("fetch_profile_posts_by_id", {"items": []}, Malformed),
        ("fetch_profile_posts_by_id", [[1], ""], Malformed),
        ("fetch_profile_posts_by_id", [[], {"a": 1}], Malformed),
        ("fetch_followers", [{"pk": 1}, 2], Malformed),
        ("fetch_followers", [[{"username": "nobody"}], ""], Malformed),
        ("fetch_post_comments", {"data": {"shortcode_media": None}}, NotFoundHere),
    ],
)
def test_an_answer_without_its_content_is_refused_by_name(function: str, body: Any, kind: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as refused:
        LAMA.parse(function, body)
    assert type(refused.value) is kind


def test_a_page_of_posts_is_read() -> None:
    page = LAMA.read("fetch_profile_posts_by_id", **OWNER)
    assert [flat(log) for log in page.posts] == [REEL, CAROUSEL, IMAGE, VIDEO]
    assert (page.has_next_page, page.cursor) == (True, "3005999888777666555_5820113374")


def test_the_last_page_of_posts_has_no_cursor() -> None:
    page = LAMA.read("fetch_profile_posts_by_id.page2", **OWNER)
    assert [(log.shortcode, log.dimensions.get("caption")) for log in page.posts] == [
        ("CmmhvAytrrA", "Pantry day."),
        ("Cme-8RJEpHL", None),
    ]
    assert (page.has_next_page, page.cursor) == (False, None)


@pytest.mark.parametrize("function", ["fetch_tagged_posts", "fetch_hashtag_posts", "fetch_hashtag_top_posts"])
def test_posts_of_others_are_an_answer_to_what_is_not_about_an_account(function: str) -> None:
    body = LAMA.body("fetch_profile_posts_by_id")
    assert len(LAMA.parse(function, body[0], profile_id="1").posts) == 4
    assert LAMA.parse(function, [body[0], "abc"], profile_id="1").cursor == "abc"


@pytest.mark.parametrize("function", ["fetch_profile_posts_by_id", "fetch_reels_posts"])
def test_a_page_of_somebody_else_is_no_answer(function: str) -> None:
    with pytest.raises(NotFoundHere):
        LAMA.parse(function, LAMA.body("fetch_profile_posts_by_id"), profile_id="58201133740")


@pytest.mark.parametrize("name", ["pk", "pk_id", "id"])
def test_a_page_of_coauthored_posts_belongs_to_the_coauthor(name: str) -> None:
    items, _ = LAMA.body("fetch_profile_posts_by_id")
    for item in items:
        item |= {"user": {"pk": "7"}, "coauthor_producers": [{name: "5820113374"}]}
    assert len(LAMA.parse("fetch_profile_posts_by_id", [items, ""], **OWNER).posts) == 4


@pytest.mark.parametrize("function", ["fetch_profile_posts_by_id", "fetch_hashtag_posts"])
def test_a_page_on_which_no_post_says_which_it_is_is_refused(function: str) -> None:
    items, _ = LAMA.body("fetch_profile_posts_by_id")
    with pytest.raises(Malformed):
        LAMA.parse(function, [[{**item, "code": None} for item in items], ""])


@pytest.mark.parametrize("tail", [[""], [None], []])
def test_an_empty_page_is_an_answer(tail: list[Any]) -> None:
    page = LAMA.parse("fetch_profile_posts_by_id", [[], *tail], **OWNER)
    assert (page.posts, page.has_next_page, page.cursor) == ([], False, None)
    assert LAMA.parse("fetch_profile_posts_by_id", [], **OWNER).posts == []


def test_a_post_is_read() -> None:
    assert flat(LAMA.read("fetch_post_by_shortcode", shortcode="CnOAG9Tl0uH")) == REEL
    with pytest.raises(NotFoundHere):
        LAMA.read("fetch_post_by_shortcode", shortcode="CnOAG9Tl0uI")


def test_a_post_passed_through_from_elsewhere_is_read() -> None:
    mobile = recorded("rapidapi-jotucker", "fetch_post_by_shortcode").body
    web = {"graphql": {"shortcode_media": recorded("rapidapi-arraybobo", "fetch_post_by_shortcode").body}}
    with pytest.raises(NotFoundHere):
        LAMA.parse("fetch_post_by_shortcode", mobile, shortcode="CnOAG9Tl0uI")
    for body in (mobile, mobile["items"][0], web):
        log = LAMA.parse("fetch_post_by_shortcode", body, shortcode="CnOAG9Tl0uH")
        assert (log.dimensions["media_pk"], log.metrics["likes"]) == ("3012345678901234567", 84211)


def test_a_mobile_post_is_known_by_its_caption_or_by_its_pictures() -> None:
    item = recorded("rapidapi-jotucker", "fetch_post_by_shortcode").body["items"][0]
    captioned, pictured = ({key: item[key] for key in item if key != left} for left in ("image_versions2", "caption"))
    assert LAMA.parse("fetch_post_by_shortcode", captioned).dimensions["caption"] == REEL["caption"]
    assert flat(LAMA.parse("fetch_post_by_shortcode", pictured))["display_url"] == REEL_PICTURE


def test_a_web_post_in_a_list_need_not_name_its_type() -> None:
    node = recorded("rapidapi-arraybobo", "fetch_post_by_shortcode").body
    (log,) = LAMA.parse("fetch_hashtag_posts", [[{**node, "__typename": None}], ""]).posts
    del node["__typename"]
    assert LAMA.parse("fetch_hashtag_posts", [[node], ""]).posts == [log]
    assert (log.shortcode, log.metrics["likes"]) == ("CnOAG9Tl0uH", 84211)


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"play_count": 0, "view_count": 0}, "play_count", None),
        ({"play_count": 0, "view_count": 0}, "view_count", None),
        ({"play_count": ...}, "play_count", None),
        ({"view_count": 812334.0}, "view_count", 812334),
        ({"media_type": 1}, "view_count", None),
        ({"media_type": 1}, "play_count", None),
        ({"reshare_count": 7}, "reshare_count", 7),
        ({"like_count": 0, "comment_count": 0}, "likes", 0),
        ({"like_count": 0, "comment_count": 0}, "comments", 0),
        ({"like_and_view_counts_disabled": True}, "likes", None),
        ({"like_and_view_counts_disabled": True}, "comments", 1203),
        ({"like_and_view_counts_disabled": True, "comment_count": 0}, "comments", None),
        ({"like_count": -1}, "likes", None),
        ({"like_count": "84211"}, "likes", 84211),
        ({"caption_text": ""}, "caption", None),
        ({"caption_text": None}, "caption", None),
        ({"taken_at_ts": ...}, "taken_at_timestamp", 1674813600),
        ({"taken_at_ts": None, "taken_at": "2023-01-27T10:00:00Z"}, "taken_at_timestamp", 1674813600),
        ({"taken_at_ts": ..., "taken_at": "2023-01-27T11:00:00.5+01:00"}, "taken_at_timestamp", 1674813600),
        ({"taken_at_ts": ..., "taken_at": "2023-01-27T10:00:00"}, "taken_at_timestamp", 1674813600),
        ({"taken_at_ts": ..., "taken_at": 1674813600}, "taken_at_timestamp", 1674813600),
        ({"taken_at_ts": ..., "taken_at": "1674813600"}, "taken_at_timestamp", 1674813600),
        ({"taken_at_ts": ..., "taken_at": "1970-01-01T00:00:00Z"}, "taken_at_timestamp", None),
        ({"taken_at_ts": ..., "taken_at": ...}, "taken_at_timestamp", None),
        ({"thumbnail_url": None}, "display_url", None),
        ({"image_versions2": {"candidates": []}}, "display_url", REEL_PICTURE),
        ({"pk": 3012345678901234567}, "media_pk", "3012345678901234567"),
        ({"pk": ...}, "media_pk", "3012345678901234567"),
        ({"pk": ..., "id": "3012345678901234567"}, "media_pk", "3012345678901234567"),
        ({"user": None}, "owner", None),
        ({"user": {"pk": 5820113374}}, "owner", "5820113374"),
        ({"user": {"pk_id": "5820113374"}}, "owner", "5820113374"),
        ({"user": {"id": "5820113374"}}, "owner", "5820113374"),
        ({"video_duration": 0.0}, "video_duration", None),
        ({"sponsor_tags": [{"pk": "7", "username": "s"}]}, "user_sponsors", [{"profile_id": "7", "handle": "s"}]),
        (
            {"sponsor_tags": [{"sponsor": {"pk": 7, "username": "s"}}]},
            "user_sponsors",
            [{"profile_id": "7", "handle": "s"}],
        ),
        ({"sponsor_tags": [{"sponsor": {"pk": 7, "username": "s"}}]}, "is_sponsor", True),
        ({"sponsor_tags": ...}, "is_sponsor", None),
        ({"product_type": "story"}, "post_type", "story"),
        ({"product_type": "igtv"}, "post_type", "reels"),
    ],
)
def test_absent_zero_and_odd_values_of_a_post(changes: dict[str, Any], key: str, expected: Any) -> None:
    assert post(**changes).get(key) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("taken_at", "yesterday"),
        ("taken_at", "1969-01-01T00:00:00Z"),
        ("taken_at", ["x"]),
        ("usertags", {"in": 3}),
        ("caption_text", 3),
        ("like_count", "many"),
        ("thumbnail_url", {}),
        ("resources", "x"),
    ],
)
def test_a_value_of_another_kind_is_refused_with_its_path(key: str, value: Any) -> None:
    body = {**media(taken_at_ts=..., thumbnail_url=None), key: value}
    with pytest.raises(Malformed) as refused:
        LAMA.parse("fetch_post_by_shortcode", body)
    assert refused.value.path == key


def test_nested_media_and_people_do_not_leak_into_a_post() -> None:
    plain = LAMA.read("fetch_post_by_shortcode")
    decoy = media(pk="1", code="DECOY", like_count=1, user={"pk": "99", "username": "decoy"})
    decoys = {"graphql": {"shortcode_media": decoy}, "items": [decoy], "resharing": decoy, "media": decoy}
    decoys |= {"coauthor_producers": [decoy["user"]], "resources": [decoy], "owner": decoy["user"]}
    assert LAMA.parse("fetch_post_by_shortcode", media(**decoys)) == plain
