"""Copies one file from a CDN to the object store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from config import Settings

EntityType = Literal["PROFILE", "POST"]
AssetType = Literal["IMAGE", "VIDEO"]


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
    """What is stored, as the bytes say. ``etag`` and ``last_modified`` are the CDN's.

    ``not_modified``: the CDN said that nothing changed; nothing was put, ``key`` is the known one, ``size_bytes`` is 0.
    """

    key: str
    content_type: str
    size_bytes: int
    etag: str | None
    last_modified: str | None
    not_modified: bool


class MediaClient:
    """One per process, made inside its loop, closed by whoever made it. Any number of uploads at a time."""

    @classmethod
    async def open(cls, settings: Settings) -> MediaClient:
        """Make the client; nothing is connected yet.

        Raises:
            ConfigError: no bucket is set.
        """
        raise NotImplementedError

    async def upload(self, request: MediaRequest) -> Uploaded:
        """Download, check and store one file, over what its key holds. Safe to repeat.

        Raises:
            UrlExpired, MediaRefused, MediaUnavailable, StoreRefused, StoreUnavailable: see ``core.client.errors``.
        """
        raise NotImplementedError

    async def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error.

        Raises:
            StoreRefused, StoreUnavailable: it is not known to be gone.
        """
        raise NotImplementedError

    async def abort_leftovers(self) -> int:
        """Abort unfinished multipart uploads that processes which ended left behind; how many there were.

        Raises:
            StoreRefused, StoreUnavailable: the store did not answer; it can be called again.
        """
        raise NotImplementedError

    async def aclose(self) -> None:
        """Close all connections."""
        raise NotImplementedError
