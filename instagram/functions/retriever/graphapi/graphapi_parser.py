"""Payloads of graphapi -> logs and pages."""

from __future__ import annotations

from collections.abc import Mapping

from core.crawler.provider import Parser, Payload
from core.models.logs import PostLog, ProfileLog
from instagram.functions.retriever.checks import check_named, check_profile, container, entries
from instagram.functions.retriever.comments import comments_page
from instagram.functions.retriever.graphapi.graphapi_audience_parser import parse_audience
from instagram.functions.retriever.graphapi.graphapi_insights_parser import parse_media_insights, parse_profile_insights
from instagram.functions.retriever.graphapi.graphapi_media import moment, next_cursor, post_log, profile_log
from instagram.functions.retriever.graphapi.graphapi_owner import check_own_media, check_own_profile
from instagram.functions.retriever.reader import Reader
from instagram.models.pages import Comment, CommentsPage, PostsPage, ProfilePage, posts_page


def parse_profile(payload: Payload) -> ProfilePage:
    """``business_discovery`` with its newest media."""
    user = container(Reader(payload.data), "business_discovery")
    profile = profile_log(user, payload)
    return ProfilePage(check_profile(profile, payload.asked), _discovered(user, payload, profile))


def parse_posts(payload: Payload) -> PostsPage:
    """A page of ``business_discovery.media``. Discovery never says ``next``: ``after`` alone means more."""
    user = container(Reader(payload.data), "business_discovery")
    profile = check_profile(profile_log(user, payload), payload.asked)
    posts = _discovered(user, payload, profile)
    check_named(posts, "permalink")
    return posts_page(posts, user.cursor("media.paging.cursors.after"))


def _discovered(user: Reader, payload: Payload, owner: ProfileLog) -> list[PostLog]:
    return [post_log(item, payload, owner) for item in user.array("media.data") or ()]


def parse_own_profile(payload: Payload) -> ProfilePage:
    """The token's own account; the user's fields are at the top."""
    profile = profile_log(container(Reader(payload.data), ""), payload)
    return ProfilePage(check_own_profile(profile, payload.asked))


def parse_own_posts(payload: Payload) -> PostsPage:
    """A page of the own account's ``/media``."""
    return _own_page(payload, story=False)


def parse_own_stories(payload: Payload) -> PostsPage:
    """The own account's ``/stories``, which are there for a day."""
    return _own_page(payload, story=True)


def _own_page(payload: Payload, *, story: bool) -> PostsPage:
    edge = container(Reader(payload.data), "")
    items = _media(edge)
    posts = [post_log(item, payload, story=story) for item in items]
    check_own_media(items, posts, payload.asked)
    return posts_page(posts, next_cursor(edge))


def parse_tagged(payload: Payload) -> PostsPage:
    """A page of ``/tags``: posts of others, of whom only the handle is said."""
    edge = container(Reader(payload.data), "")
    return posts_page([post_log(item, payload) for item in _media(edge)], next_cursor(edge))


def parse_hashtag(payload: Payload) -> PostsPage:
    """A page of ``/recent_media`` or ``/top_media``; whose posts they are is not said.

    ``after`` is the same on every page, so that a page without posts must be the last one.
    """
    edge = container(Reader(payload.data), "")
    posts = [post_log(item, payload) for item in _media(edge)]
    page = posts_page(posts, next_cursor(edge) if posts else None)
    return PostsPage(page.posts, page.has_next_page, page.cursor, steady_cursor=True)


def _media(edge: Reader) -> list[Reader]:
    """The media objects of an edge.

    Raises:
        Malformed: none of them says more than its id, as in the answer of a search.
    """
    items = entries(edge, "data")
    if items and all(item.value.keys() <= {"id"} for item in items):
        raise items[0].wrong("media_type", "text", None)
    return items


def parse_comments(payload: Payload) -> CommentsPage:
    """A page of ``/comments`` of an own post, or of ``/replies`` of a comment."""
    edge = container(Reader(payload.data), "")
    return comments_page([_comment(item) for item in entries(edge, "data")], next_cursor(edge))


def _comment(item: Reader) -> Comment:
    """A comment object -> Comment. Mandatory: ``id``. Who wrote it is said by handle alone."""
    return Comment(
        comment_id=item.need_id("id"),
        text=item.text("text"),
        handle=item.word("username"),
        likes=item.count("like_count"),
        publish_time=moment(item, "timestamp"),
        replies=_replies(item),
    )


def _replies(item: Reader) -> int | None:
    """How many replies came along; null when there are more of them."""
    replies = item.object("replies")
    listed = replies.array("data") if replies else None
    return None if replies is None or listed is None or replies.word("paging.next") else len(listed)


PARSERS: Mapping[str, Parser] = {
    "fetch_profile_by_handle": parse_profile,
    "fetch_profile_by_id": parse_own_profile,
    "fetch_profile_posts_by_handle": parse_posts,
    "fetch_profile_posts_by_id": parse_own_posts,
    "fetch_stories_posts": parse_own_stories,
    "fetch_tagged_posts": parse_tagged,
    "fetch_hashtag_posts": parse_hashtag,
    "fetch_hashtag_top_posts": parse_hashtag,
    "fetch_post_comments": parse_comments,
    "fetch_post_comment_replies": parse_comments,
    "fetch_post_insights": parse_media_insights,
    "fetch_story_insights": parse_media_insights,
    "fetch_profile_insights": parse_profile_insights,
    "fetch_audience_insights": parse_audience,
    "fetch_follower_audience_insights": parse_audience,
}
