"""The lists that the Graph API gives of a token's own account, of hashtags and of comments."""

from __future__ import annotations

from typing import Any

import pytest

from core.crawler.errors import Malformed, NotFoundHere
from instagram.models.pages import Comment
from tests.support.instagram import GRAPH, flat, read, recorded

FBID = "17841405820113374"
PK = "5820113374"
REEL = {
    "shortcode": "CnOAG9Tl0uH",
    "owner": None,
    "post_id": "17553129753546184",
    "media_pk": "3012345678901234567",
    "handle": "aurora.kitchen",
    "post_type": "reels",
    "product_type": "REELS",
    "taken_at_timestamp": 1674813600,
    "caption": "Lemon risotto in 40 seconds 🍋 #risotto #weeknightdinner @marlow.spices",
    "display_url": "218391880_101027944526885_8594726787859127343_n.mp4?_nc_ht=scontent-xyz1-1.cdninstagram.com",
    "thumbnail_src": "218391880_135469964300879_9541345474166367801_n.jpg?stp=dst-jpg_e35_s720x1280",
    "likes": 84211,
    "comments": 1203,
}
CAROUSEL = {
    "shortcode": "CnJLVGW5VAN",
    "owner": None,
    "post_id": "17332544581348070",
    "media_pk": "3010987654321098765",
    "handle": "aurora.kitchen",
    "post_type": "carousel",
    "product_type": "FEED",
    "taken_at_timestamp": 1674651605,
    "caption": "Swipe for the full grocery list ➡️\n\n#mealprep",
    "display_url": "128317233_325666265692521_9737836719217387006_n.jpg?stp=dst-jpg_e35",
    "thumbnail_src": "128317233_325666265692521_9737836719217387006_n.jpg?stp=dst-jpg_e35",
    "likes": 20455,
    "comments": 388,
}
PHOTO_STORY = {
    "shortcode": "CnQUqCGPI49",
    "owner": None,
    "post_id": "17298827483257500",
    "media_pk": "3012999000111222333",
    "short_code": "CnQUqCGPI49",
    "handle": "aurora.kitchen",
    "post_type": "story",
    "content_type": "image",
    "product_type": "STORY",
    "taken_at_timestamp": 1674892000,
    "display_url": "114203134_673917569509502_1024498347247787931_n.jpg?stp=dst-jpg_e35",
    "thumbnail_src": "114203134_673917569509502_1024498347247787931_n.jpg?stp=dst-jpg_e35",
    "likes": 0,
}
VIDEO_STORY = {
    **PHOTO_STORY,
    "shortcode": "CnQUqCGSGuQ",
    "short_code": "CnQUqCGSGuQ",
    "post_id": "17368476508129586",
    "media_pk": "3012999000111999888",
    "content_type": "video",
    "taken_at_timestamp": 1674892065,
    "display_url": "501953392_316841230917035_5306308057347105328_n.mp4?_nc_ht=scontent-xyz1-1.cdninstagram.com",
    "thumbnail_src": "501953392_752442054300852_5145677518118809435_n.jpg?stp=dst-jpg_e35",
}
TAGGED = {
    "shortcode": "CnKAsIUr4OS",
    "owner": None,
    "post_id": "17202366113170922",
    "handle": "marlow.spices",
    "post_type": "image",
    "product_type": "FEED",
    "taken_at_timestamp": 1674700000,
    "caption": "Lunch with @aurora.kitchen 🌶️",
    "display_url": "647775598_215386123885096_1092155804350392225_n.jpg?stp=dst-jpg_e35",
    "thumbnail_src": "647775598_215386123885096_1092155804350392225_n.jpg?stp=dst-jpg_e35",
    "likes": 1204,
    "comments": 33,
}
HASHTAG = {
    "shortcode": "CnL_AhwKUgv",
    "owner": None,
    "post_id": "17354307005381002",
    "post_type": "image",
    "taken_at_timestamp": 1674790000,
    "caption": "Saffron threads, macro. #saffron",
    "display_url": "716325462_107721792192183_7216893596359263308_n.jpg?stp=dst-jpg_e35",
    "thumbnail_src": "716325462_107721792192183_7216893596359263308_n.jpg?stp=dst-jpg_e35",
    "likes": 980,
    "comments": 21,
}
OWN_LISTS = ("fetch_profile_posts_by_id", "fetch_stories_posts")
EDGES = (*OWN_LISTS, "fetch_tagged_posts", "fetch_hashtag_posts")


def parse(function: str, data: Any, **asked: str) -> Any:
    return recorded(GRAPH, function).parse(data, **asked)


def first(file: str, **changes: Any) -> dict[str, Any]:
    """The first post of a recording in which some keys are changed, or removed (``...``)."""
    case = recorded(GRAPH, file)
    body = case.body
    for key, value in changes.items():
        body["data"][0].pop(key, None) if value is ... else body["data"][0].update({key: value})
    return flat(case.parse(body).posts[0])


