"""The dialect of Instagram's web site (``edge_...``, ``__typename``, ``owner``), which several sources pass through."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.crawler.provider import Payload
from core.enums import Platform, PostType
from core.models.logs import PostLog, ProfileLog
from instagram.functions.retriever.checks import check_named, check_owner, check_profile, entries
from instagram.functions.retriever.reader import Reader, said
from instagram.models import keys as k
from instagram.models.pages import PostsPage, ProfilePage, posts_page

_POST_TYPES = {
    "GraphImage": PostType.IMAGE,
    "GraphVideo": PostType.REELS,
    "GraphSidecar": PostType.CAROUSEL,
    "GraphStoryImage": PostType.STORY,
    "GraphStoryVideo": PostType.STORY,
}
_LIKES = ("edge_media_preview_like.count", "edge_liked_by.count")
_COMMENTS = ("edge_media_to_parent_comment.count", "edge_media_to_comment.count")


def profile(user: Reader, payload: Payload) -> ProfilePage:
    """A user object -> ProfilePage with the posts of its timeline. Mandatory: ``id``, ``username``."""
    log = ProfileLog(
        platform=Platform.INSTAGRAM,
        profile_id=user.need_id("id"),
        source=payload.source,
        timestamp=payload.fetched_at,
        dimensions=said(
            {
                k.PROFILE_ID: user.need_id("id"),
                k.HANDLE: user.need_word("username"),
                k.FULL_NAME: user.text("full_name"),
                k.BIO: user.text("biography"),
                k.PROFILE_PIC_URL: user.word("profile_pic_url"),
                k.FBID: user.id("fbid"),
                k.CATEGORY: user.word("category_name"),
                k.BUSINESS_CATEGORY: user.word("business_category_name"),
                k.EXTERNAL_URL: user.word("external_url"),
                k.PUBLIC_EMAIL: user.word("business_email"),
                k.CONTACT_PHONE: user.word("business_phone_number"),
                k.IS_PRIVATE: user.flag("is_private"),
                k.IS_VERIFIED: user.flag("is_verified"),
                k.IS_BUSINESS: user.flag("is_business_account"),
                k.IS_PROFESSIONAL: user.flag("is_professional_account"),
                k.IS_BUSINESS_OR_CREATOR: _either(user, "is_business_account", "is_professional_account"),
            }
        ),
        metrics=said(
            {
                k.FOLLOWERS: user.count("edge_followed_by.count"),
                k.FOLLOWING: user.count("edge_follow.count"),
                k.MEDIA_COUNT: user.count("edge_owner_to_timeline_media.count"),
            }
        ),
    )
    edges = user.array("edge_owner_to_timeline_media.edges") or []
    return ProfilePage(check_profile(log, payload.asked), [media(edge.need_object("node"), payload) for edge in edges])


def _either(user: Reader, *paths: str) -> bool | None:
    """Whether any of the flags is set; null when none was said."""
    flags = [flag for path in paths if (flag := user.flag(path)) is not None]
    return any(flags) if flags else None


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
    if node.flag("is_video"):
        return PostType.REELS
    return None if name else _unnamed_type(node)


def _unnamed_type(node: Reader) -> PostType | None:
    """Of a post that is no video and does not say what it is: only carousels have children."""
    if node.raw("edge_sidecar_to_children") is not None:
        return PostType.CAROUSEL
    return None if node.flag("is_video") is None else PostType.IMAGE


def _first_count(node: Reader, paths: tuple[str, ...]) -> int | None:
    """The first of several names of one count; a count that any of them hides (-1) is hidden."""
    if any(node.is_hidden(path) for path in paths):
        return None
    return next((count for path in paths if (count := node.count(path)) is not None), None)


def _people(node: Reader) -> dict[str, Any]:
    tagged = node.array("edge_media_to_tagged_user.edges")
    sponsors = node.array("edge_media_to_sponsor_user.edges")
    return {
        k.USER_TAGS: None if tagged is None else _named(tagged, "node.user"),
        k.USER_SPONSORS: _named(sponsors, "node.sponsor") if sponsors else None,
        k.IS_SPONSOR: None if sponsors is None else bool(sponsors),
    }


def _named(edges: list[Reader], path: str) -> list[dict[str, str | None]]:
    people = [user for edge in edges if (user := edge.object(path))]
    return [{k.PROFILE_ID: user.id("id"), k.HANDLE: user.word("username")} for user in people]


def page(timeline: Reader, payload: Payload) -> PostsPage:
    """``{page_info, edges[].node}`` -> one page of the account asked for."""
    edges = entries(timeline, "edges")
    found = latest(edges, payload)
    return replace(posts_page(found.posts, *_paging(timeline)), pinned=found.pinned)


def feed(timeline: Reader, payload: Payload) -> PostsPage:
    """``{page_info, edges[].node}`` -> one page of posts of anybody."""
    nodes = [edge.need_object("node") for edge in entries(timeline, "edges")]
    return posts_page(_posts(nodes, payload), *_paging(timeline))


def latest(edges: list[Reader], payload: Payload) -> PostsPage:
    """A bare list of ``{node}``, all there is, of the account asked for."""
    nodes = [edge.need_object("node") for edge in edges]
    posts = _posts(nodes, payload)
    each = list(zip(nodes, posts, strict=True))
    check_owner(posts, [_accounts(node, log) for node, log in each], payload.asked)
    pinned = frozenset(log.dimensions[k.MEDIA_PK] for node, log in each if node.raw("pinned_for_users"))
    return PostsPage(posts, pinned=pinned)


def _posts(nodes: list[Reader], payload: Payload) -> list[PostLog]:
    posts = [media(node, payload) for node in nodes]
    check_named(posts, "shortcode")
    return posts


def _paging(timeline: Reader) -> tuple[str | None, bool | None]:
    return timeline.cursor("page_info.end_cursor"), timeline.flag("page_info.has_next_page")


def _accounts(node: Reader, log: PostLog) -> frozenset[str]:
    coauthors = {author.id("id") for author in node.array("coauthor_producers") or ()}
    return frozenset(account for account in {log.profile_id, *coauthors} if account is not None)
