"""One promise of all sources: every function answers every kind of failure by the same name.

Each cell goes through the path of ``beatctl parse``, which is that of the crawler: status and bytes in, an error out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from core.crawler.errors import ProviderError
from core.crawler.offline import read_answer
from core.crawler.provider import Asked
from instagram.functions.retriever.crawler import INSTAGRAM
from instagram.models.pages import PostsPage
from tests.support.instagram import Recorded, data_cases

GRAPH, LAMA, ROCKETAPI = "graphapi", "lama", "rocketapi"
CELLS = [(source, function) for source, provider in INSTAGRAM.providers.items() for function in provider.parsers]
CASES = data_cases()


@dataclass(frozen=True)
class Fault:
    """An answer and the class it must have; ``other`` where sources differ."""

    name: str
    status: int
    body: Any
    word: str
    other: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return self.name

    def word_of(self, source: str) -> str:
        return dict(self.other).get(source, self.word)


PER_SECOND = "You have exceeded the rate limit per second for your plan, BASIC, by the API provider"
MONTHLY = "You have exceeded the MONTHLY quota for Requests on your current plan, BASIC. Upgrade your plan at https://x"
FAULTS = [
    Fault("429 soon", 429, {"message": PER_SECOND}, "rate_limited"),
    Fault("429 without words", 429, {}, "rate_limited"),
    Fault("429 monthly quota", 429, {"message": MONTHLY}, "quota_exhausted"),
    Fault("401", 401, {"message": "Invalid API key."}, "auth"),
    Fault("402", 402, {"detail": "pay"}, "quota_exhausted"),
    Fault("403", 403, {"message": "You are not subscribed to this API."}, "auth"),
    Fault("403 without words", 403, {}, "auth", ((LAMA, "private"),)),
    Fault("403 private", 403, {"message": "Not authorized to view user", "status": "fail"}, "private"),
    Fault("404", 404, {"message": "User not found"}, "not_found"),
    Fault("404 without words", 404, {}, "not_found"),
    Fault("404 of the gateway", 404, {"message": "Endpoint '/x' does not exist"}, "unsupported"),
    Fault("400", 400, {"detail": "no"}, "unsupported", ((LAMA, "not_found"),)),
    Fault("400 please wait", 400, {"message": "Please wait a few minutes before you try again."}, "rate_limited"),
    Fault("400 challenge", 400, {"message": "challenge_required", "status": "fail"}, "upstream"),
    Fault("408", 408, {}, "upstream"),
    Fault("422", 422, {"detail": [{"loc": ["query"], "msg": "field required", "type": "missing"}]}, "unsupported"),
    Fault("500", 500, {}, "upstream"),
    Fault("502", 502, {"message": "The API is unreachable, please contact the API provider", "info": "x"}, "upstream"),
    Fault("503", 503, b"<html>503 Service Temporarily Unavailable</html>", "upstream"),
    Fault("504", 504, {"messages": "The request to the API has timed out", "info": "x"}, "upstream"),
    Fault("HTML", 200, b"<!DOCTYPE html><html><body>Log in</body></html>", "upstream"),
    Fault("plain text", 200, b"upstream connect error", "upstream"),
    Fault("empty", 200, b"", "upstream"),
    Fault("white space", 200, b" \n", "upstream"),
    Fault("no JSON number", 200, b'{"user": NaN}', "upstream"),
    Fault("wrong encoding", 200, b'{"user": "\xff"}', "upstream"),
    Fault("endless nesting", 200, b"[" * 100_000, "upstream"),
]
SAID_IN_200 = [
    Fault("user not found", 200, {"message": "User not found", "status": "fail"}, "not_found"),
    Fault("media gone", 200, {"message": "Media not found or unavailable", "status": "fail"}, "not_found"),
    Fault("private", 200, {"message": "Not authorized to view user", "status": "fail"}, "private"),
    Fault("please wait", 200, {"message": "Please wait a few minutes before you try again."}, "rate_limited"),
    Fault("log in", 200, {"message": "login_required", "status": "fail"}, "upstream"),
    Fault("fail", 200, {"status": "fail"}, "not_found"),
    Fault("no success", 200, {"success": False}, "not_found"),
    Fault("graph token", 200, {"error": {"code": 190, "message": "expired"}}, "auth"),
    Fault("graph limit", 200, {"error": {"code": 4, "message": "limit"}}, "rate_limited"),
    Fault("nothing", 200, {}, "not_found"),
    Fault("null", 200, None, "not_found"),
    Fault("a number", 200, 5, "malformed"),
    Fault("text", 200, "hello", "malformed", ((ROCKETAPI, "upstream"),)),
]
NOT_DONE = {"status": "error", "message": "x"}


def word(source: str, function: str, body: Any, status: int = 200, asked: Asked | None = None) -> str:
    """The class of the error that an answer means; "data" when it is none."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        read_answer(INSTAGRAM.providers[source], function, asked or Asked(), body=raw, status=status)
    except ProviderError as error:
        return error.word if error.message else "no words"
    return "data"


