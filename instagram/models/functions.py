"""What Instagram sources can be asked for, each with the type that its parsers give."""

from __future__ import annotations

from core.crawler.provider import Function
from core.models.logs import PostLog
from instagram.models.pages import (
    Audience,
    CommentsPage,
    HighlightsPage,
    Insights,
    InsightsSeries,
    PeoplePage,
    PostsPage,
    ProfilePage,
)

FETCH_PROFILE_BY_ID: Function[ProfilePage] = Function("fetch_profile_by_id")
FETCH_PROFILE_BY_HANDLE: Function[ProfilePage] = Function("fetch_profile_by_handle")
FETCH_PROFILE_POSTS_BY_ID: Function[PostsPage] = Function("fetch_profile_posts_by_id")
FETCH_PROFILE_POSTS_BY_HANDLE: Function[PostsPage] = Function("fetch_profile_posts_by_handle")
FETCH_REELS_POSTS: Function[PostsPage] = Function("fetch_reels_posts")
FETCH_POST_BY_SHORTCODE: Function[PostLog] = Function("fetch_post_by_shortcode")
FETCH_TAGGED_POSTS: Function[PostsPage] = Function("fetch_tagged_posts")
FETCH_HASHTAG_POSTS: Function[PostsPage] = Function("fetch_hashtag_posts")
FETCH_HASHTAG_TOP_POSTS: Function[PostsPage] = Function("fetch_hashtag_top_posts")
FETCH_STORY_POSTS_BY_PROFILE_ID: Function[PostsPage] = Function("fetch_story_posts_by_profile_id")
FETCH_STORIES_POSTS: Function[PostsPage] = Function("fetch_stories_posts")
FETCH_PROFILE_HIGHLIGHTS: Function[HighlightsPage] = Function("fetch_profile_highlights")
FETCH_HIGHLIGHT_POSTS: Function[PostsPage] = Function("fetch_highlight_posts")
FETCH_FOLLOWERS: Function[PeoplePage] = Function("fetch_followers")
FETCH_FOLLOWING: Function[PeoplePage] = Function("fetch_following")
FETCH_SIMILAR_PROFILES: Function[PeoplePage] = Function("fetch_similar_profiles")
FETCH_POST_LIKES: Function[PeoplePage] = Function("fetch_post_likes")
FETCH_POST_COMMENTS: Function[CommentsPage] = Function("fetch_post_comments")
FETCH_POST_COMMENT_REPLIES: Function[CommentsPage] = Function("fetch_post_comment_replies")
FETCH_POST_INSIGHTS: Function[Insights] = Function("fetch_post_insights")
FETCH_STORY_INSIGHTS: Function[Insights] = Function("fetch_story_insights")
FETCH_PROFILE_INSIGHTS: Function[InsightsSeries] = Function("fetch_profile_insights")
FETCH_AUDIENCE_INSIGHTS: Function[Audience] = Function("fetch_audience_insights")
FETCH_FOLLOWER_AUDIENCE_INSIGHTS: Function[Audience] = Function("fetch_follower_audience_insights")
"""The followers by city and by gender and age only: fewer calls than all of ``FETCH_AUDIENCE_INSIGHTS``."""
