"""The watch over answers in one process: notes their shapes as they come, and hands them on now and then."""

from __future__ import annotations

import asyncio
import inspect
import json
import random
from pathlib import Path

from loguru import logger

from core.crawler.errors import Malformed, NotFoundHere, ProviderError
from core.crawler.provider import Payload, Provider
from core.drift.rule import Finding
from core.drift.shape import Reads, fingerprint, holds_more
from core.drift.store import Seen, enter
from core.metrics import COUNTS, PAYLOAD_DRIFT
from utils.db import Database
from utils.one_at_a_time import OneAtATime

HAND_ON_S = 60.0
HAND_ON_AT = 500
"""Counts wait so long, or for so many answers of one kind."""

SETTLE_S = 5.0
"""Longest that the end of the process waits for the database."""

READS_FILE = "reads.json"


class DriftWatch:
    """A sink for answers. ``share``: the part of them that is looked through as a whole, 0 to 1."""

    def __init__(self, database: Database, share: float) -> None:
        self._database = database
        self._share = share
        self._seen: dict[tuple[str, str], Seen] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._handing_on = OneAtATime(self._hand_on)

    async def __call__(self, payload: Payload, provider: Provider, error: ProviderError | None) -> None:
        """Note the shape of an answer that holds data, also when no parser could read it."""
        if error is not None and not _is_telling(payload, error):
            return
        reads = declared_reads(type(provider), payload.function)
        key = (payload.source, payload.function)
        seen = self._seen.get(key)
        if seen is None:
            seen = self._seen[key] = Seen(reads.paths)
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(HAND_ON_S, self._begin)
        seen.answers.append(reads.kinds(payload.data))
        if self._share and random.random() < self._share:
            seen.samples += 1
            seen.found.update(fingerprint(payload.data, reads.maps))
        if len(seen.answers) >= HAND_ON_AT:
            self._begin()

    async def settle(self) -> None:
        """Hand on what is left."""
        self._stop_timer()
        try:
            await self._handing_on.finish(within_s=SETTLE_S)
        except TimeoutError:
            logger.warning("shapes of answers were not handed on in time")

    def _begin(self) -> None:
        """In the background: no task waits for it. While one is under way the counts wait, within their bound."""
        self._stop_timer()
        if self._handing_on.begin():
            return
        for seen in self._seen.values():
            del seen.answers[: -2 * HAND_ON_AT]
        self._timer = asyncio.get_running_loop().call_later(HAND_ON_S, self._begin)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _hand_on(self) -> None:
        taken, self._seen = self._seen, {}
        try:
            for (source, function), seen in sorted(taken.items(), key=lambda item: item[0]):
                async with self._database.sessions.begin() as session:
                    findings = await enter(session, source, function, seen)
                _tell(source, function, findings)
        except Exception as failure:  # noqa: BLE001 - watching must harm no task; the counts were a sample anyway
            logger.bind(error=type(failure).__name__).warning("shapes of answers were not handed on")


def declared_reads(provider: type[Provider], function: str) -> Reads:
    """The paths that the source's parser of a function reads, as ``reads.json`` beside it declares them."""
    reads = _READS.get((provider, function))
    if reads is None:
        reads = _READS[provider, function] = Reads(_declared(provider).get(function, ()))
    return reads


_READS: dict[tuple[type[Provider], str], Reads] = {}


def _declared(provider: type[Provider]) -> dict[str, list[str]]:
    for kind in provider.__mro__:
        path = Path(inspect.getfile(kind)).with_name(READS_FILE) if issubclass(kind, Provider) else Path()
        if path.is_file():
            declared: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
            return declared
    return {}


def _is_telling(payload: Payload, error: ProviderError) -> bool:
    """Whether an answer that is none still shows how the source answers: "no such account" does not."""
    return isinstance(error, Malformed) or (isinstance(error, NotFoundHere) and holds_more(payload.data))


def _tell(source: str, function: str, findings: list[Finding]) -> None:
    for one in findings:
        COUNTS.add(PAYLOAD_DRIFT, source, function, one.kind)
        logger.bind(source=source, function=function, path=one.path, kind=one.kind, was=one.was, now=one.now).warning(
            "answers of a source have changed"
        )
