"""Logs -> column values of instagram_account and instagram_post. Keys without a column go only to the event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from core.models.logs import PostLog, ProfileLog
from instagram.models import keys as k
from utils.times import from_epoch

ACCOUNT_COLUMNS: Mapping[str, str] = {
    k.BIO: "biography",
    k.CATEGORY: "category",
    k.CATEGORY_ID: "category_id",
    k.FBID: "fbid",
    k.FOLLOWERS: "followers",
    k.FOLLOWING: "following",
    k.FULL_NAME: "full_name",
    k.HANDLE: "handle",
    k.IS_BUSINESS_OR_CREATOR: "is_business_or_creator",
    k.IS_PRIVATE: "is_private",
    k.IS_VERIFIED: "is_verified",
    k.MEDIA_COUNT: "media_count",
    k.PROFILE_PIC_URL: "profile_pic_url",
    k.PROFILE_TYPE: "profile_type",
}

POST_COLUMNS: Mapping[str, str] = {
    k.CAPTION: "caption",
    k.COMMENTS: "comments",
    k.DISPLAY_URL: "display_url",
    k.HANDLE: "handle",
    k.KEYWORDS: "keywords",
    k.LIKES: "likes",
    k.MEDIA_PK: "media_pk",
    k.PLAY_COUNT: "plays",
    k.POST_ID: "post_id",
    k.POST_TYPE: "post_type",
    k.PRODUCT_TYPE: "product_type",
    k.TAKEN_AT: "publish_time",
    k.THUMBNAIL: "thumbnail_url",
    k.VIEW_COUNT: "views",
    "tap_forward": "taps_forward",
    "tap_back": "taps_back",
    "tap_exit": "exits",
    **{
        name: name
        for name in (
            "engagement", "impressions", "interactions", "reach", "saved", "shares", "automatic_forward", "swipe_back",
            "swipe_forward", "swipe_up", "swipe_down", "replies", "navigation", "profile_activity", "profile_visits",
            "follows", "content_type", "video_views", "story_links", "story_hashtags", "profile_follower", "profile_er",
            "profile_static_er", "profile_reels_er",
        )
    },
}  # fmt: skip

CLEARABLE = frozenset({"full_name", "biography"})
"""Columns that ``""`` empties; elsewhere ``""`` counts as not said."""


def account_row(log: ProfileLog) -> dict[str, Any]:
    """Values of the columns that the source said something about."""
    return {"profile_id": log.profile_id, **_columns(ACCOUNT_COLUMNS, log)}


def post_row(log: PostLog) -> dict[str, Any]:
    """Values of the columns that the source said something about; ``publish_time`` is aware UTC.

    Raises:
        ValueError: the log does not say its shortcode.
    """
    if not log.shortcode:
        raise ValueError("a post without a shortcode cannot be stored")
    row = {"shortcode": log.shortcode, "profile_id": log.profile_id, **_columns(POST_COLUMNS, log)}
    taken = row.pop("publish_time", None)
    if isinstance(taken, int):
        row["publish_time"] = _moment(taken)
    return row


def _moment(seconds: int) -> datetime | None:
    try:
        return from_epoch(seconds)
    except ValueError:
        return None


def _columns(columns: Mapping[str, str], log: ProfileLog | PostLog) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for values in (log.dimensions, log.metrics):
        for key, value in values.items():
            column = columns.get(key)
            if column is not None and value is not None and (value != "" or column in CLEARABLE):
                row[column] = value.lower() if column == "handle" else value
    return row
