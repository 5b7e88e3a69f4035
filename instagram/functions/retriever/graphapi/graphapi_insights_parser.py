"""Numbers about posts, stories and accounts."""

from __future__ import annotations

from typing import Any

from core.crawler.errors import Malformed
from core.crawler.provider import Payload
from instagram.functions.retriever.graphapi.graphapi_media import moment
from instagram.functions.retriever.graphapi.graphapi_numbers import gaps, insight_items, number
from instagram.functions.retriever.reader import Reader
from instagram.models.pages import Insights, InsightsSeries, Number, Series, SeriesValue

_NAMES = {"video_views": ("views", "video_views"), "total_interactions": ("interactions",)}
_KNOWN = frozenset(
    {
        "comments", "engagement", "exits", "follows", "impressions", "likes", "plays", "profile_activity",
        "profile_visits", "reach", "replies", "saved", "shares", "taps_back", "taps_forward", "total_interactions",
        "video_views",
    }
)  # fmt: skip
"""Metrics whose shape is checked; others may come as they like."""
_ACTIONS = ["story_navigation_action_type"]


def parse_media_insights(payload: Payload) -> Insights:
    """Numbers of a post or story. What is no number is left out; how people moved on must not cost the rest."""
    wanted = payload.asked.post_id.partition("_")[0] if payload.asked.post_id else None
    metrics: dict[str, Number] = {}
    missing = gaps(payload)
    for name, items in insight_items(payload, wanted).items():
        plain = name.removeprefix("carousel_album_")
        for item in items:
            try:
                metrics |= _navigation(item) if plain == "navigation" else _plain(plain, item)
            except Malformed as error:
                if plain != "navigation":
                    raise
                missing[plain] = error.message
    return Insights(metrics, missing)


def _plain(name: str, item: Reader) -> dict[str, Number]:
    """One number, under each of its names in Beat."""
    try:
        value = number(_value(item))
    except Malformed:
        if name in _KNOWN or name == "navigation":
            raise
        value = None
    return {} if value is None else dict.fromkeys(_NAMES.get(name, (name,)), value)


def _value(item: Reader) -> Any:
    """The first value, or the total of a metric that was asked as one."""
    value = item.raw("values.0.value")
    return item.raw("total_value.value") if value is None else value


def _navigation(item: Reader) -> dict[str, Number]:
    """How people moved on from a story, in all and by action in lower case (``tap_forward``)."""
    found = _plain("navigation", item)
    for breakdown in item.array("total_value.breakdowns") or ():
        if breakdown.raw("dimension_keys") != _ACTIONS:
            continue
        for result in breakdown.array("results") or ():
            action, value = result.word("dimension_values.0"), number(result.raw("value"))
            if action is not None and value is not None:
                found[action.lower()] = value
    return found


def parse_profile_insights(payload: Payload) -> InsightsSeries:
    """Numbers of an account over time, by Graph's names; metrics without a number are left out."""
    named = insight_items(payload, payload.asked.profile_id).items()
    found = [_series(name, item) for name, items in named for item in items]
    return InsightsSeries([series for series in found if series.values], gaps(payload))


def _series(name: str, item: Reader) -> Series:
    read = [(number(one.raw("value")), one) for one in item.array("values") or ()]
    values = [SeriesValue(value, moment(one, "end_time")) for value, one in read if value is not None]
    total = number(item.raw("total_value.value"))
    if not values and total is not None:
        values = [SeriesValue(total)]
    return Series(name, item.word("period"), values)
