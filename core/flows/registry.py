"""The 73 flows: what a task may name, who runs it, with how many slots, and what its params look like.

Nothing registers itself. A flow whose ``target`` is None is not built yet: creating a task for it is refused with
501 and it starts no process. Names, counts and params bind callers and queued rows.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from core.enums import Platform
from core.models import params as p

ASSET_FLOWS = frozenset({"asset_upload_flow", "asset_upload_flow_stories"})
"""Run by the asset pool while it is alive, otherwise by main.py."""

ASSET_POOL = "asset pool"
"""Name of the asset pool's processes, in ``beat_worker`` too: while one of them is alive it owns the asset flows."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow. ``target`` is ``package.module:function``; ``time_limit_s`` None means the pool's setting."""

    name: str
    platform: Platform
    params: type[p.Params]
    workers: int
    concurrency: int
    target: str | None = None
    max_retries: int = 3
    time_limit_s: float | None = None


IG, YT, SH = Platform.INSTAGRAM, Platform.YOUTUBE, Platform.SHOPIFY
PROFILE = "instagram.flows.refresh_profile"
POST = "instagram.flows.refresh_post"
POSTS = "instagram.flows.fetch_posts"
PROFILE_POSTS = "instagram.flows.profile_posts"
STORIES = "instagram.flows.stories"
HIGHLIGHTS = "instagram.flows.highlights"
DERIVED = "instagram.flows.derived"
SENTIMENT = "instagram.flows.sentiment"
SCHEDULES = "instagram.flows.schedules"
OWNER = "instagram.flows.refresh_insights"
PLAN = "instagram.flows.schedule_insights"
RELATIONS = "instagram.flows.fetch_relations"
ACTIVITIES = "instagram.flows.fetch_activities"
ASSETS = "core.assets.flows"

FLOWS: tuple[Flow, ...] = (
    Flow("refresh_profile_custom", IG, p.ProfileCustomParams, 1, 2, f"{PROFILE}:refresh_profile_custom"),
    Flow("refresh_profile_by_handle", IG, p.HandleParams, 10, 5, f"{PROFILE}:refresh_profile_by_handle"),
    Flow("refresh_profile_basic", IG, p.ProfileParams, 5, 5, f"{PROFILE}:refresh_profile_basic"),
    Flow("refresh_profile_by_profile_id", IG, p.ProfileIdParams, 1, 5, f"{PROFILE}:refresh_profile_by_profile_id"),
    Flow("refresh_post_by_shortcode", IG, p.ShortcodeParams, 1, 5, f"{POST}:refresh_post_by_shortcode"),
    Flow("refresh_tagged_posts_by_profile_id", IG, p.ProfilePostsParams, 1, 5, f"{POSTS}:fetch_tagged_posts"),
    Flow("refresh_yt_profiles", YT, p.YtProfilesParams, 10, 5),
    Flow("refresh_yt_posts", YT, p.YtPostsParams, 1, 5),
    Flow("refresh_yt_profile_insights", YT, p.YtChannelParams, 1, 5),
    Flow("asset_upload_flow", IG, p.AssetParams, 15, 5, f"{ASSETS}:asset_upload_flow"),
    Flow("asset_upload_flow_stories", IG, p.AssetParams, 3, 5, f"{ASSETS}:asset_upload_flow_stories"),
    Flow("refresh_profile_insights", IG, p.HandleParams, 1, 5, f"{OWNER}:refresh_profile_insights"),
    Flow("fetch_profile_followers", IG, p.ProfileIdParams, 3, 5, f"{RELATIONS}:fetch_profile_followers"),
    Flow("fetch_profile_following", IG, p.CursorParams, 1, 15, f"{RELATIONS}:fetch_profile_following"),
    Flow("fetch_hashtag_posts", IG, p.HashtagPostsParams, 1, 5, f"{POSTS}:fetch_hashtag_posts"),
    Flow("refresh_stories_posts", IG, p.HandleParams, 1, 5, f"{STORIES}:refresh_stories_posts"),
    Flow("refresh_story_insights", IG, p.StoryInsightsParams, 1, 5, f"{OWNER}:refresh_story_insights"),
    Flow("refresh_post_insights", IG, p.PostInsightsParams, 1, 5, f"{OWNER}:refresh_post_insights"),
    Flow("refresh_yt_posts_by_channel_id", YT, p.YtChannelPostsParams, 5, 5),
    Flow("refresh_yt_posts_by_playlist_id", YT, p.YtPlaylistPostsParams, 1, 5),
    Flow("refresh_yt_posts_by_genre", YT, p.YtGenreParams, 1, 5),
    Flow("refresh_yt_posts_by_search", YT, p.YtSearchParams, 1, 5),
    Flow("refresh_orders_by_store", SH, p.OrdersParams, 1, 5),
    Flow("refresh_yt_post_type", YT, p.YtPostTypeParams, 1, 5),
    Flow("fetch_post_comments", IG, p.CommentsParams, 1, 5, f"{ACTIVITIES}:fetch_post_comments"),
    Flow("fetch_post_likes", IG, p.LikesParams, 1, 5, f"{ACTIVITIES}:fetch_post_likes"),
    Flow("fetch_yt_post_comments", YT, p.CommentsParams, 1, 5),
    Flow("refresh_instagram_gpt_data_base_gender", IG, p.GptParams, 3, 5),
    Flow("refresh_instagram_gpt_data_base_location", IG, p.GptParams, 3, 5),
    Flow("refresh_instagram_gpt_data_base_categ_lang_topics", IG, p.GptParams, 3, 5),
    Flow("refresh_instagram_gpt_data_audience_age_gender", IG, p.GptCategoryParams, 3, 5),
    Flow("refresh_instagram_gpt_data_audience_cities", IG, p.GptParams, 3, 5),
    Flow("refresh_instagram_gpt_data_gender_location_lang", IG, p.GptParams, 5, 5),
    Flow(
        "refresh_story_posts_by_profile_id", IG, p.ProfileStoriesParams, 1, 5,
        f"{STORIES}:refresh_story_posts_by_profile_id",
    ),
    Flow("fetch_channels_csv", YT, p.ChannelsCsvParams, 1, 5),
    Flow("fetch_channel_videos_csv", YT, p.ChannelsRangeCsvParams, 1, 5),
    Flow("fetch_playlist_videos_csv", YT, p.PlaylistsCsvParams, 1, 5),
    Flow("fetch_keyword_videos_csv", YT, p.KeywordVideosCsvParams, 1, 5),
    Flow("fetch_video_details_csv", YT, p.VideosCsvParams, 1, 5),
    Flow("fetch_channel_monthly_stats_csv", YT, p.ChannelsRangeCsvParams, 1, 5),
    Flow("fetch_channel_daily_stats_csv", YT, p.ChannelsRangeCsvParams, 1, 5),
    Flow("fetch_channel_demographic_csv", YT, p.ChannelsCsvParams, 1, 5),
    Flow("fetch_channel_audience_geography_csv", YT, p.ChannelsCsvParams, 1, 5),
    Flow("fetch_channel_engagement_csv", YT, p.ChannelEngagementCsvParams, 1, 5),
    Flow("fetch_ad_vs_organic_csv", YT, p.VideosCsvParams, 1, 5),
    Flow("refresh_yt_activities", YT, p.YtActivitiesParams, 1, 5),
    Flow("refresh_yt_profile_relationship", YT, p.YtRelationshipParams, 1, 5),
    Flow("fetch_tagged_posts", IG, p.TaggedPostsParams, 1, 3, f"{POSTS}:fetch_tagged_posts"),
    Flow("refresh_profile_audience_insights", IG, p.HandleParams, 1, 5, f"{OWNER}:refresh_profile_audience_insights"),
    Flow(
        "refresh_profile_posts_by_handle", IG, p.HandlePostsParams, 1, 5,
        f"{PROFILE_POSTS}:refresh_profile_posts_by_handle",
    ),
    Flow(
        "refresh_profile_posts_by_profile_id", IG, p.RecentPostsParams, 3, 5,
        f"{PROFILE_POSTS}:refresh_profile_posts_by_profile_id",
    ),
    Flow(
        "refresh_reels_posts_by_profile_id", IG, p.RecentPostsParams, 1, 5,
        f"{PROFILE_POSTS}:refresh_reels_posts_by_profile_id",
    ),
    Flow("refresh_post_by_post_id", IG, p.PostIdParams, 1, 5, f"{POST}:refresh_post_by_post_id"),
    Flow("refresh_post_insights_by_profile", IG, p.HandleDaysParams, 1, 5, f"{PLAN}:refresh_post_insights_by_profile"),
    Flow("fetch_hashtag_top_posts", IG, p.HashtagTopParams, 1, 3, f"{POSTS}:fetch_hashtag_top_posts"),
    Flow("fetch_post_comment_replies", IG, p.RepliesParams, 1, 3, f"{ACTIVITIES}:fetch_post_comment_replies"),
    Flow("fetch_profile_highlights", IG, p.ProfileIdParams, 1, 3, f"{HIGHLIGHTS}:fetch_profile_highlights"),
    Flow("fetch_similar_profiles", IG, p.ProfileIdParams, 1, 3, f"{RELATIONS}:fetch_similar_profiles"),
    Flow("fetch_mentioned_posts", IG, p.HandleMentionsParams, 1, 3, f"{POSTS}:fetch_mentioned_posts"),
    Flow("extract_post_sentiment", IG, p.SentimentParams, 3, 5, f"{SENTIMENT}:extract_post_sentiment"),
    Flow("extract_post_keywords", IG, p.KeywordsParams, 1, 5, f"{DERIVED}:extract_post_keywords"),
    Flow("refresh_profile_metrics", IG, p.ProfileIdParams, 2, 5, f"{DERIVED}:refresh_profile_metrics"),
    Flow("schedule_profile_refresh", IG, p.StaleParams, 1, 1, f"{SCHEDULES}:schedule_profile_refresh"),
    Flow("schedule_post_insights_refresh", IG, p.DaysLimitParams, 1, 1, f"{PLAN}:schedule_post_insights_refresh"),
    Flow("schedule_story_refresh", IG, p.LimitParams, 1, 1, f"{SCHEDULES}:schedule_story_refresh"),
    Flow("refresh_yt_profile_by_handle", YT, p.HandleParams, 1, 5),
    Flow("refresh_yt_shorts_by_channel_id", YT, p.YtShortsParams, 1, 5),
    Flow("fetch_yt_comment_replies", YT, p.RepliesParams, 1, 3),
    Flow("refresh_yt_post_insights", YT, p.YtPostInsightsParams, 1, 5),
    Flow("schedule_yt_profile_refresh", YT, p.StaleParams, 1, 1),
    Flow("fetch_channel_traffic_source_csv", YT, p.ChannelsRangeCsvParams, 1, 5),
    Flow("refresh_order_by_id", SH, p.OrderParams, 1, 5),
    Flow("refresh_products_by_store", SH, p.ProductsParams, 1, 5),
)

Registry = Mapping[str, Flow]


def build_registry(extra_module: str | None = None) -> Registry:
    """All flows by name, with those of ``extra_module`` (its ``FLOWS``) beside them.

    Raises:
        ValueError: a name is used twice.
    """
    extra: Iterable[Flow] = importlib.import_module(extra_module).FLOWS if extra_module else ()
    registry: dict[str, Flow] = {}
    for flow in (*FLOWS, *extra):
        if flow.name in registry:
            raise ValueError(f"flow {flow.name} is in the registry twice")
        registry[flow.name] = flow
    return MappingProxyType(registry)
