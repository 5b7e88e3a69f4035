"""The envelope of rocketapi: ``{"status": "done", "response": {"status_code", "content_type", "body"}}``."""

from __future__ import annotations

from typing import Any

from core.crawler.errors import Malformed, ProviderError, Unavailable
from instagram.functions.retriever.judge import STATUS_ERRORS, RefusedInside, judge, make

_INNER_ERRORS = {**STATUS_ERRORS, 401: RefusedInside, 403: RefusedInside}
_OUT_OF_ORDER = 503


def judge_envelope(status: int, data: Any) -> ProviderError | None:
    """The error that an answer means: by the envelope where it is not done, else by what is inside."""
    if status >= 300 or not isinstance(data, dict):
        return judge(status, data)
    if data.get("status") == "done":
        response = data.get("response")
        return _judge_inside(response) if isinstance(response, dict) else None
    return judge(_OUT_OF_ORDER, data)


def _judge_inside(response: dict[str, Any]) -> ProviderError | None:
    status = _status(response.get("status_code"))
    if status is None:
        path = "response.status_code"
        return Malformed(f"{path}: expected a status, got {type(response['status_code']).__name__}", path=path)
    body, kind = response.get("body"), response.get("content_type")
    text = isinstance(body, str) or (isinstance(kind, str) and "json" not in kind.casefold())
    failure = judge(status, None if text else body, _INNER_ERRORS)
    if failure is None and text:
        return make(Unavailable, "the answer inside is no JSON", status)
    return failure


def _status(value: object) -> int | None:
    """A status as a number; one that is not given is that of the envelope."""
    if value is None:
        return 200
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
