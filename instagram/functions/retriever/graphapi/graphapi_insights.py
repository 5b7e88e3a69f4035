"""Numbers that only the owner of an account gets: about posts, stories, the account and its audience."""

from __future__ import annotations

from core.crawler.errors import Unsupported
from core.crawler.provider import Asked, Payload
from core.enums import PostType
from instagram.functions.retriever.graphapi.graphapi_base import GraphBase, Part, path_id
from utils.times import utc_now

NEW_METRICS = "v18.0"
"""From this version on: totals with breakdowns, and the same interactions for every kind of post."""

IMAGE = "engagement,impressions,reach,saved"
VIDEO = f"{IMAGE},video_views"
CAROUSEL = ",".join(f"carousel_album_{name}" for name in VIDEO.split(","))
REELS = "plays,reach,saved,comments,likes,shares,total_interactions"
FEED = "impressions,reach,saved,comments,likes,shares,total_interactions"
STORY = "exits,impressions,reach,replies,taps_forward,taps_back"
NEW_STORY = "impressions,reach,replies,saved,shares,total_interactions,follows,profile_visits,profile_activity"
BY_DAY = "impressions,reach,profile_views,follower_count"
BY_28_DAYS = "impressions,reach"
AUDIENCE = ("audience_city", "audience_country", "audience_gender_age", "audience_locale")
DEMOGRAPHICS = ("follower_demographics", "reached_audience_demographics", "engaged_audience_demographics")
BREAKDOWNS = ("country", "city", "age,gender")

_REELS_TYPES, _VIDEO_TYPES = ("REELS", "CLIPS"), ("FEED", "IGTV")
_SERIES_S = 28 * 86400


class GraphInsights(GraphBase):
    """Calls that answer with numbers. Where several are needed, one that fails does not cost what others gave."""

    async def fetch_post_insights(self, asked: Asked) -> Payload:
        """Lifetime numbers of an own post, the metrics of its kind. Those of another kind are refused as code 100."""
        path = f"{path_id(asked.post_id, 'post')}/insights"
        *first, last = self.post_metrics(asked.post_type, asked.product_type)
        for metrics in first:
            try:
                return await self.node("fetch_post_insights", asked, path, metric=metrics)
            except Unsupported:
                continue
        return await self.node("fetch_post_insights", asked, path, metric=last)

    @classmethod
    def post_metrics(cls, post_type: str | None, product_type: str | None) -> list[str]:
        """The metrics to ask for, by what is known of a post; further sets for when the one before is refused."""
        product = (product_type or "").upper()
        if product in _REELS_TYPES:
            return [REELS]
        newer = [FEED] if cls.has(NEW_METRICS) else []
        if post_type == PostType.IMAGE:
            return [*newer, IMAGE]
        if post_type == PostType.CAROUSEL or product == "CAROUSEL_CONTAINER":
            return [*newer, CAROUSEL]
        if product == "IGTV" or (post_type == PostType.REELS and product in _VIDEO_TYPES):
            return [*newer, VIDEO]
        others = [] if post_type == PostType.REELS else [IMAGE, CAROUSEL]
        return [REELS, *newer, VIDEO, *others]

    async def fetch_story_insights(self, asked: Asked) -> Payload:
        """Numbers of an own story while it is there. From v18.0 on, how people moved on from it is a second call."""
        name, path = "fetch_story_insights", f"{path_id(asked.post_id, 'story')}/insights"
        if not self.has(NEW_METRICS):
            return await self.node(name, asked, path, metric=STORY)
        navigation = {"metric": "navigation", "breakdown": "story_navigation_action_type"}
        return await self.join(
            name,
            asked,
            [
                Part("story", self.node(name, asked, path, metric=NEW_STORY)),
                Part("navigation", self.node(name, asked, path, **navigation)),
            ],
        )

    async def fetch_profile_insights(self, asked: Asked) -> Payload:
        """Numbers of the own account by day and by 28 days, for the last four weeks; they lag by up to two days."""
        name, owned, until = "fetch_profile_insights", self.owned(asked), int(utc_now().timestamp())
        when = {"since": until - _SERIES_S, "until": until}
        parts = [
            Part(period, self.own(name, owned, "insights", metric=metrics, period=period, **when))
            for period, metrics in {"day": BY_DAY, "days_28": BY_28_DAYS}.items()
        ]
        return await self.join(name, owned, parts)

    async def fetch_audience_insights(self, asked: Asked) -> Payload:
        """Who follows, is reached by and engages with the own account, as far as the version says it."""
        return await self._audience("fetch_audience_insights", asked, AUDIENCE, DEMOGRAPHICS, BREAKDOWNS)

    async def fetch_follower_audience_insights(self, asked: Asked) -> Payload:
        """The followers of the own account by city and by age and gender."""
        old, new = ("audience_city", "audience_gender_age"), ("follower_demographics",)
        return await self._audience("fetch_follower_audience_insights", asked, old, new, ("city", "age,gender"))

    async def _audience(
        self, function: str, asked: Asked, old: tuple[str, ...], new: tuple[str, ...], breakdowns: tuple[str, ...]
    ) -> Payload:
        """One call for the older metrics, or one per newer metric and breakdown; what only the others say is a gap."""
        owned = self.owned(asked)
        if self.has(NEW_METRICS):
            parts = [
                Part(f"{metric} by {breakdown}", self.demographics(function, owned, metric, breakdown))
                for metric in new
                for breakdown in breakdowns
            ]
            only = [name for name in old if name == "audience_locale"]
            parts += [Part(name, self._older(function, owned, (name,))) for name in only]
        else:
            parts = [Part("audience", self._older(function, owned, old))]
            only = [name for name in new if name != "follower_demographics"]
            parts += [Part(name, self.demographics(function, owned, name, breakdowns[0])) for name in only]
        return await self.join(function, owned, parts)

    async def _older(self, function: str, asked: Asked, metrics: tuple[str, ...]) -> Payload:
        self.needs(", ".join(metrics), until=NEW_METRICS)
        return await self.own(function, asked, "insights", metric=",".join(metrics), period="lifetime")

    async def demographics(self, function: str, asked: Asked, metric: str, breakdown: str) -> Payload:
        """One metric with totals by one breakdown.

        Raises:
            Unsupported: the version in use has only the older metrics.
        """
        self.needs(metric, since=NEW_METRICS)
        params = {"metric_type": "total_value", "timeframe": "last_90_days", "period": "lifetime"}
        return await self.own(function, asked, "insights", metric=metric, breakdown=breakdown, **params)
