"""What tasks beside the refresh of profiles must leave in the database, worked out from the universe alone.

Nothing of Beat is imported here: this is the other side of the comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.sandbox.hosts.graph_insights import media_value
from tests.sandbox.lists import comment, comment_count
from tests.sandbox.posts import DAY, Media, Post, posts_of, stories_of
from tests.sandbox.universe import Creator, Universe

RECENT_DAYS = 90
FEWEST_FOLLOWERS = 100
"""Accounts with fewer have no audience numbers."""

ENOUGH_VIEWERS = 5
"""One story in so many was seen by too few."""

_CITIES = ("Lisbon, Lisbon District", "London, England", "São Paulo, São Paulo (state)", "Paris, Île-de-France")
_COUNTRIES = ("PT", "GB", "BR", "FR", "US")
_LOCALES = ("pt_PT", "en_GB", "en_US", "pt_BR", "fr_FR")
_AGES = {
    "female": ("13-17", "18-24", "25-34", "35-44", "45-54", "55-64", "65+"),
    "male": ("18-24", "25-34", "35-44", "45-54", "65+"),
    "uncategorized": ("18-24", "25-34"),
}
_LETTERS = {"female": "F", "male": "M", "uncategorized": "U"}

_FEED = {name: name for name in ("engagement", "impressions", "reach", "saved")}
_REEL = {name: name for name in ("plays", "reach", "saved", "comments", "likes", "shares")}
_STORY = {name: name for name in ("exits", "impressions", "reach", "replies", "taps_forward", "taps_back")}
_COLUMNS = {
    Media.IMAGE: _FEED,
    Media.CAROUSEL: {column: f"carousel_album_{name}" for column, name in _FEED.items()},
    Media.VIDEO: {**_FEED, "video_views": "video_views"},
    Media.REEL: {**_REEL, "interactions": "total_interactions"},
}
"""Kind of media -> column -> Graph's word, as they are before version 18."""


@dataclass(frozen=True)
class ExpectedStory:
    """Columns of instagram_post for a story."""

    profile_id: str
    handle: str
    post_type: str
    content_type: str
    publish_time: datetime


@dataclass(frozen=True)
class ExpectedComment:
    """A comment by its id: what it says, who wrote it and how many like it."""

    text: str
    handle: str
    likes: int


def recent_own_posts(universe: Universe, who: Creator) -> list[Post]:
    """Posts that Graph gives numbers about: the account's own, young enough to be after it became professional."""
    young = universe.now - RECENT_DAYS * DAY
    return [post for post in posts_of(universe, who) if post.owner == who.index and post.taken_at > young]


def expected_insights(universe: Universe, post: Post) -> dict[str, int]:
    """Column -> number of an own post."""
    return {column: media_value(universe, post, name) for column, name in _COLUMNS[post.media].items()}


def has_story_insights(universe: Universe, story: Post) -> bool:
    """Whether enough people have seen it."""
    return universe.number("viewers", story.pk) % ENOUGH_VIEWERS != 0


def expected_story_insights(universe: Universe, story: Post) -> dict[str, int]:
    """Column -> number of an own story."""
    return {column: media_value(universe, story, name) for column, name in _STORY.items()}


def expected_stories(universe: Universe, who: Creator) -> dict[str, ExpectedStory]:
    """media pk, which is the row's shortcode -> row."""
    return {
        str(story.pk): ExpectedStory(
            profile_id=str(who.pk),
            handle=who.handle,
            post_type="story",
            content_type="video" if story.is_video else "image",
            publish_time=datetime.fromtimestamp(story.taken_at, UTC),
        )
        for story in stories_of(universe, who)
    }


def expected_audience(universe: Universe, who: Creator) -> Mapping[str, object] | None:
    """Column of instagram_profile_insights -> its JSON, as it is before version 18; None when there are none."""
    if who.followers < FEWEST_FOLLOWERS:
        return None

    def numbers(metric: str, keys: tuple[str, ...], before: str = "") -> dict[str, int]:
        return {key: universe.number(metric, who.index, before + key) % (who.followers + 1) for key in keys}

    ages = {gender: numbers("audience_gender_age", bands, f"{_LETTERS[gender]}.") for gender, bands in _AGES.items()}
    return {
        "audience_city": numbers("audience_city", _CITIES),
        "audience_country": numbers("audience_country", _COUNTRIES),
        "audience_gender_age": ages,
        "audience_locale": numbers("audience_locale", _LOCALES),
    }


def expected_comments(universe: Universe, post: Post) -> dict[str, ExpectedComment]:
    """comment_id -> comment."""
    listed = (comment(universe, post, number) for number in range(comment_count(post)))
    return {str(one.pk): ExpectedComment(one.text, one.writer.handle, one.likes) for one in listed}
