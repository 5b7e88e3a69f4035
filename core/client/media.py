"""Copies one file from a CDN to the object store."""

from __future__ import annotations

import asyncio
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from config import ConfigError, MediaSettings, Settings
from core.bucket import store_access
from core.client.connector import KEEP_ALIVE_S
from core.client.decode import Decoder
from core.client.door import Door
from core.client.errors import MediaRefused
from core.client.fetch import Ask, Fetched, Fetcher
from core.client.keys import asset_stem
from core.client.large import READ_S, TIMEOUT_S, LargeUploads
from core.client.marks import Marks
from core.client.sniff import KINDS, Kind
from core.client.spool import Body, DiskBudget
from core.client.store import Store
from utils.object_store import ObjectStore

_SPARE_S = 90.0
"""So long before its task's time limit an upload is given up: a task that is cancelled there is not run again."""


@dataclass(frozen=True, slots=True)
class MediaRequest:
    """What to copy, and what is known of the copy there is.

    ``url`` is requested as it stands, to the byte. ``etag`` and ``last_modified`` are those of the last ``Uploaded``;
    they are sent only together with ``known_key``, the key it was stored under.
    """

    url: str
    platform: str
    entity_type: str  # PROFILE or POST
    entity_id: str
    asset_type: str  # IMAGE or VIDEO
    etag: str | None = None
    last_modified: str | None = None
    known_key: str | None = None


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What is stored, as the bytes say. ``etag`` and ``last_modified`` are the CDN's, ``sha256`` is in hex.

    ``not_modified``: the CDN said that nothing changed; nothing was put, ``key`` is the known one, ``size_bytes`` is 0,
    ``sha256`` None.
    """

    key: str
    content_type: str
    size_bytes: int
    etag: str | None
    last_modified: str | None
    sha256: str | None
    not_modified: bool


class MediaClient:
    """One per process, made inside its loop, closed by whoever made it. Any number of uploads at a time."""

    def __init__(self, door: Door, session: aiohttp.ClientSession, settings: Settings, folder: Path) -> None:
        media, access = settings.media, store_access(settings)
        assert access is not None
        self._limits = {"IMAGE": media.asset_max_image_mb << 20, "VIDEO": media.asset_max_video_mb << 20}
        limit_s = settings.workers.task_time_limit_s
        self._patience_s = max(limit_s - _SPARE_S, limit_s / 2)
        self._cache_control = media.asset_cache_control
        self._door = door
        self._session = session
        self._fetcher = Fetcher(
            door, DiskBudget(media.asset_spool_mb << 20), folder, total_s=media.asset_total_timeout_s
        )
        self._decoder = Decoder() if media.asset_verify_decode else None
        self._store = Store(access, session)
        self._sdk = ObjectStore(access, timeout_s=TIMEOUT_S, read_s=READ_S)
        self._large = LargeUploads(self._sdk, Marks(folder, f"{access.endpoint_url or 'aws'} {access.bucket}"))

    @classmethod
    async def open(cls, settings: Settings) -> MediaClient:
        """Make the client; nothing is connected yet.

        Raises:
            ConfigError: no bucket is set, or the spool directory cannot be used.
        """
        media = settings.media
        if store_access(settings) is None:
            raise ConfigError("AWS_BUCKET is not set: media have nowhere to go")
        folder = _spool_folder(media.asset_spool_dir)
        door = Door.open(
            per_host=media.asset_host_connections,
            connect_s=media.asset_connect_timeout_s,
            read_s=media.asset_read_timeout_s,
            simulator=media.asset_sandbox_cdn,
            name_server=media.asset_dns,
        )
        return cls(door, _store_session(media), settings, folder)

    async def upload(self, request: MediaRequest) -> Uploaded:
        """Download, check and store one file, over what its key holds. Safe to repeat.

        Raises:
            UrlExpired, MediaRefused, MediaUnavailable, StoreRefused, StoreUnavailable: see ``core.client.errors``.
        """
        stem = asset_stem(request.entity_type, request.platform, request.entity_id)  # without one no request is made
        ask = self._ask(request)
        self._store.check_open()
        until = asyncio.get_running_loop().time() + self._patience_s
        with await self._fetcher.fetch(ask) as fetched:
            if fetched.body is None or fetched.kind is None:
                return _unchanged(request, fetched)
            body, kind = fetched.body, fetched.kind
            if self._decoder is not None:
                await self._decoder.check(body.open, kind)
            key = f"{stem}.{kind.extension}"
            sha256 = await self._put(key, body, kind, until)
            return Uploaded(
                key, kind.content_type, body.size, fetched.etag, fetched.last_modified, sha256, not_modified=False
            )

    async def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error.

        Raises:
            StoreRefused, StoreUnavailable: it is not known to be gone.
        """
        await self._store.delete(key)

    async def is_missing(self, key: str) -> bool:
        """Whether the store says that there is no such object; False when it does not say.

        Raises:
            StoreUnavailable: it cannot be asked.
        """
        return await self._store.is_missing(key)

    async def abort_leftovers(self) -> int:
        """Abort unfinished multipart uploads that processes which ended left behind; how many there were.

        Raises:
            StoreRefused, StoreUnavailable: the store did not answer; it can be called again.
        """
        return await self._large.abort_leftovers()

    async def aclose(self) -> None:
        """Close all connections. Uploads under way fail."""
        await self._large.aclose()
        await self._sdk.aclose()
        await self._door.aclose()
        await self._session.close()
        if self._decoder is not None:
            self._decoder.close()

    def _ask(self, request: MediaRequest) -> Ask:
        """What to download."""
        limit = self._limits.get(request.asset_type)
        if limit is None:
            raise MediaRefused("BAD_ENTITY", f"asset_type {request.asset_type!r} is neither IMAGE nor VIDEO")
        known = request.known_key is not None
        etag, modified = (request.etag, request.last_modified) if known else (None, None)
        return Ask(request.url, request.asset_type, limit, etag, modified)

    async def _put(self, key: str, body: Body, kind: Kind, until: float) -> str:
        about = {"ContentType": kind.content_type, "ContentDisposition": "inline", "CacheControl": self._cache_control}
        if body.memory is None:
            await self._large.put(key, body, about, until)
            return body.sha256
        headers = {
            "content-type": kind.content_type,
            "content-disposition": "inline",
            "cache-control": self._cache_control,
        }
        return await self._store.put(key, body.memory, headers)


def _unchanged(request: MediaRequest, fetched: Fetched) -> Uploaded:
    key = request.known_key or ""
    extension = key.rpartition(".")[2]
    content_type = next((kind.content_type for kind in KINDS if kind.extension == extension), "")
    return Uploaded(key, content_type, 0, fetched.etag, fetched.last_modified, None, not_modified=True)


def _store_session(media: MediaSettings) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=media.asset_store_connections, keepalive_timeout=KEEP_ALIVE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=media.asset_connect_timeout_s, sock_read=media.asset_read_timeout_s
        ),
    )


def _spool_folder(given: str | None) -> Path:
    folder = Path(given or tempfile.gettempdir()) / f"beat-assets-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ConfigError(f"ASSET_SPOOL_DIR: {folder} cannot be written: {error.strerror}") from None
    if folder.stat().st_uid != os.getuid():
        raise ConfigError(f"ASSET_SPOOL_DIR: {folder} belongs to somebody else")
    return folder
