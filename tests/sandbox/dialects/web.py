"""Web GraphQL bodies: timeline nodes, single posts, and the edges with page_info around them."""

from __future__ import annotations

from typing import Any

from tests.sandbox.dialects.urls import avatar_url, image_url, video_url
from tests.sandbox.dialects.v1 import SHOWN_WHEN_HIDDEN, child_pk
from tests.sandbox.ids import shortcode_of
from tests.sandbox.paging import Page
from tests.sandbox.posts import Media, Post
from tests.sandbox.templates import Json, Template
from tests.sandbox.universe import Creator, Universe

_SIDES = "rapidapi-arraybobo", "fetch_profile_posts_by_id", "data", "user", "edge_owner_to_timeline_media", "edges"
_NODES = {
    Media.REEL: Template(*_SIDES, 0, "node"),
    Media.CAROUSEL: Template(*_SIDES, 1, "node"),
    Media.IMAGE: Template(*_SIDES, 2, "node"),
    Media.VIDEO: Template(*_SIDES, 3, "node"),
}
_OLD = "rapidapi-igapi", "fetch_profile_posts_by_handle", "edges"
_OLD_NODES = {
    Media.REEL: Template(*_OLD, 0, "node"),
    Media.CAROUSEL: Template(*_OLD, 1, "node"),
    Media.IMAGE: Template(*_OLD, 2, "node"),
    Media.VIDEO: Template(*_OLD, 0, "node", drop=("clips_music_attribution_info",)),
}
_CHILDREN = {
    Media.IMAGE: Template(*_SIDES, 1, "node", "edge_sidecar_to_children", "edges", 0, "node"),
    Media.VIDEO: Template(*_SIDES, 1, "node", "edge_sidecar_to_children", "edges", 2, "node"),
}
_TAGGED = Template(*_SIDES, 0, "node", "edge_media_to_tagged_user", "edges", 0)
_PLACE = Template(*_SIDES, 2, "node", "location")
_ONLY_VIDEO = (
    "dash_info", "has_audio", "video_url", "video_view_count", "video_play_count", "encoding_status", "is_published",
    "felix_profile_grid_crop", "product_type", "title", "video_duration", "clips_music_attribution_info",
    "tracking_token",
)  # fmt: skip
_SINGLE = {
    Media.REEL: Template("rapidapi-arraybobo", "fetch_post_by_shortcode"),
    Media.VIDEO: Template("rapidapi-arraybobo", "fetch_post_by_shortcode", drop=("clips_music_attribution_info",)),
    Media.IMAGE: Template("rapidapi-arraybobo", "fetch_post_by_shortcode", drop=_ONLY_VIDEO),
}
_SINGLE[Media.CAROUSEL] = _SINGLE[Media.IMAGE]
_TYPENAME = {
    Media.IMAGE: "GraphImage",
    Media.CAROUSEL: "GraphSidecar",
    Media.REEL: "GraphVideo",
    Media.VIDEO: "GraphVideo",
}


def timeline_node(universe: Universe, post: Post) -> Json:
    """A node of a list: no play count, and -1 for hidden likes."""
    node: Json = _NODES[post.media].new()
    node["edge_liked_by"]["count"] = -1 if post.likes_hidden else post.likes
    return _listed(node, universe, post)


def old_node(universe: Universe, post: Post) -> Json:
    """A node of older queries: likes stand only in ``edge_media_preview_like``, nobody shares the authorship."""
    node: Json = _OLD_NODES[post.media].new()
    for picture in node["display_resources"]:
        picture["src"] = image_url(post.pk, picture["config_width"], picture["config_height"])
    if post.media is Media.VIDEO:
        node["product_type"] = "feed"
    found = _listed(node, universe, post)
    del found["coauthor_producers"]
    return found


def _listed(node: Json, universe: Universe, post: Post) -> Json:
    owner = universe.creator(post.owner)
    node["owner"].update(id=str(owner.pk), username=owner.handle)
    node["edge_media_to_comment"]["count"] = post.comments
    node["edge_media_preview_like"]["count"] = -1 if post.likes_hidden else post.likes
    node["thumbnail_src"] = image_url(post.pk, 640, 640)
    for picture in node["thumbnail_resources"]:
        picture["src"] = image_url(post.pk, picture["config_width"], picture["config_height"])
    return _fill(node, universe, post)


