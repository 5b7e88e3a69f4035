"""lama: stories, lists, errors and calls."""

from __future__ import annotations

from typing import Any

import pytest

from core.crawler.errors import (
    CredentialInvalid,
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
from instagram.functions.retriever.lama.lama import Lama
from instagram.models.pages import Comment
from tests.support.instagram import OWNER, TAGGED, flat
from tests.support.sources import Source

LAMA = Source(Lama)


PEOPLE = [
    ("61200099001", "miso.and.maple", "Miso & Maple", False),
    ("2210094512", "ren_tabeta", "れん", True),
    ("50099281734", "olive_and_oat", "", False),
    ("390011227", "kofi.bakes", "Kofi Bakes 🥐", False),
]


def test_stories_are_read() -> None:
    page = LAMA.read("fetch_story_posts_by_profile_id", **OWNER)
    story = {**OWNER, "owner": "5820113374", "post_type": "story", "product_type": "story", "is_sponsor": False}
    pictures = [
        "915083567_130908245845845_4256615280276748928_n.jpg?stp=dst-jpg_e35",
        "141275996_113874597588580_8772042110232990766_n.jpg?stp=dst-jpg_e35",
    ]
    assert [flat(log) for log in page.posts] == [
        {
            **story,
            "shortcode": "CnQUqCGPI49",
            "short_code": "CnQUqCGPI49",
            "media_pk": "3012999000111222333",
            "content_type": "image",
            "taken_at_timestamp": 1674892000,
            "display_url": pictures[0],
            "thumbnail_src": pictures[0],
            "user_tags": TAGGED,
            "story_links": ["https://aurorakitchen.example/new"],
        },
        {
            **story,
            "shortcode": "CnQUqCGSGuQ",
            "short_code": "CnQUqCGSGuQ",
            "media_pk": "3012999000111999888",
            "content_type": "video",
            "taken_at_timestamp": 1674892065,
            "display_url": pictures[1],
            "thumbnail_src": pictures[1],
            "video_duration": 14.866,
            "user_tags": [],
        },
    ]
    assert (page.has_next_page, page.cursor) == (False, None)


def test_no_stories_are_an_answer_and_those_of_others_are_none() -> None:
    assert LAMA.read("fetch_story_posts_by_profile_id.no-stories", **OWNER).posts == []
    with pytest.raises(NotFoundHere):
        LAMA.read("fetch_story_posts_by_profile_id", profile_id="1")


def test_hashtags_of_a_story_are_read_and_no_kind_of_its_own_is_made_up() -> None:
    (item, *_) = LAMA.body("fetch_story_posts_by_profile_id")
    item |= {"hashtags": [{"hashtag": {"name": "saffron"}}, {"hashtag": None}], "media_type": 8}
    (log,) = LAMA.parse("fetch_story_posts_by_profile_id", [item]).posts
    assert log.dimensions["story_hashtags"] == ["saffron"]
    assert "content_type" not in log.dimensions


@pytest.mark.parametrize(
    ("file", "count", "cursor"),
    [
        ("fetch_followers", 4, "QVFDdER2LUxBd1lG"),
        ("fetch_following", 4, "100"),
        ("fetch_following.page2", 1, None),
        ("fetch_following.unpaged", 4, None),
        ("fetch_post_likes", 4, None),
    ],
)
def test_lists_of_people_are_read(file: str, count: int, cursor: str | None) -> None:
    page = LAMA.read(file)
    found = [(one.profile_id, one.handle, one.full_name, one.is_private) for one in page.people]
    assert found == PEOPLE[:count]
    assert {one.is_verified for one in page.people} == {None}
    assert (page.has_next_page, page.cursor) == (cursor is not None, cursor)


def test_people_are_known_by_either_id_and_a_number_is_a_cursor_too() -> None:
    page = LAMA.parse("fetch_followers", [[{"pk": 7, "id": "9"}, {"id": "8", "is_verified": True}], 100])
    assert [(one.profile_id, one.is_verified) for one in page.people] == [("7", None), ("8", True)]
    assert page.cursor == "100"


def test_comments_are_read() -> None:
    page = LAMA.read("fetch_post_comments")
    (found,) = page.comments
    assert (found.comment_id, found.text, found.profile_id) == (
        "17871375683530001",
        "Can I use arborio? 😍",
        "50811920033",
    )
    assert (found.handle, found.likes, found.publish_time) == ("lina.cooks.daily", 12, 1674815000)
    assert page.has_next_page


def test_comments_in_newer_words_are_read() -> None:
    user = {"id": "5", "username": "u", "is_verified": True, "profile_pic_url": "https://cdn.example/u.jpg"}
    counts = {"comment_like_count": 3, "child_comment_count": 2}
    first = {"id": "9", "text": "", "created_at": "2023-01-27T10:23:20Z", "user": user, **counts}
    second = {"pk": 8, "id": "88", "user_id": 6, "like_count": 0, "comment_like_count": 1}
    assert LAMA.parse("fetch_post_comments", [[first, second], None, None]).comments == [
        Comment("9", "", "5", "u", 3, 1674815000, 2, "https://cdn.example/u.jpg", is_verified=True),
        Comment("8", profile_id="6", likes=0),
    ]


@pytest.mark.parametrize(
    ("tail", "cursor"),
    [(["a", None], "a"), (["a", "b"], "a"), ([None, "b"], "b"), (["", "b"], "b"), ([None, None], None), ([], None)],
)
def test_the_cursor_of_comments_is_the_second_element_else_the_third(tail: list[Any], cursor: str | None) -> None:
    page = LAMA.parse("fetch_post_comments", [LAMA.body("fetch_post_comments")[0], *tail])
    assert (page.has_next_page, page.cursor) == (cursor is not None, cursor)


def test_comments_of_the_web_site_are_read() -> None:
    node = {"id": "1", "text": "hm", "created_at": 5, "owner": {"id": "2", "username": "u"}}
    edges = {"page_info": {"has_next_page": True, "end_cursor": "c"}, "edges": [{"node": node}]}
    body = {"data": {"shortcode_media": {"edge_media_to_parent_comment": edges}}}
    page = LAMA.parse("fetch_post_comments", body)
    assert [(one.comment_id, one.profile_id) for one in page.comments] == [("1", "2")]
    assert page.cursor == "c"
    older = {"graphql": {"shortcode_media": {"edge_media_to_comment": edges}}}
    assert LAMA.parse("fetch_post_comments", older) == page


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("fetch_post_by_shortcode.error-404", NotFound),
        ("fetch_profile_by_handle.error-401", CredentialInvalid),
        ("fetch_profile_by_handle.error-402", QuotaExhausted),
        ("fetch_profile_by_handle.error-404", NotFound),
        ("fetch_profile_by_handle.error-422", Unsupported),
        ("fetch_profile_by_handle.error-429", RateLimited),
        ("fetch_profile_by_handle.error-500", Unavailable),
        ("fetch_profile_posts_by_id.error-403", Private),
    ],
)
def test_a_recorded_error_is_classed(file: str, kind: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as failure:
        LAMA.answer(file.partition(".")[0], LAMA.body(file), int(file[-3:]))
    assert type(failure.value) is kind
    assert failure.value.message


def test_no_recording_is_left_out() -> None:
    assert len(LAMA.files()) == 21
    for file in LAMA.files():
        if "error-" not in file:
            LAMA.answer(file.partition(".")[0], LAMA.body(file))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"detail": "bad arguments", "exc_type": "X"}, NotFoundHere),
        (400, None, NotFoundHere),
        (403, {"detail": ""}, Private),
        (404, {"detail": "Not Found"}, NotFoundHere),
        (404, {"detail": "Not Found", "exc_type": "UserNotFound"}, NotFound),
        (500, {"detail": "Media not found or unavailable", "exc_type": "MediaNotFound"}, NotFound),
        (500, {"detail": "", "exc_type": "MediaUnavailable"}, NotFound),
        (500, {"detail": "", "exc_type": "InvalidMediaId"}, NotFound),
        (500, {"detail": "", "exc_type": "PrivateAccount"}, Private),
        (500, {"detail": "", "exc_type": "RateLimitError"}, RateLimited),
        (500, {"detail": "", "exc_type": "ClientTooManyRequests"}, RateLimited),
        (400, {"detail": "", "exc_type": "FeedbackRequired"}, Unavailable),
        (422, {"detail": [], "exc_type": "UserNotFound"}, Unsupported),
        (500, {"detail": "", "exc_type": "PleaseWaitFewMinutes"}, RateLimited),
        (403, {"detail": "login_required", "exc_type": "LoginRequired"}, Unavailable),
        (400, {"detail": "", "exc_type": "ChallengeRequired"}, Unavailable),
        (403, {"detail": "", "exc_type": "ChallengeRequired"}, Unavailable),
        (403, {"detail": "Forbidden", "exc_type": "LoginRequired"}, Unavailable),
        (403, {"detail": "", "exc_type": "UserNotFound"}, NotFound),
        (403, {"detail": "", "exc_type": "X"}, Private),
        (403, {"detail": "Not authorized to view user", "exc_type": "LoginRequired"}, Private),
        (401, {"detail": "", "exc_type": "LoginRequired"}, Unavailable),
        (401, {"detail": "Invalid access key", "exc_type": "Unauthorized"}, CredentialInvalid),
        (401, {"detail": "", "exc_type": "PleaseWaitFewMinutes"}, RateLimited),
        (503, None, Unavailable),
        (200, {"detail": "Target user not found", "exc_type": "UserNotFound"}, NotFound),
        (200, {"detail": "", "exc_type": "UserNotFound"}, NotFound),
        (200, {"detail": [], "exc_type": 3}, NotFoundHere),
    ],
)
def test_signs_are_weighed_in_order(status: int, body: Any, kind: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as failure:
        LAMA.answer("fetch_profile_by_id", body, status)
    assert type(failure.value) is kind
    assert failure.value.message


ALL = Asked(profile_id="5820113374", handle="aurora.kitchen", shortcode="CnOAG9Tl0uH", hashtag="risotto", cursor="c 1")
PK = "3012345678901234567"


@pytest.mark.parametrize(
    ("function", "target"),
    [
        ("fetch_profile_by_id", "/v1/user/by/id?id=5820113374"),
        ("fetch_profile_by_handle", "/v1/user/by/username?username=aurora.kitchen"),
        ("fetch_profile_posts_by_id", "/v1/user/medias/chunk?user_id=5820113374&end_cursor=c%201"),
        ("fetch_reels_posts", "/v1/user/clips/chunk?user_id=5820113374&end_cursor=c%201"),
        ("fetch_post_by_shortcode", "/v1/media/by/code?code=CnOAG9Tl0uH"),
        ("fetch_tagged_posts", "/v1/user/tag/medias?user_id=5820113374"),
        ("fetch_hashtag_posts", "/v1/hashtag/medias/recent/chunk?name=risotto&max_id=c%201"),
        ("fetch_hashtag_top_posts", "/v1/hashtag/medias/top/chunk?name=risotto&max_id=c%201"),
        ("fetch_story_posts_by_profile_id", "/v1/user/stories?user_id=5820113374"),
        ("fetch_followers", "/v1/user/followers/chunk?user_id=5820113374&max_id=c%201"),
        ("fetch_following", "/v1/user/following/chunk?user_id=5820113374&max_id=c%201"),
        ("fetch_post_likes", f"/v1/media/likers?id={PK}"),
        ("fetch_post_comments", f"/v1/media/comments/chunk?id={PK}&min_id=c%201"),
    ],
)
async def test_each_function_is_one_documented_call(function: str, target: str) -> None:
    payload, seen = await LAMA.call(function, ALL, [], {"X-Access-Key": "secret"})
    assert (seen.method, seen.target.replace("+", "%20")) == ("GET", target)
    assert seen.headers["x-access-key"] == "secret"
    assert seen.headers["accept"] == "application/json"
    assert (payload.source, payload.function, payload.data) == ("lama", function, [])


async def test_a_post_without_a_number_is_not_asked_for() -> None:
    for asked in (Asked(), Asked(shortcode="?")):
        with pytest.raises(Unsupported):
            await LAMA.call("fetch_post_likes", asked, [], {"x-access-key": "secret"})


async def test_the_other_cursor_of_comments_is_given_back_under_its_own_name() -> None:
    page = LAMA.parse("fetch_post_comments", [LAMA.body("fetch_post_comments")[0], None, "b"])
    asked = Asked(post_id="7", cursor=page.cursor, beside=page.beside)
    _, seen = await LAMA.call("fetch_post_comments", asked, [], {"x-access-key": "secret"})
    assert seen.target == "/v1/media/comments/chunk?id=7&max_id=b"
