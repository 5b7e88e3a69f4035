"""Parsed answers as JSON for people: logs under the names of the table columns, null for what was not said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from core.crawler.errors import ProviderError
from core.crawler.provider import Function
from core.models.logs import PostLog, ProfileLog
from instagram.models import functions as f
from instagram.models import keys as k
from instagram.models.pages import (
    Audience,
    Comment,
    CommentsPage,
    HighlightsPage,
    Insights,
    InsightsSeries,
    PeoplePage,
    Person,
    PostsPage,
    ProfilePage,
)
from instagram.tasks.transformer import ACCOUNT_COLUMNS, POST_COLUMNS

Form = dict[str, Any]

FUNCTIONS = tuple(one.name for one in vars(f).values() if isinstance(one, Function))
"""What sources can be asked for."""

_OWN_KINDS = {
    f.FETCH_STORY_POSTS_BY_PROFILE_ID.name: "stories",
    f.FETCH_STORIES_POSTS.name: "stories",
    f.FETCH_HIGHLIGHT_POSTS.name: "stories",
    f.FETCH_POST_LIKES.name: "likers",
}
RETRYABLE = frozenset({"rate_limited", "upstream"})
"""Words of the errors after which the same call may succeed soon."""

_PROFILE_KEYS = ("profile_id", "handle", "full_name", "biography", "followers", "following", "media_count")
_POST_KEYS = (
    *("post_id", "media_pk", "shortcode", "profile_id", "handle", "post_type", "content_type", k.PRODUCT_TYPE),
    *("caption", "likes", "comments", "plays", "views", "display_url", "thumbnail_url", "publish_time"),
)
_PROFILE_COLUMNS = {**ACCOUNT_COLUMNS, k.EXTERNAL_URL: k.EXTERNAL_URL}
_POST_COLUMNS = {**POST_COLUMNS, k.PRODUCT_TYPE: k.PRODUCT_TYPE}


def form(function: str, value: Any) -> Form:
    """What a parser of ``function`` gave, as JSON."""
    kind, build = _FORMS[type(value)]
    return {"kind": _OWN_KINDS.get(function, kind), **build(value)}


def error_form(error: ProviderError) -> Form:
    """A failure as JSON; the words are those of ``errors.py``."""
    return refusal(error.word, error.message)


def refusal(word: str, message: str) -> Form:
    """An error of a known class as JSON."""
    return {"kind": "error", "error": {"class": word, "retryable": word in RETRYABLE, "message": message}}


def _profile_page(page: ProfilePage) -> Form:
    return {"profile": _profile(page.profile), "items": [_post(post) for post in page.posts]}


def _profile(log: ProfileLog) -> Form:
    said = _columns(_PROFILE_COLUMNS, log)
    return {**dict.fromkeys((*_PROFILE_KEYS, *_PROFILE_COLUMNS.values())), **said, "profile_id": log.profile_id}


def _single_post(log: PostLog) -> Form:
    return {"post": _post(log)}


def _post(log: PostLog) -> Form:
    """A post. ``post_id`` is the source's own id of it: the Graph media id, elsewhere the media pk."""
    said = _columns(_POST_COLUMNS, log)
    return {
        **dict.fromkeys((*_POST_KEYS, *_POST_COLUMNS.values())),
        **said,
        "post_id": said.get("post_id") or said.get("media_pk"),
        "shortcode": log.shortcode,
        "profile_id": log.profile_id,
        "publish_time": _time(said.get("publish_time")),
    }


def _columns(columns: Mapping[str, str], log: ProfileLog | PostLog) -> Form:
    return {columns[key]: value for key, value in {**log.dimensions, **log.metrics}.items() if key in columns}


def _posts_page(page: PostsPage) -> Form:
    items = [_post(post) for post in page.posts]
    return {**page.beside, "items": items, "has_next_page": page.has_next_page, "cursor": page.cursor}


def _people_page(page: PeoplePage) -> Form:
    items = [_person(person) for person in page.people]
    return {"items": items, "has_next_page": page.has_next_page, "cursor": page.cursor}


def _person(person: Person) -> Form:
    names = ("profile_id", "handle", "full_name", "is_private", "is_verified", "profile_pic_url")
    return {name: getattr(person, name) for name in names}


def _comments_page(page: CommentsPage) -> Form:
    items = [_comment(comment) for comment in page.comments]
    return {"items": items, "has_next_page": page.has_next_page, "cursor": page.cursor}


def _comment(comment: Comment) -> Form:
    names = ("comment_id", "text", "profile_id", "handle", "likes")
    return {**{name: getattr(comment, name) for name in names}, "publish_time": _time(comment.publish_time)}


def _highlights_page(page: HighlightsPage) -> Form:
    return {"items": [{"highlight_id": one.highlight_id, "title": one.title} for one in page.highlights]}


def _insights(insights: Insights) -> Form:
    return {"insights": dict(insights.metrics)}


def _insights_series(found: InsightsSeries) -> Form:
    return {
        "series": [
            {
                "name": series.name,
                "period": series.period,
                "values": [{"value": one.value, "end_time": _time(one.end_time)} for one in series.values],
            }
            for series in found.series
        ]
    }


def _audience(audience: Audience) -> Form:
    parts = {name: getattr(audience, name) for name in ("city", "country", "gender_age", "locale")}
    return {"audience": {name: None if part is None else dict(part) for name, part in parts.items()}}


def _time(seconds: int | None) -> str | None:
    """Epoch seconds as ``2023-01-27T10:00:00Z``; null when no calendar holds them."""
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return None


_FORMS: Mapping[type, tuple[str, Callable[[Any], Form]]] = {
    ProfilePage: ("profile", _profile_page),
    PostLog: ("post", _single_post),
    PostsPage: ("posts", _posts_page),
    PeoplePage: ("relationships", _people_page),
    CommentsPage: ("comments", _comments_page),
    HighlightsPage: ("highlights", _highlights_page),
    Insights: ("insights", _insights),
    InsightsSeries: ("insights_series", _insights_series),
    Audience: ("audience", _audience),
}
