"""Web GraphQL bodies about people: profiles, and comments."""

from __future__ import annotations

from tests.sandbox.dialects import web
from tests.sandbox.dialects.urls import avatar_url
from tests.sandbox.lists import Comment
from tests.sandbox.paging import Opaque, cut
from tests.sandbox.posts import Media, posts_of, reels_of
from tests.sandbox.templates import Json, Template
from tests.sandbox.universe import Creator, Universe, followers_at

NEWEST = 12  # posts that come with a profile, reels not among them
_EDGES = "data", "shortcode_media", "edge_media_to_parent_comment", "edges"
_COMMENT = Template("rapidapi-jotucker", "fetch_post_comments", *_EDGES, 1, "node")


def fill_profile(user: Json, universe: Universe, who: Creator, source: str) -> Json:
    """The user of a profile answer, with its newest posts; a private account shows counts and no posts."""
    posts = posts_of(universe, who)
    shown = () if who.is_private else [post for post in posts if post.media is not Media.REEL]
    page = cut(shown, "", NEWEST, Opaque(who.pk))
    assert page is not None
    timeline = web.connection(universe, page)
    link = who.external_url
    user.update(
        biography=who.biography,
        bio_links=[{**user["bio_links"][0], "url": link}] if link else [],
        external_url=link,
        external_url_linkshimmed=f"https://l.instagram.com/?u={link}" if link else None,
        edge_followed_by={"count": followers_at(who, source)},
        edge_follow={"count": who.following},
        fbid=str(who.fbid),
        full_name=who.full_name,
        has_clips=bool(reels_of(universe, who)),
        id=str(who.pk),
        is_business_account=who.account_type == 2,
        is_professional_account=who.account_type > 1,
        category_name=who.category if who.account_type > 1 and who.category else None,
        is_private=who.is_private,
        is_verified=who.is_verified,
        profile_pic_url=avatar_url(who.pk),
        profile_pic_url_hd=avatar_url(who.pk, 320),
        username=who.handle,
        edge_owner_to_timeline_media={**timeline, "count": len(posts)},
    )
    user["biography_with_entities"]["raw_text"] = who.biography
    return user


def comment_node(said: Comment) -> Json:
    """A comment without its replies."""
    node: Json = _COMMENT.new()
    node.update(id=str(said.pk), text=said.text, created_at=said.created_at, edge_liked_by={"count": said.likes})
    writer = said.writer
    node["owner"].update(id=str(writer.pk), username=writer.handle)
    node["owner"].update(is_verified=writer.is_verified, profile_pic_url=avatar_url(writer.pk))
    return node
