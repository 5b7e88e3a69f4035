"""What lama answers at which path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MEDIAS_PAGE, CLIPS_PAGE, PEOPLE_PAGE, COMMENTS_PAGE, HASHTAG_PAGE, ALL = 33, 12, 50, 20, 24, 200


@dataclass(frozen=True)
class LamaEndpoint:
    """One path: who or what by which query parameter, where the cursor and the size of a page stand."""

    function: str
    by: str
    subject: str
    size: int = 0
    cursors: tuple[str, ...] = ()
    amount: str = ""
    extra: tuple[str, ...] = ()


_MEDIAS, _FOLLOWING = "fetch_profile_posts_by_id", "fetch_following"
_POST, _STORIES = "fetch_post_by_shortcode", "fetch_story_posts_by_profile_id"
_END, _MAX = ("end_cursor",), ("max_id",)

ENDPOINTS: Mapping[str, LamaEndpoint] = {
    "/v1/user/by/username": LamaEndpoint("fetch_profile_by_handle", "handle", "username"),
    "/v1/user/by/id": LamaEndpoint("fetch_profile_by_id", "pk", "id"),
    "/a1/user": LamaEndpoint("fetch_profile_by_handle", "handle", "username", extra=("web",)),
    "/v1/user/medias/chunk": LamaEndpoint(_MEDIAS, "pk", "user_id", MEDIAS_PAGE, _END, "max_amount"),
    "/v1/user/medias": LamaEndpoint(_MEDIAS, "pk", "user_id", ALL, (), "amount", ("unpaged",)),
    "/v1/user/clips/chunk": LamaEndpoint("fetch_reels_posts", "pk", "user_id", CLIPS_PAGE, _END),
    "/v1/user/tag/medias": LamaEndpoint("fetch_tagged_posts", "pk", "user_id", ALL, (), "amount"),
    "/v1/user/stories": LamaEndpoint(_STORIES, "pk", "user_id", ALL, (), "amount"),
    "/v1/user/stories/by/username": LamaEndpoint(_STORIES, "handle", "username", ALL, (), "amount"),
    "/v1/user/followers/chunk": LamaEndpoint("fetch_followers", "pk", "user_id", PEOPLE_PAGE, _MAX),
    "/v1/user/following/chunk": LamaEndpoint(_FOLLOWING, "pk", "user_id", PEOPLE_PAGE, _MAX),
    "/v1/user/following": LamaEndpoint(_FOLLOWING, "pk", "user_id", ALL, (), "amount", ("unpaged",)),
    "/v1/media/by/code": LamaEndpoint(_POST, "shortcode", "code"),
    "/v1/media/by/id": LamaEndpoint(_POST, "media_pk", "id"),
    "/v1/media/by/url": LamaEndpoint(_POST, "url", "url"),
    "/a1/media": LamaEndpoint(_POST, "shortcode", "code", extra=("web",)),
    "/v1/media/likers": LamaEndpoint("fetch_post_likes", "media_pk", "id"),
    "/v1/media/comments/chunk": LamaEndpoint(
        "fetch_post_comments", "media_pk", "id", COMMENTS_PAGE, ("min_id", "max_id")
    ),
    "/v1/hashtag/medias/recent/chunk": LamaEndpoint(
        "fetch_hashtag_posts", "tag", "name", HASHTAG_PAGE, _MAX, "max_amount"
    ),
    "/v1/hashtag/medias/top/chunk": LamaEndpoint(
        "fetch_hashtag_top_posts", "tag", "name", HASHTAG_PAGE, _MAX, "max_amount"
    ),
}
