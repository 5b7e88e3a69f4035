"""Numbers that an owner was given -> logs. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core.crawler.crawler import Fetched
from core.crawler.errors import (
    CredentialInvalid,
    InsufficientData,
    Malformed,
    NotFound,
    Private,
    QuotaExhausted,
    RateLimited,
    Unavailable,
    Unsupported,
)
from core.enums import Platform
from core.models.logs import PostLog, ProfileLog
from instagram.models.keys import HANDLE, PLAY_COUNT, POST_ID, PROFILE_ID, VIEW_COUNT
from instagram.models.pages import Audience, Insights, Number
from instagram.tasks.ingestion import plausible
from instagram.tasks.own_media import StoredPost
from instagram.tasks.retrieval import Gap

_KEYS = {
    "plays": PLAY_COUNT,
    "views": VIEW_COUNT,
    "taps_forward": "tap_forward",
    "taps_back": "tap_back",
    "exits": "tap_exit",
}
"""Graph's words that are others in logs."""

_ALIASES = {
    "saved": "saves",
    "tap_forward": "taps_forward",
    "tap_back": "taps_back",
    "tap_exit": "exits",
    "swipe_up": "swipe_ups",
}
"""Readers of events know some metrics by a second name: both are said."""

_GENDERS = {"M": "male", "F": "female"}
_METRICS = {
    "": "follower_demographics",
    "reached_": "reached_audience_demographics",
    "engaged_": "engaged_audience_demographics",
}
_BREAKDOWNS = {"city": "city", "country": "country", "gender_age": "age,gender"}

AUDIENCE_COLUMNS = tuple(
    f"{who}audience_{part}" for who in _METRICS for part in ("city", "country", "gender_age", "locale")
    if not (who and part == "locale")
)  # fmt: skip
"""Everything that may be known of an audience."""

Column = dict[str, Any]

_WORDS = frozenset(
    kind.word
    for kind in (
        CredentialInvalid, InsufficientData, Malformed, NotFound, Private, QuotaExhausted, RateLimited, Unavailable,
        Unsupported,
    )
)  # fmt: skip


def insights_log(fetched: Fetched[Insights], post: StoredPost, post_id: str, handle: str | None) -> PostLog:
    """Lifetime numbers of a post or story, by the words of logs.

    Raises:
        InsufficientData: there are none.
    """
    metrics = {_KEYS.get(name, name): value for name, value in plausible(fetched.value.metrics).items()}
    if not metrics:
        raise InsufficientData("the owner was given no numbers about it")
    metrics |= {alias: metrics[name] for name, alias in _ALIASES.items() if name in metrics}
    said = {HANDLE: handle, POST_ID: post_id, PROFILE_ID: post.profile_id}
    return PostLog(
        platform=Platform.INSTAGRAM,
        shortcode=post.shortcode,
        profile_id=post.profile_id,
        source=fetched.source,
        timestamp=fetched.payload.fetched_at,
        dimensions={key: value for key, value in said.items() if value is not None},
        metrics=dict(metrics),
    )


def audience_log(fetched: Fetched[Audience], profile_id: str, handle: str) -> ProfileLog:
    """Who follows, is reached by and engages with an account; a part without numbers is left out.

    Raises:
        InsufficientData: all of it is without numbers.
    """
    columns = audience_columns(fetched.value)
    if not columns:
        raise InsufficientData("the account was given no numbers about its audience")
    return ProfileLog(
        platform=Platform.INSTAGRAM,
        profile_id=profile_id,
        source=fetched.source,
        timestamp=fetched.payload.fetched_at,
        dimensions={PROFILE_ID: profile_id, HANDLE: handle, **columns},
    )


def audience_columns(audience: Audience) -> dict[str, Column]:
    """Column -> numbers, of the parts that have any."""
    found: dict[str, Column] = {}
    for who, part in (("", audience), ("reached_", audience.reached), ("engaged_", audience.engaged)):
        if part is None:
            continue
        ages = by_gender(part.gender_age) if part.gender_age else None
        columns = {"city": part.city, "country": part.country, "gender_age": ages, "locale": part.locale}
        found |= {f"{who}audience_{name}": dict(numbers) for name, numbers in columns.items() if numbers}
    return {name: numbers for name, numbers in found.items() if name in AUDIENCE_COLUMNS}


def by_gender(flat: Mapping[str, Number]) -> dict[str, dict[str, Number]]:
    """``{"F.25-34": 12}`` -> ``{"male": {}, "female": {"25-34": 12}, "uncategorized": {}}``."""
    found: dict[str, dict[str, Number]] = {"male": {}, "female": {}, "uncategorized": {}}
    for key, value in flat.items():
        letter, _, age = key.rpartition(".")
        ages = found[_GENDERS.get(letter.upper(), "uncategorized")]
        ages[age] = ages.get(age, 0) + value
    return found


def insights_gaps(insights: Insights) -> list[Gap]:
    """Parts of the numbers that could not be had."""
    return [_gap(name, reason) for name, reason in insights.gaps.items()]


def audience_gaps(audience: Audience, wanted: tuple[str, ...], known: Mapping[str, Any]) -> Iterator[Gap]:
    """One gap per wanted column that stays as it is, with the reason of the call that should have filled it."""
    for column in wanted:
        if column in known:
            continue
        who, _, part = column.rpartition("audience_")
        metric = _METRICS[who]
        calls = (f"{metric} by {_BREAKDOWNS.get(part)}", metric, column, "audience")
        reasons = (audience.gaps[call] for call in calls if call in audience.gaps)
        yield _gap(column, next(reasons, "insufficient_data: the source gave no numbers"))


def _gap(step: str, reason: str) -> Gap:
    """Reasons of failed calls are noted as ``word: message``; the others are what a parser stumbled over."""
    word, _, message = reason.partition(": ")
    return Gap(step, word, message=message) if word in _WORDS else Gap(step, Malformed.word, message=reason)
