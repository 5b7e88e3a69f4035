"""Keeps answers of providers as they came: those that no parser could read, and a sample of all others.

An object is the JSON of a body without secrets, compressed: ``raw/<source>/<function>/<date>/<sha256>.json.zst``.
A row of raw_payload says when it was fetched and what for.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import zstandard
from loguru import logger
from sqlalchemy import text

from core.crawler.errors import Malformed, ProviderError
from core.crawler.provider import Asked, Payload, Provider
from core.crawler.scrub import secrets_of
from utils.db import Database
from utils.json_safe import json_safe, json_text
from utils.object_store import ObjectStore, ObjectStoreFailed
from utils.redact import MASK, is_secret_param, redact_text, redact_url

EVERY_OTHER = "*"
"""Name of the share that counts for sources without one of their own."""

REST_S = 30.0
"""Nothing is kept for so long after the store has failed: no task waits for it twice."""

_LEVEL = 9
_ADD = text("""
insert into raw_payload (sha256, s3_key, source, function, request, status, class, fetched_at, parser_version)
values (:sha256, :s3_key, :source, :function, cast(:request as jsonb), :status, :outcome, :fetched_at, :parser_version)
""")


@dataclass(frozen=True, slots=True)
class Packed:
    """An answer fit for keeping."""

    sha256: str
    body: bytes
    request: str


class RawPayloads:
    """Where answers are kept. ``shares``: source -> the part of its answers that is kept, 0 to 1."""

    def __init__(self, store: ObjectStore, database: Database, shares: Mapping[str, float]) -> None:
        self._store = store
        self._database = database
        self._shares = shares
        self._rests_until = 0.0

    async def __call__(self, payload: Payload, provider: Provider, error: ProviderError | None) -> None:
        """Keep an answer if it is to be kept; what goes wrong meanwhile is said in the log and nowhere else."""
        if not self._wanted(payload.source, error) or time.monotonic() < self._rests_until:
            return
        try:
            await self._keep(payload, provider, "ok" if error is None else error.word)
        except ObjectStoreFailed as failure:
            self._rests_until = time.monotonic() + REST_S
            logger.bind(source=payload.source, reason=str(failure)).warning("payloads are not kept for a while")

    async def aclose(self) -> None:
        """Close the store's client."""
        await self._store.aclose()

    def _wanted(self, source: str, error: ProviderError | None) -> bool:
        if isinstance(error, Malformed):
            return True
        share = self._shares.get(source, self._shares.get(EVERY_OTHER, 0.0))
        return share > 0 and random.random() < share

    async def _keep(self, payload: Payload, provider: Provider, outcome: str) -> None:
        secrets = secrets_of(provider.credential.keys)
        packed = await asyncio.to_thread(pack, payload, secrets)  # large ones take a while
        day = f"{payload.fetched_at:%Y-%m-%d}"
        key = f"raw/{payload.source}/{payload.function}/{day}/{packed.sha256}.json.zst"
        await self._store.put(key, packed.body, content_type="application/zstd")
        row = {
            "sha256": packed.sha256,
            "s3_key": key,
            "source": payload.source,
            "function": payload.function,
            "request": packed.request,
            "status": payload.status,
            "outcome": outcome,
            "fetched_at": payload.fetched_at,
            "parser_version": parser_version(type(provider)),
        }
        async with self._database.sessions.begin() as session:
            await session.execute(_ADD, row)


def pack(payload: Payload, secrets: Sequence[str]) -> Packed:
    """The body and what was asked for, without these secrets and without what looks like one."""
    body = json.dumps(redacted(payload.data, secrets), separators=(",", ":")).encode()
    request = json_text(json_safe(redacted(asked_json(payload.asked), secrets)))
    return Packed(hashlib.sha256(body).hexdigest(), zstandard.compress(body, _LEVEL), request)


def unpack(body: bytes) -> Any:
    """The JSON of an object that was kept.

    Raises:
        ValueError: the object is damaged.
    """
    try:
        return json.loads(zstandard.decompress(body))
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


def asked_json(asked: Asked) -> dict[str, Any]:
    """What was asked for, without what was not."""
    return {name: value for name, value in asdict(asked).items() if value is not None}


def redacted(value: Any, secrets: Sequence[str]) -> Any:
    """The JSON value with its own shape; only texts change, and only where a secret is in them."""
    if isinstance(value, str):
        return _clean(value, secrets)
    if isinstance(value, dict):
        return {_clean(key, secrets): _entry(key, item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, secrets) for item in value]
    return value


def _entry(key: str, value: Any, secrets: Sequence[str]) -> Any:
    return MASK if isinstance(value, str) and is_secret_param(key) else redacted(value, secrets)


def _clean(given: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        given = given.replace(secret, MASK)
    return redact_url(given) if "://" in given else redact_text(given)


def parser_version(provider: type[Provider]) -> str:
    """A hash of the platform's providers and parsers, all files of them: they read with each other's help."""
    file = getattr(sys.modules[provider.__module__], "__file__", None)
    return _hash_of(Path(file).parents[1] if file else None)


@lru_cache(maxsize=16)
def _hash_of(folder: Path | None) -> str:
    found = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")) if folder else ():
        found.update(file.read_bytes())
    return found.hexdigest()[:12]
