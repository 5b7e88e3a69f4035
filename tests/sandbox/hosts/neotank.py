"""instagram130.p.rapidapi.com: web answers without their envelopes."""

from __future__ import annotations

from typing import ClassVar

from tests.sandbox.dialects import web, web_people
from tests.sandbox.hosts.base import Answer, Call, HostLimit
from tests.sandbox.hosts.rapidapi import NOT_AUTHORIZED, Endpoint, RapidApiHost, refused
from tests.sandbox.paging import Opaque, cut
from tests.sandbox.posts import Media, by_shortcode, posts_of
from tests.sandbox.templates import Template, sample
from tests.sandbox.universe import Universe

_S = "rapidapi-neotank"
_PROFILE = Template(_S, "fetch_profile_by_handle")
NEWEST = 12


class NeoTank(RapidApiHost):
    """ "Instagram" by NeoTank. Posts by handle are the newest ones without reels, a bare array."""

    host = "instagram130.p.rapidapi.com"
    source = _S
    limit = HostLimit(1000, 1)
    mandatory: ClassVar = {
        "fetch_profile_by_handle": ("id",),
        "fetch_profile_posts_by_handle": ("*", "node"),
        "fetch_profile_posts_by_id": ("edges",),
        "fetch_post_by_shortcode": ("data", "shortcode_media"),
    }
    endpoints: ClassVar = {
        "/account-info": (Endpoint("fetch_profile_by_handle", "handle", "username"),),
        "/account-feed": (Endpoint("fetch_profile_posts_by_handle", "handle", "username"),),
        "/account-medias": (Endpoint("fetch_profile_posts_by_id", "pk", "userid", "after", 80, "first", 40),),
        "/media-info": (Endpoint("fetch_post_by_shortcode", "shortcode", "code"),),
    }

    def __init__(self, universe: Universe) -> None:
        super().__init__(universe)
        self.answers = {
            "fetch_profile_by_handle": self.profile,
            "fetch_profile_posts_by_handle": self.newest,
            "fetch_profile_posts_by_id": self.medias,
            "fetch_post_by_shortcode": self.post,
        }

    def profile(self, call: Call) -> Answer:
        """A web user at the root; a private one has counts and no edges."""
        who = self.who(call)
        if who is None:
            return self._missing()
        if who.kind == "closed":
            return Answer.of(NOT_AUTHORIZED, 400)
        return Answer.of(web_people.fill_profile(_PROFILE.new(), self.universe, who, self.source))

    def newest(self, call: Call) -> Answer:
        """``[{node}]`` without paging."""
        who = self.who(call)
        if who is None:
            return self._missing()
        posts = () if who.is_private else [p for p in posts_of(self.universe, who) if p.media is not Media.REEL]
        return Answer.of([{"node": web.timeline_node(self.universe, post)} for post in posts[:NEWEST]])

    def medias(self, call: Call) -> Answer:
        """``{count, page_info, edges}`` at the root."""
        who = self.who(call)
        if who is None:
            return self._missing()
        posts = posts_of(self.universe, who)
        page = cut(() if who.is_private else posts, call.cursor, call.size, Opaque(who.pk), who.trait)
        if page is None:
            return refused("after")
        return Answer.of({**web.connection(self.universe, page, old=True), "count": len(posts)})

    def post(self, call: Call) -> Answer:
        """A web single post."""
        post = by_shortcode(self.universe, call.subject)
        if post is None:
            return Answer.of({"data": {"shortcode_media": None}, "status": "ok"})
        return Answer.of({"data": {"shortcode_media": web.single_post(self.universe, post)}, "status": "ok"})

    def _missing(self) -> Answer:
        return Answer.of(sample(_S, "fetch_profile_by_handle.error-404"), 404)
