"""What an account's own token gives, as the API answers it, and what a platform offers so that routes can."""

from __future__ import annotations

from typing import Any, Protocol

from pydantic import BaseModel, Field

from core.api.envelope import Answer
from core.runtime import FlowContext

OWNERS = "instagram.owner_views:OWNERS"
"""Named by dotted path, as flows are: core knows no platform."""


class OwnProfile(BaseModel):
    """The numbers of a connected account."""

    handle: str = Field(description="Handle, lower case", examples=["natgeo"])
    followers: int | None = Field(description="Followers", examples=[279000000])
    following: int | None = Field(description="Accounts followed", examples=[133])
    media_count: int | None = Field(description="Posts", examples=[29000])
    post_metrics: dict[str, Any] = Field(
        description="Averages by block (static, reels, story, all)",
        examples=[{"all": {"avg_engagement": 1.9, "avg_likes": 410.5, "avg_comments": 12.0}}],
    )


class OwnProfileAnswer(Answer):
    """A connected account."""

    profile: OwnProfile


class AudienceData(BaseModel):
    """Followers by city, and by gender and age."""

    city: dict[str, int] = Field(description="City to followers", examples=[{"Lisbon, Lisbon District": 12}])
    gender_age: dict[str, dict[str, int]] = Field(
        description="male, female and uncategorized: age to followers",
        examples=[{"male": {"25-34": 3}, "female": {"25-34": 4}, "uncategorized": {}}],
    )


class OwnAudience(BaseModel):
    """Who follows a connected account."""

    handle: str = Field(description="Handle, lower case", examples=["natgeo"])
    audience_data: AudienceData = Field(description="The followers")


class OwnAudienceAnswer(Answer):
    """The audience of a connected account."""

    profile: OwnAudience


class OwnerReader(Protocol):
    """A platform's connected accounts; handles are lower case."""

    async def adopt(self, ctx: FlowContext, handle: str, token: str, user_id: str) -> None:
        """Keep a token that the account's owner has given, when it is new and good."""

    async def profile(self, ctx: FlowContext, handle: str) -> OwnProfile:
        """Ask with the account's own token, store what comes, and show it.

        Raises:
            ProviderError: the token did not give it.
        """

    async def audience(self, ctx: FlowContext, handle: str) -> OwnAudience:
        """Ask with the account's own token; nothing is stored.

        Raises:
            ProviderError: the token did not give it, or the account is not stored.
        """
