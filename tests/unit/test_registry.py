"""The registry is data: callers and queued rows hold its names, operators its counts."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

from core.enums import Platform
from core.flows.registry import FLOWS, Flow, build_registry
from core.flows.scraper import resolve
from core.models.params import HandleParams

PINNED = """
refresh_profile_custom 1x2
refresh_profile_by_handle 10x5
refresh_profile_basic 5x5
refresh_profile_by_profile_id 1x5
refresh_post_by_shortcode 1x5
refresh_tagged_posts_by_profile_id 1x5
refresh_yt_profiles 10x5
refresh_yt_posts 1x5
refresh_yt_profile_insights 1x5
asset_upload_flow 15x5
asset_upload_flow_stories 3x5
refresh_profile_insights 1x5
fetch_profile_followers 3x5
fetch_profile_following 1x15
fetch_hashtag_posts 1x5
refresh_stories_posts 1x5
refresh_story_insights 1x5
refresh_post_insights 1x5
refresh_yt_posts_by_channel_id 5x5
refresh_yt_posts_by_playlist_id 1x5
refresh_yt_posts_by_genre 1x5
refresh_yt_posts_by_search 1x5
refresh_orders_by_store 1x5
refresh_yt_post_type 1x5
fetch_post_comments 1x5
fetch_post_likes 1x5
fetch_yt_post_comments 1x5
refresh_instagram_gpt_data_base_gender 3x5
refresh_instagram_gpt_data_base_location 3x5
refresh_instagram_gpt_data_base_categ_lang_topics 3x5
refresh_instagram_gpt_data_audience_age_gender 3x5
refresh_instagram_gpt_data_audience_cities 3x5
refresh_instagram_gpt_data_gender_location_lang 5x5
refresh_story_posts_by_profile_id 1x5
fetch_channels_csv 1x5
fetch_channel_videos_csv 1x5
fetch_playlist_videos_csv 1x5
fetch_keyword_videos_csv 1x5
fetch_video_details_csv 1x5
fetch_channel_monthly_stats_csv 1x5
fetch_channel_daily_stats_csv 1x5
fetch_channel_demographic_csv 1x5
fetch_channel_audience_geography_csv 1x5
fetch_channel_engagement_csv 1x5
fetch_ad_vs_organic_csv 1x5
refresh_yt_activities 1x5
refresh_yt_profile_relationship 1x5
fetch_tagged_posts 1x3
refresh_profile_audience_insights 1x5
refresh_profile_posts_by_handle 1x5
refresh_profile_posts_by_profile_id 3x5
refresh_reels_posts_by_profile_id 1x5
refresh_post_by_post_id 1x5
refresh_post_insights_by_profile 1x5
fetch_hashtag_top_posts 1x3
fetch_post_comment_replies 1x3
fetch_profile_highlights 1x3
fetch_similar_profiles 1x3
fetch_mentioned_posts 1x3
extract_post_sentiment 3x5
extract_post_keywords 1x5
refresh_profile_metrics 2x5
schedule_profile_refresh 1x1
schedule_post_insights_refresh 1x1
schedule_story_refresh 1x1
refresh_yt_profile_by_handle 1x5
refresh_yt_shorts_by_channel_id 1x5
fetch_yt_comment_replies 1x3
refresh_yt_post_insights 1x5
schedule_yt_profile_refresh 1x1
fetch_channel_traffic_source_csv 1x5
refresh_order_by_id 1x5
refresh_products_by_store 1x5
"""


def test_the_73_flows_keep_their_names_and_counts() -> None:
    assert [f"{f.name} {f.workers}x{f.concurrency}" for f in FLOWS] == PINNED.split("\n")[1:-1]
    assert sum(flow.workers for flow in FLOWS) == 136


@pytest.mark.parametrize("flow", [f for f in FLOWS if f.target], ids=lambda f: f.name)
def test_a_built_flow_resolves_to_a_coroutine_that_takes_its_params(flow: Flow) -> None:
    function = resolve(str(flow.target))
    assert inspect.iscoroutinefunction(function)
    assert list(inspect.signature(function).parameters) == ["params", "ctx"]


def test_a_name_used_twice_refuses_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("twice")
    module.FLOWS = (Flow("refresh_profile_basic", Platform.INSTAGRAM, HandleParams, 1, 1),)  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "twice", module)
    with pytest.raises(ValueError, match="refresh_profile_basic is in the registry twice"):
        build_registry("twice")
