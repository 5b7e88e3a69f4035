"""Small objects: put and deleted by requests of one's own, which cost a sixth of the SDK's time."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from typing import Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload
from yarl import URL

from core.client.errors import MediaError, StoreRefused, StoreUnavailable
from core.client.keys_of_host import KeySource
from core.client.reasons import first_bytes, words
from core.client.sigv4 import NO_BODY, Signer
from core.client.store_answers import Verdict, code_of, judge
from core.client.store_place import StorePlace
from core.crawler.circuit import Circuit, CircuitOpen, CircuitRule
from utils.object_store import StoreAccess
from utils.times import utc_now

Bytes = bytes | bytearray | memoryview
ATTEMPTS = 4
RULE = CircuitRule(threshold=10, pause_s=5.0, max_pause_s=30.0)
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 10.0
_PIECE = 60 << 10
"""With a request's head still so little that to write it never waits."""

_NOTE = 4096


class Pace:
    """How long a process waits before its next request, after the store asked it to slow down."""

    def __init__(self) -> None:
        self._pause_s = 0.0
        self._until = 0.0

    @property
    def pause_s(self) -> float:
        """The present pause between requests that were throttled."""
        return self._pause_s

    async def wait(self) -> None:
        """Wait one's turn; at once when nothing was throttled."""
        left_s = self._until - time.monotonic()
        if left_s > 0:
            await asyncio.sleep(left_s * random.uniform(1.0, 1.5))

    def throttled(self) -> None:
        """Slow down, all requests of the process."""
        if time.monotonic() >= self._until:  # not once for each of those that were under way
            self._pause_s = min(max(self._pause_s * 2, 2 * _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
        self._until = time.monotonic() + self._pause_s

    def went_well(self) -> None:
        """Speed up again."""
        if self._pause_s:
            self._pause_s = self._pause_s / 2 if self._pause_s > _FIRST_PAUSE_S else 0.0


class Store:
    """One bucket over one pooled session."""

    def __init__(self, access: StoreAccess, session: aiohttp.ClientSession, *, attempts: int = ATTEMPTS) -> None:
        self._place = StorePlace.of(access)
        self._session = session
        self._silence_s = session.timeout.sock_read
        self._attempts = attempts
        self._keys = KeySource(access)
        self._signer = Signer(self._place.host, access.region)
        self._pace = Pace()
        self.circuit = Circuit(RULE)

    def check_open(self) -> None:
        """Raise StoreUnavailable while the store is known to be away: what is downloaded meanwhile is wasted."""
        if not self.circuit.is_open:
            return
        try:
            with self.circuit.enter():
                pass
        except CircuitOpen as shut:
            raise _away(shut) from None

    async def put(self, key: str, body: Bytes, headers: dict[str, str]) -> str:
        """Store an object, over one of the same key; its SHA-256 in hex. ``headers``: lower-case names.

        Raises:
            StoreRefused, StoreUnavailable: it is not known to be stored.
        """
        sha256 = hashlib.sha256(body).hexdigest()
        await self._request("PUT", key, body, headers, sha256)
        return sha256

    async def delete(self, key: str) -> None:
        """Remove an object, if it is there.

        Raises:
            StoreRefused, StoreUnavailable: it is not known to be gone.
        """
        await self._request("DELETE", key, None, {}, NO_BODY)

    async def is_missing(self, key: str) -> bool:
        """Whether the store says that there is no such object; False when it does not say.

        Raises:
            StoreUnavailable: it cannot be asked.
        """
        try:
            await self._request("HEAD", key, None, {}, NO_BODY)
        except StoreRefused as error:
            return error.status == 404
        return False

    async def _request(self, method: str, key: str, body: Bytes | None, headers: dict[str, str], sha256: str) -> None:
        path = self._place.path(key)
        failure: MediaError = StoreUnavailable("STORE_DOWN", "no attempt was made")
        renewed = False
        for attempt in range(self._attempts):
            if attempt:
                await asyncio.sleep(_pause_s(attempt))
            await self._pace.wait()
            keys = await self._keys.current()
            signed = self._signer.sign(keys, (method, path), headers, sha256, utc_now())
            found = await self._attempt(method, path, signed, body)
            if found is None:
                return
            verdict, failure = found
            if verdict is Verdict.NEW_KEYS and not renewed and self._keys.forget(keys):
                renewed = True
            elif verdict in (Verdict.REFUSED, Verdict.NEW_KEYS):
                break
        raise failure

    async def _attempt(
        self, method: str, path: str, headers: dict[str, str], body: Bytes | None
    ) -> tuple[Verdict, MediaError] | None:
        """None when it worked, else what to do and what to raise when nothing more is done."""
        try:
            with self.circuit.enter() as turn:
                try:
                    status, code = await self._exchange(method, path, headers, body)
                except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
                    turn.failed()
                    return Verdict.AGAIN, StoreUnavailable("STORE_DOWN", f"{method}: {words(error)}")
                verdict = Verdict.DONE if (method, status) == ("DELETE", 404) else judge(status, code)
                (turn.failed if verdict is Verdict.AGAIN and status >= 500 else turn.answered)()
        except CircuitOpen as shut:
            raise _away(shut) from None
        if verdict is Verdict.DONE:
            self._pace.went_well()
            return None
        return verdict, self._failure(verdict, status, f"{method}: {status} {code}".rstrip())

    def _failure(self, verdict: Verdict, status: int, told: str) -> MediaError:
        if verdict is Verdict.THROTTLED:
            self._pace.throttled()
            return StoreUnavailable("STORE_SLOW", told, retry_after_s=self._pace.pause_s)
        if verdict is Verdict.AGAIN:
            return StoreUnavailable("STORE_DOWN", told)
        return StoreRefused("STORE_REFUSED", told, status=status)

    async def _exchange(self, method: str, path: str, headers: dict[str, str], body: Bytes | None) -> tuple[int, str]:
        """Status and error code of one request."""
        payload = None
        if body is not None:
            payload = _Pieces(memoryview(body), content_type=headers["content-type"])
            payload.silence_s = self._silence_s
        url = URL(self._place.base + path, encoded=True)
        async with self._session.request(method, url, headers=headers, data=payload, allow_redirects=False) as answer:
            if answer.status < 300:
                return answer.status, ""
            return answer.status, code_of((await first_bytes(answer, _NOTE)).decode("utf-8", "replace"))


class _Pieces(BytesPayload):
    """Bytes written piece by piece: a socket's buffer never holds a second copy of them all.

    ``silence_s`` is how long the store may leave a piece untaken. The session's own limit runs from the end of the body
    on: a store that vanished in the middle would hold the task until its time limit, which it does not survive.
    """

    silence_s: float | None = None

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        view: Any = self._value
        end = len(view) if content_length is None else min(content_length, len(view))
        if end <= _PIECE:
            await writer.write(view[:end])
            return
        for at in range(0, end, _PIECE):
            async with asyncio.timeout(self.silence_s):
                await writer.write(view[at : min(at + _PIECE, end)])


def _pause_s(attempt: int) -> float:
    """Before attempt 1, 2, ...: doubling, the latter half by chance."""
    return float(min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S) * random.uniform(0.5, 1.0))


def _away(shut: CircuitOpen) -> StoreUnavailable:
    return StoreUnavailable("STORE_DOWN", "the object store has not answered lately", retry_after_s=shut.retry_after_s)
