"""api.lamadava.com: instagrapi over REST, lists as JSON arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, TypeVar

from tests.sandbox.credentials import SandboxCredential
from tests.sandbox.dialects import lama, web, web_people
from tests.sandbox.hosts.base import Answer, Asked, Call, Host, HostLimit, Refusal
from tests.sandbox.hosts.lama_paths import ENDPOINTS
from tests.sandbox.lists import (
    comment,
    comment_count,
    followers_of,
    following_of,
    likers_of,
    posts_with,
    tagged_posts,
)
from tests.sandbox.paging import Cursors, LastItem, Opaque, Plain, cut
from tests.sandbox.posts import Post, by_media_pk, by_shortcode, posts_of, reels_of, stories_of
from tests.sandbox.templates import Json, Template, encode, sample, sample_bytes
from tests.sandbox.universe import Creator, Trait, Universe, as_number

T = TypeVar("T")
_S = "lama"
_WEB_PROFILE = Template("rocketapi", "fetch_profile_by_handle", "response", "body", "data", "user")
_ERRORS = {
    "rate_limit": (429, "error-429"),
    "quota": (402, "error-402"),
    "unauthorized": (401, "error-401"),
    "not_found": (404, "error-404"),
    "server_error": (500, "error-500"),
}


class Lama(Host):
    """Lamadava. 403 is a private account, 402 an empty balance."""

    host = "api.lamadava.com"
    source = _S
    limit = HostLimit(1000, 1)
    mandatory: ClassVar = {
        "fetch_profile_by_id": ("pk",),
        "fetch_profile_by_handle": ("pk",),
        "fetch_profile_posts_by_id": ("*", "*", "code"),
        "fetch_reels_posts": ("*", "*", "code"),
        "fetch_post_by_shortcode": ("code",),
        "fetch_tagged_posts": ("*", "code"),
        "fetch_hashtag_posts": ("*", "*", "code"),
        "fetch_hashtag_top_posts": ("*", "*", "code"),
        "fetch_story_posts_by_profile_id": ("*", "pk"),
        "fetch_followers": ("*", "*", "pk"),
        "fetch_following": ("*", "*", "pk"),
        "fetch_post_likes": ("*", "pk"),
        "fetch_post_comments": ("*", "*", "pk"),
    }

    def __init__(self, universe: Universe) -> None:
        super().__init__(universe)
        self._by_key = {one.credentials["x-access-key"].encode(): one for one in self.credentials}
        self.answers: Mapping[str, Callable[[Call, Creator], Answer]] = {
            "fetch_profile_by_id": self.profile,
            "fetch_profile_by_handle": self.profile,
            "fetch_profile_posts_by_id": self.medias,
            "fetch_reels_posts": self.clips,
            "fetch_tagged_posts": self.tagged,
            "fetch_story_posts_by_profile_id": self.stories,
            "fetch_followers": self.people,
            "fetch_following": self.people,
        }
        self.media_answers: Mapping[str, Callable[[Call, Post], Answer]] = {
            "fetch_post_by_shortcode": self.post,
            "fetch_post_likes": self.likes,
            "fetch_post_comments": self.comments,
        }

    def identify(self, asked: Asked) -> SandboxCredential | None:
        key = asked.headers.get(b"x-access-key") or asked.query.get("access_key", "").encode()
        return self._by_key.get(key)

    def refuse(self, asked: Asked, credential: SandboxCredential | None) -> Answer | None:  # noqa: ARG002
        return self.error(Refusal("unauthorized")) if credential is None else None

    def route(self, asked: Asked, credential: SandboxCredential | None) -> Call | Answer:  # noqa: ARG002
        endpoint = ENDPOINTS.get(asked.path)
        if endpoint is None:
            return Answer.of({"detail": "Not Found"}, 404)
        subject = asked.query.get(endpoint.subject, "")
        if not subject:
            error = sample(_S, "fetch_profile_by_handle.error-422")
            error["detail"][0]["loc"] = ["query", endpoint.subject]
            return Answer.of(error, 422)
        if endpoint.by == "url":
            subject = subject.rstrip("/").rpartition("/")[2]
        size = as_number(asked.query.get(endpoint.amount, "")) if endpoint.amount else -1
        cursor = next((text for name in endpoint.cursors if (text := asked.query.get(name, ""))), "")
        by = "shortcode" if endpoint.by == "url" else endpoint.by
        return Call(endpoint.function, by, subject, cursor, size if size > 0 else endpoint.size, endpoint.extra)

    def render(self, call: Call) -> Answer:
        if call.by == "tag":
            return self.hashtag(call)
        if call.function in self.media_answers:
            find = by_shortcode if call.by == "shortcode" else by_media_pk
            post = find(self.universe, call.subject)
            if post is None:
                return Answer(404, sample_bytes(_S, "fetch_post_by_shortcode.error-404"))
            return self.media_answers[call.function](call, post)
        who = self.universe.by_handle(call.subject) if call.by == "handle" else self.universe.by_pk(call.subject)
        if who is None:
            return self.error(Refusal("not_found"))
        shown = call.function.startswith("fetch_profile_by")
        if who.kind == "closed" or (who.is_private and not shown):
            return self.error(Refusal("forbidden"))
        return self.answers[call.function](call, who)

    def profile(self, call: Call, who: Creator) -> Answer:
        """A user at the root, or the web site's below ``graphql``."""
        if call.extra == ("web",):
            user = web_people.fill_profile(_WEB_PROFILE.new(), self.universe, who, self.source)
            return Answer.of({"graphql": {"user": user}})
        return Answer.of(lama.user(self.universe, who))

    def medias(self, call: Call, who: Creator) -> Answer:
        """Posts in chunks, or a bare list; play counts are 0 in both."""
        posts = posts_of(self.universe, who)
        if call.extra == ("unpaged",):
            return Answer.of([lama.media(self.universe, post, plays=False) for post in posts[: call.size]])
        cursors = LastItem(self.universe, posts)
        return _chunk(posts, call, cursors, who.trait, lambda post: lama.media(self.universe, post, plays=False))

    def clips(self, call: Call, who: Creator) -> Answer:
        """Reels, with their play counts."""
        reels = reels_of(self.universe, who)
        return _chunk(reels, call, Opaque(who.pk), who.trait, lambda post: lama.media(self.universe, post))

    def tagged(self, call: Call, who: Creator) -> Answer:
        """A bare list of others' posts."""
        return Answer.of([lama.media(self.universe, post) for post in tagged_posts(self.universe, who)[: call.size]])

    def stories(self, call: Call, who: Creator) -> Answer:
        """A bare list, empty when there are none."""
        return Answer.of([lama.story(self.universe, story) for story in stories_of(self.universe, who)[: call.size]])

    def people(self, call: Call, who: Creator) -> Answer:
        """Followers or followed accounts in chunks, the latter also as a bare list."""
        if call.function == "fetch_followers":
            return _chunk(followers_of(self.universe, who), call, Opaque(who.pk), who.trait, lama.short)
        found = following_of(self.universe, who)
        if call.extra == ("unpaged",):
            return Answer.of([lama.short(one) for one in found[: call.size]])
        return _chunk(found, call, Plain(), who.trait, lama.short)

    def post(self, call: Call, post: Post) -> Answer:
        """A media at the root, or the web site's below ``graphql``."""
        if call.extra == ("web",):
            return Answer.of({"graphql": {"shortcode_media": web.single_post(self.universe, post)}})
        return Answer.of(lama.media(self.universe, post))

    def likes(self, call: Call, post: Post) -> Answer:  # noqa: ARG002
        """A bare list."""
        return Answer.of([lama.short(one) for one in likers_of(self.universe, post)])

    def comments(self, call: Call, post: Post) -> Answer:
        """``[items, next min_id, next max_id]``."""
        trait = self.universe.creator(post.index).trait
        page = cut(range(comment_count(post)), call.cursor, call.size, Opaque(post.pk), trait)
        if page is None:
            return _bad_cursor()
        items = [lama.comment(comment(self.universe, post, number)) for number in page.items]
        return Answer.of([items, page.cursor or None, None])

    def hashtag(self, call: Call) -> Answer:
        """Posts of anybody in chunks; the top ones are those with most likes."""
        posts = posts_with(self.universe, call.subject)
        if call.function == "fetch_hashtag_top_posts":
            posts = sorted(posts, key=lambda post: -post.likes)
        return _chunk(posts, call, Opaque(), Trait.PLAIN, lambda post: lama.media(self.universe, post))

    def error(self, refusal: Refusal) -> Answer:
        if refusal.kind == "error_in_200":
            return Answer.of({"detail": refusal.message or "challenge_required", "exc_type": "ChallengeRequired"})
        if refusal.kind == "forbidden":
            return Answer(refusal.status or 403, sample_bytes(_S, "fetch_profile_posts_by_id.error-403"))
        status, name = _ERRORS[refusal.kind]
        wait = str(max(1, math.ceil(refusal.retry_after_s))).encode()
        headers = ((b"retry-after", wait),) if refusal.kind == "rate_limit" else ()
        return Answer(refusal.status or status, sample_bytes(_S, f"fetch_profile_by_handle.{name}"), headers)


def _chunk(items: Sequence[T], call: Call, cursors: Cursors, trait: Trait, show: Callable[[T], Json]) -> Answer:
    """``[items, cursor]``."""
    page = cut(items, call.cursor, call.size, cursors, trait)
    if page is None:
        return _bad_cursor()
    return Answer(200, encode([[show(item) for item in page.items], page.cursor]))


def _bad_cursor() -> Answer:
    return Answer.of({"detail": "Invalid cursor", "exc_type": "ValidationError"}, 400)
