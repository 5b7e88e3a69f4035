"""What rocketapi answers at which path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_CLIPS, _STORIES = "fetch_reels_posts", "fetch_story_posts_by_profile_id"


@dataclass(frozen=True)
class Path:
    """One call: who or what by which key of the body, the largest page, and the key of the cursor."""

    function: str
    by: str
    subject: str
    size: int = 0
    cursor: str = "max_id"
    extra: tuple[str, ...] = ()


CALLS: Mapping[str, Path] = {
    "user/get_info": Path("fetch_profile_by_handle", "handle", "username"),
    "user/get_web_profile_info": Path("fetch_profile_by_handle", "handle", "username"),
    "user/get_info_by_username": Path("fetch_profile_by_handle", "handle", "username", extra=("v1",)),
    "user/get_info_by_id": Path("fetch_profile_by_id", "pk", "id", extra=("v1",)),
    "user/get_media": Path("fetch_profile_posts_by_id", "pk", "id", 12),
    "user/get_media_by_username": Path("fetch_profile_posts_by_handle", "handle", "username", 12),
    "user/get_clips": Path(_CLIPS, "pk", "id", 12),
    "user/get_stories": Path(_STORIES, "pk", "ids"),
    "user/get_followers": Path("fetch_followers", "pk", "id", 50),
    "user/get_following": Path("fetch_following", "pk", "id", 200),
    "user/get_tags": Path("fetch_tagged_posts", "pk", "id", 50),
    "media/get_info_by_shortcode": Path("fetch_post_by_shortcode", "shortcode", "shortcode"),
    "media/get_info": Path("fetch_post_by_shortcode", "media_pk", "id"),
    "media/get_comments": Path("fetch_post_comments", "media_pk", "id", cursor="min_id"),
    "media/get_likes": Path("fetch_post_likes", "shortcode", "shortcode"),
    "media/get_likes_by_id": Path("fetch_post_likes", "media_pk", "id"),
    "media/get_shortcode_by_id": Path("fetch_post_by_shortcode", "media_pk", "id", extra=("shortcode",)),
    "media/get_id_by_shortcode": Path("fetch_post_by_shortcode", "shortcode", "shortcode", extra=("id",)),
    "hashtag/get_media": Path("fetch_hashtag_posts", "tag", "name"),
}
