"""Downloads one file: redirects hop by hop, sizes and times bounded, kind and length checked while it arrives."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import aiohttp
from multidict import CIMultiDictProxy

from core.client import places, sniff
from core.client.door import Door
from core.client.errors import (
    SPOOL_FULL,
    MediaError,
    MediaRefused,
    MediaUnavailable,
    StoreUnavailable,
    UrlExpired,
)
from core.client.reasons import cdn_failure, first_bytes
from core.client.sniff import Kind
from core.client.spool import SMALL, Body, DiskBudget
from core.client.whole import is_whole
from utils.times import wait_s

MAX_REDIRECTS = 3
SOON_S = 60
"""A signature that runs out within so many seconds is not tried."""

PATIENCE_S = 120.0
"""How long a large file waits for room on the disk before its task goes back to the queue."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DEAD = frozenset({403, 404, 410})
_BUSY = frozenset({408, 425, 429})
_NOTE, _NOTE_S = 512, 2.0
_ACCEPT = {"IMAGE": "image/*", "VIDEO": "video/*"}


@dataclass(frozen=True, slots=True)
class Ask:
    """What to download. ``etag`` and ``last_modified`` make it conditional."""

    url: str
    asset_type: str
    limit: int
    etag: str | None = None
    last_modified: str | None = None

    def headers(self) -> dict[str, str]:
        """What this request says beyond the door's own headers."""
        found = {"Accept": _ACCEPT.get(self.asset_type, "*/*")}
        if self.etag:
            found["If-None-Match"] = self.etag
        if self.last_modified:
            found["If-Modified-Since"] = self.last_modified
        return found

    @property
    def conditional(self) -> bool:
        """Whether 304 is an answer to it."""
        return bool(self.etag or self.last_modified)


@dataclass(slots=True)
class Fetched:
    """What came; None for body and kind: the CDN's copy is the one that is known. Leave it by ``with``."""

    body: Body | None
    kind: Kind | None
    etag: str | None
    last_modified: str | None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.body is not None:
            self.body.close()


class _NoRoom(Exception):
    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


class Fetcher:
    """Downloads through a door; large files go to ``folder``, within the budget."""

    def __init__(self, door: Door, budget: DiskBudget, folder: Path, *, total_s: float) -> None:
        self._door = door
        self._budget = budget
        self._folder = folder
        self._total_s = total_s

    async def fetch(self, ask: Ask) -> Fetched:
        """Download one file, or learn that nothing has changed.

        Raises:
            UrlExpired, MediaRefused, MediaUnavailable: as their docstrings say.
            StoreUnavailable: SPOOL_FULL.
        """
        url = places.checked(ask.url)
        ends = places.expires_at(url)
        if ends is not None and ends < time.time() + SOON_S:
            raise UrlExpired("the signature of the URL has run out")
        room = 0
        while True:
            body = Body()
            if room:
                body.hold(self._budget, room)
            try:
                return await self._fetch(url, ask, body)
            except _NoRoom as wanted:  # asked again later, rather than a CDN's connection kept waiting
                body.close()
                await self._wait_for_room(wanted.size)
                room = wanted.size
            except BaseException:
                body.close()
                raise

    async def _wait_for_room(self, size: int) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._budget.take(size)
        except TimeoutError:
            raise StoreUnavailable(SPOOL_FULL, "other large files take all the room there is for them") from None

    async def _fetch(self, url: str, ask: Ask, body: Body) -> Fetched:
        try:
            async with asyncio.timeout(self._total_s):
                return await self._follow(url, ask, body)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise cdn_failure(error, places.host_of(url)) from None

    async def _follow(self, url: str, ask: Ask, body: Body) -> Fetched:
        for _ in range(MAX_REDIRECTS + 1):
            async with self._door.get(url, ask.headers()) as response:
                location = response.headers.get("Location", "")
                if response.status not in _REDIRECTS or not location:
                    return await self._answer(response, ask, body)
                url = places.redirected(url, location)
            if ask.conditional and not places.same_file(ask.url, url):
                ask = replace(ask, etag=None, last_modified=None)  # a picture that stands in may be older
        raise MediaRefused("BAD_REDIRECT", f"more than {MAX_REDIRECTS} redirects")

    async def _answer(self, response: aiohttp.ClientResponse, ask: Ask, body: Body) -> Fetched:
        etag, modified = _word(response.headers, "ETag"), _word(response.headers, "Last-Modified")
        if response.status == 304 and ask.conditional:
            body.close()  # it may have waited for room that nobody needs now
            return Fetched(None, None, etag or ask.etag, modified or ask.last_modified)
        if response.status != 200:
            raise await _refusal(response)
        announced = response.content_length
        if announced is not None and announced > ask.limit:
            raise _too_large(ask)
        if announced is not None and announced > SMALL:
            self._spill(body, announced)
        kind = await self._receive(response, ask, body)
        if body.size == 0 or kind is None:
            raise MediaUnavailable("EMPTY", "the answer has no body")
        until_closed = announced is None and not _is_chunked(response.headers)
        if until_closed and not await asyncio.to_thread(is_whole, body.open(), body.size, kind):
            raise MediaUnavailable("TRUNCATED", "the connection ended before the file did")
        return Fetched(body, kind, etag, modified)

    async def _receive(self, response: aiohttp.ClientResponse, ask: Ask, body: Body) -> Kind | None:
        kind = None
        async for chunk in response.content.iter_any():
            if body.size + len(chunk) > ask.limit:
                raise _too_large(ask)
            if body.memory is not None and body.size + len(chunk) > SMALL:
                self._spill(body, ask.limit)
            try:
                await body.write(chunk)
            except OSError as error:
                raise _no_disk(error) from None
            if kind is None and body.size >= sniff.ENOUGH:
                kind = _kind(body.head, ask)  # before the rest of a page is read
        try:
            await body.flush()
        except OSError as error:
            raise _no_disk(error) from None
        return kind or (_kind(body.head, ask) if body.size else None)

    def _spill(self, body: Body, size: int) -> None:
        if body.room < size:
            if body.room or not self._budget.try_take(size):
                raise _NoRoom(size)
            body.hold(self._budget, size)
        try:
            body.spill(self._folder)
        except OSError as error:
            raise _no_disk(error) from None


