"""How profiles are answered, and what a platform offers so that a route can answer them.

Counts are integers (callers decode int64) and null when the platform hides them; averages and rates are numbers.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, Field, PlainSerializer

from core.api.envelope import Answer
from core.enums import Platform
from utils.db import Database


def _wall_time(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()


NaiveUtc = Annotated[
    datetime, PlainSerializer(_wall_time, return_type=str), Field(examples=["2026-03-01T09:30:00.123456"])
]
"""A time as callers read it: ISO 8601, UTC, without an offset."""


class PostMetrics(BaseModel):
    """Numbers of one post."""

    reach: int | None = Field(description="People reached: as stored, else estimated", examples=[5120])
    views: int | None = Field(description="Views", examples=[9800])
    likes: int | None = Field(description="Likes; null when hidden", examples=[410])
    comments: int | None = Field(description="Comments", examples=[12])
    play_count: int | None = Field(description="Plays of a reel", examples=[9800])
    engagement_rate: float | None = Field(description="(likes + comments) / followers, in percent", examples=[2.31])


class PostDimensions(BaseModel):
    """Texts of one post."""

    caption: str | None = Field(description="Caption", examples=["At the lake"])
    comments: int | None = Field(description="Comments, once more", examples=[12])
    thumbnail_url: str | None = Field(description="Picture", examples=["https://cdn.example/t.jpg"])
    display_url: str | None = Field(description="Picture or video", examples=["https://cdn.example/d.jpg"])


class RecentPost(BaseModel):
    """A recent post of a profile."""

    shortcode: str = Field(description="Its name in URLs", examples=["CxYz123AbC"])
    post_id: str | None = Field(
        description="Graph's media id; of a story its number until that is known; of a post null till Graph was asked",
        examples=["17895000000000001"],
    )
    post_type: str | None = Field(description="image, carousel, reels or story", examples=["reels"])
    post_url: str = Field(description="Where to see it", examples=["https://www.instagram.com/reel/CxYz123AbC"])
    publish_time: NaiveUtc | None = Field(description="When it was published, UTC")
    updated_at: NaiveUtc | None = Field(description="When Beat last stored it, UTC")
    metrics: PostMetrics = Field(description="Its numbers")
    dimensions: PostDimensions = Field(description="Its texts")


class InstagramProfile(BaseModel):
    """An Instagram profile as Beat last saw it."""

    platform: str = Field(description="Platform, lower case", examples=["instagram"])
    handle: str | None = Field(description="Handle, lower case", examples=["natgeo"])
    profile_id: str = Field(description="Instagram's id", examples=["787132"])
    fbid: str | None = Field(description="Facebook's id", examples=["17841400573960012"])
    full_name: str | None = Field(description="Name", examples=["National Geographic"])
    biography: str | None = Field(description="Biography")
    profile_pic_url: str | None = Field(description="Picture", examples=["https://cdn.example/p.jpg"])
    profile_type: str | None = Field(
        description="personal, business, creator or business_or_creator", examples=["business"]
    )
    followers: int | None = Field(description="Followers", examples=[279000000])
    following: int | None = Field(description="Accounts followed", examples=[133])
    media_count: int | None = Field(description="Posts", examples=[29000])
    is_private: bool | None = Field(description="Whether the account is private", examples=[False])
    updated_at: NaiveUtc | None = Field(description="When Beat last stored it, UTC")
    post_metrics: dict[str, Any] = Field(
        description="Averages by block (static, reels, story, all) with full_refresh, else empty",
        examples=[{"all": {"avg_engagement": 1.9, "avg_likes": 410.5, "avg_comments": 12.0}}],
    )
    recent_posts: list[RecentPost] | None = Field(description="Newest reels and posts with full_refresh, else null")


class ProfileAnswer(Answer):
    """A profile; ``stale`` is there, and true, when the data sources failed and the stored profile is served."""

    stale: bool | None = Field(None, description="True when the stored profile could not be refreshed", examples=[True])
    profile: InstagramProfile


class NamedProfile(BaseModel):
    """A profile inside a frame of platform and handle, as callers of this route read it."""

    platform: str = Field(description="Platform, lower case", examples=["instagram"])
    handle: str | None = Field(description="Handle, lower case", examples=["natgeo"])
    profile: InstagramProfile = Field(description="The profile")


class NamedProfileAnswer(Answer):
    """As ``ProfileAnswer``, with the profile one level deeper."""

    stale: bool | None = Field(None, description="True when the stored profile could not be refreshed", examples=[True])
    profile: NamedProfile


@dataclass(frozen=True, slots=True)
class StoredProfile:
    """What a route needs to know of a stored profile; ``updated_at`` None was never refreshed."""

    profile_id: str
    updated_at: datetime | None


class ProfileReader(Protocol):
    """A platform's stored profiles."""

    async def find(self, database: Database, handle: str) -> StoredProfile | None:
        """The newest profile with this (lower-case) handle."""

    async def find_id(self, database: Database, profile_id: str) -> StoredProfile | None:
        """The profile of this id."""

    async def show(self, database: Database, profile_id: str, *, full: bool) -> InstagramProfile:
        """The profile to answer with; posts and averages only when ``full``."""


@dataclass(frozen=True, slots=True)
class ProfileRoute:
    """What serves profiles of a platform: its reader, its flows by handle and by id, and the names of its limits."""

    reader: str
    full_flow: str
    basic_flow: str
    id_flow: str
    id_param: str
    limits: str


PROFILE_ROUTES: dict[Platform, ProfileRoute] = {
    Platform.INSTAGRAM: ProfileRoute(
        reader="instagram.views:PROFILES",
        full_flow="refresh_profile_by_handle",
        basic_flow="refresh_profile_basic",
        id_flow="refresh_profile_by_profile_id",
        id_param="profile_id",
        limits="refresh_profile_insta",
    )
}
"""Readers are named by dotted path, as flows are: core knows no platform."""
