"""Recorded answers of Instagram sources as payloads, and the way they are read in production."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.crawler.provider import Asked, Payload
from core.models.logs import PostLog
from instagram.functions.retriever.crawler import INSTAGRAM
from instagram.models.keys import DISPLAY_URL, THUMBNAIL

SAMPLES = Path(__file__).parent.parent / "contract" / "samples"
FETCHED = datetime(2023, 1, 28, 12, 0, 0, tzinfo=UTC)
GRAPH, ARRAYBOBO, JOTUCKER = "graphapi", "rapidapi-arraybobo", "rapidapi-jotucker"

OWNER = {"profile_id": "5820113374", "handle": "aurora.kitchen"}
TAGGED = [{"profile_id": "41009288113", "handle": "marlow.spices"}]


@dataclass(frozen=True)
class Recorded:
    """One recorded answer that holds data."""

    source: str
    function: str
    file: str

    def __str__(self) -> str:
        return f"{self.source}-{self.file}"

    @property
    def body(self) -> Any:
        """The decoded body, a copy of one's own."""
        return copy.deepcopy(_load(self.source, self.file))

    def parse(self, data: Any, **asked: Any) -> Any:
        """What the crawler makes of ``data`` as an answer to this function."""
        payload = Payload(self.source, self.function, Asked(**asked), data, FETCHED)
        return INSTAGRAM.providers[self.source].parsers[self.function](payload)


@lru_cache(maxsize=256)
def _load(source: str, file: str) -> Any:
    return json.loads((SAMPLES / source / f"{file}.json").read_text(encoding="utf-8"))


def recorded(source: str, file: str) -> Recorded:
    """The recording of a file; the function is the first part of its name."""
    return Recorded(source, file.partition(".")[0], file)


_NO_DATA = ("error-", "done-", "-200")


def data_cases() -> list[Recorded]:
    """Every recording that holds data for a function that is built."""
    return [
        recorded(source, path.stem)
        for source, provider in INSTAGRAM.providers.items()
        for path in sorted((SAMPLES / source).glob("*.json"))
        if path.name.partition(".")[0] in provider.parsers and not any(sign in path.name for sign in _NO_DATA)
    ]


def recorded_status(file: str) -> int:
    """The HTTP status in a recording's name; 200 when there is none. ``done-<n>`` is the one inside an envelope."""
    match = re.search(r"error-(\d{3})", file)
    return int(match[1]) if match else 200


def read(source: str, file: str, **asked: Any) -> Any:
    """A recording, read."""
    case = recorded(source, file)
    return case.parse(case.body, **asked)


def picture(url: str | None) -> str | None:
    """The telling part of a media URL: its file name and the size asked for."""
    return None if url is None else url.rpartition("/")[2].partition("&")[0]


def flat(log: PostLog) -> dict[str, Any]:
    """A post as one dict: shortcode, dimensions and metrics, with short pictures."""
    flattened = {"shortcode": log.shortcode, "owner": log.profile_id, **log.dimensions, **log.metrics}
    for key in (DISPLAY_URL, THUMBNAIL):
        if key in flattened:
            flattened[key] = picture(flattened[key])
    return flattened
