"""Recorded posts, reels and pages are read as their documentation says."""

from __future__ import annotations

from typing import Any

import pytest

from core.crawler.errors import Malformed, NotFoundHere
from tests.support.instagram import ARRAYBOBO, GRAPH, JOTUCKER, OWNER, TAGGED, flat, picture, read, recorded

REEL_PICTURE = "218391880_135469964300879_9541345474166367801_n.jpg?stp=dst-jpg_e35_s720x1280"
CAROUSEL_PICTURE = "128317233_325666265692521_9737836719217387006_n.jpg?stp=dst-jpg_e35"
BASE: dict[str, Any] = {**OWNER, "owner": "5820113374"}

REEL: dict[str, Any] = {
    **BASE,
    "shortcode": "CnOAG9Tl0uH",
    "media_pk": "3012345678901234567",
    "post_type": "reels",
    "product_type": "clips",
    "taken_at_timestamp": 1674813600,
    "caption": "Lemon risotto in 40 seconds 🍋 #risotto #weeknightdinner @marlow.spices",
    "video_duration": 41.733,
    "user_tags": TAGGED,
    "likes": 84211,
    "comments": 1203,
    "view_count": 812334,
}
V1_REEL = {
    **REEL,
    "is_paid_partnership": False,
    "play_count": 2310456,
    "display_url": REEL_PICTURE,
    "thumbnail_src": REEL_PICTURE,
}
V1_CAROUSEL = {
    **BASE,
    "shortcode": "CnJLVGW5VAN",
    "media_pk": "3010987654321098765",
    "post_type": "carousel",
    "product_type": "carousel_container",
    "taken_at_timestamp": 1674651605,
    "caption": "Swipe for the full grocery list ➡️\n\n#mealprep",
    "display_url": CAROUSEL_PICTURE,
    "thumbnail_src": CAROUSEL_PICTURE,
    "is_paid_partnership": False,
    "likes": 20455,
    "comments": 388,
}
V1_VIDEO = {
    **BASE,
    "shortcode": "Cm3dPjtdN_7",
    "media_pk": "3005999888777666555",
    "post_type": "reels",
    "product_type": "feed",
    "taken_at_timestamp": 1674055800,
    "caption": "How we test a pan (full video)",
    "display_url": "679725602_111434836980261_9337739441145875363_n.jpg?stp=dst-jpg_e35",
    "thumbnail_src": "679725602_111434836980261_9337739441145875363_n.jpg?stp=dst-jpg_e35",
    "video_duration": 118.2,
    "is_paid_partnership": False,
    "likes": 9120,
    "comments": 151,
    "view_count": 64210,
}
V1_IMAGE = {
    **BASE,
    "shortcode": "CmmhvAytrrA",
    "media_pk": "3001234567890123456",
    "post_type": "image",
    "product_type": "feed",
    "taken_at_timestamp": 1673488800,
    "caption": "Pantry day.",
    "display_url": "117073666_108818402431530_5646088707208263314_n.jpg?stp=dst-jpg_e35",
    "thumbnail_src": "117073666_108818402431530_5646088707208263314_n.jpg?stp=dst-jpg_e35",
    "is_paid_partnership": False,
    "likes": 8011,
    "comments": 97,
}
V1_SILENT_REEL = {
    **BASE,
    "shortcode": "Cme-8RJEpHL",
    "media_pk": "2999111222333444555",
    "post_type": "reels",
    "product_type": "clips",
    "taken_at_timestamp": 1673235000,
    "display_url": "732735366_513014334154811_4304728643599262559_n.jpg?stp=dst-jpg_e35_s720x1280",
    "thumbnail_src": "732735366_513014334154811_4304728643599262559_n.jpg?stp=dst-jpg_e35_s720x1280",
    "video_duration": 12.4,
    "is_paid_partnership": False,
    "likes": 7750,
    "comments": 63,
    "play_count": 190221,
    "view_count": 88120,
}
WEB_REEL = {
    **REEL,
    "display_url": REEL_PICTURE,
    "thumbnail_src": "218391880_135469964300879_9541345474166367801_n.jpg?stp=dst-jpg_e35_s640x640",
}
WEB_CAROUSEL = {
    **{key: value for key, value in V1_CAROUSEL.items() if key not in ("product_type", "is_paid_partnership")},
    "thumbnail_src": "128317233_325666265692521_9737836719217387006_n.jpg?stp=dst-jpg_e35_s640x640",
    "user_tags": [],
}
WEB_IMAGE = {
    **BASE,
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
WEB_VIDEO = {
    **{key: value for key, value in V1_VIDEO.items() if key != "is_paid_partnership"},
    "thumbnail_src": "679725602_111434836980261_9337739441145875363_n.jpg?stp=dst-jpg_e35_s640x640",
    "user_tags": [],
}
WEB_LAST = [
    {
        **{key: value for key, value in V1_IMAGE.items() if key not in ("product_type", "is_paid_partnership")},
        "thumbnail_src": "117073666_108818402431530_5646088707208263314_n.jpg?stp=dst-jpg_e35_s640x640",
        "user_tags": [],
    },
    {
        **{key: value for key, value in V1_SILENT_REEL.items() if key not in ("play_count", "is_paid_partnership")},
        "thumbnail_src": "732735366_513014334154811_4304728643599262559_n.jpg?stp=dst-jpg_e35_s640x640",
        "user_tags": [],
    },
]
GRAPH_POSTS: list[dict[str, Any]] = [
    {
        **BASE,
        "shortcode": "CnOAG9Tl0uH",
        "post_id": "17553129753546184",
        "post_type": "reels",
        "product_type": "REELS",
        "taken_at_timestamp": 1674813600,
        "caption": "Lemon risotto in 40 seconds 🍋 #risotto #weeknightdinner @marlow.spices",
        "display_url": "218391880_101027944526885_8594726787859127343_n.mp4?_nc_ht=scontent-xyz1-1.cdninstagram.com",
        "thumbnail_src": REEL_PICTURE,
        "likes": 84211,
        "comments": 1203,
    },
    {
        **BASE,
        "shortcode": "CnJLVGW5VAN",
        "post_id": "17332544581348070",
        "post_type": "carousel",
        "product_type": "FEED",
        "taken_at_timestamp": 1674651605,
        "caption": "Swipe for the full grocery list ➡️\n\n#mealprep",
        "display_url": CAROUSEL_PICTURE,
        "thumbnail_src": CAROUSEL_PICTURE,
        "likes": 20455,
        "comments": 388,
    },
    {
        **BASE,
        "shortcode": "Cm-9TgUDRHL",
        "post_id": "17967071530682118",
        "post_type": "image",
        "product_type": "FEED",
        "taken_at_timestamp": 1674309000,
        "caption": "Breakfast, but make it golden ☀️",
        "display_url": "847024946_122396925687831_6501609655201965184_n.jpg?stp=dst-jpg_e35",
        "thumbnail_src": "847024946_122396925687831_6501609655201965184_n.jpg?stp=dst-jpg_e35",
        "likes": 15022,
        "comments": 204,
    },
]
GRAPH_LAST: list[dict[str, Any]] = [
    {
        **BASE,
        "shortcode": "CmmhvAytrrA",
        "post_id": "17238914205721260",
        "post_type": "image",
        "product_type": "FEED",
        "taken_at_timestamp": 1673488800,
        "caption": "Pantry day.",
        "display_url": "117073666_108818402431530_5646088707208263314_n.jpg?stp=dst-jpg_e35",
        "thumbnail_src": "117073666_108818402431530_5646088707208263314_n.jpg?stp=dst-jpg_e35",
        "likes": 8011,
        "comments": 97,
    },
    {
        **BASE,
        "shortcode": "Cme-8RJEpHL",
        "post_id": "17413688376934054",
        "post_type": "reels",
        "product_type": "REELS",
        "taken_at_timestamp": 1673235000,
        "display_url": "732735366_256620809857128_1496973066738056076_n.mp4?_nc_ht=scontent-xyz1-1.cdninstagram.com",
        "thumbnail_src": "732735366_513014334154811_4304728643599262559_n.jpg?stp=dst-jpg_e35_s720x1280",
        "likes": 7750,
        "comments": 63,
    },
]
WEB_CURSOR = "QVFmNjQ1NTFmY2Q2ZjA3ODIzY2I4Nzk3MWNmYjkxNDQ2NDI1ZGExODI4OGU1MmRjNzMyMjFlMmQwMGMyZmZkNGM1ZjM5ZmQ0"
PAGES = [
    (JOTUCKER, "fetch_profile_posts_by_id", [V1_REEL, V1_CAROUSEL, V1_VIDEO], "3005999888777666555_5820113374"),
    (JOTUCKER, "fetch_profile_posts_by_id.page2", [V1_IMAGE, V1_SILENT_REEL], None),
    (ARRAYBOBO, "fetch_profile_posts_by_id", [WEB_REEL, WEB_CAROUSEL, WEB_IMAGE, WEB_VIDEO], WEB_CURSOR),
    (ARRAYBOBO, "fetch_profile_posts_by_id.page2", WEB_LAST, None),
    (ARRAYBOBO, "fetch_reels_posts", [V1_REEL, V1_SILENT_REEL], "QVFCMzFhY2Q0"),
    (GRAPH, "fetch_profile_posts_by_handle", GRAPH_POSTS, "QVFIUmJtaUk4cXB3OTZA2OFVMOTFhekRG"),
    (GRAPH, "fetch_profile_posts_by_handle.page2", GRAPH_LAST, None),
]


@pytest.mark.parametrize(("source", "file", "posts", "cursor"), PAGES)
def test_a_page_of_posts_is_read(source: str, file: str, posts: list[dict[str, Any]], cursor: str | None) -> None:
    asked = {"handle": "aurora.kitchen"} if source == GRAPH else OWNER
    page = read(source, file, **asked)
    assert [flat(log) for log in page.posts] == posts
    assert (page.has_next_page, page.cursor) == (cursor is not None, cursor)


def test_the_last_page_of_reels_is_read() -> None:
    page = read(ARRAYBOBO, "fetch_reels_posts.page2", **OWNER)
    assert [(log.shortcode, log.metrics) for log in page.posts] == [
        ("Cl-nUJrySAE", {"likes": 4410, "comments": 51, "play_count": 78211, "view_count": 33120})
    ]
    assert (page.has_next_page, page.cursor) == (False, None)


def test_a_single_web_post_is_read() -> None:
    log = read(ARRAYBOBO, "fetch_post_by_shortcode", shortcode="CnOAG9Tl0uH")
    assert flat(log) == {
        **REEL,
        "is_paid_partnership": False,
        "is_sponsor": False,
        "display_url": REEL_PICTURE,
        "play_count": 2310456,
    }


def test_a_single_mobile_post_is_read() -> None:
    assert flat(read(JOTUCKER, "fetch_post_by_shortcode", shortcode="CnOAG9Tl0uH")) == V1_REEL


@pytest.mark.parametrize("name", ["shortcode_media", "xdt_shortcode_media"])
def test_a_single_post_of_jotucker_may_be_that_of_the_web_site(name: str) -> None:
    node = recorded(ARRAYBOBO, "fetch_post_by_shortcode").body
    log = recorded(JOTUCKER, "fetch_post_by_shortcode").parse({"data": {name: node}}, shortcode="CnOAG9Tl0uH")
    assert flat(log) == flat(read(ARRAYBOBO, "fetch_post_by_shortcode"))


def test_a_page_of_jotucker_may_be_a_timeline_of_the_web_site() -> None:
    case = recorded(JOTUCKER, "fetch_profile_posts_by_id")
    page, same = case.parse(recorded(ARRAYBOBO, case.function).body, **OWNER), read(ARRAYBOBO, case.function)
    assert ([flat(log) for log in page.posts], page.cursor) == ([flat(log) for log in same.posts], same.cursor)
    assert case.parse({**case.body, "data": {"user": None}}, **OWNER) == case.parse(case.body)


@pytest.mark.parametrize("source", [ARRAYBOBO, JOTUCKER])
def test_another_post_is_no_answer(source: str) -> None:
    with pytest.raises(NotFoundHere):
        read(source, "fetch_post_by_shortcode", shortcode="cnOAG9Tl0uH")


@pytest.mark.parametrize(
    ("source", "body"),
    [
        (JOTUCKER, {"items": [], "status": "ok"}),
        (JOTUCKER, {"status": "ok"}),
        (JOTUCKER, []),
        (ARRAYBOBO, {}),
        (ARRAYBOBO, {"status": "ok"}),
        (ARRAYBOBO, None),
    ],
)
def test_no_item_where_one_was_asked_for_is_not_found(source: str, body: Any) -> None:
    with pytest.raises(NotFoundHere):
        recorded(source, "fetch_post_by_shortcode").parse(body, shortcode="CnOAG9Tl0uH")


def test_a_single_post_that_does_not_say_which_it_is_is_refused() -> None:
    for source, key in ((ARRAYBOBO, "shortcode"), (JOTUCKER, "code")):
        case = recorded(source, "fetch_post_by_shortcode")
        body = case.body
        del (body if source == ARRAYBOBO else body["items"][0])[key]
        with pytest.raises(Malformed):
            case.parse(body, shortcode="CnOAG9Tl0uH")


def v1_post(**changes: Any) -> dict[str, Any]:
    case = recorded(JOTUCKER, "fetch_post_by_shortcode")
    body = case.body
    body["items"][0].update(changes)
    return flat(case.parse(body))


def web_post(**changes: Any) -> dict[str, Any]:
    case = recorded(ARRAYBOBO, "fetch_post_by_shortcode")
    return flat(case.parse({**case.body, **changes}))


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"like_count": -1}, "likes", None),
        ({"like_and_view_counts_disabled": True}, "likes", None),
        ({"like_and_view_counts_disabled": True}, "view_count", 812334),
        ({"like_count": 0}, "likes", 0),
        ({"view_count": 812334.0}, "view_count", 812334),
        ({"media_type": 1}, "play_count", None),
        ({"media_type": 8}, "view_count", None),
        ({"media_type": "2"}, "post_type", "reels"),
        ({"product_type": "igtv"}, "post_type", "reels"),
        ({"product_type": "igtv"}, "product_type", "igtv"),
        ({"product_type": "story"}, "post_type", "story"),
        ({"is_reel_media": True}, "post_type", "story"),
        ({"media_type": 11}, "post_type", None),
        ({"caption": None}, "caption", None),
        ({"caption": {"text": ""}}, "caption", None),
        ({"taken_at": "1674813600"}, "taken_at_timestamp", 1674813600),
        ({"taken_at": 1674813600.0}, "taken_at_timestamp", 1674813600),
        ({"taken_at": 0}, "taken_at_timestamp", None),
        ({"location": {"name": "Lisbon", "lat": 38.7, "lng": -9.1}}, "location_long", -9.1),
        ({"sponsor_tags": [{"sponsor": {"pk": 4, "username": "pan.maker"}}]}, "is_sponsor", True),
        (
            {"sponsor_tags": [{"sponsor": {"pk": 4, "username": "pan.maker"}}]},
            "user_sponsors",
            [{"profile_id": "4", "handle": "pan.maker"}],
        ),
    ],
)
def test_absent_hidden_and_odd_values_of_a_mobile_post(changes: dict[str, Any], key: str, expected: Any) -> None:
    assert v1_post(**changes).get(key) == expected


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"edge_media_preview_like": {"count": -1}}, "likes", None),
        ({"edge_media_preview_like": {"count": -1}, "edge_liked_by": {"count": 5}}, "likes", None),
        ({"edge_media_preview_like": None, "edge_liked_by": {"count": 5}}, "likes", 5),
        ({"like_and_view_counts_disabled": True}, "likes", None),
        ({"edge_media_to_parent_comment": None}, "comments", None),
        ({"edge_media_to_parent_comment": None, "edge_media_to_comment": {"count": 7}}, "comments", 7),
        ({"edge_media_to_caption": {"edges": []}}, "caption", None),
        ({"__typename": "XDTGraphSidecar", "is_video": False}, "post_type", "carousel"),
        ({"__typename": "XDTGraphSidecar", "is_video": False}, "view_count", None),
        ({"__typename": None}, "post_type", "reels"),
        ({"__typename": "GraphSomething", "is_video": False}, "post_type", None),
        ({"location": {"name": ""}}, "location", None),
    ],
)
def test_absent_hidden_and_odd_values_of_a_web_post(changes: dict[str, Any], key: str, expected: Any) -> None:
    assert web_post(**changes).get(key) == expected


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"pk": 3012345678901234567.0}, "items.0.pk"),
        ({"pk": None}, "items.0.pk"),
        ({"taken_at": 1674813600000}, "items.0.taken_at"),
        ({"taken_at": -5}, "items.0.taken_at"),
        ({"caption": "text"}, "items.0.caption"),
        ({"user": [1]}, "items.0.user"),
        ({"usertags": {"in": [3]}}, "items.0.usertags.in.0"),
        ({"image_versions2": {"candidates": {"url": "x"}}}, "items.0.image_versions2.candidates"),
        ({"code": 5}, "items.0.code"),
        ({"video_duration": float("nan")}, "items.0.video_duration"),
    ],
)
def test_a_mobile_post_of_another_shape_is_refused_with_the_path(changes: dict[str, Any], path: str) -> None:
    with pytest.raises(Malformed) as refused:
        v1_post(**changes)
    assert refused.value.path == path


