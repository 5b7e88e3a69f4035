"""What an answer means when it is not data: by its words, then the Graph code, then the status, then its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    Rest,
    Unavailable,
    Unsupported,
)
from utils.redact import redact_text


class RefusedInside(CredentialInvalid):
    """Instagram refused the source's own session: the credential is in order, so it rests and is kept."""

    rest = Rest.RESTING


STATUS_ERRORS: Mapping[int, type[ProviderError]] = {
    401: CredentialInvalid,
    402: QuotaExhausted,
    403: CredentialInvalid,
    404: NotFoundHere,
    408: Unavailable,
    429: RateLimited,
}
"""Statuses by themselves; other 4xx are Unsupported, 5xx Unavailable. Only words can say that something is final."""

GRAPH_ERRORS: Mapping[int, type[ProviderError]] = {
    1: Unavailable,
    2: Unavailable,
    4: RateLimited,
    10: CredentialInvalid,
    17: RateLimited,
    18: QuotaExhausted,
    24: NotFound,
    32: RateLimited,
    100: Unsupported,
    110: NotCovered,
    190: CredentialInvalid,
    200: CredentialInvalid,
    613: RateLimited,
}
_GRAPH_MISSING = (100, 33)
_TOO_FEW = ("not enough viewers", "not enough followers")

_WORDS: tuple[tuple[type[ProviderError], tuple[str, ...]], ...] = (
    (Private, ("not authorized", "is private", "should be public")),
    (NotFound, ("not found", "unavailable")),
    (RateLimited, ("please wait", "exceeded the rate limit", "too many requests")),
    (QuotaExhausted, ("monthly quota",)),
    (Unavailable, ("challenge_required", "login_required", "feedback_required")),
    (CredentialInvalid, ("invalid api key", "not subscribed")),
)
_NAMES = ("user", "account", "profile", "media", "post", "reel", "story", "stories", "hashtag", "comment")
"""What an account, or something of it, is called where it is not found."""
_LONGEST = 300


def judge(
    status: int, data: Any, status_errors: Mapping[int, type[ProviderError]] = STATUS_ERRORS
) -> ProviderError | None:
    """The error that a decoded answer means (``data`` None: not JSON), or None when it may hold data."""
    graph = _graph_error(data)
    if graph is not None and graph[0] in GRAPH_ERRORS:
        return _by_graph_code(*graph)
    message = _message(status, data)
    worded = _by_words(status, message)
    kind = worded or _by_status(status, message, status_errors)
    if kind is None and _says_failed(data):
        kind = NotFoundHere
    if kind is CredentialInvalid and worded is None and _is_handed_on(data):
        kind = RefusedInside
    return None if kind is None else make(kind, message or f"answered with status {status}", status)


def graph_code(data: Any) -> int | None:
    """The Graph error code of an answer."""
    graph = _graph_error(data)
    return graph[0] if graph else None


def make(kind: type[ProviderError], message: str, status: int) -> ProviderError:
    """An error with the provider's words, shortened and without secrets; 5xx statuses are kept."""
    text = redact_text(message[: _LONGEST * 2])[:_LONGEST]
    return kind(text, status=status) if kind is Unavailable and status >= 500 else kind(text)


def _by_graph_code(code: int, subcode: int | None, message: str) -> ProviderError:
    if code in (10, 100) and any(words in message.casefold() for words in _TOO_FEW):
        return make(InsufficientData, message, 400)
    kind = NotFoundHere if (code, subcode) == _GRAPH_MISSING else GRAPH_ERRORS[code]
    return make(kind, message or f"Graph error {code}", 400)


def _graph_error(data: Any) -> tuple[int, int | None, str] | None:
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict):
        return None
    code = _int(error.get("code"))
    message = error.get("message")
    if code is None:
        return None
    return code, _int(error.get("error_subcode")), message if isinstance(message, str) else ""


def _int(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10 else None


def _message(status: int, data: Any) -> str:
    """The words of an error body. A 200 that holds anything but plain values is no error body: captions say a lot."""
    if not isinstance(data, dict):
        return ""
    if status < 400 and not _says_failed(data) and any(isinstance(value, dict | list) for value in data.values()):
        return ""
    error = data.get("error")
    inner = error.get("message") if isinstance(error, dict) else error
    words = (data.get("message"), data.get("messages"), data.get("detail"), data.get("error_type"), inner)
    return " ".join(word for word in words if isinstance(word, str))


def _by_words(status: int, message: str) -> type[ProviderError] | None:
    text = message.casefold()
    for kind, phrases in _WORDS:
        if any(phrase in text for phrase in phrases):
            return _what_is_missing(status, text) if kind is NotFound else kind
    return None


def _what_is_missing(status: int, text: str) -> type[ProviderError]:
    """Only words that name what was not found are final: servers say "Not Found" of paths, and "unavailable" of
    themselves.
    """
    if "not found" not in text:
        return Unavailable if status >= 500 else NotFoundHere
    is_path = "/" in text
    return NotFound if not is_path and any(name in text for name in _NAMES) else NotFoundHere


def _by_status(
    status: int, message: str, status_errors: Mapping[int, type[ProviderError]]
) -> type[ProviderError] | None:
    if status == 404 and message.casefold().startswith(("endpoint", "api ")):
        return Unsupported  # the gateway's word on a path, not Instagram's on an account
    if status in status_errors:
        return status_errors[status]
    if status >= 500 or not 200 <= status < 400:
        return Unsupported if 400 <= status < 500 else Unavailable
    return Unavailable if status >= 300 else None


def _says_failed(data: Any) -> bool:
    return _is_handed_on(data) or (isinstance(data, dict) and data.get("success") is False)


def _is_handed_on(data: Any) -> bool:
    """Whether a refusal is Instagram's own, which knows nothing of the source's keys."""
    return isinstance(data, dict) and data.get("status") == "fail"
