"""instagram-data1.p.rapidapi.com: web profiles and posts, v1 reels and single posts, people in collectors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from tests.sandbox.dialects import v1, v1_lists, web, web_people
from tests.sandbox.dialects.urls import avatar_url
from tests.sandbox.hosts.base import Answer, Call, HostLimit, Refusal
from tests.sandbox.hosts.rapidapi import Endpoint, RapidApiHost
from tests.sandbox.lists import (
    comment,
    comment_count,
    followers_of,
    following_of,
    likers_of,
    posts_with,
    tagged_posts,
)
from tests.sandbox.paging import Opaque, Page, cut
from tests.sandbox.posts import Media, Post, by_shortcode, posts_of, reels_of
from tests.sandbox.templates import Json, Template, encode, sample
from tests.sandbox.universe import Creator, Trait, Universe

_S = "rapidapi-igapi"
_J = "rapidapi-jotucker", "fetch_profile_posts_by_id"
_PROFILE = Template(_S, "fetch_profile_by_handle")
_REEL = Template(_S, "fetch_reels_posts", "items", 0)
_POST = Template(_S, "fetch_post_by_shortcode")
_OTHERS = {
    Media.CAROUSEL: Template(*_J, "items", 1),
    Media.VIDEO: Template(*_J, "items", 2),
    Media.IMAGE: Template("rapidapi-jotucker", "fetch_profile_posts_by_id.page2", "items", 0),
}
_PERSON = Template(_S, "fetch_followers", "collector", 0)
_LINK = re.compile(r"https?://[\w.]+/(?:p|reel|tv)/([\w-]+)/?.*")
PAGE, PEOPLE_PAGE = 50, 50
_HANDLE_OR_ID = {"username": "handle", "user_id": "pk"}


def _of_account(function: str, size: int = PEOPLE_PAGE, limit: str = "", usual: int = 0) -> tuple[Endpoint, ...]:
    return tuple(Endpoint(function, by, name, "end_cursor", size, limit, usual) for name, by in _HANDLE_OR_ID.items())


class IgApi(RapidApiHost):
    """ "Instagram Data": public accounts only, and failures come with 200."""

    host = "instagram-data1.p.rapidapi.com"
    source = _S
    limit = HostLimit(1000, 1)
    mandatory: ClassVar = {
        "fetch_profile_by_id": ("id",),
        "fetch_profile_by_handle": ("id",),
        "fetch_profile_posts_by_id": ("edges",),
        "fetch_profile_posts_by_handle": ("edges",),
        "fetch_reels_posts": ("items",),
        "fetch_post_by_shortcode": ("code",),
        "fetch_tagged_posts": ("edges",),
        "fetch_hashtag_posts": ("edges",),
        "fetch_story_posts_by_profile_id": ("reels",),
        "fetch_followers": ("collector",),
        "fetch_following": ("collector",),
        "fetch_post_likes": ("collector",),
        "fetch_post_comments": ("collector",),
    }
    endpoints: ClassVar = {
        "/user/info": (Endpoint("fetch_profile_by_handle", "handle", "username"),),
        "/user/info/id": (Endpoint("fetch_profile_by_id", "pk", "user_id"),),
        "/user/feed": (
            Endpoint("fetch_profile_posts_by_handle", "handle", "username", "end_cursor", PAGE, "limit", 12),
            Endpoint("fetch_profile_posts_by_id", "pk", "user_id", "end_cursor", PAGE, "limit", 12),
        ),
        "/user/reels": _of_account("fetch_reels_posts", 150, "limit", 25),
        "/user/tagged/feed": _of_account("fetch_tagged_posts"),
        "/user/stories": _of_account("fetch_story_posts_by_profile_id"),
        "/post/info": (Endpoint("fetch_post_by_shortcode", "shortcode", "post"),),
        "/followers": _of_account("fetch_followers"),
        "/followings": _of_account("fetch_following"),
        "/comments": (Endpoint("fetch_post_comments", "shortcode", "post", "end_cursor", PEOPLE_PAGE),),
        "/likers": (Endpoint("fetch_post_likes", "shortcode", "post", "end_cursor", PEOPLE_PAGE),),
        "/hashtag/feed": (Endpoint("fetch_hashtag_posts", "tag", "hashtag", "end_cursor", PAGE),),
    }

    def __init__(self, universe: Universe) -> None:
        super().__init__(universe)
        self.answers = {
            "fetch_profile_by_id": self.profile,
            "fetch_profile_by_handle": self.profile,
            "fetch_profile_posts_by_id": self.feed,
            "fetch_profile_posts_by_handle": self.feed,
            "fetch_reels_posts": self.reels,
            "fetch_post_by_shortcode": self.post,
            "fetch_tagged_posts": self.tagged,
            "fetch_hashtag_posts": self.hashtag,
            "fetch_story_posts_by_profile_id": self.stories,
            "fetch_followers": self.people,
            "fetch_following": self.people,
            "fetch_post_likes": self.likes,
            "fetch_post_comments": self.comments,
        }

    def render(self, call: Call) -> Answer:
        link = _LINK.fullmatch(call.subject) if call.by == "shortcode" else None
        return super().render(replace(call, subject=link[1]) if link else call)

    def profile(self, call: Call) -> Answer:
        """A web user at the root."""
        who = self.who(call)
        if who is None or who.is_private:
            return _no_user(who)
        return Answer.of(web_people.fill_profile(_PROFILE.new(), self.universe, who, self.source))

    def feed(self, call: Call) -> Answer:
        """Web posts: ``{count, page_info, edges}``."""
        who = self.who(call)
        if who is None or who.is_private:
            return _no_user(who)
        return self._edges(call, posts_of(self.universe, who), Opaque(who.pk), who.trait)

    def tagged(self, call: Call) -> Answer:
        """Posts of others, in the same form."""
        who = self.who(call)
        if who is None or who.is_private:
            return _no_user(who)
        return self._edges(call, tagged_posts(self.universe, who), Opaque(who.pk), who.trait)

    def hashtag(self, call: Call) -> Answer:
        """Posts of anybody, in the same form."""
        return self._edges(call, posts_with(self.universe, call.subject), Opaque(), Trait.PLAIN)

    def _edges(self, call: Call, posts: Sequence[Post], cursors: Opaque, trait: Trait) -> Answer:
        page = cut(posts, call.cursor, call.size, cursors, trait)
        if page is None:
            return _failed("Invalid end_cursor")
        body = web.connection(self.universe, page, old=True)
        body["page_info"] = web.page_info(page, "" if page.more else None)
        return Answer.of(body)

    def reels(self, call: Call) -> Answer:
        """v1 media without a wrapper."""
        who = self.who(call)
        if who is None or who.is_private:
            return _no_user(who)
        page = cut(reels_of(self.universe, who), call.cursor, call.size, Opaque(who.pk), who.trait)
        if page is None:
            return _failed("Invalid end_cursor")
        paging: Json = {"max_id": page.cursor} if page.cursor else {}
        paging["more_available"] = page.more
        items = [v1.fill_media(_REEL.new(), self.universe, post) for post in page.items]
        return Answer.of({"items": items, "paging_info": paging, "status": "ok"})

    def post(self, call: Call) -> Answer:
        """One v1 media at the root, with ``owner`` instead of ``user``."""
        post = by_shortcode(self.universe, call.subject)
        if post is None:
            return Answer.of(sample(_S, "fetch_post_by_shortcode.fail-200"))
        item: Json = (_POST if post.media is Media.REEL else _OTHERS[post.media]).new()
        item["user"] = item.pop("owner", None) or item["user"]
        v1.fill_media(item, self.universe, post)
        item["owner"] = item.pop("user")
        return Answer.of(item)

    def stories(self, call: Call) -> Answer:
        """v1 trays."""
        who = self.who(call)
        if who is None or who.is_private:
            return _no_user(who)
        return Answer.of(v1_lists.trays(self.universe, [who]))

    def people(self, call: Call) -> Answer:
        """A collector of followers or followed accounts."""
        who = self.who(call)
        if who is None or who.is_private:
            return _no_user(who)
        following = call.function == "fetch_following"
        found = following_of(self.universe, who) if following else followers_of(self.universe, who)
        page = cut(found, call.cursor, call.size, Opaque(who.pk), who.trait)
        count = who.following if following else who.followers
        return _collected(page, who.pk, count, [] if page is None else [_person(one) for one in page.items])

    def likes(self, call: Call) -> Answer:
        """A collector of likers."""
        post = by_shortcode(self.universe, call.subject)
        if post is None:
            return Answer.of(sample(_S, "fetch_post_by_shortcode.fail-200"))
        trait = self.universe.creator(post.index).trait
        page = cut(likers_of(self.universe, post), call.cursor, call.size, Opaque(post.pk), trait)
        return _collected(page, post.pk, post.likes, [] if page is None else [_person(one) for one in page.items])

    def comments(self, call: Call) -> Answer:
        """A collector of web comments."""
        post = by_shortcode(self.universe, call.subject)
        if post is None:
            return Answer.of(sample(_S, "fetch_post_by_shortcode.fail-200"))
        trait = self.universe.creator(post.index).trait
        page = cut(range(comment_count(post)), call.cursor, call.size, Opaque(post.pk), trait)
        numbers = page.items if page else ()
        said = [web_people.comment_node(comment(self.universe, post, number)) for number in numbers]
        return _collected(page, post.pk, post.comments, said)

    def error(self, refusal: Refusal) -> Answer:
        if refusal.kind == "not_found":
            return Answer(refusal.status or 200, encode({"status": "fail", "message": "User not found"}))
        if refusal.kind == "error_in_200":
            return _failed(refusal.message or "challenge_required")
        return super().error(refusal)


def _failed(message: str) -> Answer:
    return Answer.of({**sample(_S, "fetch_post_by_shortcode.fail-200"), "message": message})


def _no_user(who: Creator | None) -> Answer:
    private = sample(_S, "fetch_profile_posts_by_handle.fail-200")
    return _failed("User not found") if who is None else Answer.of(private)


def _person(who: Creator) -> Json:
    found: Json = _PERSON.new()
    found.update(
        id=str(who.pk),
        username=who.handle,
        full_name=who.full_name,
        profile_pic_url=avatar_url(who.pk),
        is_private=who.is_private,
        is_verified=who.is_verified,
    )
    return found


def _collected(page: Page[Any] | None, whose: int, count: int, items: list[Json]) -> Answer:
    if page is None:
        return _failed("Invalid end_cursor")
    end = page.cursor or ("" if page.more else None)
    return Answer.of({"count": count, "has_more": page.more, "end_cursor": end, "id": str(whose), "collector": items})
