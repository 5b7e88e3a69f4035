"""instagram-scraper2.p.rapidapi.com: v1 with string pks, web edges for people and comments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from tests.sandbox.dialects import v1, v1_lists, web
from tests.sandbox.dialects.urls import avatar_url
from tests.sandbox.hosts.base import Answer, Call, HostLimit
from tests.sandbox.hosts.rapidapi import NO_MEDIA, NOT_AUTHORIZED, NOT_FOUND, Endpoint, RapidApiHost, refused
from tests.sandbox.lists import comment, comment_count, followers_of, following_of, likers_of, posts_with
from tests.sandbox.paging import LastItem, Opaque, cut
from tests.sandbox.posts import Media, Post, by_shortcode, posts_of
from tests.sandbox.templates import Json, Template
from tests.sandbox.universe import Creator, Universe

_S = "rapidapi-jotucker"
_PROFILE = Template(_S, "fetch_profile_by_handle")
_FEED = "fetch_profile_posts_by_id"
_MEDIA = {
    Media.REEL: Template(_S, _FEED, "items", 0),
    Media.CAROUSEL: Template(_S, _FEED, "items", 1),
    Media.VIDEO: Template(_S, _FEED, "items", 2),
    Media.IMAGE: Template(_S, f"{_FEED}.page2", "items", 0),
}
_SINGLE = Template(_S, "fetch_post_by_shortcode")
_PEOPLE = {
    "fetch_followers": Template(_S, "fetch_followers"),
    "fetch_following": Template(_S, "fetch_following"),
    "fetch_post_likes": Template(_S, "fetch_post_likes"),
}
_EDGE = {"fetch_followers": "edge_followed_by", "fetch_following": "edge_follow", "fetch_post_likes": "edge_liked_by"}
_PERSON = {
    "fetch_followers": Template(_S, "fetch_followers", "data", "user", "edge_followed_by", "edges", 0, "node"),
    "fetch_following": Template(_S, "fetch_following", "data", "user", "edge_follow", "edges", 0, "node"),
    "fetch_post_likes": Template(
        _S, "fetch_post_likes", "data", "shortcode_media", "edge_liked_by", "edges", 0, "node"
    ),
}
_COMMENT_EDGES = "data", "shortcode_media", "edge_media_to_parent_comment", "edges"
_COMMENTS = Template(_S, "fetch_post_comments")
_COMMENT = {
    replied: Template(_S, "fetch_post_comments", *_COMMENT_EDGES, 0 if replied else 1, "node")
    for replied in (True, False)
}
_NO_MEDIA = Template(_S, "fetch_post_comments.missing-200")
_HASHTAG = Template(_S, "fetch_hashtag_posts")


class JoTucker(RapidApiHost):
    """ "Instagram Scraper" by JoTucker; ``max_id`` pages medias_v2, ``next_cursor`` everything else."""

    host = "instagram-scraper2.p.rapidapi.com"
    source = _S
    limit = HostLimit(5, 1)
    mandatory: ClassVar = {
        "fetch_profile_by_id": ("user", "pk"),
        "fetch_profile_by_handle": ("user", "pk"),
        "fetch_profile_posts_by_id": ("items",),
        "fetch_post_by_shortcode": ("items",),
        "fetch_followers": ("data", "user", "edge_followed_by"),
        "fetch_following": ("data", "user", "edge_follow"),
        "fetch_post_likes": ("data", "shortcode_media", "edge_liked_by"),
        "fetch_post_comments": ("data", "shortcode_media", "edge_media_to_parent_comment"),
        "fetch_story_posts_by_profile_id": ("reels",),
        "fetch_hashtag_posts": ("data", "hashtag", "edge_hashtag_to_ranked_media"),
    }
    endpoints: ClassVar = {
        "/user_info_by_id": (
            Endpoint("fetch_profile_by_id", "pk", "user_id"),
            Endpoint("fetch_profile_by_handle", "handle", "user_name"),
        ),
        "/medias_v2": (Endpoint("fetch_profile_posts_by_id", "pk", "user_id", "max_id", 50, "batch_size"),),
        "/media_info_v2": (Endpoint("fetch_post_by_shortcode", "shortcode", "short_code"),),
        "/followers": (Endpoint("fetch_followers", "pk", "user_id", "next_cursor", 50, "batch_size"),),
        "/following": (Endpoint("fetch_following", "pk", "user_id", "next_cursor", 50, "batch_size"),),
        "/media_likers": (Endpoint("fetch_post_likes", "shortcode", "short_code", "next_cursor", 50, "batch_size"),),
        "/media_comments": (
            Endpoint("fetch_post_comments", "shortcode", "short_code", "next_cursor", 50, "batch_size"),
        ),
        "/stories": (Endpoint("fetch_story_posts_by_profile_id", "pk", "user_id"),),
        "/hash_tag_medias_v2": (Endpoint("fetch_hashtag_posts", "tag", "hash_tag", "next_cursor", 50, "batch_size"),),
    }

    def __init__(self, universe: Universe) -> None:
        super().__init__(universe)
        self.answers = {
            "fetch_profile_by_id": self.profile,
            "fetch_profile_by_handle": self.profile,
            "fetch_profile_posts_by_id": self.feed,
            "fetch_post_by_shortcode": self.post,
            "fetch_followers": self.relations,
            "fetch_following": self.relations,
            "fetch_post_likes": self.likes,
            "fetch_post_comments": self.comments,
            "fetch_hashtag_posts": self.hashtag,
            "fetch_story_posts_by_profile_id": self.stories,
        }

    def profile(self, call: Call) -> Answer:
        """v1 profile with a string pk; not found comes with 200."""
        who = self.who(call)
        if who is None:
            return Answer.of(NOT_FOUND)
        if who.kind == "closed":
            return Answer.of(NOT_AUTHORIZED, 400)
        body: Json = _PROFILE.new()
        v1.fill_profile(body["user"], self.universe, who, self.source)
        return Answer.of(body)

    def feed(self, call: Call) -> Answer:
        """v1 feed; the cursor is the id of the last item, and ``next_max_id`` is absent on the last page."""
        who = self.who(call)
        if who is None:
            return Answer.of(NOT_FOUND)
        if who.is_private:
            return Answer.of(NOT_AUTHORIZED, 400)
        posts = posts_of(self.universe, who)
        page = cut(posts, call.cursor, call.size, LastItem(self.universe, posts), who.trait)
        return refused("max_id") if page is None else Answer.of(v1_lists.feed(self.universe, page, _MEDIA))

    def post(self, call: Call) -> Answer:
        """v1 list of one item."""
        post = by_shortcode(self.universe, call.subject)
        if post is None:
            return Answer.of(NO_MEDIA)
        body: Json = _SINGLE.new()
        body["items"] = [v1.fill_media(_MEDIA[post.media].new(), self.universe, post)]
        return Answer.of(body)

    def stories(self, call: Call) -> Answer:
        """v1 reels-media."""
        who = self.who(call)
        return Answer.of(v1_lists.trays(self.universe, [] if who is None else [who]))

    def relations(self, call: Call) -> Answer:
        """Followers or followed accounts: up to 120 people of this universe, the true number as ``count``."""
        who = self.who(call)
        if who is None or who.is_private:
            return Answer.of({"data": {"user": None}, "status": "ok"})
        following = call.function == "fetch_following"
        people = following_of(self.universe, who) if following else followers_of(self.universe, who)
        body: Json = _PEOPLE[call.function].new()
        return self._people(call, body, body["data"]["user"], people, who)

    def likes(self, call: Call) -> Answer:
        """Who liked a post."""
        post = by_shortcode(self.universe, call.subject)
        if post is None:
            return Answer.of(_NO_MEDIA.new())
        who = self.universe.creator(post.index)
        body: Json = _PEOPLE[call.function].new()
        media = body["data"]["shortcode_media"]
        media.update(id=str(post.pk), shortcode=post.shortcode)
        return self._people(call, body, media, likers_of(self.universe, post), who, post.likes)

    def _people(
        self, call: Call, body: Json, place: Json, people: Sequence[Creator], who: Creator, count: int | None = None
    ) -> Answer:
        page = cut(people, call.cursor, call.size, Opaque(who.pk), who.trait)
        if page is None:
            return refused("next_cursor")
        template = _PERSON[call.function]
        edge = place[_EDGE[call.function]]
        total = who.followers if call.function == "fetch_followers" else who.following
        end = "" if page.more or call.function == "fetch_following" else None
        edge.update(
            count=total if count is None else count,
            page_info=web.page_info(page, end),
            edges=[{"node": web.relation_node(template.new(), person)} for person in page.items],
        )
        return Answer.of(body)

    def comments(self, call: Call) -> Answer:
        """Parent comments; the cursor is itself a JSON text."""
        post = by_shortcode(self.universe, call.subject)
        if post is None:
            return Answer.of(_NO_MEDIA.new())
        trait = self.universe.creator(post.index).trait
        page = cut(range(comment_count(post)), call.cursor, call.size, ServerCursor(), trait)
        if page is None:
            return refused("next_cursor")
        body: Json = _COMMENTS.new()
        edges = [{"node": self._comment(post, number)} for number in page.items]
        edge = {"count": post.comments, "page_info": web.page_info(page, "" if page.more else None), "edges": edges}
        body["data"]["shortcode_media"]["edge_media_to_parent_comment"] = edge
        return Answer.of(body)

    def _comment(self, post: Post, number: int) -> Json:
        said = comment(self.universe, post, number)
        author = self.universe.creator(post.owner)
        node = self._written(_COMMENT[said.replied].new(), said.writer, said.created_at)
        node.update(id=str(said.pk), text=said.text, edge_liked_by={"count": said.likes})
        for reply in node["edge_threaded_comments"]["edges"]:
            written = self._written(reply["node"], author, said.created_at)
            dice = self.universe.number("comment", post.pk, number) + 1
            written.update(id=str(17_870_000_000_000_000 + dice % 10**13), text=f"@{said.writer.handle} 🙏")
            written["edge_liked_by"] = {"count": dice % 40}
        return node

    @staticmethod
    def _written(node: Json, writer: Creator, created_at: int) -> Json:
        node["created_at"] = created_at
        node["owner"].update(id=str(writer.pk), username=writer.handle)
        node["owner"].update(is_verified=writer.is_verified, profile_pic_url=avatar_url(writer.pk))
        return node

    def hashtag(self, call: Call) -> Answer:
        """Ranked posts of a hashtag."""
        page = cut(posts_with(self.universe, call.subject), call.cursor, call.size, Opaque())
        if page is None:
            return refused("next_cursor")
        body: Json = _HASHTAG.new()
        tag = body["data"]["hashtag"]
        number = 17_840_000_000_000_000 + self.universe.number("tag", call.subject) % 10**13
        tag.update(id=str(number), name=call.subject, profile_pic_url=avatar_url(number))
        tag["edge_hashtag_to_ranked_media"] = {
            "page_info": web.page_info(page),
            "edges": [{"node": self._ranked(post)} for post in page.items],
        }
        return Answer.of(body)

    def _ranked(self, post: Post) -> Json:
        """Owners of hashtag posts often carry only their id."""
        node = web.timeline_node(self.universe, post)
        if post.slot % 2:
            del node["owner"]["username"]
        return node


class ServerCursor:
    """A cursor that is itself a JSON text."""

    def write(self, offset: int) -> str:
        return json.dumps({"server_cursor": Opaque().write(offset), "is_server_cursor_inverse": True})

    def read(self, text: str) -> int | None:
        try:
            return Opaque().read(str(json.loads(text)["server_cursor"]))
        except (ValueError, KeyError, TypeError):
            return None
