"""Time series of Instagram accounts and posts, kept for readers of old rows: writes are disabled."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped

from core.entities.base import Base, RowId, Stamp


class InstagramAccountTs(Base):
    """An account as it was at ``created_at``."""

    __tablename__ = "instagram_account_ts"

    id: Mapped[RowId]
    profile_id: Mapped[str | None]
    handle: Mapped[str | None]
    full_name: Mapped[str | None]
    profile_type: Mapped[str | None]
    biography: Mapped[str | None]
    followers: Mapped[int | None]
    following: Mapped[int | None]
    profile_pic_url: Mapped[str | None]
    category: Mapped[str | None]
    category_id: Mapped[str | None]
    fbid: Mapped[str | None]
    is_business_or_creator: Mapped[bool | None]
    is_private: Mapped[bool | None]
    is_verified: Mapped[bool | None]
    media_count: Mapped[int | None]
    created_at: Mapped[Stamp]


class InstagramPostTs(Base):
    """A post as it was at ``created_at``."""

    __tablename__ = "instagram_post_ts"

    id: Mapped[RowId]
    profile_id: Mapped[str | None]
    handle: Mapped[str | None]
    post_id: Mapped[str | None]
    post_type: Mapped[str | None]
    caption: Mapped[str | None]
    likes: Mapped[int | None]
    views: Mapped[int | None]
    plays: Mapped[int | None]
    comments: Mapped[int | None]
    reach: Mapped[int | None]
    saved: Mapped[int | None]
    shares: Mapped[int | None]
    impressions: Mapped[int | None]
    interactions: Mapped[int | None]
    engagement: Mapped[float | None]
    shortcode: Mapped[str | None]
    display_url: Mapped[str | None]
    thumbnail_url: Mapped[str | None]
    created_at: Mapped[Stamp]
    publish_time: Mapped[datetime | None]
    content_type: Mapped[str | None]
    taps_forward: Mapped[int | None]
    taps_back: Mapped[int | None]
    exits: Mapped[int | None]
    replies: Mapped[int | None]
    navigation: Mapped[int | None]
    profile_activity: Mapped[int | None]
    profile_visits: Mapped[int | None]
    follows: Mapped[int | None]
    video_views: Mapped[int | None]
