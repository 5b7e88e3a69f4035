"""Lama's own dialect: flat, times as ISO 8601 text, 0 for numbers that nobody gave."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.sandbox.dialects.urls import avatar_url, image_url, video_url
from tests.sandbox.dialects.v1 import SHOWN_WHEN_HIDDEN, child_pk
from tests.sandbox.lists import Comment
from tests.sandbox.posts import Media, Post, posts_of
from tests.sandbox.templates import Json, Template
from tests.sandbox.universe import Creator, Universe, followers_at

_S = "lama"
_USER = Template(_S, "fetch_profile_by_handle")
_SHORT = Template(_S, "fetch_post_likes", 0)
_POSTS = _S, "fetch_profile_posts_by_id", 0
_MEDIA = {
    Media.REEL: Template(*_POSTS, 0),
    Media.CAROUSEL: Template(*_POSTS, 1),
    Media.IMAGE: Template(*_POSTS, 2),
    Media.VIDEO: Template(*_POSTS, 3),
}
_CHILD = {Media.IMAGE: Template(*_POSTS, 1, "resources", 0), Media.VIDEO: Template(*_POSTS, 1, "resources", 2)}
_STORY = {is_video: Template(_S, "fetch_story_posts_by_profile_id", int(is_video)) for is_video in (False, True)}
_MENTION = Template(_S, "fetch_story_posts_by_profile_id", 0, "mentions", 0)
_TAG = Template(*_POSTS, 0, "usertags", 0)
_PLACE = Template(*_POSTS, 2, "location")
_COMMENT = Template(_S, "fetch_post_comments", 0, 0)


def stamp(moment: int) -> str:
    """ISO 8601 with the offset."""
    return datetime.fromtimestamp(moment, UTC).isoformat()


def user(universe: Universe, who: Creator) -> Json:
    """A full user; there is no fbid in it."""
    found: Json = _USER.new()
    category = who.category if who.account_type > 1 and who.category else None
    found.update(
        pk=str(who.pk),
        username=who.handle,
        full_name=who.full_name,
        is_private=who.is_private,
        profile_pic_url=avatar_url(who.pk),
        profile_pic_url_hd=avatar_url(who.pk, 1080),
        is_verified=who.is_verified,
        media_count=len(posts_of(universe, who)),
        follower_count=followers_at(who, _S),
        following_count=who.following,
        biography=who.biography,
        external_url=who.external_url,
        account_type=who.account_type,
        is_business=who.account_type == 2,
        category_name=category,
        category=category,
        interop_messaging_user_fbid=100_000_000_000_000 + who.pk,
    )
    return found


def short(who: Creator) -> Json:
    """A user inside something else, or in a list."""
    found: Json = _SHORT.new()
    found.update(
        pk=str(who.pk),
        username=who.handle,
        full_name=who.full_name,
        profile_pic_url=avatar_url(who.pk),
        is_private=who.is_private,
    )
    return found


def media(universe: Universe, post: Post, plays: bool = True) -> Json:
    """A post; ``plays`` false: the play count is 0 as in feeds, whatever it is."""
    item: Json = _MEDIA[post.media].new()
    owner = universe.creator(post.owner)
    item.update(
        pk=str(post.pk),
        id=f"{post.pk}_{owner.pk}",
        code=post.shortcode,
        taken_at=stamp(post.taken_at),
        taken_at_ts=post.taken_at,
        thumbnail_url=None if post.media is Media.CAROUSEL else image_url(post.pk, 1080, 1080),
        location=_place(post),
        user=short(owner),
        comment_count=post.comments,
        like_count=min(post.likes, SHOWN_WHEN_HIDDEN) if post.likes_hidden else post.likes,
        like_and_view_counts_disabled=post.likes_hidden,
        caption_text=post.caption or "",
        usertags=[{**_TAG.new(), "user": short(universe.creator(index))} for index in post.tagged],
        coauthor_producers=[short(universe.creator(index)) for index in post.coauthors],
        view_count=post.views or 0,
        resources=[_child(post, number, kind) for number, kind in enumerate(post.children, start=1)],
    )
    for version in item["image_versions"]:
        version["url"] = image_url(post.pk, version["width"], version["height"])
    if post.is_video:
        item.update(video_url=video_url(post.pk), video_duration=post.duration)
        item["play_count"] = (post.plays or 0) if plays else 0
        for version in item["video_versions"]:
            version.update(url=video_url(post.pk), id=f"{post.pk % 10**15}v")
    return item


def _child(post: Post, number: int, kind: Media) -> Json:
    child: Json = _CHILD[kind].new()
    pk = child_pk(post, number)
    child.update(pk=str(pk), thumbnail_url=image_url(pk, 1080, 1350))
    if kind is Media.VIDEO:
        child["video_url"] = video_url(pk)
    return child


def _place(post: Post) -> Json | None:
    return None if post.place is None else {**_PLACE.new(), "name": post.place}


def story(universe: Universe, post: Post) -> Json:
    """A story: neither caption nor counts."""
    item: Json = _STORY[post.is_video].new()
    owner = universe.creator(post.owner)
    item.update(
        pk=str(post.pk),
        id=f"{post.pk}_{owner.pk}",
        code=post.shortcode,
        taken_at=stamp(post.taken_at),
        thumbnail_url=image_url(post.pk, 1080, 1920),
        user=short(owner),
        mentions=[{**_MENTION.new(), "user": short(universe.creator(index))} for index in post.tagged],
    )
    if post.is_video:
        item.update(video_url=video_url(post.pk), video_duration=post.duration)
    return item


def comment(said: Comment) -> Json:
    """A top-level comment; replies are not counted."""
    item: Json = _COMMENT.new()
    item.update(
        pk=str(said.pk),
        text=said.text,
        user=short(said.writer),
        created_at_utc=stamp(said.created_at),
        like_count=said.likes,
    )
    return item
