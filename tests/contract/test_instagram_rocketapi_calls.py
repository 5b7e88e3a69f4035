"""rocketapi: its envelope and its calls."""

from __future__ import annotations

import json
from typing import Any

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
    Rest,
    Unavailable,
    Unsupported,
)
from core.crawler.provider import Asked
from instagram.functions.retriever.judge import RefusedInside
from instagram.functions.retriever.rocketapi.rocketapi import RocketApi
from tests.support.sources import Source

ROCKET = Source(RocketApi)


def done(body: Any, status: Any = 200, content_type: Any = "application/json") -> dict[str, Any]:
    """An envelope around a body."""
    return {"status": "done", "response": {"status_code": status, "content_type": content_type, "body": body}}


def inside(file: str) -> Any:
    """The body inside a recorded envelope."""
    return ROCKET.body(file)["response"]["body"]


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("fetch_followers.done-403-private", Private),
        ("fetch_post_by_shortcode.done-404", NotFound),
        ("fetch_profile_by_handle.done-404", NotFound),
        ("fetch_profile_by_handle.done-html-200", Unavailable),
        ("fetch_profile_by_handle.error-401", CredentialInvalid),
        ("fetch_profile_by_handle.error-402", QuotaExhausted),
        ("fetch_profile_by_handle.error-429", RateLimited),
        ("fetch_profile_by_handle.error-500", Unavailable),
        ("fetch_reels_posts.done-429", RateLimited),
    ],
)
def test_a_recorded_error_is_classed(file: str, kind: type[ProviderError]) -> None:
    status = int(file[-3:]) if "error-" in file else 200
    with pytest.raises(ProviderError) as failure:
        ROCKET.answer(file.partition(".")[0], ROCKET.body(file), status)
    assert type(failure.value) is kind
    assert failure.value.message


def test_no_recording_is_left_out() -> None:
    assert len(ROCKET.files()) == 26
    for file in ROCKET.files():
        if "error-" not in file and ".done-" not in file:
            ROCKET.answer(file.partition(".")[0], ROCKET.body(file))


