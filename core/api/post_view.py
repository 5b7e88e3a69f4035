"""How posts are answered, and what a platform offers so that routes can."""

from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncSession

from core.api.envelope import Answer
from core.api.profile_view import NaiveUtc, RecentPost
from core.runtime import FlowContext
from utils.db import Database

POSTS = "instagram.post_views:POSTS"
"""Named by dotted path, as flows are: core knows no platform."""


class PostNumbers(BaseModel):
    """Numbers of one post, as stored."""

    reach: int | None = Field(description="People reached", examples=[5120])
    views: int | None = Field(description="Views", examples=[9800])
    likes: int | None = Field(description="Likes; null when hidden", examples=[410])
    play_count: int | None = Field(description="Plays of a reel", examples=[9800])
    comments: int | None = Field(description="Comments", examples=[12])


class ShownPost(BaseModel):
    """A post as Beat last saw it."""

    platform: str = Field(description="Platform, lower case", examples=["instagram"])
    handle: str | None = Field(description="Handle of its owner, lower case", examples=["natgeo"])
    data_provider: str | None = Field(None, description="GRAPHAPI or LAMA, on some routes", examples=["GRAPHAPI"])
    shortcode: str = Field(description="Its name in URLs; of a story its number", examples=["CxYz123AbC"])
    post_id: str | None = Field(
        description="Graph's media id; of a story its number until that is known; of a post null till Graph was asked",
        examples=["17895000000000001"],
    )
    post_type: str | None = Field(description="image, carousel, reels or story", examples=["reels"])
    content_type: str | None = Field(description="Of a story: image or video", examples=["image"])
    thumbnail: str | None = Field(description="Picture", examples=["https://cdn.example/t.jpg"])
    display_url: str | None = Field(description="Picture or video", examples=["https://cdn.example/d.jpg"])
    story_links: list[str] | None = Field(description="Links of a story", examples=[["https://shop.example"]])
    story_hashtags: list[str] | None = Field(description="Hashtags of a story", examples=[["lake"]])
    publish_time: NaiveUtc | None = Field(description="When it was published, UTC")
    updated_at: NaiveUtc | None = Field(description="When Beat last stored it, UTC")
    metrics: PostNumbers = Field(description="Its numbers")


class PostAnswer(Answer):
    """One post."""

    post: ShownPost


class RecentPosts(BaseModel):
    """The newest posts of a profile."""

    platform: str = Field(description="Platform, lower case", examples=["instagram"])
    profile_id: str = Field(description="The platform's id of the profile", examples=["787132"])
    recent_posts: list[RecentPost] = Field(description="Newest first, 12 at most")


class RecentPostsAnswer(Answer):
    """The newest posts of a profile, as stored."""

    data: RecentPosts


@dataclass(frozen=True, slots=True)
class WantedPosts:
    """Of whom, of which kinds (all but stories when empty), and the host of copied pictures."""

    profile_id: str
    post_types: tuple[str, ...] = ()
    cdn_host: str | None = None


class PostReader(Protocol):
    """A platform's posts."""

    async def own(self, ctx: FlowContext, shortcode: str, handle: str) -> None:
        """Refresh a post's numbers with the token of its owner.

        Raises:
            ProviderError: the token did not give them, or there is no such post.
        """

    async def elsewhere(self, ctx: FlowContext, shortcode: str, handle: str) -> str:
        """Refresh a post of this handle from a source of all posts, and name that.

        Raises:
            ProviderError: it did not give it, or it is somebody else's post.
        """

    async def public(self, ctx: FlowContext, shortcode: str, post_type: str, profile_id: str) -> str | None:
        """Refresh a post or story that anybody may see; the name of the source, where callers read one.

        Raises:
            ProviderError: no source gave it.
        """

    async def show(self, session: AsyncSession, shortcode: str) -> ShownPost | None:
        """The post as stored."""

    async def recent(self, database: Database, wanted: WantedPosts) -> list[RecentPost] | None:
        """Stored posts, newest first, at most 12; None when the profile is not stored."""