def graph_post(**changes: Any) -> dict[str, Any]:
    case = recorded(GRAPH, "fetch_profile_posts_by_handle")
    body = case.body
    item = body["business_discovery"]["media"]["data"][0]
    for key, value in changes.items():
        item.pop(key, None) if value is ... else item.update({key: value})
    return flat(case.parse(body).posts[0])


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"like_count": ...}, "likes", None),
        ({"caption": ...}, "caption", None),
        ({"thumbnail_url": ...}, "thumbnail_src", None),
        ({"media_url": ...}, "display_url", None),
        ({"permalink": "https://www.instagram.com/tv/Cm3dPjtdN_7/"}, "shortcode", "Cm3dPjtdN_7"),
        ({"permalink": "https://www.instagram.com/stories/aurora.kitchen/3013/"}, "shortcode", None),
        ({"permalink": ..., "shortcode": "Abc"}, "shortcode", "Abc"),
        ({"timestamp": "2023-01-27T12:00:00+02:00"}, "taken_at_timestamp", 1674813600),
        ({"timestamp": "2023-01-27T10:00:00Z"}, "taken_at_timestamp", 1674813600),
        ({"media_type": "REELS"}, "post_type", "reels"),
        ({"media_product_type": "STORY"}, "post_type", "story"),
        ({"media_type": "GIF"}, "post_type", None),
        ({"username": ...}, "handle", "aurora.kitchen"),
    ],
)
def test_absent_and_odd_values_of_a_discovered_post(changes: dict[str, Any], key: str, expected: Any) -> None:
    assert graph_post(**changes).get(key) == expected