def inside(status: int, body: Any) -> Any:
    """An answer of Instagram in rocketapi's envelope."""
    is_json = not isinstance(body, bytes)
    content = body.decode("latin-1") if isinstance(body, bytes) else body
    kind = "application/json" if is_json else "text/html"
    return {"status": "done", "response": {"status_code": status, "content_type": kind, "body": content}}


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_failure_has_the_same_name_whatever_was_asked(fault: Fault) -> None:
    found = {cell: word(*cell, fault.body, fault.status) for cell in CELLS}
    assert found == {cell: fault.word_of(cell[0]) for cell in CELLS}


@pytest.mark.parametrize("fault", SAID_IN_200, ids=str)
def test_an_error_that_comes_as_a_success_is_seen(fault: Fault) -> None:
    cells = [cell for cell in CELLS if cell[0] != ROCKETAPI]
    assert {cell: word(*cell, fault.body) for cell in cells} == dict.fromkeys(cells, fault.word)


@pytest.mark.parametrize("fault", [*FAULTS, *SAID_IN_200], ids=str)
def test_inside_an_envelope_it_is_the_same(fault: Fault) -> None:
    functions = INSTAGRAM.providers[ROCKETAPI].parsers
    found = {name: word(ROCKETAPI, name, inside(fault.status, fault.body)) for name in functions}
    assert found == dict.fromkeys(functions, fault.word_of(ROCKETAPI))


@pytest.mark.parametrize("body", [NOT_DONE, {"status": "pending"}, {"response": None}, {}], ids=str)
def test_an_envelope_that_is_not_done_is_a_failure_of_the_source(body: Any) -> None:
    assert {word(ROCKETAPI, name, body) for name in INSTAGRAM.providers[ROCKETAPI].parsers} == {"upstream"}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_cut_answer_is_a_failure_of_the_source(case: Recorded) -> None:
    body = json.dumps(case.body).encode()
    assert {word(case.source, case.function, body[:length]) for length in (1, len(body) // 2, len(body) - 1)} == {
        "upstream"
    }


IDENTITY: dict[str, dict[str, Any]] = {
    "fetch_profile_by_id": {"profile_id": "5820113374"},
    "fetch_profile_by_handle": {"handle": "Aurora.Kitchen"},
    "fetch_profile_posts_by_id": {"profile_id": "5820113374"},
    "fetch_profile_posts_by_handle": {"handle": "AURORA.kitchen"},
    "fetch_reels_posts": {"profile_id": "5820113374"},
    "fetch_story_posts_by_profile_id": {"profile_id": "5820113374"},
    "fetch_stories_posts": {"profile_id": "5820113374"},
    "fetch_post_by_shortcode": {"shortcode": "CnOAG9Tl0uH"},
}
NOBODY: dict[str, Any] = {"profile_id": "1", "handle": "nobody.at.all", "shortcode": "AAAAAAAAAAA"}
WHOSE = [case for case in CASES if case.function in IDENTITY]


@pytest.mark.parametrize("case", WHOSE, ids=str)
def test_an_answer_about_somebody_else_is_no_answer(case: Recorded) -> None:
    asked = IDENTITY[case.function]
    assert word(case.source, case.function, case.body, asked=Asked(**asked)) == "data"
    others = Asked(**{key: NOBODY[key] for key in asked})
    page = case.parse(case.body)
    nothing = isinstance(page, PostsPage) and not page.posts
    assert word(case.source, case.function, case.body, asked=others) == ("data" if nothing else "not_found")


def test_every_function_with_an_identity_has_a_recording() -> None:
    assert {case.function for case in WHOSE} == set(IDENTITY)
