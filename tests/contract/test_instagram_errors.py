"""Which error an answer means: each recorded error body, and the order in which signs are weighed."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import pytest

from core.crawler.errors import (
    CredentialInvalid,
    InsufficientData,
    NotCovered,
    NotFound,
    NotFoundHere,
    Private,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    Unavailable,
    Unsupported,
)
from core.crawler.provider import Asked, Credential
from instagram.functions.retriever.crawler import INSTAGRAM, instagram_sources
from instagram.functions.retriever.graphapi.graphapi import GraphApi
from instagram.functions.retriever.judge import RefusedInside, judge
from tests.support.instagram import SAMPLES, data_cases, recorded_status
from utils.request import HttpClient, HttpOptions

GRAPH_FILES: list[tuple[str, type[ProviderError]]] = [
    ("fetch_profile_by_handle.error-400-110-not-found", NotCovered),
    ("fetch_profile_by_handle.error-400-190-expired", CredentialInvalid),
    ("fetch_profile_by_handle.error-400-190-invalid", CredentialInvalid),
    ("fetch_profile_by_handle.error-403-10", CredentialInvalid),
    ("fetch_profile_by_handle.error-403-17", RateLimited),
    ("fetch_profile_by_handle.error-403-200", CredentialInvalid),
    ("fetch_profile_by_handle.error-403-32", RateLimited),
    ("fetch_profile_by_handle.error-403-4", RateLimited),
    ("fetch_profile_by_handle.error-500-1", Unavailable),
    ("fetch_profile_by_handle.error-500-2", Unavailable),
    ("fetch_hashtag_posts.error-400-24-no-hashtag", NotFound),
    ("fetch_hashtag_posts.error-403-18-limit", QuotaExhausted),
    ("fetch_post_insights.error-400-100-33", NotFoundHere),
    ("fetch_post_insights.error-400-100-before-business", Unsupported),
    ("fetch_story_insights.error-400-10-few-viewers", InsufficientData),
    ("fetch_audience_insights.error-400-100-few-followers", InsufficientData),
]
GATEWAY_FILES: list[tuple[str, type[ProviderError]]] = [
    ("fetch_profile_by_handle.error-401", CredentialInvalid),
    ("fetch_profile_by_handle.error-403", CredentialInvalid),
    ("fetch_profile_by_handle.error-404", NotFound),
    ("fetch_profile_by_handle.error-429", QuotaExhausted),
    ("fetch_profile_by_handle.error-429-rate", RateLimited),
    ("fetch_profile_by_handle.error-504", Unavailable),
]
WITHOUT_404 = [row for row in GATEWAY_FILES if row[0] != "fetch_profile_by_handle.error-404"]
LAMA_FILES: list[tuple[str, type[ProviderError]]] = [
    ("fetch_profile_by_handle.error-401", CredentialInvalid),
    ("fetch_profile_by_handle.error-402", QuotaExhausted),
    ("fetch_profile_by_handle.error-404", NotFound),
    ("fetch_profile_by_handle.error-422", Unsupported),
    ("fetch_profile_by_handle.error-429", RateLimited),
    ("fetch_profile_by_handle.error-500", Unavailable),
    ("fetch_profile_posts_by_id.error-403", Private),
    ("fetch_post_by_shortcode.error-404", NotFound),
]
ROCKETAPI_FILES: list[tuple[str, type[ProviderError]]] = [
    ("fetch_profile_by_handle.error-401", CredentialInvalid),
    ("fetch_profile_by_handle.error-402", QuotaExhausted),
    ("fetch_profile_by_handle.error-429", RateLimited),
    ("fetch_profile_by_handle.error-500", Unavailable),
    ("fetch_profile_by_handle.done-404", NotFound),
    ("fetch_profile_by_handle.done-html-200", Unavailable),
    ("fetch_post_by_shortcode.done-404", NotFound),
    ("fetch_reels_posts.done-429", RateLimited),
    ("fetch_followers.done-403-private", Private),
]
TABLES: dict[str, list[tuple[str, type[ProviderError]]]] = {
    "graphapi": GRAPH_FILES,
    "lama": LAMA_FILES,
    "rapidapi-arraybobo": GATEWAY_FILES,
    "rapidapi-jotucker": GATEWAY_FILES,
    "rapidapi-neotank": GATEWAY_FILES,
    "rapidapi-bestsolutions": GATEWAY_FILES,
    "rapidapi-igapi": WITHOUT_404,
    "rocketapi": ROCKETAPI_FILES,
}
FILES = [(source, file, kind) for source, table in TABLES.items() for file, kind in table]


def found(source: str, file: str, status: int, data: Any) -> ProviderError | None:
    provider = INSTAGRAM.providers[source]
    failure = provider.judge(status, {}, data)
    return None if failure is None else provider.judge_call(file.partition(".")[0], failure, data)


@pytest.mark.parametrize(("source", "file", "kind"), FILES)
def test_a_recorded_error_is_classed(source: str, file: str, kind: type[ProviderError]) -> None:
    data = json.loads((SAMPLES / source / f"{file}.json").read_text(encoding="utf-8"))
    failure = found(source, file, recorded_status(file), data)
    assert type(failure) is kind
    assert failure.message


def test_every_recorded_error_of_the_built_sources_is_in_the_table() -> None:
    listed = {(source, file) for source, file, _ in FILES}
    files = [path for source in INSTAGRAM.providers for path in (SAMPLES / source).glob("*.json")]
    on_disk = {(path.parent.name, path.stem) for path in files if "error-" in path.stem or "done-" in path.stem}
    assert on_disk == listed


@pytest.mark.parametrize("case", data_cases(), ids=str)
def test_a_recorded_answer_with_data_is_no_error(case: Any) -> None:
    assert found(case.source, case.file, 200, case.body) is None


FAIL = {"status": "fail"}


@pytest.mark.parametrize(
    ("status", "data", "kind"),
    [
        (400, {"message": "Not authorized to view user", **FAIL}, Private),
        (403, {"message": "This account is private"}, Private),
        (401, {"message": "Not authorized to view user", **FAIL}, Private),
        (401, {"message": "This account is private", **FAIL}, Private),
        (401, {"message": "Not authorized"}, Private),
        (401, {"message": "Unauthorized", **FAIL}, RefusedInside),
        (403, {"message": "", **FAIL}, RefusedInside),
        (403, {"message": "You are not subscribed to this API.", **FAIL}, CredentialInvalid),
        (401, {"message": "wrong key", "success": False}, CredentialInvalid),
        (200, {"message": "Profile should be public", **FAIL}, Private),
        (200, {"message": "User not found", **FAIL}, NotFound),
        (400, {"message": "Media not found or unavailable", **FAIL}, NotFound),
        (400, {"message": "Please wait a few minutes before you try again.", **FAIL}, RateLimited),
        (200, {"message": "Please wait a few minutes before you try again."}, RateLimited),
        (200, {"message": "Too Many Requests"}, RateLimited),
        (403, {"message": "challenge_required", **FAIL}, Unavailable),
        (200, {"message": "login_required", **FAIL}, Unavailable),
        (400, {"message": "feedback_required", **FAIL}, Unavailable),
        (400, {"message": "", "error_type": "challenge_required", **FAIL}, Unavailable),
        (200, {"message": "You have exceeded the MONTHLY quota for Requests"}, QuotaExhausted),
        (200, {"message": "You have exceeded the rate limit per minute for your plan, BASIC"}, RateLimited),
        (404, {"message": "Endpoint '/x' does not exist"}, Unsupported),
        (404, {"message": "API doesn't exists"}, Unsupported),
        (404, {"message": "Something else"}, NotFoundHere),
        (404, {"message": "Not Found"}, NotFoundHere),
        (404, {"detail": "Not found."}, NotFoundHere),
        (404, {"message": "Page Not Found"}, NotFoundHere),
        (404, {"status": "error", "message": "Method not found"}, NotFoundHere),
        (404, {"message": "Route POST:/instagram/user/get_info not found"}, NotFoundHere),
        (404, {"message": "Hashtag not found"}, NotFound),
        (404, {"message": "Stories not found"}, NotFound),
        (200, {"message": "The API is temporarily unavailable"}, NotFoundHere),
        (400, {"message": "Media unavailable", **FAIL}, NotFoundHere),
        (404, None, NotFoundHere),
        (401, {}, CredentialInvalid),
        (402, None, QuotaExhausted),
        (403, None, CredentialInvalid),
        (408, None, Unavailable),
        (422, {"detail": "no"}, Unsupported),
        (400, {"message": "Invalid end_cursor", **FAIL}, Unsupported),
        (429, None, RateLimited),
        (429, [], RateLimited),
        (500, None, Unavailable),
        (503, {"message": "Service Temporarily Unavailable"}, Unavailable),
        (502, {"message": "The API is unreachable, please contact the API provider"}, Unavailable),
        (504, {"messages": "The request to the API has timed out"}, Unavailable),
        (300, None, Unavailable),
        (302, None, Unavailable),
        (200, FAIL, NotFoundHere),
        (200, {"success": False}, NotFoundHere),
        (200, {"error": {"code": 190, "message": "The user has not authorized application 1"}}, CredentialInvalid),
        (400, {"error": {"code": "4", "message": "limit"}}, RateLimited),
        (400, {"error": {"code": 613}}, RateLimited),
        (500, {"error": {"code": 999, "message": "?"}}, Unavailable),
    ],
)
def test_signs_are_weighed_in_order(status: int, data: Any, kind: type[ProviderError]) -> None:
    assert type(judge(status, data)) is kind


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        [],
        {"user": {"biography": "this account is private, please wait"}, "status": "ok"},
        {"message": "not found", "items": [], "status": "ok"},
        {"error": None, "items": []},
        {"error": {"code": True}, "items": []},
        {"error": {"code": "²"}, "items": []},
        {"success": None, "items": []},
    ],
)
def test_words_inside_data_are_no_error(data: Any) -> None:
    assert judge(200, data) is None


@pytest.mark.parametrize(("code", "subcode"), [(100, None), (100, 33), (100, 2207013), (110, 2207013)])
def test_an_unknown_handle_in_discovery_is_not_covered(code: int, subcode: int | None) -> None:
    data = {"error": {"code": code, "error_subcode": subcode, "message": "Invalid user id"}}
    assert type(found("graphapi", "fetch_profile_by_handle", 400, data)) is NotCovered
    assert type(found("graphapi", "fetch_profile_posts_by_handle", 400, data)) is NotCovered


@pytest.mark.parametrize(
    ("status", "data"),
    [(404, None), (400, {"error": {"code": 9, "message": "User not found"}}), (400, {"error": {"code": 24}})],
)
def test_discovery_never_says_that_an_account_does_not_exist(status: int, data: Any) -> None:
    assert type(found("graphapi", "fetch_profile_by_handle", status, data)) is NotCovered


def test_code_100_elsewhere_is_unsupported() -> None:
    data = {"error": {"code": 100, "message": "(#100) metric[0] must be one of the following values"}}
    assert type(found("graphapi", "fetch_post_insights", 400, data)) is Unsupported


def test_tokens_in_a_message_are_masked_and_long_messages_cut() -> None:
    failure = judge(500, {"message": "bad url https://x.example/?access_token=EAABsecretsecretsecret&x=1 " + "y" * 900})
    assert failure is not None
    assert "EAAB" not in failure.message
    assert len(failure.message) <= 300
    across = judge(500, {"message": "y " * 140 + "https://me:passwordpassword@proxy.example/ is down"})
    assert across is not None
    assert "password" not in across.message


def test_a_failed_gateway_keeps_its_status_and_its_words() -> None:
    failure = judge(500, {"messages": "The request to the API has timed out"})
    assert str(failure) == "(500, 'The request to the API has timed out')"


@pytest.mark.parametrize(
    ("source", "keys", "missing"),
    [
        ("graphapi", {"user_id": "1"}, "token"),
        ("graphapi", {"token": "t"}, "user_id"),
        ("rapidapi-arraybobo", {"X-RapidAPI-Host": "h"}, "x-rapidapi-key"),
        ("rapidapi-jotucker", {"x-rapidapi-key": ""}, "x-rapidapi-key"),
    ],
)
async def test_a_credential_without_its_keys_is_named_and_nothing_is_sent(
    source: str, keys: dict[str, str], missing: str
) -> None:
    async with aclosing(HttpClient(HttpOptions())) as http:
        provider = INSTAGRAM.providers[source](Credential(7, source, None, keys), http)
        with pytest.raises(CredentialInvalid, match=f"credential 7 of {source} has no {missing}"):
            await getattr(provider, "fetch_profile_by_handle")(Asked(handle="someone"))  # noqa: B009 - not in the base


@pytest.mark.parametrize("handle", ["a){id},b", "", "two words", "x" * 65, "наме"])
async def test_what_is_no_handle_never_reaches_a_graph_query(handle: str) -> None:
    async with aclosing(HttpClient(HttpOptions())) as http:
        graph = GraphApi(Credential(7, "graphapi", None, {"token": "t", "user_id": "1"}), http)
        with pytest.raises(NotCovered):
            await graph.fetch_profile_by_handle(Asked(handle=handle))


def test_the_graph_version_is_a_setting_of_the_table() -> None:
    later = instagram_sources("v17.0").providers["graphapi"]
    assert issubclass(later, GraphApi)
    assert (later.version, GraphApi.version) == ("v17.0", "v15.0")
    assert instagram_sources("v17.0") is instagram_sources("v17.0")
