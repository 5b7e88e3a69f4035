"""Instagram accounts and posts as Beat last saw them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, PrimaryKeyConstraint, Sequence, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.entities.base import Base, Json, RowId, Stamp

_ACCOUNT_IDS = Sequence("social_profile_id_seq", metadata=Base.metadata)
_POST_IDS = Sequence("social_post_id_seq", metadata=Base.metadata)


class InstagramAccount(Base):
    """One account; ``handle`` is lower case and not unique: of two rows the newest ``updated_at`` owns it."""

    __tablename__ = "instagram_account"

    id: Mapped[int] = mapped_column(server_default=_ACCOUNT_IDS.next_value(), primary_key=True)
    profile_id: Mapped[str]
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
    media_count: Mapped[int | None]
    is_business_or_creator: Mapped[bool | None]
    is_creator: Mapped[bool | None]
    is_in_gcc_collection: Mapped[bool | None]
    is_private: Mapped[bool | None]
    is_verified: Mapped[bool | None]
    on_gcc: Mapped[bool | None]
    created_at: Mapped[Stamp]
    refreshed_at: Mapped[datetime | None]
    updated_at: Mapped[Stamp]
    avg_comments: Mapped[float | None]
    avg_engagement: Mapped[float | None]
    avg_impressions: Mapped[float | None]
    avg_likes: Mapped[float | None]
    avg_reach: Mapped[float | None]
    avg_reels_plays: Mapped[float | None]

    __table_args__ = (
        UniqueConstraint("profile_id", name="instagram_account_profile_id"),
        Index("instagram_account_handle", "handle", text("updated_at DESC")),
        Index("instagram_account_refreshed", text("refreshed_at NULLS FIRST")),
    )


class InstagramPost(Base):
    """One post, reel or story."""

    __tablename__ = "instagram_post"

    id: Mapped[int] = mapped_column(server_default=_POST_IDS.next_value(), primary_key=True)
    profile_id: Mapped[str | None]
    handle: Mapped[str | None]
    post_id: Mapped[str | None]
    media_pk: Mapped[str | None]
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
    shortcode: Mapped[str]
    display_url: Mapped[str | None]
    thumbnail_url: Mapped[str | None]
    updated_at: Mapped[Stamp]
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
    automatic_forward: Mapped[int | None]
    swipe_back: Mapped[int | None]
    swipe_down: Mapped[int | None]
    swipe_forward: Mapped[int | None]
    swipe_up: Mapped[int | None]
    keywords: Mapped[str | None]
    story_links: Mapped[list[str] | None]
    story_hashtags: Mapped[list[str] | None]
    profile_follower: Mapped[int | None]
    profile_er: Mapped[float | None]
    profile_static_er: Mapped[float | None]
    profile_reels_er: Mapped[float | None]
    product_type: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("shortcode", name="instagram_post_shortcode"),
        Index("instagram_post_newest", "profile_id", text("publish_time DESC")),
        Index("instagram_post_post_id", "post_id", postgresql_where=text("post_id IS NOT NULL")),
        Index("instagram_post_media_pk", "media_pk", postgresql_where=text("media_pk IS NOT NULL")),
    )


class InstagramProfileInsights(Base):
    """Audience of a connected account."""

    __tablename__ = "instagram_profile_insights"

    id: Mapped[RowId]
    profile_id: Mapped[str]
    handle: Mapped[str | None]
    created_at: Mapped[Stamp]
    updated_at: Mapped[Stamp]
    audience_country: Mapped[Json | None]
    audience_city: Mapped[Json | None]
    audience_gender_age: Mapped[Json | None]
    audience_locale: Mapped[Json | None]
    reached_audience_country: Mapped[Json | None]
    reached_audience_city: Mapped[Json | None]
    reached_audience_gender_age: Mapped[Json | None]
    engaged_audience_country: Mapped[Json | None]
    engaged_audience_city: Mapped[Json | None]
    engaged_audience_gender_age: Mapped[Json | None]

    __table_args__ = (UniqueConstraint("profile_id", name="instagram_profile_insights_profile_id"),)


class InstagramAccountRequest(Base):
    """A wish for an account; a schedule helper's list."""

    __tablename__ = "instagram_account_request"

    id: Mapped[RowId]
    updated_at: Mapped[Stamp]
    created_at: Mapped[Stamp]
    handle: Mapped[str | None]
    status: Mapped[str | None]


class HandleHistory(Base):
    """Who had a handle (lower case), and when."""

    __tablename__ = "handle_history"

    platform: Mapped[str]
    handle: Mapped[str]
    profile_id: Mapped[str]
    first_seen: Mapped[Stamp]
    last_seen: Mapped[Stamp]

    __table_args__ = (
        PrimaryKeyConstraint("platform", "handle", "profile_id"),
        Index("handle_history_profile", "profile_id", "platform"),
    )


class HashtagBudget(Base):
    """A hashtag (lower case, without its sign) that a Graph user has asked for."""

    __tablename__ = "hashtag_budget"

    user_id: Mapped[str]
    hashtag: Mapped[str]
    used_at: Mapped[Stamp]

    __table_args__ = (PrimaryKeyConstraint("user_id", "hashtag"),)