def test_own_media_is_read() -> None:
    page = read(GRAPH, "fetch_profile_posts_by_id", handle="Aurora.Kitchen")
    assert [flat(log) for log in page.posts[:2]] == [REEL, CAROUSEL]
    assert [log.dimensions["post_type"] for log in page.posts] == ["reels", "carousel", "image", "reels"]
    assert (page.has_next_page, page.cursor) == (True, "QVFIUkJCQgZDZD")


def test_own_stories_are_read() -> None:
    page = read(GRAPH, "fetch_stories_posts", handle="aurora.kitchen")
    assert [flat(log) for log in page.posts] == [PHOTO_STORY, VIDEO_STORY]
    assert (page.has_next_page, page.cursor) == (False, None)


def test_posts_in_which_the_account_is_tagged_belong_to_others() -> None:
    page = read(GRAPH, "fetch_tagged_posts", profile_id=PK, handle="aurora.kitchen")
    assert [flat(log) for log in page.posts] == [TAGGED]
    assert (page.has_next_page, page.cursor) == (False, None)


def test_posts_of_a_hashtag_are_read_without_an_account() -> None:
    page = read(GRAPH, "fetch_hashtag_posts")
    assert flat(page.posts[0]) == HASHTAG
    assert (page.has_next_page, page.cursor, page.steady_cursor) == (True, "NTAyYmE4ZAmE3NDQ2NDhmYjkxZAGQ1", True)


def test_top_posts_of_a_hashtag_are_read_alike() -> None:
    case = recorded(GRAPH, "fetch_hashtag_posts")
    assert parse("fetch_hashtag_top_posts", case.body) == case.parse(case.body)


def test_an_own_profile_stands_at_the_top() -> None:
    page = read(GRAPH, "fetch_profile_by_id", profile_id=PK)
    assert page.profile == read(GRAPH, "fetch_profile_by_handle").profile
    assert page.posts == []


@pytest.mark.parametrize("asked", [{"profile_id": FBID}, {"handle": "AURORA.kitchen"}, {}])
def test_an_own_profile_goes_by_either_id(asked: dict[str, str]) -> None:
    assert read(GRAPH, "fetch_profile_by_id", **asked).profile.profile_id == PK


@pytest.mark.parametrize("asked", [{"profile_id": "5820113375"}, {"handle": "someone.else"}])
@pytest.mark.parametrize("function", ["fetch_profile_by_id", *OWN_LISTS])
def test_an_answer_about_another_account_is_none(function: str, asked: dict[str, str]) -> None:
    with pytest.raises(NotFoundHere):
        read(GRAPH, function, **asked)


@pytest.mark.parametrize("asked", [{"profile_id": PK}, {"profile_id": FBID}, {"handle": "aurora.kitchen"}, {}])
@pytest.mark.parametrize("function", OWN_LISTS)
def test_own_posts_go_by_either_id_or_the_handle(function: str, asked: dict[str, str]) -> None:
    assert read(GRAPH, function, **asked).posts


def test_the_handle_decides_where_ids_of_two_kinds_do_not_meet() -> None:
    assert read(GRAPH, "fetch_stories_posts", profile_id="61000000001", handle="aurora.kitchen").posts


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({"shortcode": ..., "permalink": "https://www.instagram.com/stories/aurora.kitchen/3013/"}, "shortcode", None),
        ({"shortcode": ..., "permalink": "https://www.instagram.com/stories/tv/3013/"}, "shortcode", None),
        (
            {"shortcode": ..., "permalink": "https://www.instagram.com/stories/a/3013?x=1"},
            "media_pk",
            "3012999000111222333",
        ),
        ({"ig_id": ..., "permalink": "https://www.instagram.com/stories/a.b/3013?x=1"}, "media_pk", "3013"),
        ({"ig_id": ..., "permalink": "https://www.instagram.com/p/CnQUqCGPI49/"}, "media_pk", None),
        ({"ig_id": 3012999000111222333}, "media_pk", "3012999000111222333"),
        ({"media_product_type": ...}, "post_type", "story"),
        ({"media_product_type": "FEED"}, "post_type", "image"),
        ({"media_type": ...}, "content_type", None),
        ({"like_count": ...}, "likes", None),
        ({"owner": None}, "handle", "aurora.kitchen"),
        ({"username": ...}, "handle", None),
        ({"timestamp": 1674892000}, "taken_at_timestamp", 1674892000),
        ({"timestamp": "1674892000"}, "taken_at_timestamp", 1674892000),
    ],
)
def test_absent_and_odd_values_of_an_own_story(changes: dict[str, Any], key: str, expected: Any) -> None:
    assert first("fetch_stories_posts", **changes).get(key) == expected


