"""The RapidAPI gateway before a provider: key and host headers, its error bodies, its limit headers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.sandbox.credentials import SandboxCredential
from tests.sandbox.hosts.base import Answer, Asked, Call, HeaderList, Host, Refusal
from tests.sandbox.posts import Post
from tests.sandbox.templates import sample, sample_bytes
from tests.sandbox.universe import Creator, Universe, as_number

MONTH_S = 1_209_600  # what is left of the month when a quota is used up
NOT_FOUND = {"message": "User not found", "status": "fail"}
NOT_AUTHORIZED = {"message": "Not authorized to view user", "status": "fail"}
NO_MEDIA = {"message": "Media not found or unavailable", "status": "fail"}
UNREACHABLE = {
    "message": "The API is unreachable, please contact the API provider",
    "info": "Your Client (working) ---> Gateway (working) ---> API (not working)",
}


def refused(parameter: str) -> Answer:
    """The answer to a cursor that nobody issued."""
    return Answer.of({"message": f"Invalid {parameter}", "status": "fail"}, 400)


@dataclass(frozen=True)
class Endpoint:
    """One path: which query parameter says who or what, and how the next page is asked for.

    ``size`` is the largest page, and the usual one unless ``usual`` says otherwise.
    """

    function: str
    by: str
    subject: str
    cursor: str = ""
    size: int = 0
    size_param: str = ""
    usual: int = 0


class RapidApiHost(Host):
    """Base of the rapidapi-* sources; ``endpoints`` and ``answers`` are the tables of a provider."""

    endpoints: ClassVar[Mapping[str, tuple[Endpoint, ...]]]

    def __init__(self, universe: Universe) -> None:
        super().__init__(universe)
        self._by_key = {cred.credentials["X-RapidAPI-Key"].encode(): cred for cred in self.credentials}
        self.answers: dict[str, Callable[[Call], Answer]] = {}

    def identify(self, asked: Asked) -> SandboxCredential | None:
        return self._by_key.get(asked.headers.get(b"x-rapidapi-key", b""))

    def refuse(self, asked: Asked, credential: SandboxCredential | None) -> Answer | None:
        if credential is None:
            known = asked.headers.get(b"x-rapidapi-key", b"").startswith(b"sandbox-not-a-real-key-")
            return self.error(Refusal("forbidden" if known else "unauthorized"))
        if asked.headers.get(b"x-rapidapi-host", b"").lower() != self.host.encode():
            return self.error(Refusal("forbidden"))
        return None

    def route(self, asked: Asked, credential: SandboxCredential | None) -> Call | Answer:  # noqa: ARG002
        endpoints = self.endpoints.get(asked.path)
        if endpoints is None:
            return Answer.of({"message": f"Endpoint '{asked.path}' does not exist"}, 404)
        for endpoint in endpoints:
            if subject := asked.query.get(endpoint.subject, ""):
                return self._call(endpoint, subject, asked.query)
        names = " or ".join(endpoint.subject for endpoint in endpoints)
        return Answer.of({"message": f"Missing parameter: {names}", "status": "fail"}, 400)

    def _call(self, endpoint: Endpoint, subject: str, query: Mapping[str, str]) -> Call | Answer:
        size = endpoint.usual or endpoint.size
        if endpoint.size_param and endpoint.size_param in query:
            size = as_number(query[endpoint.size_param])
            if not 1 <= size <= endpoint.size:
                told = f"{endpoint.size_param} must be 1..{endpoint.size}"
                return Answer.of({"message": told, "status": "fail"}, 400)
        cursor = query.get(endpoint.cursor, "") if endpoint.cursor else ""
        return Call(endpoint.function, endpoint.by, subject, cursor, size)

    def render(self, call: Call) -> Answer:
        return self.answers[call.function](call)

    def who(self, call: Call) -> Creator | None:
        """The creator asked for, by pk or handle."""
        return self.universe.by_handle(call.subject) if call.by == "handle" else self.universe.by_pk(call.subject)

    def visible(self, post: Post) -> bool:
        """Public posts only."""
        return not self.universe.creator(post.index).is_private

    def ok_headers(self, used: int, allowed: int) -> HeaderList:  # noqa: ARG002
        left = str(max(1_000_000 - used, 0)).encode()
        return (
            (b"x-ratelimit-requests-limit", b"1000000"),
            (b"x-ratelimit-requests-remaining", left),
            (b"x-ratelimit-requests-reset", str(MONTH_S).encode()),
        )

    def error(self, refusal: Refusal) -> Answer:
        status, body = _error_body(self.source, refusal)
        headers: HeaderList = ()
        if refusal.kind in {"rate_limit", "quota"}:
            wait_s = MONTH_S if refusal.kind == "quota" else max(1, math.ceil(refusal.retry_after_s))
            headers = _limit_headers(wait_s, refusal.kind == "rate_limit", self.limit.count)
        return Answer(refusal.status or status, body, headers)


def _limit_headers(wait_s: int, soon: bool, allowed: int) -> HeaderList:
    wait = str(wait_s).encode()
    headers: HeaderList = (
        (b"x-ratelimit-requests-limit", str(allowed).encode()),
        (b"x-ratelimit-requests-remaining", b"0"),
        (b"x-ratelimit-requests-reset", wait),
    )
    return (*headers, (b"retry-after", wait)) if soon else headers


def _error_body(source: str, refusal: Refusal) -> tuple[int, bytes]:
    files = {
        "rate_limit": (429, "error-429-rate"),
        "quota": (429, "error-429"),
        "unauthorized": (401, "error-401"),
        "forbidden": (403, "error-403"),
        "not_found": (404, "error-404"),
    }
    if refusal.kind in files:
        status, name = files[refusal.kind]
        return status, sample_bytes(source, f"fetch_profile_by_handle.{name}")
    if refusal.kind == "server_error":
        if (refusal.status or 504) == 504:
            return 504, sample_bytes(source, "fetch_profile_by_handle.error-504")
        return 502, json.dumps(UNREACHABLE).encode()
    body: dict[str, Any] = {**sample(source, "fetch_profile_by_handle.error-404")}
    body["message"] = refusal.message or "challenge_required"
    return 200, json.dumps(body).encode()
