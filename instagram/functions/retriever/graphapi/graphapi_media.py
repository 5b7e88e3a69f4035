"""Graph's account and media objects -> logs, and the pages of its edges."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from core.crawler.errors import NotFoundHere
from core.crawler.provider import Payload
from core.enums import Platform, PostType
from core.models.logs import PostLog, ProfileLog
from instagram.functions.retriever.reader import Reader, said
from instagram.models import keys as k

_PERMALINK = re.compile(r"(?<!/stories)/(?:p|reel|tv)/([A-Za-z0-9_-]+)")
_STORY_LINK = re.compile(r"/stories/[^/]+/(\d+)/?(?:\?|$)")
_EPOCH = re.compile(r"[0-9]{9,11}")
_POST_TYPES = {
    "IMAGE": PostType.IMAGE,
    "VIDEO": PostType.REELS,
    "REELS": PostType.REELS,
    "CAROUSEL_ALBUM": PostType.CAROUSEL,
    "STORY": PostType.STORY,
}
_VIDEO_TYPES = ("VIDEO", "REELS")
_CONTENT_TYPES = {"IMAGE": "image", "VIDEO": "video"}


def profile_log(user: Reader, payload: Payload) -> ProfileLog:
    """A user object -> ProfileLog. Mandatory: ``ig_id`` (the id that all other sources know), ``username``."""
    if user.raw("ig_id") is None and user.raw("username") is None and user.raw("id") is None:
        raise NotFoundHere("the answer holds no account")
    return ProfileLog(
        platform=Platform.INSTAGRAM,
        profile_id=user.need_id("ig_id"),
        source=payload.source,
        timestamp=payload.fetched_at,
        dimensions=said(
            {
                k.PROFILE_ID: user.need_id("ig_id"),
                k.HANDLE: user.need_word("username"),
                k.FULL_NAME: user.text("name"),
                k.BIO: user.text("biography"),
                k.PROFILE_PIC_URL: user.word("profile_picture_url"),
                k.EXTERNAL_URL: user.word("website"),
                k.FBID: user.id("id"),
                k.IS_BUSINESS_OR_CREATOR: True,
            }
        ),
        metrics=said(
            {
                k.FOLLOWERS: user.count("followers_count"),
                k.FOLLOWING: user.count("follows_count"),
                k.MEDIA_COUNT: user.count("media_count"),
            }
        ),
    )


def post_log(item: Reader, payload: Payload, owner: ProfileLog | None = None, *, story: bool = False) -> PostLog:
    """A media object -> PostLog. Mandatory: ``id``. Children are other entities: not read.

    Without an ``owner`` the account's id is unknown: ``owner.id`` is a Graph id, not the one that other sources know.
    """
    media_type, product_type = item.word("media_type") or "", item.word("media_product_type")
    is_story = (product_type or ("STORY" if story else "")) == "STORY" or media_type == "STORY"
    shortcode = _shortcode(item)
    return PostLog(
        platform=Platform.INSTAGRAM,
        shortcode=shortcode,
        profile_id=owner.profile_id if owner else None,
        source=payload.source,
        timestamp=payload.fetched_at,
        dimensions=said(
            {
                k.POST_ID: item.need_id("id"),
                k.MEDIA_PK: item.id("ig_id") or (_story_pk(item) if is_story else None),
                k.PROFILE_ID: owner.profile_id if owner else None,
                k.HANDLE: item.word("username") or (owner.dimensions[k.HANDLE] if owner else None),
                k.POST_TYPE: PostType.STORY if is_story else _POST_TYPES.get(media_type),
                k.CONTENT_TYPE: _CONTENT_TYPES.get(media_type) if is_story else None,
                k.PRODUCT_TYPE: product_type,
                k.SHORT_CODE: shortcode if is_story else None,
                k.TAKEN_AT: moment(item, "timestamp"),
                k.CAPTION: item.word("caption"),
                **_pictures(item, media_type),
            }
        ),
        metrics=said({k.LIKES: item.count("like_count"), k.COMMENTS: item.count("comments_count")}),
    )


def _shortcode(item: Reader) -> str | None:
    named = item.word("shortcode")
    match = _PERMALINK.search(item.word("permalink") or "")
    return named or (match[1] if match else None)


def _story_pk(item: Reader) -> str | None:
    """The link of a story ends in its media pk."""
    match = _STORY_LINK.search(item.word("permalink") or "")
    return match[1] if match else None


def _pictures(item: Reader, media_type: str) -> dict[str, Any]:
    """The media itself, and its still picture: only videos have a ``thumbnail_url`` of their own."""
    url = item.word("media_url")
    still = item.word("thumbnail_url") or (None if media_type in _VIDEO_TYPES else url)
    return {k.DISPLAY_URL: url, k.THUMBNAIL: still}


def moment(item: Reader, path: str) -> int | None:
    """``2023-01-27T10:00:00+0000``, or epoch seconds -> epoch seconds."""
    given = item.raw(path)
    if isinstance(given, int | float) or (isinstance(given, str) and _EPOCH.fullmatch(given)):
        return item.epoch(path)
    text = item.word(path)
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
        seconds = int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        seconds = 0
    if seconds <= 0:
        raise item.wrong(path, "a time since 1970", text)
    return seconds


def next_cursor(edge: Reader) -> str | None:
    """The cursor of the next page. ``after`` is there on the last page too: only ``next`` says that there is one."""
    return edge.cursor("paging.cursors.after") if edge.word("paging.next") else None
