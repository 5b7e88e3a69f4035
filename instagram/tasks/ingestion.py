"""Parsed pages -> what is stored: one log per entity. Pure functions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from core.models.logs import PostLog, ProfileLog
from instagram.models.keys import CAPTION, COLLAB_PROFILE_ID, HANDLE, KEYWORDS, PROFILE_ID
from instagram.tasks.keywords import at_hand, keywords
from utils.json_safe import json_safe

MAX_COUNT = 2 * 10**9
"""More than there are users; a larger count is an error of the source and counts as not said."""


def merge_posts(posts: Iterable[PostLog]) -> list[PostLog]:
    """One log per shortcode, in order of shortcode. Per key the newest value wins; what a newer one leaves out stays.

    Among equally new ones the later in the sequence wins. The newest log names the source. Posts that do not say
    their shortcode are left out.
    """
    merged: dict[str, PostLog] = {}
    for log in sorted(posts, key=lambda log: log.timestamp):
        if log.shortcode:
            older = merged.get(log.shortcode)
            merged[log.shortcode] = log if older is None else _over(older, log)
    return [merged[shortcode] for shortcode in sorted(merged)]


def _over(older: PostLog, newer: PostLog) -> PostLog:
    return replace(
        newer,
        profile_id=newer.profile_id or older.profile_id,
        dimensions={**older.dimensions, **_said(newer.dimensions)},
        metrics={**older.metrics, **_said(newer.metrics)},
    )


def _said(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def nameless(posts: Iterable[PostLog]) -> int:
    """How many posts do not say their shortcode: they cannot be stored."""
    return sum(1 for log in posts if not log.shortcode)


def complete_profile(log: ProfileLog) -> ProfileLog:
    """The log fit for storing: plausible counts, text that PostgreSQL takes."""
    return replace(log, dimensions=json_safe(_said(log.dimensions)), metrics=json_safe(plausible(log.metrics)))


async def completed_posts(posts: Iterable[PostLog], account: ProfileLog) -> list[PostLog]:
    """Merged and complete posts of an account; in a thread when captions have to be read, which takes milliseconds."""
    merged = merge_posts(posts)
    if at_hand(log.dimensions.get(CAPTION) for log in merged):
        return complete_posts(merged, account)
    return await asyncio.to_thread(complete_posts, merged, account)


def complete_posts(posts: Iterable[PostLog], account: ProfileLog) -> list[PostLog]:
    """Posts found with an account, fit for storing: owner and collaboration are named, keywords added."""
    return [complete_post(_with_owner(log, account)) for log in posts]


def complete_post(log: PostLog) -> PostLog:
    """The log fit for storing: plausible counts, keywords, text that PostgreSQL takes."""
    dimensions = json_safe(_said(log.dimensions))
    dimensions[KEYWORDS] = keywords(dimensions.get(CAPTION))
    metrics = json_safe(plausible(log.metrics))
    return PostLog(log.platform, log.shortcode, log.profile_id, log.source, log.timestamp, dimensions, metrics)


def _with_owner(log: PostLog, account: ProfileLog) -> PostLog:
    """A post's own owner wins; when that is another account, the one it was found with is its collaborator."""
    dimensions = dict(log.dimensions)
    owner = log.profile_id or account.profile_id
    dimensions[PROFILE_ID] = owner
    if owner != account.profile_id:
        dimensions[COLLAB_PROFILE_ID] = account.profile_id
    elif HANDLE not in dimensions:
        dimensions[HANDLE] = account.dimensions.get(HANDLE)
    return PostLog(log.platform, log.shortcode, owner, log.source, log.timestamp, dimensions, log.metrics)


def impossible(metrics: Mapping[str, Any]) -> list[str]:
    """Names of the counts that are below 0 or too large."""
    return [key for key, value in _said(metrics).items() if _impossible(value)]


def plausible(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What was said and can be true."""
    return {key: value for key, value in _said(metrics).items() if not _impossible(value)}


def _impossible(value: object) -> bool:
    return isinstance(value, int | float) and not 0 <= value <= MAX_COUNT
