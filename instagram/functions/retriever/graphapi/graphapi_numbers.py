"""What all of Graph's insight answers have in common: ``{data: [{name, period, values: [{value, end_time}], id}]}``."""

from __future__ import annotations

import re
import sys
from typing import Any

from core.crawler.provider import Payload
from instagram.functions.retriever.checks import container, entries
from instagram.functions.retriever.graphapi.graphapi_owner import check_insights_of
from instagram.functions.retriever.reader import Reader
from instagram.models.pages import Number

_NUMBER = re.compile(r"\d{1,40}(\.\d{1,20})?")

GAPS = "gaps"
"""Key that Beat adds where several answers were put together: what failed, and why."""


def insight_items(payload: Payload, wanted: str | None) -> dict[str, list[Reader]]:
    """Metric name -> its items, in the order of the answer. Titles are localised, so only names count.

    Raises:
        NotFoundHere: there is no list, or it is about something else than ``wanted``.
        Malformed: none of the items has a name.
    """
    items = entries(container(Reader(payload.data), ""), "data")
    check_insights_of(items, wanted)
    found: dict[str, list[Reader]] = {}
    for item in items:
        name = item.word("name")
        if name is not None:
            found.setdefault(name, []).append(item)
    if items and not found:
        raise items[0].wrong("name", "text", None)
    return found


def number(value: Any) -> Number | None:
    """A number as such or as text, whole where it is whole; null for anything else, for less than 0 and for more than a
    float can hold.
    """
    if isinstance(value, str) and value.isascii() and _NUMBER.fullmatch(value):
        value = float(value) if value.partition(".")[2].strip("0") else int(value.partition(".")[0])
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def gaps(payload: Payload) -> dict[str, str]:
    """What is missing from an answer that was put together, and why."""
    noted = payload.data.get(GAPS) if isinstance(payload.data, dict) else None
    if not isinstance(noted, dict):
        return {}
    return {str(name): str(reason) for name, reason in noted.items()}
