"""Recorded answers of neotank, bestsolutions and igapi, which mix the two dialects in envelopes of their own."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from core.crawler.errors import (
    CredentialInvalid,
    Malformed,
    NotFound,
    NotFoundHere,
    Private,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    Unavailable,
    Unsupported,
)
from core.crawler.provider import Asked
from instagram.functions.retriever.rapidapi_bestsolutions.rapidapi_bestsolutions import RapidApiBestSolutions
from instagram.functions.retriever.rapidapi_igapi.rapidapi_igapi import RapidApiIgApi
from instagram.functions.retriever.rapidapi_neotank.rapidapi_neotank import RapidApiNeoTank
from tests.contract.test_instagram_posts import (
    V1_CAROUSEL,
    V1_IMAGE,
    V1_REEL,
    V1_SILENT_REEL,
    V1_VIDEO,
    WEB_CAROUSEL,
    WEB_IMAGE,
    WEB_LAST,
    WEB_REEL,
    WEB_VIDEO,
)
from tests.contract.test_instagram_profiles import BIO, NUMBERS, PICTURE, V1
from tests.support.instagram import OWNER, flat, picture
from tests.support.sources import Source

BESTSOLUTIONS, IGAPI, NEOTANK = Source(RapidApiBestSolutions), Source(RapidApiIgApi), Source(RapidApiNeoTank)
SOURCES = [BESTSOLUTIONS, IGAPI, NEOTANK]
KEYS = {"X-RapidAPI-Key": "k"}
WEB_PROFILE = {
    **OWNER,
    "full_name": "Aurora Kitchen",
    "bio": BIO,
    "fbid": "17841405820113374",
    "category": "Kitchen/cooking",
    "business_category": "Food & Personal Goods",
    "external_url": "https://aurorakitchen.example/links",
    "is_private": False,
    "is_verified": True,
    "is_business": True,
    "is_professional": True,
    "is_business_or_creator": True,
}
PROFILES = [
    (BESTSOLUTIONS, "fetch_profile_by_handle", V1, []),
    (BESTSOLUTIONS, "fetch_profile_by_id", V1, []),
    (IGAPI, "fetch_profile_by_handle", WEB_PROFILE, ["CnJLVGW5VAN"]),
    (NEOTANK, "fetch_profile_by_handle", WEB_PROFILE, ["CnJLVGW5VAN", "Cm-9TgUDRHL"]),
]
MOBILE_FEED = BESTSOLUTIONS.body("fetch_profile_posts_by_id")
FEED_CURSOR = "QVFmNjQ1NTFmY2Q2ZjA3ODIzY2I4Nzk3MWNmYjkxNDQ2NDI1ZGExODI4OGU1MmRjNzMyMjFlMmQwMGMyZmZkNGM1ZjM5ZmQ0"


def older(*posts: dict[str, Any]) -> list[dict[str, Any]]:
    """Web posts of calls that say who sponsored them, here nobody."""
    return [{**post, "is_sponsor": False} for post in posts]


PAGES: list[tuple[Source, str, list[dict[str, Any]], str | None]] = [
    (BESTSOLUTIONS, "fetch_profile_posts_by_id", [V1_REEL, V1_CAROUSEL, V1_VIDEO], "3005999888777666555_5820113374"),
    (BESTSOLUTIONS, "fetch_profile_posts_by_id.page2", [V1_IMAGE], None),
    (IGAPI, "fetch_profile_posts_by_handle", older(WEB_REEL, WEB_CAROUSEL, WEB_IMAGE), FEED_CURSOR),
    (IGAPI, "fetch_profile_posts_by_handle.page2", older(*WEB_LAST), None),
    (IGAPI, "fetch_reels_posts", [V1_REEL, V1_SILENT_REEL], "QVFCMzFhY2Q0"),
    (NEOTANK, "fetch_profile_posts_by_handle", [WEB_CAROUSEL, WEB_IMAGE, WEB_VIDEO], None),
    (NEOTANK, "fetch_profile_posts_by_id", older(WEB_REEL, WEB_IMAGE), FEED_CURSOR),
    (NEOTANK, "fetch_profile_posts_by_id.page2", older(*WEB_LAST), None),
]


@pytest.mark.parametrize(("source", "file", "dimensions", "embedded"), PROFILES)
def test_a_profile_is_read_with_the_posts_inside(
    source: Source, file: str, dimensions: dict[str, Any], embedded: list[str]
) -> None:
    page = source.read(file, handle="Aurora.Kitchen")
    found = dict(page.profile.dimensions)
    assert picture(found.pop("profile_pic_url")) == PICTURE
    assert found == dimensions
    assert page.profile.metrics == NUMBERS
    assert (page.profile.profile_id, page.profile.source) == ("5820113374", source.kind.source)
    assert [log.shortcode for log in page.posts] == embedded
    for asked in ({"handle": "aurora_kitchen"}, {"profile_id": "1", "handle": "aurora.kitchen"}):
        with pytest.raises(NotFoundHere):
            source.read(file, **asked)
    assert source.read(file, profile_id="5820113374", handle="name.of.then").profile == page.profile


@pytest.mark.parametrize(("source", "file", "posts", "cursor"), PAGES)
def test_a_page_is_read(source: Source, file: str, posts: list[dict[str, Any]], cursor: str | None) -> None:
    page = source.read(file, **OWNER)
    assert [flat(log) for log in page.posts] == posts
    assert (page.has_next_page, page.cursor) == (cursor is not None, cursor)
    with pytest.raises(NotFoundHere):
        source.read(file, profile_id="58201133740")
    with pytest.raises(NotFoundHere):
        source.read(file, handle="aurora_kitchen")


@pytest.mark.parametrize("wrapper", ["media", "media_or_ad"])
def test_wrapped_items_of_a_feed_are_read(wrapper: str) -> None:
    body = {**MOBILE_FEED, "items": [{wrapper: item} for item in MOBILE_FEED["items"]]}
    assert BESTSOLUTIONS.parse("fetch_profile_posts_by_id", body, **OWNER).posts == (
        BESTSOLUTIONS.parse("fetch_profile_posts_by_id", MOBILE_FEED).posts
    )
    single = {"items": [{wrapper: MOBILE_FEED["items"][0]}]}
    assert flat(BESTSOLUTIONS.parse("fetch_post_by_shortcode", single)) == V1_REEL
    with pytest.raises(NotFoundHere):
        BESTSOLUTIONS.parse("fetch_profile_posts_by_id", body, profile_id="1")


def test_a_single_web_post_is_found_in_any_envelope() -> None:
    node = NEOTANK.body("fetch_profile_posts_by_id")["edges"][0]["node"]
    plain = NEOTANK.parse("fetch_post_by_shortcode", node)
    assert flat(plain) == older(WEB_REEL)[0]
    envelopes = [{"data": {name: node}} for name in ("shortcode_media", "xdt_shortcode_media")]
    for body in (*envelopes, {"graphql": {"shortcode_media": node}}, {"items": [node]}):
        assert NEOTANK.parse("fetch_post_by_shortcode", body, shortcode="CnOAG9Tl0uH") == plain


@pytest.mark.parametrize("left", ["shortcode", "edge_media_to_caption", "taken_at_timestamp"])
def test_a_single_web_post_is_known_by_any_of_its_words(left: str) -> None:
    node = NEOTANK.body("fetch_profile_posts_by_id")["edges"][0]["node"]
    words = {"__typename", "shortcode", "edge_media_to_caption", "taken_at_timestamp"} - {left}
    log = NEOTANK.parse("fetch_post_by_shortcode", {key: node[key] for key in node if key not in words})
    assert (log.profile_id, log.metrics["likes"]) == ("5820113374", 84211)


def test_a_mobile_post_in_the_words_of_both_dialects_is_read_as_mobile() -> None:
    body = {**IGAPI.body("fetch_post_by_shortcode"), "__typename": "XDTMediaDict"}
    assert flat(IGAPI.parse("fetch_post_by_shortcode", body)) == V1_REEL


def test_a_single_post_names_its_account_as_owner() -> None:
    assert flat(IGAPI.read("fetch_post_by_shortcode", shortcode="CnOAG9Tl0uH")) == V1_REEL
    with pytest.raises(NotFoundHere):
        IGAPI.read("fetch_post_by_shortcode", shortcode="CnOAG9Tl0uh")
    body = IGAPI.body("fetch_post_by_shortcode")
    for accounts in ({"user": {"pk": 99, "username": "decoy"}}, {"owner": None, "user": body["owner"]}):
        assert flat(IGAPI.parse("fetch_post_by_shortcode", {**body, **accounts})) == V1_REEL


@pytest.mark.parametrize("name", ["pk", "pk_id", "id"])
def test_the_account_of_a_single_post_may_say_its_number_under_any_of_its_names(name: str) -> None:
    body = IGAPI.body("fetch_post_by_shortcode")
    body["owner"] = {"username": "aurora.kitchen", name: "5820113374"}
    assert flat(IGAPI.parse("fetch_post_by_shortcode", body)) == V1_REEL


COLLECTED = [("fetch_followers", 4, "QVFkZTAy"), ("fetch_following", 2, None)]


@pytest.mark.parametrize(("file", "count", "cursor"), COLLECTED)
def test_collected_people_are_read(file: str, count: int, cursor: str | None) -> None:
    page = IGAPI.read(file, profile_id="5820113374")
    assert len(page.people) == count
    first = page.people[0]
    assert (first.profile_id, first.handle, first.full_name) == ("61200099001", "miso.and.maple", "Miso & Maple")
    assert page.has_next_page is (cursor is not None)
    assert cursor is None or page.cursor.startswith(cursor)
    with pytest.raises(NotFoundHere):
        IGAPI.read(file, profile_id="1")


@pytest.mark.parametrize(
    ("paging", "cursor"),
    [
        ({"has_more": True, "end_cursor": ""}, None),
        ({"has_more": False, "end_cursor": "c"}, None),
        ({"end_cursor": "c"}, "c"),
        ({"has_more": None, "end_cursor": 7}, "7"),
    ],
)
@pytest.mark.parametrize("function", ["fetch_followers", "fetch_post_likes", "fetch_post_comments"])
def test_a_collector_pages_by_cursor_and_flag(function: str, paging: dict[str, Any], cursor: str | None) -> None:
    page = IGAPI.parse(function, {"collector": [], **paging})
    assert (page.has_next_page, page.cursor) == (cursor is not None, cursor)
    with pytest.raises(NotFoundHere):
        IGAPI.parse(function, {**paging, "count": 3})


def test_collected_comments_are_those_of_the_web_site() -> None:
    node = {"id": "9", "text": "", "created_at": 1674815000, "owner": {"id": 3, "username": "a"}, "edge_liked_by": None}
    (comment,) = IGAPI.parse("fetch_post_comments", {"collector": [node]}).comments
    assert (comment.comment_id, comment.text, comment.profile_id, comment.handle) == ("9", "", "3", "a")
    assert (comment.likes, comment.publish_time) == (None, 1674815000)


def test_the_mobile_feed_of_igapi_is_read_as_well() -> None:
    page = IGAPI.parse("fetch_profile_posts_by_handle", MOBILE_FEED, **OWNER)
    assert [log.shortcode for log in page.posts] == ["CnOAG9Tl0uH", "CnJLVGW5VAN", "Cm3dPjtdN_7"]
    assert page.cursor == "3005999888777666555_5820113374"
    assert len(IGAPI.parse("fetch_hashtag_posts", MOBILE_FEED, profile_id="1").posts) == 3


@pytest.mark.parametrize("function", ["fetch_profile_posts_by_handle", "fetch_reels_posts", "fetch_tagged_posts"])
def test_a_mobile_feed_of_igapi_pages_by_cursor_and_flag(function: str) -> None:
    reels = {"items": [], "paging_info": {"max_id": "c", "more_available": True}, "more_available": False}
    feed = {"items": [], "next_max_id": "c", "more_available": True}
    assert {IGAPI.parse(function, body).cursor for body in (reels, feed)} == {"c"}
    reels = {"items": [], "paging_info": {"max_id": "c", "more_available": False}}
    for body in (reels, {**feed, "more_available": False}):
        assert not IGAPI.parse(function, body).has_next_page


def test_a_hashtag_of_igapi_may_be_a_grid_in_sections() -> None:
    medias = [{"media": item} for item in MOBILE_FEED["items"]]
    body = {"sections": [{"layout_content": {"medias": medias}}], "next_max_id": "c", "next_page": 2}
    page = IGAPI.parse("fetch_hashtag_posts", body)
    assert (len(page.posts), page.cursor, page.beside["next_page"]) == (3, "c", 2)


@pytest.mark.parametrize("function", ["fetch_profile_posts_by_handle", "fetch_hashtag_posts"])
def test_items_beside_the_edges_of_a_feed_do_not_leak(function: str) -> None:
    body = {**IGAPI.body("fetch_profile_posts_by_handle"), "items": []}
    assert (len(IGAPI.parse(function, body).posts), IGAPI.parse(function, body).cursor) == (3, FEED_CURSOR)


def test_tagged_posts_of_igapi_may_be_those_of_others() -> None:
    page = IGAPI.parse("fetch_tagged_posts", IGAPI.body("fetch_profile_posts_by_handle"), profile_id="1")
    assert (len(page.posts), page.cursor) == (3, FEED_CURSOR)


@pytest.mark.parametrize(
    ("more", "cursor", "has_next"),
    [(True, "", False), (..., "c", True), (None, "c", True), (False, "c", False), (True, ..., False)],
)
def test_an_empty_cursor_ends_a_feed_whatever_the_flag_says(more: Any, cursor: Any, has_next: bool) -> None:
    body = {**MOBILE_FEED, "next_max_id": cursor, "more_available": more}
    page = BESTSOLUTIONS.parse(
        "fetch_profile_posts_by_id", {key: value for key, value in body.items() if value is not ...}
    )
    assert (page.has_next_page, page.cursor) == (has_next, "c" if has_next else None)


@pytest.mark.parametrize(
    ("source", "function", "body"),
    [
        (BESTSOLUTIONS, "fetch_profile_by_id", []),
        (BESTSOLUTIONS, "fetch_profile_by_id", {"status": "ok"}),
        (BESTSOLUTIONS, "fetch_profile_by_id", {"username": "a", "pk": None}),
        (BESTSOLUTIONS, "fetch_profile_by_id", None),
        (BESTSOLUTIONS, "fetch_profile_posts_by_id", []),
        (BESTSOLUTIONS, "fetch_profile_posts_by_id", {"items": None}),
        (BESTSOLUTIONS, "fetch_post_by_shortcode", {"items": []}),
        (IGAPI, "fetch_profile_by_handle", {}),
        (IGAPI, "fetch_post_by_shortcode", {"status": "ok"}),
        (IGAPI, "fetch_post_by_shortcode", None),
        (IGAPI, "fetch_reels_posts", {"paging_info": {}}),
        (IGAPI, "fetch_profile_posts_by_handle", {"count": 3, "page_info": {}}),
        (NEOTANK, "fetch_profile_by_handle", {}),
        (NEOTANK, "fetch_profile_by_handle", None),
        (NEOTANK, "fetch_profile_posts_by_handle", None),
        (NEOTANK, "fetch_profile_posts_by_id", {"count": 0}),
    ],
)
def test_nothing_where_something_was_asked_for_is_not_found(source: Source, function: str, body: Any) -> None:
    with pytest.raises(NotFoundHere):
        source.parse(function, body)


@pytest.mark.parametrize(
    ("source", "function", "body", "path"),
    [
        (BESTSOLUTIONS, "fetch_profile_by_id", "text", "$"),
        (BESTSOLUTIONS, "fetch_profile_by_id", {"pk": 1}, "username"),
        (BESTSOLUTIONS, "fetch_profile_by_id", {"pk": 1, "username": " "}, "username"),
        (BESTSOLUTIONS, "fetch_profile_by_id", {"pk": 1.5, "username": "a"}, "pk"),
        (BESTSOLUTIONS, "fetch_profile_by_id", {"pk": -1, "username": "a"}, "pk"),
        (BESTSOLUTIONS, "fetch_profile_posts_by_id", {"items": {}}, "items"),
        (IGAPI, "fetch_profile_by_handle", [], "$"),
        (IGAPI, "fetch_profile_by_handle", {"id": "1", "username": "a", "edge_follow": 3}, "edge_follow"),
        (IGAPI, "fetch_followers", {"collector": [{"username": "a"}]}, "collector.0.id"),
        (IGAPI, "fetch_post_by_shortcode", {"code": "CnOAG9Tl0uH"}, "pk"),
        (IGAPI, "fetch_post_by_shortcode", {"shortcode": "CnOAG9Tl0uH"}, "id"),
        (NEOTANK, "fetch_profile_posts_by_handle", [{"media": {}}], "0.node"),
        (NEOTANK, "fetch_profile_posts_by_handle", [7], "0"),
        (NEOTANK, "fetch_profile_posts_by_handle", [{"node": {"id": "1", "shortcode": 7}}], "0.node.shortcode"),
        (NEOTANK, "fetch_profile_posts_by_id", {"edges": [{"node": None}]}, "edges.0.node"),
    ],
)
def test_another_shape_is_refused_with_its_path(source: Source, function: str, body: Any, path: str) -> None:
    with pytest.raises(Malformed) as refused:
        source.parse(function, body)
    assert refused.value.path == path


def test_a_private_profile_has_counts_and_no_posts() -> None:
    body = NEOTANK.body("fetch_profile_by_handle")
    body.update({"is_private": True, "category_name": "", "fbid": 17841405820113374, "is_business_account": False})
    body["edge_owner_to_timeline_media"] = {"count": "1892", "edges": [], "page_info": None}
    page = NEOTANK.parse("fetch_profile_by_handle", body)
    assert page.posts == []
    assert (page.profile.metrics, page.profile.dimensions["is_private"]) == (NUMBERS, True)
    assert page.profile.dimensions["fbid"] == "17841405820113374"
    assert "category" not in page.profile.dimensions
    assert page.profile.dimensions["is_business_or_creator"] is True
    assert NEOTANK.parse("fetch_profile_posts_by_id", body["edge_owner_to_timeline_media"]).posts == []
    assert NEOTANK.parse("fetch_profile_posts_by_handle", []).posts == []


def test_a_web_page_of_what_an_account_wrote_with_others_is_its_own() -> None:
    body = NEOTANK.body("fetch_profile_posts_by_id")
    for edge in body["edges"]:
        edge["node"] |= {"owner": {"id": "7"}, "coauthor_producers": [{"id": "8"}, {"id": "5820113374"}]}
    posts = NEOTANK.parse("fetch_profile_posts_by_id", body, profile_id="5820113374").posts
    assert {log.profile_id for log in posts} == {"7"}
    with pytest.raises(NotFoundHere):
        NEOTANK.parse("fetch_profile_posts_by_id", body, profile_id="9")


@pytest.mark.parametrize("owner", [None, {"username": "name.of.now"}])
def test_posts_that_name_no_number_are_taken_for_those_of_the_account_asked_for(owner: Any) -> None:
    body = NEOTANK.body("fetch_profile_posts_by_id")
    for edge in body["edges"]:
        edge["node"]["owner"] = owner
    asked = {"profile_id": "5820113374", "handle": "name.of.then"}
    assert len(NEOTANK.parse("fetch_profile_posts_by_id", body, **asked).posts) == len(body["edges"])


def test_a_page_by_handle_may_hold_posts_of_others() -> None:
    body = NEOTANK.body("fetch_profile_posts_by_handle")
    body[0]["node"]["owner"] = {"id": "7", "username": "partner"}
    posts = NEOTANK.parse("fetch_profile_posts_by_handle", body, handle="Aurora.Kitchen").posts
    assert [log.dimensions["handle"] for log in posts] == ["partner", "aurora.kitchen", "aurora.kitchen"]


def test_what_a_web_profile_does_not_say_of_its_business_is_not_known() -> None:
    body = NEOTANK.body("fetch_profile_by_handle")
    for flag in ("is_business_account", "is_professional_account"):
        del body[flag]
    found = NEOTANK.parse("fetch_profile_by_handle", body).profile.dimensions
    assert not found.keys() & {"is_business", "is_professional", "is_business_or_creator"}


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"__typename": "XDTGraphImage"}, "post_type", "image"),
        ({"__typename": "XDTGraphSidecar"}, "post_type", "carousel"),
        ({"__typename": "XDTGraphVideo", "is_video": True}, "post_type", "reels"),
        ({"__typename": "GraphStoryImage"}, "post_type", "story"),
        ({"__typename": "GraphStoryVideo"}, "post_type", "story"),
        ({"is_reel_media": True}, "post_type", "story"),
        ({"__typename": None, "is_video": True}, "post_type", "reels"),
        ({"__typename": None, "is_video": False}, "post_type", "image"),
        ({"__typename": None, "is_video": None}, "post_type", None),
        ({"__typename": None, "is_video": False, "edge_sidecar_to_children": {"edges": []}}, "post_type", "carousel"),
        ({"edge_media_preview_like": {"count": -1}}, "likes", None),
        ({"edge_liked_by": {"count": -1}}, "likes", None),
        ({"edge_media_preview_like": None, "edge_liked_by": {"count": "12"}}, "likes", 12),
        ({"edge_media_preview_like": {"count": 0}, "edge_liked_by": {"count": 0}}, "likes", 0),
        ({"edge_media_to_comment": None, "edge_media_to_parent_comment": {"count": 4.0}}, "comments", 4),
        ({"like_and_view_counts_disabled": True}, "likes", None),
        ({"edge_media_to_caption": {"edges": []}}, "caption", None),
        ({"edge_media_to_caption": None}, "caption", None),
        ({"video_view_count": 5}, "view_count", None),
        ({"video_play_count": 5}, "play_count", None),
        ({"video_view_count": 5.0, "is_video": True}, "view_count", 5),
        ({"video_view_count": 5, "is_video": None, "__typename": "GraphVideo"}, "view_count", 5),
        ({"video_view_count": 5, "is_video": True, "product_type": "story"}, "view_count", 5),
        ({"edge_media_to_tagged_user": {"edges": [{"node": {"user": None}}]}}, "user_tags", []),
        ({"owner": None}, "owner", None),
    ],
)
def test_absent_hidden_and_newer_values_of_a_web_post(changes: dict[str, Any], key: str, expected: Any) -> None:
    body = NEOTANK.body("fetch_profile_posts_by_handle")
    body[1]["node"].update(changes)
    assert flat(NEOTANK.parse("fetch_profile_posts_by_handle", body).posts[1]).get(key) == expected


def test_decoys_do_not_leak_into_a_web_profile_or_a_mobile_post() -> None:
    decoy = {"id": "99", "pk": 99, "username": "decoy", "code": "DECOY", "edge_followed_by": {"count": 1}}
    around = {"data": {"user": decoy}, "graphql": {"user": decoy}, "viewer": decoy, "media": decoy, "users": [decoy]}
    for source, function in ((NEOTANK, "fetch_profile_by_handle"), (IGAPI, "fetch_post_by_shortcode")):
        plain = source.read(function)
        body = {**source.body(function), **around, "edge_related_profiles": {"edges": [{"node": decoy}]}}
        body["coauthor_producers"] = [decoy]
        assert source.parse(function, body) == plain


ERRORS: dict[str, type[ProviderError]] = {
    "error-401": CredentialInvalid,
    "error-403": CredentialInvalid,
    "error-404": NotFound,
    "error-429": QuotaExhausted,
    "error-429-rate": RateLimited,
    "error-504": Unavailable,
}
FAILURES = [
    (source, file, ERRORS[file.partition(".")[2]]) for source in SOURCES for file in source.files() if ".error-" in file
]


@pytest.mark.parametrize(("source", "file", "kind"), FAILURES)
def test_a_recorded_error_is_classed(source: Source, file: str, kind: type[ProviderError]) -> None:
    function, _, name = file.partition(".")
    with pytest.raises(ProviderError) as failure:
        source.answer(function, source.body(file), int(name.split("-")[1]))
    assert type(failure.value) is kind


def test_failures_with_status_200_are_classed_by_their_words() -> None:
    post = IGAPI.body("fetch_post_by_shortcode.fail-200")
    with pytest.raises(NotFound):
        IGAPI.answer("fetch_post_by_shortcode", post)
    feed = IGAPI.body("fetch_profile_posts_by_handle.fail-200")
    with pytest.raises(Private):
        IGAPI.answer("fetch_profile_posts_by_handle", feed)


ALL = Asked(profile_id="1", handle="a", shortcode="CnOAG9Tl0uH", hashtag="h", cursor="c")
PK = "3012345678901234567"
CALLS: list[tuple[Source, str, str, dict[str, str]]] = [
    (BESTSOLUTIONS, "fetch_profile_by_id", "/profile", {"user_id": "1"}),
    (BESTSOLUTIONS, "fetch_profile_by_handle", "/profile", {"username": "a"}),
    (BESTSOLUTIONS, "fetch_profile_posts_by_id", "/feed", {"user_id": "1", "next_max_id": "c"}),
    (BESTSOLUTIONS, "fetch_post_by_shortcode", "/post", {"shortcode": "CnOAG9Tl0uH"}),
    (BESTSOLUTIONS, "fetch_story_posts_by_profile_id", "/stories", {"user_id": "1"}),
    (BESTSOLUTIONS, "fetch_hashtag_posts", "/", {"hashtag": "h", "next_max_id": "c"}),
    (BESTSOLUTIONS, "fetch_followers", "/followers", {"user_id": "1", "next_max_id": "c"}),
    (BESTSOLUTIONS, "fetch_following", "/following", {"user_id": "1", "next_max_id": "c"}),
    (BESTSOLUTIONS, "fetch_post_comments", "/comments", {"id": PK, "next_min_id": "c"}),
    (IGAPI, "fetch_profile_by_handle", "/user/info", {"username": "a"}),
    (IGAPI, "fetch_profile_by_id", "/user/info/id", {"user_id": "1"}),
    (IGAPI, "fetch_profile_posts_by_handle", "/user/feed", {"username": "a", "limit": "50", "end_cursor": "c"}),
    (IGAPI, "fetch_profile_posts_by_id", "/user/feed", {"user_id": "1", "limit": "50", "end_cursor": "c"}),
    (IGAPI, "fetch_reels_posts", "/user/reels", {"user_id": "1", "limit": "150", "end_cursor": "c"}),
    (IGAPI, "fetch_tagged_posts", "/user/tagged/feed", {"user_id": "1", "end_cursor": "c"}),
    (IGAPI, "fetch_story_posts_by_profile_id", "/user/stories", {"user_id": "1"}),
    (IGAPI, "fetch_post_by_shortcode", "/post/info", {"post": "CnOAG9Tl0uH"}),
    (IGAPI, "fetch_hashtag_posts", "/hashtag/feed", {"hashtag": "h", "end_cursor": "c"}),
    (IGAPI, "fetch_followers", "/followers", {"user_id": "1", "end_cursor": "c"}),
    (IGAPI, "fetch_following", "/followings", {"user_id": "1", "end_cursor": "c"}),
    (IGAPI, "fetch_post_likes", "/likers", {"post": "CnOAG9Tl0uH", "end_cursor": "c"}),
    (IGAPI, "fetch_post_comments", "/comments", {"post": "CnOAG9Tl0uH", "end_cursor": "c"}),
    (NEOTANK, "fetch_profile_by_handle", "/account-info", {"username": "a"}),
    (NEOTANK, "fetch_profile_posts_by_handle", "/account-feed", {"username": "a"}),
    (NEOTANK, "fetch_profile_posts_by_id", "/account-medias", {"userid": "1", "first": "40", "after": "c"}),
    (NEOTANK, "fetch_post_by_shortcode", "/media-info", {"code": "CnOAG9Tl0uH"}),
]


@pytest.mark.parametrize(("source", "function", "path", "query"), CALLS)
async def test_each_function_is_one_documented_call(
    source: Source, function: str, path: str, query: dict[str, str]
) -> None:
    payload, seen = await source.call(function, ALL, {"any": "thing"}, KEYS)
    url = urlsplit(seen.target)
    assert (seen.method, url.path, dict(parse_qsl(url.query))) == ("GET", path, query)
    assert seen.headers["x-rapidapi-key"] == "k"
    assert seen.headers["x-rapidapi-host"] == source.kind.base_url.removeprefix("https://")
    assert (payload.source, payload.function, payload.data) == (source.kind.source, function, {"any": "thing"})


def test_every_function_is_in_the_table_of_calls() -> None:
    for source in SOURCES:
        assert {function for one, function, *_ in CALLS if one is source} == set(source.kind.parsers)


async def test_comments_of_what_is_no_shortcode_are_not_asked_for() -> None:
    with pytest.raises(Unsupported):
        await BESTSOLUTIONS.call("fetch_post_comments", Asked(shortcode="?"), {}, KEYS)


async def test_an_account_without_an_id_is_asked_for_by_handle() -> None:
    _, seen = await IGAPI.call("fetch_followers", Asked(handle="a"), {}, KEYS)
    assert seen.target == "/followers?username=a"
    _, seen = await IGAPI.call("fetch_followers", Asked(handle="a", cursor="c"), {}, KEYS)
    assert seen.target == "/followers?username=a&end_cursor=c"
