"""Graph's numbers about an account's own media and audience."""

from __future__ import annotations

from typing import Any

from tests.sandbox.hosts.graph_media import stamp
from tests.sandbox.ids import FIRST_STORY
from tests.sandbox.posts import DAY, Media, Post
from tests.sandbox.templates import Json, sample
from tests.sandbox.universe import Creator, Universe

_S = "graphapi"


def _items(name: str) -> dict[str, Json]:
    return {item["name"]: item for item in sample(_S, name)["data"]}


_MEDIA = {
    Media.IMAGE: _items("fetch_post_insights"),
    Media.VIDEO: _items("fetch_post_insights.video"),
    Media.CAROUSEL: _items("fetch_post_insights.carousel"),
    Media.REEL: _items("fetch_post_insights.reel"),
}
_STORY = _items("fetch_story_insights")
_NEW_STORY = {
    name: {**_STORY["reach"], "name": name}
    for name in (
        "impressions", "reach", "replies", "saved", "shares", "total_interactions", "follows", "profile_visits",
        "profile_activity",
    )
}  # fmt: skip
_NEW_FEED = {
    name: {**_MEDIA[Media.REEL]["reach"], "name": name}
    for name in ("impressions", "reach", "saved", "comments", "likes", "shares", "total_interactions")
}
_ACTIONS = ("automatic_forward", "tap_back", "tap_exit", "tap_forward", "swipe_back", "swipe_forward")
NEW_METRICS = 18
"""The version from which on posts and stories have other metrics, and audiences are totals with breakdowns."""
_PROFILE = _items("fetch_profile_insights")
_AUDIENCE = _items("fetch_audience_insights")


def version_of(path: str) -> int:
    """The major version that a path names; 15 without one."""
    number = path.lstrip("/").partition("/")[0].removeprefix("v").partition(".")[0]
    return int(number) if path.startswith("/v") and number.isdigit() else 15


def media_kind_metrics(post: Post, version: int = 15) -> dict[str, Json]:
    """name -> sample item of every metric that this kind of media has."""
    if post.slot >= FIRST_STORY:
        return _NEW_STORY if version >= NEW_METRICS else _STORY
    return _MEDIA[post.media] if version < NEW_METRICS or post.media is Media.REEL else _NEW_FEED


def navigation(universe: Universe, post: Post) -> list[Json]:
    """How people moved on from a story, in all and by action."""
    counts = {action: universe.number("navigation", post.pk, action) % 50 for action in _ACTIONS}
    results = [{"dimension_values": [action], "value": count} for action, count in counts.items()]
    total = {
        "value": sum(counts.values()),
        "breakdowns": [{"dimension_keys": ["story_navigation_action_type"], "results": results}],
    }
    item_id = f"{post.graph_id}/insights/navigation/lifetime"
    return [{"name": "navigation", "period": "lifetime", "title": "Navigation", "total_value": total, "id": item_id}]


def media_insights(universe: Universe, post: Post, metrics: list[str], version: int = 15) -> list[Json]:
    """One item per metric, without end_time."""
    known = media_kind_metrics(post, version)
    found = []
    for name in metrics:
        item = {**known[name], "id": f"{post.graph_id}/insights/{name}/lifetime"}
        item["values"] = [{"value": media_value(universe, post, name)}]
        found.append(item)
    return found


def media_value(universe: Universe, post: Post, metric: str) -> int:
    """The value of one metric: true counts where the metric is one, else a fixed number."""
    name = metric.removeprefix("carousel_album_")
    known = {"likes": post.likes, "comments": post.comments, "plays": post.plays, "video_views": post.views}
    known["engagement"] = post.likes + post.comments
    value = known.get(name)
    return universe.number("insight", post.pk, name) % (post.likes * 20 + 50) if value is None else value


def user_metrics() -> frozenset[str]:
    """Metrics by day and by lifetime that an account has."""
    return frozenset({*_PROFILE, *_AUDIENCE})


def user_insights(universe: Universe, who: Creator, metrics: list[str], period: str) -> list[Json]:
    """Daily numbers, or lifetime audience numbers when the period is lifetime."""
    return [_user_item(universe, who, name, period) for name in metrics]


def _user_item(universe: Universe, who: Creator, name: str, period: str) -> Json:
    source = _AUDIENCE.get(name) or _PROFILE[name]
    item = {**source, "period": period, "id": f"{who.fbid}/insights/{name}/{period}"}
    midnight = universe.now - universe.now % DAY + 8 * 3600
    values: list[Json] = []
    for number, old in enumerate(source["values"]):
        value: Any = universe.number(name, who.index, number) % (who.followers + 1)
        if isinstance(old["value"], dict):
            value = {key: universe.number(name, who.index, key) % (who.followers + 1) for key in old["value"]}
        values.append({"value": value, "end_time": stamp(midnight - DAY * (len(source["values"]) - number))})
    return {**item, "values": values}


_BREAKDOWNS = {
    "country": [["IN"], ["US"], ["GB"], ["BR"]],
    "city": [["Mumbai, Maharashtra"], ["Pune, Maharashtra"], ["London, England"], ["São Paulo, São Paulo (state)"]],
    "age": [["18-24"], ["25-34"], ["35-44"]],
    "gender": [["F"], ["M"], ["U"]],
    "age,gender": [["18-24", "F"], ["18-24", "M"], ["25-34", "F"], ["25-34", "M"], ["35-44", "F"], ["65+", "U"]],
}
_BREAKDOWNS["gender,age"] = [list(reversed(pair)) for pair in _BREAKDOWNS["age,gender"]]
DEMOGRAPHICS = frozenset({"follower_demographics", "reached_audience_demographics", "engaged_audience_demographics"})


def breakdown_keys(text: str) -> str | None:
    """``gender, age`` in its plain form; None for a breakdown that does not exist."""
    plain = text.replace(" ", "")
    return plain if plain in _BREAKDOWNS else None


def demographics(universe: Universe, who: Creator, metrics: list[str], breakdown: str) -> list[Json]:
    """total_value form: one breakdown per item."""
    found = []
    for name in metrics:
        results = [
            {"dimension_values": values, "value": universe.number(name, who.index, *values) % (who.followers // 2 + 1)}
            for values in _BREAKDOWNS[breakdown]
        ]
        total = {"breakdowns": [{"dimension_keys": breakdown.split(","), "results": results}]}
        title = name.replace("_", " ").title()
        item_id = f"{who.fbid}/insights/{name}/lifetime"
        found.append({"name": name, "period": "lifetime", "title": title, "total_value": total, "id": item_id})
    return found