def test_an_album_of_a_hashtag_has_no_picture() -> None:
    post = first("fetch_hashtag_posts", media_type="CAROUSEL_ALBUM", media_url=...)
    assert (post["post_type"], post.get("display_url"), post.get("thumbnail_src")) == ("carousel", None, None)


def test_children_and_owners_of_other_kinds_do_not_leak() -> None:
    decoy = {"id": "1", "ig_id": "2", "username": "decoy", "caption": "decoy", "like_count": 9, "shortcode": "Decoy"}
    extra = {"children": {"data": [decoy]}, "owner": {**decoy, "id": FBID}, "collaborators": {"data": [decoy]}}
    assert first("fetch_profile_posts_by_id", **extra) == REEL


@pytest.mark.parametrize("function", EDGES)
@pytest.mark.parametrize(
    ("paging", "cursor"),
    [
        ({"cursors": {"before": "a", "after": "b"}, "next": "https://x.example/"}, "b"),
        ({"cursors": {"after": "b"}}, None),
        ({"cursors": {"after": "b"}, "next": None}, None),
        ({"cursors": {"after": "b"}, "next": ""}, None),
        ({"cursors": {"after": ""}, "next": "https://x.example/"}, None),
        ({"next": "https://x.example/"}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_next_page_of_an_edge_needs_next_and_a_cursor(function: str, paging: Any, cursor: str | None) -> None:
    page = parse(function, {**recorded(GRAPH, function).body, "paging": paging})
    assert (page.has_next_page, page.cursor) == (cursor is not None, cursor)


def test_an_empty_page_of_a_hashtag_is_the_last_one() -> None:
    page = parse("fetch_hashtag_posts", {**recorded(GRAPH, "fetch_hashtag_posts").body, "data": []})
    assert (page.posts, page.has_next_page, page.cursor) == ([], False, None)


@pytest.mark.parametrize("function", EDGES)
def test_an_empty_edge_is_an_answer_and_a_missing_one_is_not(function: str) -> None:
    assert parse(function, {"data": []}, handle="aurora.kitchen", profile_id=PK).posts == []
    for body in ({"data": None}, {}, None):
        with pytest.raises(NotFoundHere):
            parse(function, body)


@pytest.mark.parametrize("function", [*EDGES, "fetch_post_comments"])
@pytest.mark.parametrize(
    ("body", "path"),
    [
        ([], "$"),
        ({"data": {}}, "data"),
        ({"data": [7]}, "data.0"),
        ({"data": [{"text": "no id", "timestamp": "2023-01-27T10:23:20+0000"}]}, "data.0.id"),
        ({"data": [{"id": "1", "text": "x", "timestamp": "soon"}]}, "data.0.timestamp"),
        ({"data": [{"id": 17.5, "text": "x"}]}, "data.0.id"),
    ],
)
def test_another_shape_is_refused_with_its_path(function: str, body: Any, path: str) -> None:
    with pytest.raises(Malformed) as refused:
        parse(function, body)
    assert refused.value.path == path


def test_the_answer_of_a_search_is_no_list_of_posts() -> None:
    with pytest.raises(Malformed):
        read(GRAPH, "fetch_hashtag_posts.id-search")


def test_comments_are_read() -> None:
    page = read(GRAPH, "fetch_post_comments")
    assert page.comments == [
        Comment("17871375683530001", "Can I use arborio? 😍", None, "lina.cooks.daily", 12, 1674815000),
        Comment("17871375683530002", "Which pan is that?", None, "pan_reviewer", 0, 1674816211),
    ]
    assert (page.has_next_page, page.cursor) == (True, "QVFIUkNE")


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"text": ""}, "text", ""),
        ({"text": None}, "text", None),
        ({"like_count": "12"}, "likes", 12),
        ({"like_count": -1}, "likes", None),
        ({"id": 17871375683530001}, "comment_id", "17871375683530001"),
        ({"from": {"id": "99", "username": "decoy"}}, "profile_id", None),
        ({"replies": {"data": [{"id": "1"}, {"id": "2"}]}}, "replies", 2),
        ({"replies": {"data": []}}, "replies", 0),
        ({"replies": {"data": [{"id": "1"}], "paging": {"next": "https://x.example/"}}}, "replies", None),
        ({"replies": None}, "replies", None),
    ],
)
def test_absent_and_odd_values_of_a_comment(changes: dict[str, Any], field: str, expected: Any) -> None:
    case = recorded(GRAPH, "fetch_post_comments")
    body = case.body
    body["data"][0].update(changes)
    page = case.parse(body)
    assert getattr(page.comments[0], field) == expected
    assert len(page.comments) == 2


def test_replies_to_a_comment_are_read_like_comments() -> None:
    case = recorded(GRAPH, "fetch_post_comments")
    assert parse("fetch_post_comment_replies", case.body) == case.parse(case.body)
