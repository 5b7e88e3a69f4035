"""Mobile API bodies: ``user`` and ``media`` objects with pk, code, like_count, taken_at."""

from __future__ import annotations

import base64
from typing import Any

from tests.sandbox import ids
from tests.sandbox.dialects.urls import avatar_url, image_url, video_url
from tests.sandbox.posts import Media, Post, posts_of, reels_of
from tests.sandbox.templates import Json, typed_like
from tests.sandbox.universe import Creator, Universe, followers_at

SHOWN_WHEN_HIDDEN = 3  # an account that hides likes still shows a few


def fill_profile(user: Json, universe: Universe, who: Creator, source: str) -> Json:
    """The ``user`` of a profile answer."""
    fill_user(user, who)
    picture = avatar_url(who.pk, 1080)
    user["hd_profile_pic_url_info"]["url"] = picture
    for version in user["hd_profile_pic_versions"]:
        version["url"] = avatar_url(who.pk, version["width"])
    posts = posts_of(universe, who)
    user.update(
        media_count=len(posts),
        follower_count=followers_at(who, source),
        following_count=who.following,
        biography=who.biography,
        external_url=who.external_url or "",
        account_type=who.account_type,
        is_business=who.account_type == 2,
        category=who.category if who.account_type > 1 else "",
        page_name=who.full_name,
        total_clips_count=len(reels_of(universe, who)),
        has_videos=any(post.is_video for post in posts),
        interop_messaging_user_fbid=100_000_000_000_000 + who.pk,
    )
    user["fbid_v2"] = typed_like(user["fbid_v2"], who.fbid)
    user["biography_with_entities"]["raw_text"] = who.biography
    user["bio_links"] = [{**user["bio_links"][0], "url": who.external_url}] if who.external_url else []
    user["external_lynx_url"] = f"https://l.instagram.com/?u={who.external_url}" if who.external_url else ""
    return user


def fill_user(user: Json, who: Creator) -> Json:
    """A user object inside something else; only keys that the template has."""
    values: Json = {
        "pk_id": str(who.pk),
        "username": who.handle,
        "full_name": who.full_name,
        "is_private": who.is_private,
        "is_verified": who.is_verified,
        "profile_pic_url": avatar_url(who.pk),
        "profile_pic_id": f"{who.pk * 1_000_003}_{who.pk}",
    }
    user["pk"] = typed_like(user["pk"], who.pk)
    user.update({key: value for key, value in values.items() if key in user})
    return user


def fill_media(media: Json, universe: Universe, post: Post) -> Json:
    """A post from the template of its own kind; hidden likes are flagged and the number shown is not the true one."""
    owner = universe.creator(post.owner)
    media["pk"] = typed_like(media["pk"], post.pk)
    media.update(
        id=f"{post.pk}_{owner.pk}",
        taken_at=post.taken_at,
        device_timestamp=post.taken_at * 1_000_000 + 123_456,
        code=post.shortcode,
        client_cache_key=base64.b64encode(str(post.pk).encode()).decode() + ".2",
        like_and_view_counts_disabled=post.likes_hidden,
        comment_count=post.comments,
        like_count=min(post.likes, SHOWN_WHEN_HIDDEN) if post.likes_hidden else post.likes,
    )
    fill_user(media["user"], owner)
    fill_caption(media, owner, post)
    _fill_usertags(media, universe, post)
    if post.media is Media.CAROUSEL:
        _fill_children(media, owner, post)
    else:
        _fill_pictures(media, post.pk)
    if post.is_video:
        _fill_video(media, owner, post)
    return media


