"""Graph's error bodies, from the documented ones."""

from __future__ import annotations

from tests.sandbox.hosts.base import Answer, Refusal
from tests.sandbox.templates import Json, sample

_S = "graphapi"
_PROFILE = "fetch_profile_by_handle.error"
_BY_CODE = {
    1: "500-1",
    2: "500-2",
    4: "403-4",
    10: "403-10",
    17: "403-17",
    32: "403-32",
    110: "400-110-not-found",
    190: "400-190-invalid",
    200: "403-200",
}


def documented(name: str) -> Json:
    """The ``error`` object of a sample."""
    error: Json = sample(_S, name)["error"]
    return error


def answer(error: Json, status: int) -> Answer:
    """An error with its HTTP status."""
    return Answer.of({"error": error}, status)


def unknown_user(handle: str) -> Answer:
    """Code 110: unknown, personal or private; Graph does not say which."""
    error = documented(f"{_PROFILE}-400-110-not-found")
    error["error_user_msg"] = f"The user with username: {handle} cannot be found."
    return answer(error, 400)


def bad_token(expired: bool = False) -> Answer:
    """Code 190."""
    return answer(documented(f"{_PROFILE}-400-190-{'expired' if expired else 'invalid'}"), 400)


def missing_object(object_id: str) -> Answer:
    """Code 100/33: not there, or not this token's."""
    error = documented("fetch_post_insights.error-400-100-33")
    error["message"] = error["message"].replace("17999999999999999", object_id)
    return answer(error, 400)


def bad_parameter(message: str) -> Answer:
    """Any other code 100."""
    error = documented("fetch_audience_insights.error-400-100-few-followers")
    error["message"] = f"(#100) {message}"
    return answer(error, 400)


def sampled(name: str) -> Answer:
    """A documented error as it stands; the status is part of the file's name."""
    status = int(name.partition("error-")[2].partition("-")[0])
    return answer(documented(name), status)


def refused(refusal: Refusal) -> Answer:
    """The Graph form of a limit or an injected error."""
    if refusal.kind == "not_found":
        return unknown_user(refusal.subject)
    if refusal.kind == "error_in_200":
        error = documented(f"{_PROFILE}-500-2")
        return answer({**error, "message": refusal.message or error["message"]}, 200)
    if refusal.code is not None:
        return sampled(f"{_PROFILE}-{_BY_CODE[refusal.code]}")
    names = {
        "rate_limit": f"{_PROFILE}-403-4",
        "user_limit": f"{_PROFILE}-403-17",
        "quota": "fetch_hashtag_posts.error-403-18-limit",
        "unauthorized": f"{_PROFILE}-400-190-expired",
        "forbidden": f"{_PROFILE}-403-10",
        "server_error": f"{_PROFILE}-500-2",
    }
    found = sampled(names[refusal.kind])
    return Answer(refusal.status or found.status, found.body)
