"""Posts found in lists -> what is stored of them. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.enums import Platform, PostType
from core.models.logs import PostLog, ProfileLog
from instagram.functions.retriever.checks import same_handle
from instagram.functions.retriever.shortcode import media_pk
from instagram.models import keys as k
from instagram.tasks.ingestion import complete_post, complete_posts, plausible
from utils.times import utc_now

_HASHTAG = re.compile(r"#[^\s!-/:-@\[-^`{-~\u2010-\u206f\u3000-\u303f]+")
"""Not by letters: vowel signs of Indian scripts are none, and emoji may be in one."""


def named(log: PostLog) -> PostLog:
    """The log under the name of its row: a story's is its media pk, whatever code it has besides. The pk is also its
    id until Graph's is known."""
    if log.dimensions.get(k.POST_TYPE) != PostType.STORY:
        return log
    code = log.shortcode or log.dimensions.get(k.SHORT_CODE)
    pk = log.dimensions.get(k.MEDIA_PK) or (media_pk(code) if code else None)
    dimensions = log.dimensions if pk is None else {k.POST_ID: pk, **log.dimensions}
    return replace(log, shortcode=pk, dimensions=dimensions)


def of_account(posts: Sequence[PostLog], account: ProfileLog | None, handle: str | None = None) -> list[PostLog]:
    """Posts of one account, fit for storing. Without the account, one of the posts may tell whose ``handle`` it is."""
    known = account or _owner(posts, handle)
    return [complete_post(log) for log in posts] if known is None else complete_posts(posts, known)


def _owner(posts: Iterable[PostLog], handle: str | None) -> ProfileLog | None:
    for log in posts:
        if log.profile_id and same_handle(log.dimensions.get(k.HANDLE), handle):
            return ProfileLog(log.platform, log.profile_id, log.source, log.timestamp, {k.HANDLE: handle})
    return None


def with_dimension(posts: Iterable[PostLog], key: str, value: Any) -> list[PostLog]:
    """Posts of anybody, fit for storing, with what they were found by."""
    return [complete_post(replace(log, dimensions={**log.dimensions, key: value})) for log in posts]


def with_hashtags(posts: Iterable[PostLog]) -> list[PostLog]:
    """Posts of anybody, fit for storing, with the hashtags of their captions."""
    found = ((log, _HASHTAG.findall(log.dimensions.get(k.CAPTION) or "")) for log in posts)
    return [
        complete_post(replace(log, dimensions=log.dimensions | ({k.HASHTAGS: ",".join(words)} if words else {})))
        for log, words in found
    ]


def with_metrics(posts: Iterable[PostLog], metrics: Mapping[str, Any]) -> list[PostLog]:
    """Posts with further numbers."""
    return [replace(log, metrics={**log.metrics, **plausible(metrics)}) for log in posts]


def story_stub(story_id: str, account: ProfileLog, metrics: Mapping[str, Any]) -> PostLog:
    """A story that no source shows any more: its row says that it was there."""
    dimensions = {
        k.POST_ID: story_id,
        k.MEDIA_PK: story_id,
        k.PROFILE_ID: account.profile_id,
        k.HANDLE: account.dimensions.get(k.HANDLE),
        k.POST_TYPE: PostType.STORY,
    }
    return PostLog(Platform.INSTAGRAM, story_id, account.profile_id, "", utc_now(), dimensions, plausible(metrics))
