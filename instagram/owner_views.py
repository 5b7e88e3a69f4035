"""Connected Instagram accounts as the API answers them: asked for with the account's own token."""

from __future__ import annotations

from core.api.owner_view import AudienceData, OwnAudience, OwnProfile
from core.crawler.errors import InsufficientData, NotFound
from core.crawler.provider import Asked
from core.runtime import FlowContext
from instagram.flows.refresh_profile import refresh_profile_by_handle_from_graphapi
from instagram.models.functions import FETCH_FOLLOWER_AUDIENCE_INSIGHTS
from instagram.tasks.insights_ingestion import by_gender
from instagram.tasks.lookups import account_by_handle
from instagram.tasks.own_token import adopt
from instagram.tasks.retrieval import crawler_of
from instagram.views import PROFILES


class Owners:
    """Reads through the Graph API."""

    async def adopt(self, ctx: FlowContext, handle: str, token: str, user_id: str) -> None:
        """Keep a token that the account's owner has given, when it is new and good."""
        await adopt(ctx, handle, {"token": token, "user_id": user_id})

    async def profile(self, ctx: FlowContext, handle: str) -> OwnProfile:
        """Refresh the account and its newest media with its own token, and show it.

        Raises:
            ProviderError: the token did not give it.
        """
        stored = await refresh_profile_by_handle_from_graphapi(ctx, handle)
        shown = await PROFILES.show(ctx.runtime.database, stored["profile_id"], full=True)
        return OwnProfile(
            handle=handle,
            followers=shown.followers,
            following=shown.following,
            media_count=shown.media_count,
            post_metrics=shown.post_metrics,
        )

    async def audience(self, ctx: FlowContext, handle: str) -> OwnAudience:
        """The followers by city and by gender and age; nothing is stored.

        Raises:
            NotFound: the account is not stored.
            InsufficientData: Graph says nothing about its followers.
            ProviderError: the token did not give it.
        """
        if (await account_by_handle(ctx, handle)).profile_id is None:
            raise NotFound(f"no stored account has the handle {handle}")
        fetched = await crawler_of(ctx).fetch(FETCH_FOLLOWER_AUDIENCE_INSIGHTS, Asked(handle=handle), handle=handle)
        city, ages = fetched.value.city or {}, by_gender(fetched.value.gender_age or {})
        if not city and not fetched.value.gender_age:
            raise InsufficientData("Graph gives no numbers about the followers of this account")
        whole = {gender: {age: int(count) for age, count in counts.items()} for gender, counts in ages.items()}
        data = AudienceData(city={name: int(count) for name, count in city.items()}, gender_age=whole)
        return OwnAudience(handle=handle, audience_data=data)


OWNERS = Owners()
