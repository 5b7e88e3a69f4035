"""What parsers give: a profile with the posts that came along, one page of something, or numbers about something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.models.logs import PostLog, ProfileLog

Number = int | float


@dataclass(frozen=True, slots=True)
class ProfilePage:
    """A profile and the posts embedded in its payload (none for most sources)."""

    profile: ProfileLog
    posts: list[PostLog] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PostsPage:
    """Posts or stories in the order of the answer. Without a next page ``cursor`` is null, and the other way round.

    ``beside`` is what a source wants back together with the cursor. ``steady_cursor``: the source gives the same cursor
    on every page, so that a repeated one is no sign of a circle. ``pinned``: media pks of the posts that their account
    keeps on top, whatever their age.
    """

    posts: list[PostLog]
    has_next_page: bool = False
    cursor: str | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    steady_cursor: bool = False
    pinned: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in a list of followers, followed accounts or likers."""

    profile_id: str
    handle: str | None = None
    full_name: str | None = None
    is_private: bool | None = None
    is_verified: bool | None = None
    profile_pic_url: str | None = None


@dataclass(frozen=True, slots=True)
class PeoplePage:
    """Followers, followed accounts or likers in the order of the answer."""

    people: list[Person]
    has_next_page: bool = False
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    """One top-level comment; ``publish_time`` in epoch seconds. ``replies``: how many there are."""

    comment_id: str
    text: str | None = None
    profile_id: str | None = None
    handle: str | None = None
    likes: int | None = None
    publish_time: int | None = None
    replies: int | None = None
    profile_pic_url: str | None = None
    is_verified: bool | None = None


@dataclass(frozen=True, slots=True)
class CommentsPage:
    """Comments in the order of the answer; ``beside`` as in ``PostsPage``.

    ``announced``: of replies, how many their comment has; null as long as it was not found.
    """

    comments: list[Comment]
    has_next_page: bool = False
    cursor: str | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    announced: int | None = None


@dataclass(frozen=True, slots=True)
class Highlight:
    """Stories that an account keeps on show under a title."""

    highlight_id: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class HighlightsPage:
    """All highlights of an account, without what is in them."""

    highlights: list[Highlight]


@dataclass(frozen=True, slots=True)
class Insights:
    """Lifetime numbers of one post or story; what the source did not say is absent.

    ``gaps``: calls that failed while others gave numbers, and why.
    """

    metrics: Mapping[str, Number]
    gaps: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeriesValue:
    """One value of a series; ``end_time`` in epoch seconds."""

    value: Number
    end_time: int | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of an account over time."""

    name: str
    period: str | None
    values: list[SeriesValue]


@dataclass(frozen=True, slots=True)
class InsightsSeries:
    """The metrics of an account over time; ``gaps`` as in ``Insights``."""

    series: list[Series]
    gaps: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Audience:
    """Who follows an account, in the source's own flat keys (``F.25-34``, city text, ISO-2 country, locale).

    ``reached`` and ``engaged`` are the same about those who saw it and those who reacted; null when the source did not
    speak of them. ``gaps``: parts that are missing, and why; what is stored of them stays as it is.
    """

    city: Mapping[str, Number] | None = None
    country: Mapping[str, Number] | None = None
    gender_age: Mapping[str, Number] | None = None
    locale: Mapping[str, Number] | None = None
    reached: Audience | None = None
    engaged: Audience | None = None
    gaps: Mapping[str, str] = field(default_factory=dict)


def posts_page(posts: list[PostLog], cursor: str | None, more: bool | None = True) -> PostsPage:
    """A page whose source gave ``cursor`` and a flag: both are needed, and a flag that was not given counts as true."""
    has_next = cursor is not None and more is not False
    return PostsPage(posts, has_next, cursor if has_next else None)
