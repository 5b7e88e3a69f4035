"""graph.facebook.com: discovery of professional accounts, and everything about the token owner's own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from tests.sandbox.credentials import SandboxCredential, token_owners
from tests.sandbox.hosts import graph_errors as errors
from tests.sandbox.hosts.base import Answer, Asked, Call, HeaderList, Host, HostLimit, Refusal
from tests.sandbox.hosts.graph_fields import Field, FieldsError, parse_fields
from tests.sandbox.hosts.graph_media import MEDIA_FIELDS, USER_FIELDS, discovered_media, story_page, user_object
from tests.sandbox.hosts.graph_own import OwnEdges
from tests.sandbox.templates import Json, sample
from tests.sandbox.universe import GRAPH_KINDS, Creator, Universe

_PATH = re.compile(r"(?:/v\d+\.\d+)?/([\w.]+)(?:/(\w+))?/?")
_FAR = 4_102_444_800  # 2100-01-01
_EDGES = {
    "media": "fetch_profile_posts_by_id",
    "stories": "fetch_stories_posts",
    "tags": "fetch_tagged_posts",
    "comments": "fetch_post_comments",
    "replies": "fetch_post_comment_replies",
    "recent_media": "fetch_hashtag_posts",
    "top_media": "fetch_hashtag_posts",
}
HASHTAGS = 30
"""Different hashtags that an account may ask for in 7 days."""


class Graph(Host):
    """Instagram Graph API; 200 calls an hour for each user token."""

    host = "graph.facebook.com"
    source = "graphapi"
    limit = HostLimit(200, 3600, by_credential=True)
    mandatory: ClassVar = {
        "fetch_profile_by_handle": ("business_discovery", "ig_id"),
        "fetch_profile_posts_by_handle": ("business_discovery", "media", "data", "*", "permalink"),
        "fetch_stories_posts": ("data",),
        "fetch_profile_by_id": ("ig_id",),
        "fetch_profile_posts_by_id": ("data",),
        "fetch_post_insights": ("data",),
        "fetch_story_insights": ("data",),
        "fetch_profile_insights": ("data",),
        "fetch_audience_insights": ("data",),
        "fetch_hashtag_posts": ("data",),
        "fetch_tagged_posts": ("data",),
        "fetch_post_comments": ("data",),
        "debug_token": ("data",),
    }

    def __init__(self, universe: Universe) -> None:
        super().__init__(universe)
        self._by_token = {credential.credentials["token"]: credential for credential in self.credentials}
        self._owners = {str(owner.fbid): owner for owner in token_owners(universe)}
        self._own = OwnEdges(universe)
        self._hashtags: dict[str, set[str]] = {}

    def identify(self, asked: Asked) -> SandboxCredential | None:
        return self._by_token.get(_token(asked).partition(":")[0])

    def refuse(self, asked: Asked, credential: SandboxCredential | None) -> Answer | None:
        if credential is None and not (asked.path.endswith("/debug_token") and "|" in _token(asked)):
            return errors.bad_token()
        return None

    def route(self, asked: Asked, credential: SandboxCredential | None) -> Call | Answer:
        match = _PATH.fullmatch(asked.path)
        if match is None:
            return errors.bad_parameter("Unsupported get request")
        target, edge = match[1], match[2]
        own = credential.credentials["user_id"] if credential else ""
        if target == "debug_token":
            return Call("debug_token", "none", asked.query.get("input_token", ""))
        if target == "ig_hashtag_search":
            if not self._may_search(own, asked.query.get("q", "")):
                return errors.sampled("fetch_hashtag_posts.error-403-18-limit")
            return Call("fetch_hashtag_posts", "tag", asked.query.get("q", ""), extra=("search",))
        if edge is None:
            return self._user(asked, target, own)
        return self._edge(asked, target, edge, own)

    def _may_search(self, own: str, tag: str) -> bool:
        """Whether an account may ask for one more hashtag; those of the last days that it asked for are free."""
        asked_for = self._hashtags.setdefault(own, set())
        if tag in asked_for or len(asked_for) < HASHTAGS:
            asked_for.add(tag)
            return True
        return False

    def clear(self) -> None:
        self._hashtags.clear()

    def _user(self, asked: Asked, target: str, own: str) -> Call | Answer:
        if target != own:
            return errors.missing_object(target)
        text = asked.query.get("fields", "id")
        try:
            fields = parse_fields(text)
        except FieldsError as wrong:
            return errors.bad_parameter(f"Syntax error: {wrong}")
        discovery = fields.get("business_discovery")
        if discovery is None:
            unknown = sorted(set(fields) - USER_FIELDS - {"business_discovery"})
            return _nonexistent(unknown, "IGUser") or Call("fetch_profile_by_id", "fbid", own, extra=(own, text))
        below = discovery.below or {}
        handle = discovery.modifiers.get("username", "").strip()
        paged = "media" in below and bool(below["media"].modifiers)  # without a limit or cursor it rides along
        function = "fetch_profile_posts_by_handle" if paged else "fetch_profile_by_handle"
        if "stories" in below:
            function = "fetch_stories_posts"
        unknown = sorted(set(below) - USER_FIELDS - {"media", "stories"})
        media = {*_below(below, "media"), *_below(below, "stories")} - MEDIA_FIELDS
        problem = _nonexistent(unknown, "IGUser") or _nonexistent(sorted(media), "IGMedia")
        cursor = below["media"].modifiers.get("after", "") if "media" in below else ""
        return problem or Call(function, "handle", handle, cursor, extra=(own, text))

    def _edge(self, asked: Asked, target: str, edge: str, own: str) -> Call | Answer:
        query = tuple(f"{key}={value}" for key, value in sorted(asked.query.items()) if key != "access_token")
        extra = (edge, own, asked.path, *query)
        if edge in {"media", "stories", "tags"}:
            return Call(_EDGES[edge], "fbid", target, extra=extra) if target == own else errors.missing_object(target)
        if edge == "insights" and target == own:
            period = asked.query.get("period", "day")
            function = "fetch_audience_insights" if period == "lifetime" else "fetch_profile_insights"
            return Call(function, "fbid", target, extra=extra)
        if edge == "insights":
            story = self._own.is_story(target)
            return Call("fetch_story_insights" if story else "fetch_post_insights", "media", target, extra=extra)
        if edge == "comments":
            return Call(_EDGES[edge], "media", target, extra=extra)
        if edge in _EDGES:
            return Call(_EDGES[edge], "none", target, extra=extra)
        return errors.bad_parameter(f"Unknown path components: /{edge}")

    def render(self, call: Call) -> Answer:
        if call.function == "debug_token":
            return self._debug_token(call.subject)
        if call.extra == ("search",):
            return self._own.hashtag_search(call.subject)
        if call.by == "handle":
            return self._discovery(call)
        if call.function == "fetch_profile_by_id":
            return self._own_profile(call)
        return self._own.render(call)

    def _discovery(self, call: Call) -> Answer:
        own, text = call.extra
        who = self.universe.by_handle(call.subject)
        if who is None or who.kind not in GRAPH_KINDS:
            return errors.unknown_user(call.subject)
        below = parse_fields(text)["business_discovery"].below or {}
        return Answer.of({"business_discovery": self._discovered(who, below), "id": own})

    def _discovered(self, who: Creator, below: Mapping[str, Field]) -> Json:
        found = user_object(self.universe, who, below)
        fbid = found.pop("id")
        media = discovered_media(self.universe, who, below["media"]) if "media" in below else None
        if media is not None:
            found["media"] = media
        if "stories" in below and (stories := story_page(self.universe, who, list(below["stories"].below or {}))):
            found["stories"] = {"data": stories}
        return {**found, "id": fbid}

    def _own_profile(self, call: Call) -> Answer:
        who = self.universe.by_fbid(call.subject)
        if who is None:
            return errors.missing_object(call.subject)
        return Answer.of(user_object(self.universe, who, parse_fields(call.extra[1])))

    def _debug_token(self, token: str) -> Answer:
        """A token of the universe is good for long; ``<token>:expired`` and ``<token>:scopeless`` are what they say."""
        token, _, state = token.partition(":")
        credential = self._by_token.get(token)
        body = sample(self.source, "debug_token" if credential else "debug_token.invalid")
        if credential:
            body["data"]["data_access_expires_at"] = 1 if state == "expired" else _FAR
        if state == "scopeless":
            body["data"]["scopes"] = body["data"]["scopes"][:1]
        for scope in body["data"].get("granular_scopes", []):
            if credential and scope["scope"] != "pages_show_list":
                scope["target_ids"] = [credential.credentials["user_id"]]
        return Answer.of(body)

    def error(self, refusal: Refusal) -> Answer:
        if refusal.kind == "rate_limit" and refusal.credential:
            refusal = replace(refusal, kind="user_limit")
        found = errors.refused(refusal)
        if refusal.kind not in {"rate_limit", "user_limit"}:
            return found
        minutes = int(refusal.retry_after_s // 60) + 1
        usage = {"type": "instagram", "call_count": 100, "total_cputime": 25, "total_time": 25}
        business = {"104500000000123": [{**usage, "estimated_time_to_regain_access": minutes}]}
        app = {"call_count": 100, "total_cputime": 25, "total_time": 25}
        headers = (
            (b"x-app-usage", json.dumps(app).encode()),
            (b"x-business-use-case-usage", json.dumps(business).encode()),
        )
        return replace(found, headers=headers)

    def ok_headers(self, used: int, allowed: int) -> HeaderList:
        percent = used * 100 // max(allowed, 1)
        return ((b"x-app-usage", b'{"call_count":%d,"total_cputime":%d,"total_time":%d}' % ((percent,) * 3)),)


def _token(asked: Asked) -> str:
    bearer = asked.headers.get(b"authorization", b"").decode("latin-1")
    return asked.query.get("access_token") or bearer.removeprefix("Bearer ")


def _below(fields: Mapping[str, Field], name: str) -> set[str]:
    return set(fields[name].below or {}) if name in fields else set()


def _nonexistent(names: list[str], node: str) -> Answer | None:
    if not names:
        return None
    return errors.bad_parameter(f"Tried accessing nonexistent field ({names[0]}) on node type ({node})")