@pytest.mark.parametrize("value", ["yesterday", "2023-13-01T00:00:00+0000", "0001-01-01T00:00:00+2359"])
def test_a_time_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(Malformed, match="timestamp"):
        graph_post(timestamp=value)


@pytest.mark.parametrize(
    ("cursor", "flag", "has_next"),
    [
        ("c", True, True),
        ("c", None, True),
        ("c", False, False),
        ("", True, False),
        (None, True, False),
        (7, True, True),
    ],
)
def test_a_next_page_needs_a_cursor_and_no_denial(cursor: Any, flag: Any, has_next: bool) -> None:
    case = recorded(JOTUCKER, "fetch_profile_posts_by_id")
    page = case.parse({**case.body, "next_max_id": cursor, "more_available": flag})
    assert page.has_next_page is has_next
    assert page.cursor == (str(cursor) if has_next else None)


@pytest.mark.parametrize(
    ("source", "file", "empty"),
    [
        (JOTUCKER, "fetch_profile_posts_by_id", {"items": []}),
        (ARRAYBOBO, "fetch_reels_posts", {"items": []}),
        (ARRAYBOBO, "fetch_profile_posts_by_id", {"data": {"user": {"edge_owner_to_timeline_media": {"edges": []}}}}),
        (GRAPH, "fetch_profile_posts_by_handle", {"business_discovery": {"ig_id": 1, "username": "a"}}),
    ],
)
def test_an_empty_list_is_an_answer(source: str, file: str, empty: Any) -> None:
    page = recorded(source, file).parse(empty)
    assert (page.posts, page.has_next_page, page.cursor) == ([], False, None)


