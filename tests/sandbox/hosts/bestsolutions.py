"""instagram-api-cheap-best-performance.p.rapidapi.com: the mobile API without its envelopes."""

from __future__ import annotations

from typing import ClassVar

from tests.sandbox.dialects import v1, v1_lists
from tests.sandbox.hosts.base import Answer, Call, HostLimit
from tests.sandbox.hosts.rapidapi import NO_MEDIA, NOT_AUTHORIZED, Endpoint, RapidApiHost, refused
from tests.sandbox.lists import followers_of, following_of, posts_with
from tests.sandbox.paging import LastItem, Opaque, Plain, cut
from tests.sandbox.posts import Media, by_media_pk, by_shortcode, posts_of
from tests.sandbox.templates import Template, sample
from tests.sandbox.universe import Creator, Universe

_S = "rapidapi-bestsolutions"
_PROFILE = Template(_S, "fetch_profile_by_handle")
_FEED = "fetch_profile_posts_by_id"
_MEDIA = {
    Media.REEL: Template(_S, _FEED, "items", 0),
    Media.CAROUSEL: Template(_S, _FEED, "items", 1),
    Media.VIDEO: Template(_S, _FEED, "items", 2),
    Media.IMAGE: Template(_S, f"{_FEED}.page2", "items", 0),
}
PAGE, PEOPLE_PAGE, HASHTAG_PAGE = 12, 50, 20


class BestSolutions(RapidApiHost):
    """ "Instagram API, cheap and best performance"; hashtags are asked for at the root path."""

    host = "instagram-api-cheap-best-performance.p.rapidapi.com"
    source = _S
    limit = HostLimit(2, 1)
    mandatory: ClassVar = {
        "fetch_profile_by_id": ("pk",),
        "fetch_profile_by_handle": ("pk",),
        "fetch_profile_posts_by_id": ("items",),
        "fetch_post_by_shortcode": ("items",),
        "fetch_story_posts_by_profile_id": ("reels",),
        "fetch_followers": ("users",),
        "fetch_following": ("users",),
        "fetch_post_comments": ("comments",),
        "fetch_hashtag_posts": ("sections",),
    }
    endpoints: ClassVar = {
        "/profile": (
            Endpoint("fetch_profile_by_id", "pk", "user_id"),
            Endpoint("fetch_profile_by_handle", "handle", "username"),
        ),
        "/feed": (Endpoint("fetch_profile_posts_by_id", "pk", "user_id", "next_max_id", PAGE),),
        "/stories": (Endpoint("fetch_story_posts_by_profile_id", "pk", "user_id"),),
        "/post": (Endpoint("fetch_post_by_shortcode", "shortcode", "shortcode"),),
        "/media": (Endpoint("fetch_post_by_shortcode", "media_pk", "id"),),
        "/comments": (Endpoint("fetch_post_comments", "media_pk", "id", "next_min_id"),),
        "/followers": (Endpoint("fetch_followers", "pk", "user_id", "next_max_id", PEOPLE_PAGE),),
        "/following": (Endpoint("fetch_following", "pk", "user_id", "next_max_id", PEOPLE_PAGE),),
        "/": (Endpoint("fetch_hashtag_posts", "tag", "hashtag", "next_max_id", HASHTAG_PAGE),),
    }

    def __init__(self, universe: Universe) -> None:
        super().__init__(universe)
        self.answers = {
            "fetch_profile_by_id": self.profile,
            "fetch_profile_by_handle": self.profile,
            "fetch_profile_posts_by_id": self.feed,
            "fetch_post_by_shortcode": self.post,
            "fetch_story_posts_by_profile_id": self.stories,
            "fetch_followers": self.people,
            "fetch_following": self.people,
            "fetch_post_comments": self.comments,
            "fetch_hashtag_posts": self.hashtag,
        }

    def profile(self, call: Call) -> Answer:
        """A v1 user at the root."""
        who = self.who(call)
        if who is None:
            return self._missing(call)
        if who.kind == "closed":
            return Answer.of(NOT_AUTHORIZED, 400)
        return Answer.of(v1.fill_profile(_PROFILE.new(), self.universe, who, self.source))

    def feed(self, call: Call) -> Answer:
        """A v1 feed; ``next_max_id`` is empty on the last page, even where the flag claims another one."""
        who = self.who(call)
        if who is None or who.is_private:
            return self._closed(call, who)
        posts = posts_of(self.universe, who)
        page = cut(posts, call.cursor, call.size, LastItem(self.universe, posts), who.trait)
        if page is None:
            return refused("next_max_id")
        return Answer.of({**v1_lists.feed(self.universe, page, _MEDIA), "next_max_id": page.cursor})

    def post(self, call: Call) -> Answer:
        """A v1 list of one item."""
        find = by_shortcode if call.by == "shortcode" else by_media_pk
        post = find(self.universe, call.subject)
        if post is None:
            return Answer.of(NO_MEDIA, 404)
        item = v1.fill_media(_MEDIA[post.media].new(), self.universe, post)
        flags = {"num_results": 1, "more_available": False, "auto_load_more_enabled": False, "status": "ok"}
        return Answer.of({"items": [item], **flags})

    def stories(self, call: Call) -> Answer:
        """v1 trays."""
        who = self.who(call)
        return self._missing(call) if who is None else Answer.of(v1_lists.trays(self.universe, [who]))

    def people(self, call: Call) -> Answer:
        """v1 users; cursors of followed accounts are numbers."""
        who = self.who(call)
        if who is None or who.is_private:
            return self._closed(call, who)
        following = call.function == "fetch_following"
        cursors = Plain() if following else Opaque(who.pk)
        found = following_of(self.universe, who) if following else followers_of(self.universe, who)
        page = cut(found, call.cursor, call.size, cursors, who.trait)
        return refused("next_max_id") if page is None else Answer.of(v1_lists.people(page))

    def comments(self, call: Call) -> Answer:
        """v1 comments of a media pk."""
        post = by_media_pk(self.universe, call.subject)
        if post is None:
            return Answer.of(NO_MEDIA, 404)
        body = v1_lists.comments(self.universe, post, call.cursor, self.universe.creator(post.index).trait)
        return refused("next_min_id") if body is None else Answer.of(body)

    def hashtag(self, call: Call) -> Answer:
        """v1 sections."""
        posts = v1_lists.section_posts(posts_with(self.universe, call.subject))
        page = cut(posts, call.cursor, call.size, Opaque())
        return refused("next_max_id") if page is None else Answer.of(v1_lists.sections(self.universe, page, call.size))

    def _missing(self, call: Call) -> Answer:
        """An unknown handle is a 404, an unknown id a bare list."""
        return Answer.of([]) if call.by == "pk" else Answer.of(sample(_S, "fetch_profile_by_handle.error-404"), 404)

    def _closed(self, call: Call, who: Creator | None) -> Answer:
        return self._missing(call) if who is None else Answer.of(NOT_AUTHORIZED, 400)
