"""Who follows, is reached by or engages with an account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from core.crawler.provider import Payload
from instagram.functions.retriever.graphapi.graphapi_numbers import gaps, insight_items, number
from instagram.functions.retriever.reader import Reader
from instagram.models.pages import Audience, Number

_OLD = {name: f"audience_{name}" for name in ("city", "country", "gender_age", "locale")}
_FOLLOWERS = "follower_demographics"
_REACHED, _ENGAGED = "reached_audience_demographics", "engaged_audience_demographics"
_DIMENSIONS = {("city",): "city", ("country",): "country", ("age", "gender"): "gender_age"}

Parts = dict[str, dict[str, Number]]


def parse_audience(payload: Payload) -> Audience:
    """Both forms: ``audience_<part>`` with flat keys, and ``<who>_demographics`` broken down; each by its name.

    An absent metric and one without numbers are null: nothing is known of it.
    """
    items = insight_items(payload, payload.asked.profile_id)
    followers = _demographics(items.get(_FOLLOWERS, []))
    for part, name in _OLD.items():
        for item in items.get(name, []):
            _merge(followers, part, _flat(item))
    reached, engaged = (_demographics(items.get(name, [])) for name in (_REACHED, _ENGAGED))
    return replace(
        _audience(followers),
        reached=_audience(reached) if reached else None,
        engaged=_audience(engaged) if engaged else None,
        gaps=gaps(payload),
    )


def _audience(parts: Parts) -> Audience:
    return Audience(parts.get("city"), parts.get("country"), parts.get("gender_age"), parts.get("locale"))


def _merge(parts: Parts, part: str, numbers: dict[str, Number]) -> None:
    if numbers:
        parts[part] = {**parts.get(part, {}), **numbers}


def _flat(item: Reader) -> dict[str, Number]:
    """``values[0].value`` is an object; an empty one may come as an empty list."""
    if item.raw("values.0.value") == []:
        return {}
    value = item.object("values.0.value")
    found = ((key, number(given)) for key, given in value.value.items()) if value else ()
    return {key: given for key, given in found if given is not None}


def _demographics(items: list[Reader]) -> Parts:
    """``total_value.breakdowns[].results[]`` -> the flat keys of the older form."""
    parts: Parts = {}
    for item in items:
        for breakdown in item.array("total_value.breakdowns") or ():
            keys = _keys(breakdown)
            part = _DIMENSIONS.get(tuple(sorted(keys)))
            if part is not None:
                _merge(parts, part, dict(_results(breakdown, keys)))
    return parts


def _keys(breakdown: Reader) -> list[str]:
    keys = breakdown.raw("dimension_keys") or []
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise breakdown.wrong("dimension_keys", "a list of texts", keys)
    return keys


def _results(breakdown: Reader, keys: list[str]) -> Iterator[tuple[str, Number]]:
    for result in breakdown.array("results") or ():
        values = {key: result.need_word(f"dimension_values.{index}") for index, key in enumerate(keys)}
        value = number(result.raw("value"))
        if value is not None:
            yield _key(values), value


def _key(values: Mapping[str, str]) -> str:
    """``F.25-34`` whatever the order asked; otherwise the one value there is."""
    return f"{values['gender']}.{values['age']}" if "gender" in values else next(iter(values.values()))