@pytest.mark.parametrize(
    ("source", "file", "body"),
    [
        (JOTUCKER, "fetch_profile_posts_by_id", {"status": "ok"}),
        (JOTUCKER, "fetch_profile_posts_by_id", {"items": None}),
        (ARRAYBOBO, "fetch_reels_posts", {"paging_info": {}}),
        (ARRAYBOBO, "fetch_profile_posts_by_id", {"data": {"user": None}}),
        (ARRAYBOBO, "fetch_profile_posts_by_id", {"data": {"user": {}}}),
        (ARRAYBOBO, "fetch_profile_posts_by_id", {"data": None}),
        (GRAPH, "fetch_profile_posts_by_handle", {"id": "1"}),
    ],
)
def test_a_missing_list_is_not_found(source: str, file: str, body: Any) -> None:
    with pytest.raises(NotFoundHere):
        recorded(source, file).parse(body)


PAGED = [(source, file) for source, file, *_ in PAGES if source != GRAPH]


@pytest.mark.parametrize(("source", "file"), PAGED)
def test_a_page_of_somebody_else_is_no_answer(source: str, file: str) -> None:
    with pytest.raises(NotFoundHere):
        read(source, file, profile_id="58201133740")


def test_a_discovery_of_somebody_else_is_no_answer() -> None:
    with pytest.raises(NotFoundHere):
        read(GRAPH, "fetch_profile_posts_by_handle", handle="someone.else")