def single_post(universe: Universe, post: Post) -> Json:
    """A post asked for by shortcode: play count and owner in full, hidden likes as a flag."""
    node: Json = _SINGLE[post.media].new()
    owner = universe.creator(post.owner)
    node["owner"].update(
        id=str(owner.pk),
        username=owner.handle,
        full_name=owner.full_name,
        is_verified=owner.is_verified,
        profile_pic_url=avatar_url(owner.pk),
        edge_followed_by={"count": owner.followers},
    )
    node["__typename"] = _TYPENAME[post.media]
    node["like_and_view_counts_disabled"] = post.likes_hidden
    node["edge_media_preview_like"]["count"] = min(post.likes, SHOWN_WHEN_HIDDEN) if post.likes_hidden else post.likes
    node["edge_media_to_parent_comment"]["count"] = post.comments
    node["edge_media_preview_comment"]["count"] = post.comments
    for picture in node["display_resources"]:
        picture["src"] = image_url(post.pk, picture["config_width"], picture["config_height"])
    if post.media is Media.VIDEO:
        node["product_type"] = "feed"
        del node["video_play_count"]
    if post.media is Media.REEL:
        node["video_play_count"] = post.plays
    return _fill(node, universe, post)


def _fill(node: Json, universe: Universe, post: Post) -> Json:
    node.update(
        id=str(post.pk),
        shortcode=post.shortcode,
        display_url=image_url(post.pk),
        is_video=post.is_video,
        taken_at_timestamp=post.taken_at,
        location=_place(post),
        edge_media_to_caption={"edges": [] if post.caption is None else [{"node": {"text": post.caption}}]},
        edge_media_to_tagged_user={"edges": [_tag(universe.creator(index)) for index in post.tagged]},
        coauthor_producers=[_coauthor(universe.creator(index)) for index in post.coauthors],
    )
    if post.is_video:
        node.update(video_url=video_url(post.pk), video_view_count=post.views, video_duration=post.duration)
    if post.media is Media.CAROUSEL:
        children = enumerate(post.children, start=1)
        edges = [{"node": _child(post, number, kind)} for number, kind in children]
        node["edge_sidecar_to_children"] = {"edges": edges}
    return node


def _child(post: Post, number: int, kind: Media) -> Json:
    child: Json = _CHILDREN[kind].new()
    pk = child_pk(post, number)
    child.update(id=str(pk), shortcode=shortcode_of(pk), display_url=image_url(pk))
    if kind is Media.VIDEO:
        child["video_url"] = video_url(pk)
    return child


def _tag(who: Creator) -> Json:
    edge: Json = _TAGGED.new()
    user = edge["node"]["user"]
    user.update(
        full_name=who.full_name,
        id=str(who.pk),
        is_verified=who.is_verified,
        profile_pic_url=avatar_url(who.pk),
        username=who.handle,
    )
    return edge


def _coauthor(who: Creator) -> Json:
    return {
        "id": str(who.pk),
        "is_verified": who.is_verified,
        "profile_pic_url": avatar_url(who.pk),
        "username": who.handle,
    }


def _place(post: Post) -> Json | None:
    if post.place is None:
        return None
    place: Json = _PLACE.new()
    place.update(name=post.place, slug=post.place.lower().replace(" ", "-"))
    return place


def relation_node(node: Json, who: Creator) -> Json:
    """A follower, followed account or liker."""
    picture = avatar_url(who.pk)
    node.update(
        id=str(who.pk),
        username=who.handle,
        full_name=who.full_name,
        profile_pic_url=picture,
        is_private=who.is_private,
        is_verified=who.is_verified,
    )
    node["reel"]["id"] = str(who.pk)
    node["reel"]["owner"].update(id=str(who.pk), username=who.handle, profile_pic_url=picture)
    return node


def page_info(page: Page[Any], end: str | None = "") -> Json:
    """page_info of a page; ``end`` stands for the cursor where there is none."""
    return {"has_next_page": page.more, "end_cursor": page.cursor or end}


def connection(universe: Universe, page: Page[Post], old: bool = False) -> Json:
    """Posts as ``{count, page_info, edges}``; ``old``: nodes as web queries gave them before."""
    node = old_node if old else timeline_node
    edges = [{"node": node(universe, post)} for post in page.items]
    return {"count": page.total, "page_info": page_info(page), "edges": edges}