def _is_chunked(headers: CIMultiDictProxy[str]) -> bool:
    """Whether the body says itself where it ends: as the last of its codings, it alone."""
    return ",".join(headers.getall("Transfer-Encoding", ())).rpartition(",")[2].strip().lower() == "chunked"


def _kind(head: bytes, ask: Ask) -> Kind:
    kind = sniff.sniff(head)
    if kind is None and head.startswith(sniff.EXPIRED_TEXT):
        raise UrlExpired("the CDN says that the signature of the URL has run out")
    if kind is None and sniff.is_text(head):
        raise MediaRefused("NOT_MEDIA", "a page, JSON or text came instead of media")
    if kind is None:
        raise MediaRefused("BAD_TYPE", "the bytes are of no kind that is stored")
    if kind.asset_type != ask.asset_type:
        raise MediaRefused("BAD_TYPE", f"{kind.content_type} came where an asset of type {ask.asset_type} should be")
    return kind


async def _refusal(response: aiohttp.ClientResponse) -> MediaError:
    """What an answer other than the file means."""
    status, host = response.status, response.url.host
    told = f"{host} answered {status}"
    if status in _DEAD:
        return UrlExpired(f"{told} {await _reason(response)}".rstrip())
    retry_after_s = wait_s(response.headers.get("Retry-After", "").strip())
    if status in _BUSY:
        return MediaUnavailable("THROTTLED", told, retry_after_s=retry_after_s)
    if status >= 500:
        return MediaUnavailable("SERVER_ERROR", told, retry_after_s=retry_after_s)
    if status < 400:
        return MediaUnavailable("BAD_ANSWER", told)
    return MediaRefused("BAD_STATUS", told)


async def _reason(response: aiohttp.ClientResponse) -> str:
    """What a CDN says of a dead URL, if it is one of the known texts: it is dead even if no text comes."""
    try:
        async with asyncio.timeout(_NOTE_S):
            note = (await first_bytes(response, _NOTE)).decode("ascii", "replace")
    except (aiohttp.ClientError, OSError):  # TimeoutError is an OSError
        return ""
    return next((text for text in ("URL signature expired", "URL signature mismatch") if text in note), "")


def _too_large(ask: Ask) -> MediaRefused:
    return MediaRefused("TOO_LARGE", f"more than {ask.limit} bytes for an asset of type {ask.asset_type}")


def _no_disk(error: OSError) -> StoreUnavailable:
    return StoreUnavailable(SPOOL_FULL, f"a large file cannot be kept on the disk: {error.strerror}")


def _word(headers: CIMultiDictProxy[str], name: str) -> str | None:
    """A header that is kept for the next time, if it can be."""
    value = headers.get(name, "").strip()
    return value if value and len(value) <= _NOTE and value.isascii() and value.isprintable() else None