FAIL = {"status": "fail"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"status": "error", "message": "Internal error"}, Unavailable),
        ({"status": "error", "message": "Service temporarily unavailable"}, Unavailable),
        ({"status": "error", "message": "User not found"}, NotFound),
        ({"status": "pending"}, Unavailable),
        ({}, Unavailable),
        (None, NotFoundHere),
        ([], Malformed),
        ("x", Malformed),
        ({"status": "done"}, NotFoundHere),
        ({"status": "done", "response": None}, NotFoundHere),
        ({"status": "done", "response": []}, Malformed),
        ({"status": "done", "id": 3012345678901234567}, NotFoundHere),
        (done(None), NotFoundHere),
        (done({}), NotFoundHere),
        (done([]), Malformed),
        (done(""), Unavailable),
        (done("<html></html>"), Unavailable),
        (done({"user": {}}, content_type="text/html"), Unavailable),
        (done("<html></html>", 404, "text/html"), NotFoundHere),
        (done("<html></html>", 429, "text/html"), RateLimited),
        (done("<html></html>", 500, "text/html"), Unavailable),
        (done({"data": {"user": None}}), NotFoundHere),
        (done({"user": None}), NotFoundHere),
        (done({"data": []}), Malformed),
        (done(FAIL), NotFoundHere),
        (done({"message": "Please wait a few minutes before you try again.", **FAIL}), RateLimited),
        (done({"message": "challenge_required", **FAIL}, 400), Unavailable),
        (done({"message": "Not authorized to view user", **FAIL}, 400), Private),
        (done({"message": "login_required", **FAIL}, 403), Unavailable),
        (done({}, 401), RefusedInside),
        (done({"message": "forbidden"}, "403"), RefusedInside),
        (done({}, 404.0), NotFoundHere),
        (done({}, 400), Unsupported),
        (done({}, 302), Unavailable),
        (done({"message": "User not found"}, content_type="text/html"), Unavailable),
        (done({}, "often"), Malformed),
        (done({}, "2000"), Malformed),
        (done({}, True), Malformed),
        (done({}, [200]), Malformed),
    ],
)
def test_the_envelope_and_what_is_inside_are_judged(body: Any, kind: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as failure:
        ROCKET.answer("fetch_profile_by_id", body)
    assert type(failure.value) is kind


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", None])
@pytest.mark.parametrize("status", [200, "200", 200.0, None])
def test_a_good_envelope_is_read_however_it_writes_its_words(status: Any, content_type: Any) -> None:
    page = ROCKET.answer("fetch_profile_by_id", done(inside("fetch_profile_by_id"), status, content_type))
    assert page.profile.profile_id == "5820113374"


def test_a_refusal_by_instagram_keeps_the_token() -> None:
    assert (RefusedInside.word, RefusedInside.rest) == ("auth", Rest.RESTING)


ALL = Asked(profile_id="5820113374", handle="aurora.kitchen", shortcode="CnOAG9Tl0uH", hashtag="risotto", cursor="c 1")
ME = 5820113374
TOKEN = {"authorization": "Token x"}


@pytest.mark.parametrize(
    ("function", "path", "body"),
    [
        ("fetch_profile_by_id", "user/get_info_by_id", {"id": ME}),
        ("fetch_profile_by_handle", "user/get_info", {"username": "aurora.kitchen"}),
        ("fetch_profile_posts_by_id", "user/get_media", {"id": ME, "count": 12, "max_id": "c 1"}),
        (
            "fetch_profile_posts_by_handle",
            "user/get_media_by_username",
            {"username": "aurora.kitchen", "count": 12, "max_id": "c 1"},
        ),
        ("fetch_reels_posts", "user/get_clips", {"id": ME, "count": 12, "max_id": "c 1"}),
        ("fetch_post_by_shortcode", "media/get_info_by_shortcode", {"shortcode": "CnOAG9Tl0uH"}),
        ("fetch_tagged_posts", "user/get_tags", {"id": ME, "count": 50, "max_id": "c 1"}),
        ("fetch_hashtag_posts", "hashtag/get_media", {"name": "risotto", "tab": "recent", "max_id": "c 1"}),
        ("fetch_hashtag_top_posts", "hashtag/get_media", {"name": "risotto", "tab": "top", "max_id": "c 1"}),
        ("fetch_story_posts_by_profile_id", "user/get_stories", {"ids": [ME]}),
        ("fetch_followers", "user/get_followers", {"id": ME, "count": 50, "max_id": "c 1"}),
        ("fetch_following", "user/get_following", {"id": ME, "count": 200, "max_id": "c 1"}),
        ("fetch_post_likes", "media/get_likes", {"shortcode": "CnOAG9Tl0uH"}),
        (
            "fetch_post_comments",
            "media/get_comments",
            {"id": 3012345678901234567, "can_support_threading": True, "min_id": "c 1"},
        ),
    ],
)
async def test_each_function_is_one_documented_call(function: str, path: str, body: dict[str, Any]) -> None:
    payload, seen = await ROCKET.call(function, ALL, done({}), {"Authorization": "Token secret"})
    assert (seen.method, seen.target) == ("POST", f"/instagram/{path}")
    assert json.loads(seen.body) == body
    assert seen.headers["authorization"] == "Token secret"
    assert seen.headers["content-type"] == "application/json"
    assert (payload.source, payload.function, payload.data) == ("rocketapi", function, done({}))


async def test_the_next_page_of_a_hashtag_is_asked_for_by_number_and_cursor() -> None:
    page = ROCKET.read("fetch_hashtag_posts")
    asked = Asked(hashtag="saffron", cursor=page.cursor, beside=page.beside)
    _, seen = await ROCKET.call("fetch_hashtag_posts", asked, done({}), {"authorization": "secret"})
    assert json.loads(seen.body) == {"name": "saffron", "tab": "recent", "page": 1, "max_id": page.cursor}
    assert seen.headers["authorization"] == "Token secret"
    _, seen = await ROCKET.call("fetch_hashtag_posts", Asked(hashtag="h", beside=page.beside), done({}), TOKEN)
    assert json.loads(seen.body) == {"name": "h", "tab": "recent"}


async def test_likes_of_a_post_known_by_its_number_only_are_asked_for_by_it() -> None:
    _, seen = await ROCKET.call("fetch_post_likes", Asked(post_id="7"), done({}), {"authorization": "Token x"})
    assert (seen.target, json.loads(seen.body)) == ("/instagram/media/get_likes_by_id", {"id": 7})


@pytest.mark.parametrize("function", ["fetch_profile_by_id", "fetch_followers", "fetch_post_comments"])
async def test_what_has_no_number_is_not_asked_for(function: str) -> None:
    for asked in (Asked(profile_id="me", post_id="7_8"), Asked(profile_id="7²", post_id="٧")):
        with pytest.raises(Unsupported):
            await ROCKET.call(function, asked, {}, TOKEN)
