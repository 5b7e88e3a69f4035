"""instagram-scraper2.p.rapidapi.com: v1 with string pks, web edges for people and comments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from tests.sandbox.dialects import v1, web
from tests.sandbox.dialects.urls import avatar_url
from tests.sandbox.hosts.arraybobo import tagged_with
from tests.sandbox.hosts.base import Answer, Call, HostLimit
from tests.sandbox.hosts.rapidapi import NOT_AUTHORIZED, NOT_FOUND, Endpoint, RapidApiHost
from tests.sandbox.people import COMMENTS
from tests.sandbox.posts import Media, Post, by_media_pk, by_shortcode, posts_of
from tests.sandbox.templates import Json, Template
from tests.sandbox.universe import Creator, Trait, Universe

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
MAX_PEOPLE = 120


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
        }

    def profile(self, call: Call) -> Answer:
        """v1 profile with a string pk; not found comes with 200."""
        who = self.who(call)
        if who is None:
            return Answer.of(NOT_FOUND)
        if who.kind == "closed":
            return Answer.of(NOT_AUTHORIZED, 400)
        body: Json = _PROFILE.new()
        v1.fill_profile(body["user"], self.universe, who)
        return Answer.of(body)

    def feed(self, call: Call) -> Answer:
        """v1 feed; the cursor is the id of the last item, and ``next_max_id`` is absent on the last page."""
        who = self.who(call)
        if who is None:
            return Answer.of(NOT_FOUND)
        if who.is_private:
            return Answer.of(NOT_AUTHORIZED, 400)
        posts = posts_of(self.universe, who)
        last = by_media_pk(self.universe, call.cursor.partition("_")[0]) if call.cursor else None
        if call.cursor and (last is None or last.index != who.index):
            return Answer.of({"message": "Invalid max_id", "status": "fail"}, 400)
        offset = last.slot + 1 if last else 0
        page = posts[offset : offset + call.size]
        more = offset + len(page) < len(posts)
        items = [v1.fill_media(_MEDIA[post.media].new(), self.universe, post) for post in page]
        lying = not more and who.trait is Trait.EMPTY_CURSOR
        body: Json = {
            "items": items,
            "num_results": len(page),
            "more_available": more or lying,
            "auto_load_more_enabled": True,
            "status": "ok",
        }
        if more:
            body["next_max_id"] = items[-1]["id"]
        return Answer.of(body)

    def post(self, call: Call) -> Answer:
        """v1 list of one item."""
        post = by_shortcode(self.universe, call.subject)
        if post is None:
            return Answer.of({"message": "Media not found or unavailable", "status": "fail"})
        body: Json = _SINGLE.new()
        body["items"] = [v1.fill_media(_MEDIA[post.media].new(), self.universe, post)]
        return Answer.of(body)

    def relations(self, call: Call) -> Answer:
        """Followers or followed accounts: up to 120 people of this universe, the true number as ``count``."""
        who = self.who(call)
        if who is None or who.is_private:
            return Answer.of({"data": {"user": None}, "status": "ok"})
        total = who.followers if call.function == "fetch_followers" else who.following
        people = self.universe.others(who.index, min(MAX_PEOPLE, total), call.function)
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
        people = self.universe.others(who.index, min(MAX_PEOPLE, post.likes), post.slot, "likes")
        return self._people(call, body, media, people, who, post.likes)

    def _people(
        self, call: Call, body: Json, place: Json, people: Sequence[Creator], who: Creator, count: int | None = None
    ) -> Answer:
        offset = web.offset_of(call.cursor)
        if offset is None:
            return Answer.of({"message": "Invalid next_cursor", "status": "fail"}, 400)
        page = people[offset : offset + call.size]
        template = _PERSON[call.function]
        edge = place[_EDGE[call.function]]
        total = who.followers if call.function == "fetch_followers" else who.following
        info = web.page_info(offset, len(page), len(people), who.pk, who.trait is Trait.EMPTY_CURSOR)
        if not info["has_next_page"] and call.function != "fetch_following":
            info["end_cursor"] = None
        edge.update(
            count=total if count is None else count,
            page_info=info,
            edges=[{"node": web.relation_node(template.new(), person)} for person in page],
        )
        return Answer.of(body)

    def comments(self, call: Call) -> Answer:
        """Parent comments; the cursor is itself a JSON text."""
        post = by_shortcode(self.universe, call.subject)
        if post is None:
            return Answer.of(_NO_MEDIA.new())
        offset = _comment_offset(call.cursor)
        if offset is None:
            return Answer.of({"message": "Invalid next_cursor", "status": "fail"}, 400)
        body: Json = _COMMENTS.new()
        edge = body["data"]["shortcode_media"]["edge_media_to_parent_comment"]
        total = min(post.comments, MAX_PEOPLE)
        page = range(offset, min(offset + call.size, total))
        info = web.page_info(offset, len(page), total, post.pk)
        cursor = {"server_cursor": info["end_cursor"], "is_server_cursor_inverse": True}
        info["end_cursor"] = json.dumps(cursor) if info["has_next_page"] else None
        edges = [{"node": self._comment(post, number)} for number in page]
        edge.update(count=post.comments, page_info=info, edges=edges)
        return Answer.of(body)

    def _comment(self, post: Post, number: int) -> Json:
        dice = self.universe.number("comment", post.pk, number)
        author = self.universe.creator(post.owner)
        writer = next(iter(self.universe.others(post.index, 1, post.slot, number)), author)
        node = self._written(_COMMENT[number % 4 == 0].new(), writer, post, number, dice)
        for reply in node["edge_threaded_comments"]["edges"]:
            self._written(reply["node"], author, post, number, dice + 1)
            reply["node"]["text"] = f"@{writer.handle} 🙏"
        return node

    @staticmethod
    def _written(node: Json, writer: Creator, post: Post, number: int, dice: int) -> Json:
        node.update(
            id=str(17_870_000_000_000_000 + dice % 10**13),
            text=COMMENTS[dice % len(COMMENTS)],
            created_at=post.taken_at + 60 + number,
            edge_liked_by={"count": dice % 40},
        )
        node["owner"].update(id=str(writer.pk), username=writer.handle)
        node["owner"].update(is_verified=writer.is_verified, profile_pic_url=avatar_url(writer.pk))
        return node

    def hashtag(self, call: Call) -> Answer:
        """Ranked posts of a hashtag."""
        offset = web.offset_of(call.cursor)
        if offset is None:
            return Answer.of({"message": "Invalid next_cursor", "status": "fail"}, 400)
        posts = tagged_with(self.universe, call.subject)
        page = posts[offset : offset + call.size]
        body: Json = _HASHTAG.new()
        tag = body["data"]["hashtag"]
        number = 17_840_000_000_000_000 + self.universe.number("tag", call.subject) % 10**13
        tag.update(id=str(number), name=call.subject)
        tag["edge_hashtag_to_ranked_media"] = {
            "page_info": web.page_info(offset, len(page), len(posts), 1),
            "edges": [{"node": self._ranked(post)} for post in page],
        }
        return Answer.of(body)

    def _ranked(self, post: Post) -> Json:
        """Owners of hashtag posts often carry only their id."""
        node = web.timeline_node(self.universe, post)
        if post.slot % 2:
            del node["owner"]["username"]
        return node


def _comment_offset(cursor: str) -> int | None:
    if not cursor:
        return 0
    try:
        return web.offset_of(str(json.loads(cursor)["server_cursor"]))
    except (ValueError, KeyError, TypeError):
        return None
