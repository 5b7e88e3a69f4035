"""The dialect of Instagram's web site (``edge_...``, ``__typename``, ``owner``), which several sources pass through."""

from __future__ import annotations

from typing import Any

from core.crawler.provider import Payload
from core.enums import Platform, PostType
from core.models.logs import PostLog
from instagram.functions.retriever.checks import check_named, check_owner
from instagram.functions.retriever.reader import Reader, said
from instagram.models import keys as k
from instagram.models.pages import PostsPage, posts_page

_POST_TYPES = {"GraphImage": PostType.IMAGE, "GraphVideo": PostType.REELS, "GraphSidecar": PostType.CAROUSEL}
_LIKES = ("edge_media_preview_like.count", "edge_liked_by.count")
_COMMENTS = ("edge_media_to_parent_comment.count", "edge_media_to_comment.count")


def media(node: Reader, payload: Payload) -> PostLog:
    """A node -> PostLog, from a list or single. Mandatory: ``id``. Children, comments and audio are not read."""
    owner = node.id("owner.id")
    post_type = _post_type(node)
    is_video = post_type is PostType.REELS or node.flag("is_video") is True
    return PostLog(
        platform=Platform.INSTAGRAM,
        shortcode=node.word("shortcode"),
        profile_id=owner,
        source=payload.source,
        timestamp=payload.fetched_at,
        dimensions=said(
            {
                k.MEDIA_PK: node.need_id("id"),
                k.PROFILE_ID: owner,
                k.HANDLE: node.word("owner.username"),
                k.POST_TYPE: post_type,
                k.PRODUCT_TYPE: node.word("product_type"),
                k.TAKEN_AT: node.epoch("taken_at_timestamp"),
                k.CAPTION: node.word("edge_media_to_caption.edges.0.node.text"),
                k.DISPLAY_URL: node.word("display_url"),
                k.THUMBNAIL: node.word("thumbnail_src"),
                k.VIDEO_DURATION: node.number("video_duration"),
                k.IS_PAID_PARTNERSHIP: node.flag("is_paid_partnership"),
                k.LOCATION: node.word("location.name"),
                **_people(node),
            }
        ),
        metrics=said(
            {
                k.LIKES: None if node.flag("like_and_view_counts_disabled") else _first_count(node, _LIKES),
                k.COMMENTS: _first_count(node, _COMMENTS),
                k.PLAY_COUNT: node.count("video_play_count") if is_video else None,
                k.VIEW_COUNT: node.count("video_view_count") if is_video else None,
            }
        ),
    )


def _post_type(node: Reader) -> PostType | None:
    if node.word("product_type") == "story" or node.flag("is_reel_media"):
        return PostType.STORY
    name = (node.word("__typename") or "").removeprefix("XDT")
    if name in _POST_TYPES:
        return _POST_TYPES[name]
    return PostType.REELS if node.flag("is_video") else None


def _first_count(node: Reader, paths: tuple[str, ...]) -> int | None:
    """The first of several names of one count; a count that any of them hides (-1) is hidden."""
    if any(node.is_hidden(path) for path in paths):
        return None
    return next((count for path in paths if (count := node.count(path)) is not None), None)


def _people(node: Reader) -> dict[str, Any]:
    tagged = node.array("edge_media_to_tagged_user.edges")
    sponsors = node.array("edge_media_to_sponsor_user.edges")
    return {
        k.USER_TAGS: None if tagged is None else [_person(edge, "node.user") for edge in tagged],
        k.USER_SPONSORS: [_person(edge, "node.sponsor") for edge in sponsors] if sponsors else None,
        k.IS_SPONSOR: None if sponsors is None else bool(sponsors),
    }


def _person(edge: Reader, path: str) -> dict[str, str | None]:
    return {k.PROFILE_ID: edge.id(f"{path}.id"), k.HANDLE: edge.word(f"{path}.username")}


def page(timeline: Reader, payload: Payload) -> PostsPage:
    """``{page_info, edges[].node}`` -> one page of the account asked for."""
    nodes = [edge.need_object("node") for edge in timeline.array("edges") or ()]
    posts = [media(node, payload) for node in nodes]
    check_named(posts, "shortcode")
    check_owner(posts, [_accounts(node, log) for node, log in zip(nodes, posts, strict=True)], payload.asked)
    return posts_page(posts, timeline.cursor("page_info.end_cursor"), more=timeline.flag("page_info.has_next_page"))


def _accounts(node: Reader, log: PostLog) -> frozenset[str]:
    coauthors = {author.id("id") for author in node.array("coauthor_producers") or ()}
    return frozenset(account for account in {log.profile_id, *coauthors} if account is not None)
