"""Likers and comments -> activities on a post. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable

from core.crawler.provider import Payload
from core.enums import ActivityType, Platform
from core.models.logs import ActivityLog
from instagram.functions.retriever.reader import said
from instagram.models.keys import (
    COMMENT_ID,
    COMMENTS,
    COMMENTS_THREAD,
    HANDLE,
    IS_VERIFIED,
    KEYWORDS,
    LIKES,
    PROFILE_PIC_URL,
    TAKEN_AT,
    TEXT,
)
from instagram.models.pages import Comment, Person
from instagram.tasks.ingestion import plausible
from instagram.tasks.keywords import keywords
from instagram.tasks.relations_ingestion import person_dimensions
from utils.json_safe import json_safe


def likes_on(shortcode: str, people: Iterable[Person], payload: Payload) -> list[ActivityLog]:
    """Each of the people likes the post."""
    return [
        ActivityLog(
            ActivityType.LIKE,
            Platform.INSTAGRAM,
            shortcode,
            person.profile_id,
            payload.source,
            payload.fetched_at,
            dimensions=person_dimensions(person),
        )
        for person in people
    ]


def comments_on(
    shortcode: str, comments: Iterable[Comment], payload: Payload, *, thread: str | None = None
) -> list[ActivityLog]:
    """Comments with their keywords; ``thread`` is the comment that they answer."""
    return [_comment(shortcode, comment, payload, thread) for comment in comments]


def spoken(logs: Iterable[ActivityLog]) -> list[ActivityLog]:
    """Only comments that have a text."""
    return [log for log in logs if log.comment_id is not None and (log.dimensions.get(TEXT) or "").strip()]


def _comment(shortcode: str, comment: Comment, payload: Payload, thread: str | None) -> ActivityLog:
    dimensions = {
        COMMENT_ID: comment.comment_id,
        COMMENTS_THREAD: thread,
        TEXT: comment.text,
        HANDLE: comment.handle,
        PROFILE_PIC_URL: comment.profile_pic_url,
        IS_VERIFIED: comment.is_verified,
        TAKEN_AT: comment.publish_time,
        KEYWORDS: keywords(comment.text),
    }
    return ActivityLog(
        ActivityType.COMMENT,
        Platform.INSTAGRAM,
        shortcode,
        comment.profile_id,
        payload.source,
        payload.fetched_at,
        comment_id=comment.comment_id,
        dimensions=json_safe(said(dimensions)),
        metrics=plausible({LIKES: comment.likes, COMMENTS: comment.replies}),
    )