def test_single_posts_of_a_partner_stay_on_the_page() -> None:
    case = recorded(JOTUCKER, "fetch_profile_posts_by_id")
    body = case.body
    body["items"][1]["user"] = {"pk": "7", "username": "partner"}
    page = case.parse(body, **OWNER)
    assert [log.profile_id for log in page.posts] == ["5820113374", "7", "5820113374"]


@pytest.mark.parametrize("key", ["timeline_pinned_user_ids", "clips_tab_pinned_user_ids"])
def test_pinned_posts_of_a_mobile_page_are_told(key: str) -> None:
    case = recorded(JOTUCKER, "fetch_profile_posts_by_id")
    body = case.body
    assert case.parse(body).pinned == frozenset()
    body["items"][0][key] = [5820113374]
    body["items"][1][key] = []
    assert case.parse(body).pinned == {str(body["items"][0]["pk"])}


def test_pinned_posts_of_a_web_page_are_told() -> None:
    case = recorded(ARRAYBOBO, "fetch_profile_posts_by_id")
    body = case.body
    node = body["data"]["user"]["edge_owner_to_timeline_media"]["edges"][0]["node"]
    node["pinned_for_users"] = [{"id": "5820113374", "username": "aurora.kitchen"}]
    assert case.parse(body).pinned == {node["id"]}


