"""What stands in rocketapi's envelope."""

from __future__ import annotations

from tests.sandbox.dialects import v1, v1_lists, web, web_people
from tests.sandbox.hosts.base import Answer, Call
from tests.sandbox.lists import followers_of, following_of, likers_of, posts_with, tagged_posts
from tests.sandbox.paging import LastItem, Opaque, Plain, cut
from tests.sandbox.posts import Media, Post, posts_of, reels_of
from tests.sandbox.templates import Json, Template, sample_bytes
from tests.sandbox.universe import Creator, Universe

_S = "rocketapi"
_BODY = "response", "body"
_FEED = "fetch_profile_posts_by_id"
_MEDIA = {
    Media.REEL: Template(_S, _FEED, *_BODY, "items", 0),
    Media.CAROUSEL: Template(_S, _FEED, *_BODY, "items", 1),
    Media.IMAGE: Template(_S, f"{_FEED}.page2", *_BODY, "items", 0),
    Media.VIDEO: Template("rapidapi-bestsolutions", _FEED, "items", 2),
}
_REEL = Template(_S, "fetch_reels_posts", *_BODY, "items", 0, "media")
_WEB_PROFILE = Template(_S, "fetch_profile_by_handle", *_BODY)
_PROFILE = Template(_S, "fetch_profile_by_id", *_BODY)
_OWNER = Template(_S, _FEED, *_BODY, "user")
_SINGLE = Template(_S, "fetch_post_by_shortcode", *_BODY)
_LIKES = Template(_S, "fetch_post_likes", *_BODY)
_LIKER = Template(_S, "fetch_post_likes", *_BODY, "users", 0)
_TAGGED = Template(_S, "fetch_tagged_posts", *_BODY)
HASHTAG_PAGE = 20

FAILS = {
    "not_found": "fetch_profile_by_handle.done-404",
    "no_user": "fetch_profile_by_handle.done-404",
    "no_media": "fetch_post_by_shortcode.done-404",
    "forbidden": "fetch_followers.done-403-private",
    "private": "fetch_followers.done-403-private",
}


def enveloped(body: object, status: int = 200) -> Answer:
    """An answer of Instagram's with its own status."""
    return Answer.of(
        {"status": "done", "response": {"status_code": status, "content_type": "application/json", "body": body}}
    )


def failed(why: str) -> Answer:
    """Instagram's refusal, in the envelope."""
    return Answer(200, sample_bytes(_S, FAILS[why]))


class Bodies:
    """Answers to calls about an account that may be shown, a post, or a hashtag."""

    def __init__(self, universe: Universe) -> None:
        self.universe = universe

    def profile(self, call: Call, who: Creator) -> Answer:
        """``user`` of the mobile API, or ``data.user`` of the web site."""
        if call.extra == ("v1",):
            body: Json = _PROFILE.new()
            v1.fill_profile(body["user"], self.universe, who, _S)
            return enveloped(body)
        body = _WEB_PROFILE.new()
        web_people.fill_profile(body["data"]["user"], self.universe, who, _S)
        return enveloped(body)

    def feed(self, call: Call, who: Creator) -> Answer:
        """v1 feed, with its account beside the items."""
        posts = posts_of(self.universe, who)
        page = cut(posts, call.cursor, call.size, LastItem(self.universe, posts), who.trait)
        if page is None:
            return _bad_cursor()
        return enveloped(v1_lists.feed(self.universe, page, _MEDIA) | {"user": v1.fill_user(_OWNER.new(), who)})

    def clips(self, call: Call, who: Creator) -> Answer:
        """v1 clips; the cursor stands in ``paging_info``."""
        page = cut(reels_of(self.universe, who), call.cursor, call.size, Opaque(who.pk), who.trait)
        if page is None:
            return _bad_cursor()
        items = [{"media": v1.fill_media(_REEL.new(), self.universe, post)} for post in page.items]
        paging: Json = {"max_id": page.cursor} if page.cursor else {}
        paging["more_available"] = page.more
        return enveloped({"items": items, "paging_info": paging, "status": "ok"})

    def tagged(self, call: Call, who: Creator) -> Answer:
        """Web edges of others' posts."""
        page = cut(tagged_posts(self.universe, who), call.cursor, call.size, Opaque(who.pk), who.trait)
        if page is None:
            return _bad_cursor()
        body: Json = _TAGGED.new()
        body["data"]["user"] = {"edge_user_to_photos_of_you": web.connection(self.universe, page)}
        return enveloped(body)

    def people(self, call: Call, who: Creator) -> Answer:
        """v1 users; cursors of followed accounts are numbers."""
        following = call.function == "fetch_following"
        cursors = Plain() if following else Opaque(who.pk)
        found = following_of(self.universe, who) if following else followers_of(self.universe, who)
        page = cut(found, call.cursor, call.size, cursors, who.trait)
        return _bad_cursor() if page is None else enveloped(v1_lists.people(page))

    def stories(self, call: Call) -> Answer:
        """v1 trays of up to four accounts."""
        found = [self.universe.by_pk(one) for one in call.subject.split(",")]
        return enveloped(v1_lists.trays(self.universe, [who for who in found if who is not None]))

    def hashtag(self, call: Call) -> Answer:
        """v1 sections; the top posts are those with most likes."""
        posts = v1_lists.section_posts(posts_with(self.universe, call.subject))
        if call.function == "fetch_hashtag_top_posts":
            posts.sort(key=lambda post: -post.likes)
        page = cut(posts, call.cursor, HASHTAG_PAGE, Opaque())
        return _bad_cursor() if page is None else enveloped(v1_lists.sections(self.universe, page, HASHTAG_PAGE))

    def about_post(self, call: Call, post: Post) -> Answer:
        """A post, its likers, its comments, or the one of its names for the other."""
        if call.extra:
            name = post.shortcode if call.extra == ("shortcode",) else str(post.pk)
            return Answer.of({"status": "done", call.extra[0]: name})
        if call.function == "fetch_post_comments":
            trait = self.universe.creator(post.index).trait
            body = v1_lists.comments(self.universe, post, call.cursor, trait)
            return _bad_cursor() if body is None else enveloped(body)
        if call.function == "fetch_post_likes":
            likers = likers_of(self.universe, post)
            users = [v1.fill_user(_LIKER.new(), one) for one in likers]
            return enveloped({**_LIKES.new(), "users": users, "user_count": post.likes})
        item = v1.fill_media(_MEDIA[post.media].new(), self.universe, post)
        return enveloped({**_SINGLE.new(), "items": [item]})


def _bad_cursor() -> Answer:
    return enveloped({"message": "Invalid max_id", "status": "fail"}, 400)
