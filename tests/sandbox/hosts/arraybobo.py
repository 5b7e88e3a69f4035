"""instagram-scraper-2022.p.rapidapi.com: profiles and reels in v1 with int pks, posts in web form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tests.sandbox.dialects import v1, v1_lists, web
from tests.sandbox.hosts.base import Answer, Call, HostLimit
from tests.sandbox.hosts.rapidapi import NO_MEDIA, NOT_AUTHORIZED, NOT_FOUND, Endpoint, RapidApiHost, refused
from tests.sandbox.lists import followers_of, following_of, likers_of, posts_with, tagged_posts
from tests.sandbox.paging import Opaque, Plain, cut
from tests.sandbox.posts import FIRST_HIGHLIGHT, Post, by_shortcode, highlights_of, posts_of, reels_of, stories_of
from tests.sandbox.templates import Json, Template
from tests.sandbox.universe import Creator, Universe, as_number

_S = "rapidapi-arraybobo"
_PROFILE = Template(_S, "fetch_profile_by_handle")
_NO_USER = Template(_S, "fetch_profile_posts_by_id.not-found-200")
_REEL = Template(_S, "fetch_reels_posts", "items", 0, "media")
_STORIES = Template(_S, "fetch_story_posts_by_profile_id")
_NO_STORIES = Template(_S, "fetch_story_posts_by_profile_id.no-stories")
_TAGGED = Template(_S, "fetch_tagged_posts")
_PERSON = Template("rocketapi", "fetch_followers", "response", "body", "users", 0)
"""A short user object as the mobile API has it everywhere."""
HASHTAG_PAGE = 20
MAX_SIMILAR = 40
_TRAY = "reels", next(iter(_STORIES.new()["reels"]))


class Arraybobo(RapidApiHost):
    """ "Instagram Scraper 2022"; the trailing slash belongs to every path."""

    host = "instagram-scraper-2022.p.rapidapi.com"
    source = _S
    limit = HostLimit(100, 30)
    mandatory: ClassVar = {
        "fetch_profile_by_id": ("user", "pk"),
        "fetch_profile_by_handle": ("user", "pk"),
        "fetch_profile_posts_by_id": ("data", "user", "edge_owner_to_timeline_media"),
        "fetch_profile_posts_by_handle": ("data", "user", "edge_owner_to_timeline_media"),
        "fetch_post_by_shortcode": ("shortcode",),
        "fetch_reels_posts": ("items",),
        "fetch_story_posts_by_profile_id": ("reels",),
        "fetch_tagged_posts": ("data", "user", "edge_user_to_photos_of_you"),
        "fetch_hashtag_posts": ("sections",),
        "fetch_followers": ("users",),
        "fetch_following": ("users",),
        "fetch_post_likes": ("users",),
        "fetch_post_comments": ("comments",),
    }
    endpoints: ClassVar = {
        "/ig/info/": (Endpoint("fetch_profile_by_id", "pk", "id_user"),),
        "/ig/info_username/": (Endpoint("fetch_profile_by_handle", "handle", "user"),),
        "/ig/posts/": (Endpoint("fetch_profile_posts_by_id", "pk", "id_user", "end_cursor", 12),),
        "/ig/posts_username/": (Endpoint("fetch_profile_posts_by_handle", "handle", "user", "end_cursor", 10),),
        "/ig/post_info/": (Endpoint("fetch_post_by_shortcode", "shortcode", "shortcode"),),
        "/ig/reels_posts/": (Endpoint("fetch_reels_posts", "pk", "id_user", "max_id", 10),),
        "/ig/reels_posts_username/": (Endpoint("fetch_reels_posts", "handle", "user", "max_id", 10),),
        "/ig/similar_accounts/": (Endpoint("fetch_similar_profiles", "pk", "id_user"),),
        "/ig/highlights_tray/": (Endpoint("fetch_profile_highlights", "pk", "id_user"),),
        "/ig/highlights/": (Endpoint("fetch_highlight_posts", "highlight", "id_highlight"),),
        "/ig/stories/": (Endpoint("fetch_story_posts_by_profile_id", "pk", "id_user"),),
        "/ig/tagged/": (Endpoint("fetch_tagged_posts", "pk", "id_user", "end_cursor", 50),),
        "/ig/followers/": (Endpoint("fetch_followers", "pk", "id_user", "next_max_id", 100),),
        "/ig/following/": (Endpoint("fetch_following", "pk", "id_user", "next_max_id", 100),),
        "/ig/likes/": (Endpoint("fetch_post_likes", "shortcode", "shortcode", "end_cursor", 12),),
        "/ig/comments/": (Endpoint("fetch_post_comments", "shortcode", "shortcode", "end_cursor", 12),),
        "/ig/hashtag/": (Endpoint("fetch_hashtag_posts", "tag", "hashtag", "next_max_id", HASHTAG_PAGE),),
    }

    def __init__(self, universe: Universe) -> None:
        super().__init__(universe)
        self.answers = {
            "fetch_profile_by_id": self.profile,
            "fetch_profile_by_handle": self.profile,
            "fetch_profile_posts_by_id": self.timeline,
            "fetch_profile_posts_by_handle": self.timeline,
            "fetch_post_by_shortcode": self.post,
            "fetch_reels_posts": self.reels,
            "fetch_story_posts_by_profile_id": self.stories,
            "fetch_tagged_posts": self.tagged,
            "fetch_hashtag_posts": self.hashtag,
            "fetch_followers": self.people,
            "fetch_following": self.people,
            "fetch_post_likes": self.likes,
            "fetch_post_comments": self.comments,
            "fetch_similar_profiles": self.similar,
            "fetch_profile_highlights": self.highlights,
            "fetch_highlight_posts": self.highlight,
        }

    def profile(self, call: Call) -> Answer:
        """v1 profile; not found comes with 200 here."""
        who = self.who(call)
        if who is None:
            return Answer.of(NOT_FOUND)
        if who.kind == "closed":
            return Answer.of(NOT_AUTHORIZED, 400)
        body: Json = _PROFILE.new()
        v1.fill_profile(body["user"], self.universe, who, self.source)
        return Answer.of(body)

    def timeline(self, call: Call) -> Answer:
        """Web timeline; ``data.user`` is null for unknown and private accounts."""
        who = self.who(call)
        if who is None or who.is_private:
            return Answer.of(_NO_USER.new())
        posts = posts_of(self.universe, who)
        return self._web_page(call, who, posts, "edge_owner_to_timeline_media")

    def tagged(self, call: Call) -> Answer:
        """Public posts of others in which this account is tagged (of those near it)."""
        who = self.who(call)
        if who is None or who.is_private:
            return Answer.of(_NO_USER.new())
        return self._web_page(call, who, tagged_posts(self.universe, who), "edge_user_to_photos_of_you")

    def _web_page(self, call: Call, who: Creator, posts: Sequence[Post], edge: str) -> Answer:
        page = cut(posts, call.cursor, call.size, Opaque(who.pk), who.trait)
        if page is None:
            return refused("end_cursor")
        body = _TAGGED.new()
        body["data"]["user"] = {edge: web.connection(self.universe, page)}
        return Answer.of(body)

    def similar(self, call: Call) -> Answer:
        """Up to 40 other accounts, on one page."""
        who = self.who(call)
        if who is None:
            return Answer.of(NOT_FOUND)
        around = self.universe.others(who.index, MAX_SIMILAR, "similar")
        return Answer.of({"users": [v1.fill_user(_PERSON.new(), one) for one in around], "status": "ok"})

    def post(self, call: Call) -> Answer:
        """Web single post, flattened to the root."""
        post = by_shortcode(self.universe, call.subject)
        if post is None:
            return Answer.of(NO_MEDIA)
        return Answer.of(web.single_post(self.universe, post))

    def reels(self, call: Call) -> Answer:
        """v1 clips feed; ``max_id`` is absent on the last page."""
        who = self.who(call)
        if who is None:
            return Answer.of(NOT_FOUND)
        if who.is_private:
            return Answer.of(NOT_AUTHORIZED, 400)
        page = cut(reels_of(self.universe, who), call.cursor, call.size, Opaque(who.pk), who.trait)
        if page is None:
            return refused("max_id")
        paging: Json = {"max_id": page.cursor} if page.cursor else {}
        paging["more_available"] = page.more
        items = [{"media": v1.fill_media(_REEL.new(), self.universe, post)} for post in page.items]
        return Answer.of({"items": items, "paging_info": paging, "status": "ok"})

    def stories(self, call: Call) -> Answer:
        """v1 reels-media; ``reels`` has no key for an account without stories."""
        who = self.who(call)
        stories = () if who is None or who.is_private else stories_of(self.universe, who)
        if who is None or not stories:
            return Answer.of(_NO_STORIES.new())
        return Answer.of(self._tray(who, stories, str(who.pk)))

    def highlights(self, call: Call) -> Answer:
        """Ids and titles of what an account keeps on show."""
        who = self.who(call)
        if who is None:
            return Answer.of(NOT_FOUND)
        names = () if who.is_private else highlights_of(self.universe, who)
        return Answer.of({"tray": [{"id": name, "title": "Kept"} for name in names], "status": "ok"})

    def highlight(self, call: Call) -> Answer:
        """v1 reels-media under the highlight's id; the number in it tells whose it is."""
        number = as_number(call.subject.removeprefix("highlight:")) - FIRST_HIGHLIGHT
        who = self.universe.creator(number // 2) if 0 <= number < self.universe.size * 2 else None
        kept = highlights_of(self.universe, who).get(call.subject, ()) if who else ()
        if who is None or who.is_private or not kept:
            return Answer.of(_NO_STORIES.new())
        return Answer.of(self._tray(who, kept, call.subject))

    def _tray(self, who: Creator, stories: Sequence[Post], name: str) -> Json:
        body: Json = _STORIES.new()
        (tray,) = body["reels"].values()
        v1.fill_user(tray["user"], who)
        pictures, films = (
            Template(_S, "fetch_story_posts_by_profile_id", *_TRAY, "items", number) for number in (0, 1)
        )
        newest = stories[-1].taken_at
        tray.update(
            id=who.pk,
            latest_reel_media=newest,
            expiring_at=newest + 86_400,
            items=[v1.fill_story((films if s.is_video else pictures).new(), self.universe, s) for s in stories],
            media_count=len(stories),
            media_ids=[story.pk for story in stories],
        )
        body["reels"] = {name: tray}
        return body

    def hashtag(self, call: Call) -> Answer:
        """v1 sections; three values go back for the next page."""
        posts = v1_lists.section_posts(posts_with(self.universe, call.subject))
        page = cut(posts, call.cursor, call.size, Opaque())
        return refused("next_max_id") if page is None else Answer.of(v1_lists.sections(self.universe, page, call.size))

    def people(self, call: Call) -> Answer:
        """v1 followers or followed accounts."""
        who = self.who(call)
        if who is None:
            return Answer.of(NOT_FOUND)
        if who.is_private:
            return Answer.of(NOT_AUTHORIZED, 400)
        following = call.function == "fetch_following"
        cursors = Plain() if following else Opaque(who.pk)
        found = following_of(self.universe, who) if following else followers_of(self.universe, who)
        page = cut(found, call.cursor, call.size, cursors, who.trait)
        return refused("next_max_id") if page is None else Answer.of(v1_lists.people(page))

    def likes(self, call: Call) -> Answer:
        """v1 likers, in pages."""
        post = by_shortcode(self.universe, call.subject)
        if post is None:
            return Answer.of(NO_MEDIA)
        trait = self.universe.creator(post.index).trait
        page = cut(likers_of(self.universe, post), call.cursor, call.size, Opaque(post.pk), trait)
        return refused("end_cursor") if page is None else Answer.of(v1_lists.people(page))

    def comments(self, call: Call) -> Answer:
        """v1 comments; their JSON cursor goes back whole."""
        post = by_shortcode(self.universe, call.subject)
        if post is None:
            return Answer.of(NO_MEDIA)
        body = v1_lists.comments(self.universe, post, call.cursor, self.universe.creator(post.index).trait)
        return refused("end_cursor") if body is None else Answer.of(body)
