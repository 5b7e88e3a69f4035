"""Payloads of graphapi -> logs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from core.crawler.errors import NotFoundHere
from core.crawler.provider import Parser, Payload
from core.enums import Platform, PostType
from core.models.logs import PostLog, ProfileLog
from instagram.functions.retriever.checks import check_named, check_profile, container
from instagram.functions.retriever.reader import Reader, said
from instagram.models import keys as k
from instagram.models.pages import PostsPage, ProfilePage, posts_page

_PERMALINK = re.compile(r"/(?:p|reel|tv)/([A-Za-z0-9_-]+)")
_POST_TYPES = {
    "IMAGE": PostType.IMAGE,
    "VIDEO": PostType.REELS,
    "REELS": PostType.REELS,
    "CAROUSEL_ALBUM": PostType.CAROUSEL,
}
_VIDEO_TYPES = ("VIDEO", "REELS")


def parse_profile(payload: Payload) -> ProfilePage:
    """``business_discovery`` with its newest media."""
    user = container(Reader(payload.data), "business_discovery")
    profile = _profile(user, payload)
    return ProfilePage(check_profile(profile, payload.asked), _media(user, payload, profile))


def parse_posts(payload: Payload) -> PostsPage:
    """A page of ``business_discovery.media``. Discovery never says ``next``: ``after`` alone means more."""
    user = container(Reader(payload.data), "business_discovery")
    profile = check_profile(_profile(user, payload), payload.asked)
    posts = _media(user, payload, profile)
    check_named(posts, "permalink")
    return posts_page(posts, user.cursor("media.paging.cursors.after"))


def _profile(user: Reader, payload: Payload) -> ProfileLog:
    """Mandatory: ``ig_id`` (the id that all other sources know), ``username``."""
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


def _media(user: Reader, payload: Payload, owner: ProfileLog) -> list[PostLog]:
    return [_post(item, payload, owner) for item in user.array("media.data") or ()]


def _post(item: Reader, payload: Payload, owner: ProfileLog) -> PostLog:
    """A media object -> PostLog. Mandatory: ``id``. The account it was listed under is its owner."""
    media_type = item.word("media_type") or ""
    product_type = item.word("media_product_type")
    return PostLog(
        platform=Platform.INSTAGRAM,
        shortcode=_shortcode(item),
        profile_id=owner.profile_id,
        source=payload.source,
        timestamp=payload.fetched_at,
        dimensions=said(
            {
                k.POST_ID: item.need_id("id"),
                k.MEDIA_PK: item.id("ig_id"),
                k.PROFILE_ID: owner.profile_id,
                k.HANDLE: item.word("username") or owner.dimensions[k.HANDLE],
                k.POST_TYPE: PostType.STORY if product_type == "STORY" else _POST_TYPES.get(media_type),
                k.PRODUCT_TYPE: product_type,
                k.TAKEN_AT: _epoch(item, "timestamp"),
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


def _pictures(item: Reader, media_type: str) -> dict[str, Any]:
    """The media itself, and its still picture: only videos have a ``thumbnail_url`` of their own."""
    url = item.word("media_url")
    still = item.word("thumbnail_url") or (None if media_type in _VIDEO_TYPES else url)
    return {k.DISPLAY_URL: url, k.THUMBNAIL: still}


def _epoch(item: Reader, path: str) -> int | None:
    """``2023-01-27T10:00:00+0000`` -> epoch seconds."""
    text = item.word(path)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        seconds = 0
    if seconds <= 0:
        raise item.wrong(path, "a time since 1970", text)
    return seconds


PARSERS: Mapping[str, Parser] = {
    "fetch_profile_by_handle": parse_profile,
    "fetch_profile_posts_by_handle": parse_posts,
}
