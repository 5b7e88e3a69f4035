"""v1.rocketapi.io: Instagram's own answers in an envelope, for POSTed JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tests.sandbox.credentials import SandboxCredential
from tests.sandbox.hosts.base import Answer, Asked, Call, Host, HostLimit, Refusal
from tests.sandbox.hosts.rocketapi_bodies import FAILS, Bodies, enveloped, failed
from tests.sandbox.hosts.rocketapi_paths import CALLS, Path
from tests.sandbox.posts import by_media_pk, by_shortcode
from tests.sandbox.templates import sample_bytes
from tests.sandbox.universe import Creator, Universe

_S = "rocketapi"
_PREFIX = "/instagram/"
_ERRORS = {
    "rate_limit": (429, "error-429"),
    "quota": (402, "error-402"),
    "unauthorized": (401, "error-401"),
    "server_error": (500, "error-500"),
}


def _in_body(*path: str) -> tuple[str, ...]:
    return ("response", "body", *path)


class RocketApi(Host):
    """RocketAPI. Ids in requests are numbers; what Instagram refuses comes with 200 and a status inside."""

    host = "v1.rocketapi.io"
    source = _S
    limit = HostLimit(100, 30)
    mandatory: ClassVar = {
        "fetch_profile_by_id": _in_body("user", "pk"),
        "fetch_profile_by_handle": _in_body("data", "user", "id"),
        "fetch_profile_posts_by_id": _in_body("items"),
        "fetch_profile_posts_by_handle": _in_body("items"),
        "fetch_reels_posts": _in_body("items"),
        "fetch_post_by_shortcode": _in_body("items"),
        "fetch_tagged_posts": _in_body("data", "user", "edge_user_to_photos_of_you"),
        "fetch_hashtag_posts": _in_body("sections"),
        "fetch_hashtag_top_posts": _in_body("sections"),
        "fetch_story_posts_by_profile_id": _in_body("reels"),
        "fetch_followers": _in_body("users"),
        "fetch_following": _in_body("users"),
        "fetch_post_likes": _in_body("users"),
        "fetch_post_comments": _in_body("comments"),
    }

    def __init__(self, universe: Universe) -> None:
        super().__init__(universe)
        self._by_token = {one.credentials["Authorization"].encode(): one for one in self.credentials}
        bodies = self._bodies = Bodies(universe)
        self.about_accounts: Mapping[str, Callable[[Call, Creator], Answer]] = {
            "fetch_profile_by_id": bodies.profile,
            "fetch_profile_by_handle": bodies.profile,
            "fetch_profile_posts_by_id": bodies.feed,
            "fetch_profile_posts_by_handle": bodies.feed,
            "fetch_reels_posts": bodies.clips,
            "fetch_tagged_posts": bodies.tagged,
            "fetch_followers": bodies.people,
            "fetch_following": bodies.people,
        }

    def identify(self, asked: Asked) -> SandboxCredential | None:
        return self._by_token.get(asked.headers.get(b"authorization", b""))

    def refuse(self, asked: Asked, credential: SandboxCredential | None) -> Answer | None:  # noqa: ARG002
        return self.error(Refusal("unauthorized")) if credential is None else None

    def route(self, asked: Asked, credential: SandboxCredential | None) -> Call | Answer:  # noqa: ARG002
        path = CALLS.get(asked.path.removeprefix(_PREFIX)) if asked.path.startswith(_PREFIX) else None
        if path is None:
            return _bad("Method not found", 404)
        if asked.method != "POST":
            return _bad("Method not allowed", 405)
        try:
            body = json.loads(asked.body)
        except ValueError:
            body = None
        return _understood(path, body) if isinstance(body, dict) else _bad("The body is no JSON object", 400)

    def render(self, call: Call) -> Answer:
        if call.by == "tag":
            return self._bodies.hashtag(call)
        if call.function == "fetch_story_posts_by_profile_id":
            return self._bodies.stories(call)
        if call.by in {"shortcode", "media_pk"}:
            find = by_shortcode if call.by == "shortcode" else by_media_pk
            post = find(self.universe, call.subject)
            return failed("no_media") if post is None else self._bodies.about_post(call, post)
        who = self.universe.by_handle(call.subject) if call.by == "handle" else self.universe.by_pk(call.subject)
        if who is None:
            return failed("no_user")
        shown = call.function.startswith("fetch_profile_by")
        if who.kind == "closed" or (who.is_private and not shown):
            return failed("private")
        return self.about_accounts[call.function](call, who)

    def error(self, refusal: Refusal) -> Answer:
        if refusal.kind == "error_in_200":
            return enveloped({"message": refusal.message or "challenge_required", "status": "fail"})
        if refusal.kind in FAILS:
            return failed(refusal.kind)
        status, name = _ERRORS[refusal.kind]
        wait = str(max(1, math.ceil(refusal.retry_after_s))).encode()
        headers = ((b"retry-after", wait),) if refusal.kind == "rate_limit" else ()
        return Answer(refusal.status or status, sample_bytes(_S, f"fetch_profile_by_handle.{name}"), headers)

    def html(self) -> Answer:
        """Instagram's login page, as text in the envelope."""
        return Answer(200, sample_bytes(_S, "fetch_profile_by_handle.done-html-200"))


def _understood(path: Path, body: dict[str, Any]) -> Call | Answer:
    subject = body.get(path.subject)
    if path.by in {"pk", "media_pk"}:
        numbers = subject if path.subject == "ids" and isinstance(subject, list) else [subject]
        if not 1 <= len(numbers) <= 4 or not all(type(number) is int for number in numbers):
            return _bad(f"{path.subject} must be a number", 400)
        subject = ",".join(map(str, numbers))
    if not isinstance(subject, str) or not subject:
        return _bad(f"{path.subject} is missing", 400)
    size = body.get("count", path.size)
    if type(size) is not int or not (size == path.size == 0 or 1 <= size <= path.size):
        return _bad(f"count must be 1..{path.size}", 400)
    cursor = body.get(path.cursor) or ""
    if not isinstance(cursor, str):
        return _bad(f"{path.cursor} must be a text", 400)
    if path.by == "tag" and cursor and type(body.get("page")) is not int:
        return _bad("page is missing", 400)
    top = path.by == "tag" and body.get("tab") == "top"
    return Call("fetch_hashtag_top_posts" if top else path.function, path.by, subject, cursor, size, path.extra)


def _bad(message: str, status: int) -> Answer:
    return Answer.of({"status": "error", "message": message}, status)