def fill_story(item: Json, universe: Universe, post: Post) -> Json:
    """A story item: its user is pk and is_private only."""
    owner = universe.creator(post.owner)
    item["pk"] = typed_like(item["pk"], post.pk)
    item.update(
        id=f"{post.pk}_{owner.pk}",
        taken_at=post.taken_at,
        device_timestamp=post.taken_at * 1_000_000 + 55,
        code=post.shortcode,
        expiring_at=post.taken_at + 86_400,
    )
    item["user"].update(pk=typed_like(item["user"]["pk"], owner.pk), is_private=owner.is_private)
    _fill_pictures(item, post.pk)
    if post.is_video:
        item["video_duration"] = post.duration
        _fill_versions(item, post.pk)
    for mention in item.get("reel_mentions", []):
        fill_user(mention["user"], universe.creator(post.tagged[0] if post.tagged else post.owner))
    return item


def _fill_pictures(media: Json, pk: int) -> None:
    for picture in media["image_versions2"]["candidates"]:
        picture["url"] = image_url(pk, picture["width"], picture["height"])
    for picture in media["image_versions2"].get("additional_candidates", {}).values():
        picture["url"] = image_url(pk, picture["width"], picture["height"])


def _fill_versions(media: Json, pk: int) -> None:
    for version in media["video_versions"]:
        version.update(url=video_url(pk), id=f"{pk % 10**15}v")


def _fill_video(media: Json, owner: Creator, post: Post) -> None:
    media.update(video_duration=post.duration, view_count=post.views)
    _fill_versions(media, post.pk)
    if "play_count" in media:
        media["play_count"] = post.plays
    if "clips_metadata" in media:
        sound = media["clips_metadata"]["original_sound_info"]
        sound.update(
            audio_asset_id=post.pk % 10**16,
            original_media_id=post.pk,
            time_created=post.taken_at,
            duration_in_ms=int((post.duration or 0) * 1000),
        )
        fill_user(sound["ig_artist"], owner)


def _fill_children(media: Json, owner: Creator, post: Post) -> None:
    by_type: dict[int, Any] = {child["media_type"]: child for child in media["carousel_media"]}
    children = []
    for number, kind in enumerate(post.children, start=1):
        child = _copy(by_type[1 if kind is Media.IMAGE else 2])
        pk = child_pk(post, number)
        child.update(id=f"{pk}_{owner.pk}", pk=typed_like(child["pk"], pk), carousel_parent_id=f"{post.pk}_{owner.pk}")
        _fill_pictures(child, pk)
        if kind is Media.VIDEO:
            _fill_versions(child, pk)
        children.append(child)
    media.update(carousel_media=children, carousel_media_count=len(children))


def child_pk(post: Post, number: int) -> int:
    """Media pk of a carousel's child: a later millisecond, so that it is nobody's post."""
    return ids.media_pk(post.taken_at, post.index, post.slot) + (number << 23)


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def fill_caption(media: Json, owner: Creator, post: Post) -> None:
    """``caption`` of a post, null when there is none."""
    if post.caption is None:
        media["caption"] = None
        return
    caption = media["caption"]
    caption["user_id"] = typed_like(caption["user_id"], owner.pk)
    caption["media_id"] = typed_like(caption["media_id"], post.pk)
    caption.update(
        pk=str(17_000_000_000_000_000 + post.pk % 10**15),
        text=post.caption,
        created_at=post.taken_at + 1,
        created_at_utc=post.taken_at + 1,
    )
    fill_user(caption["user"], owner)


def _fill_usertags(media: Json, universe: Universe, post: Post) -> None:
    """``usertags`` is absent when nobody is tagged."""
    media.pop("usertags", None)
    if not post.tagged:
        return
    tags = []
    for index in post.tagged:
        user = {key: media["user"][key] for key in _TAGGED if key in media["user"]}
        tags.append(
            {
                "user": fill_user(user, universe.creator(index)),
                "position": [0.5, 0.35],
                "start_time_in_video_in_sec": None,
                "duration_in_video_in_sec": None,
            }
        )
    media["usertags"] = {"in": tags}


_TAGGED = ("pk", "pk_id", "username", "full_name", "is_private", "profile_pic_url", "profile_pic_id", "is_verified")