def test_a_page_of_coauthored_posts_belongs_to_the_coauthor() -> None:
    case = recorded(JOTUCKER, "fetch_profile_posts_by_id")
    body = case.body
    for item in body["items"]:
        item["user"] = {"pk": "7", "username": "partner"}
    body["items"][2]["coauthor_producers"] = [{"pk": 5820113374, "username": "aurora.kitchen"}]
    assert len(case.parse(body, **OWNER).posts) == 3


@pytest.mark.parametrize(
    ("source", "file", "key"),
    [
        (JOTUCKER, "fetch_profile_posts_by_id", "code"),
        (ARRAYBOBO, "fetch_profile_posts_by_id", "shortcode"),
        (GRAPH, "fetch_profile_posts_by_handle", "permalink"),
    ],
)
def test_a_page_on_which_no_post_says_which_it_is_is_refused(source: str, file: str, key: str) -> None:
    case = recorded(source, file)
    with pytest.raises(Malformed):
        case.parse(_without(case.body, key))


def _without(value: Any, key: str) -> Any:
    if isinstance(value, dict):
        return {name: _without(item, key) for name, item in value.items() if name != key}
    return [_without(item, key) for item in value] if isinstance(value, list) else value


DECOY_MEDIA: dict[str, Any] = {
    "pk": "1", "id": "1", "code": "DECOY", "shortcode": "DECOY", "media_type": 2, "like_count": 1, "play_count": 1,
    "taken_at": 1, "taken_at_timestamp": 1, "caption": {"text": "decoy"}, "__typename": "GraphVideo",
    "user": {"pk": "99", "username": "decoy"}, "owner": {"id": "99", "username": "decoy"},
    "image_versions2": {"candidates": [{"url": "https://decoy.example/x.jpg"}]}, "display_url": "https://decoy.example/x",
    "edge_media_preview_like": {"count": 1}, "usertags": {"in": [{"user": {"pk": "98", "username": "decoy"}}]},
}  # fmt: skip


