"""What Instagram sources can be asked for, each with the type that its parsers give."""

from __future__ import annotations

from core.crawler.provider import Function
from core.models.logs import PostLog
from instagram.models.pages import PostsPage, ProfilePage

FETCH_PROFILE_BY_ID: Function[ProfilePage] = Function("fetch_profile_by_id")
FETCH_PROFILE_BY_HANDLE: Function[ProfilePage] = Function("fetch_profile_by_handle")
FETCH_PROFILE_POSTS_BY_ID: Function[PostsPage] = Function("fetch_profile_posts_by_id")
FETCH_PROFILE_POSTS_BY_HANDLE: Function[PostsPage] = Function("fetch_profile_posts_by_handle")
FETCH_REELS_POSTS: Function[PostsPage] = Function("fetch_reels_posts")
FETCH_POST_BY_SHORTCODE: Function[PostLog] = Function("fetch_post_by_shortcode")