@pytest.mark.parametrize("source", [ARRAYBOBO, JOTUCKER])
def test_nested_media_and_people_do_not_leak_into_a_post(source: str) -> None:
    case = recorded(source, "fetch_post_by_shortcode")
    plain = case.parse(case.body, shortcode="CnOAG9Tl0uH")
    body = case.body
    post = body if source == ARRAYBOBO else body["items"][0]
    decoys = {
        "reshared_media": DECOY_MEDIA,
        "media": DECOY_MEDIA,
        "preview_comments": [{"user": {"pk": "97", "username": "decoy"}, "text": "decoy"}],
        "edge_web_media_to_related_media": {"edges": [{"node": DECOY_MEDIA}]},
        "top_likers": ["decoy"],
    }
    post.update(decoys)
    post["clips_metadata"] = {"mashup_info": {"original_media": DECOY_MEDIA}, "original_sound_info": {"ig_artist": 1}}
    if source == JOTUCKER:
        post["carousel_media"] = [DECOY_MEDIA]
        body["items"].append(DECOY_MEDIA)
        body.update({"user": DECOY_MEDIA["user"], "media": DECOY_MEDIA, "reels_media": [DECOY_MEDIA]})
    else:
        post["edge_sidecar_to_children"] = {"edges": [{"node": DECOY_MEDIA}]}
        post["user"] = {"pk": "99", "username": "decoy"}
    assert case.parse(body, shortcode="CnOAG9Tl0uH") == plain


def test_the_picture_of_a_carousel_is_that_of_its_first_child() -> None:
    url = flat(read(JOTUCKER, "fetch_profile_posts_by_id").posts[1])["display_url"]
    first = recorded(JOTUCKER, "fetch_profile_posts_by_id").body["items"][1]["carousel_media"][0]
    assert url == picture(first["image_versions2"]["candidates"][0]["url"])
