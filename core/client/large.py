"""Large objects, by the SDK: one request up to 16 MiB, in parts beyond. Parts of an upload that fails are not left."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Any

from loguru import logger

from core.client.errors import LARGE_SLOW, SPOOL_FULL, MediaError, StoreRefused, StoreUnavailable
from core.client.marks import Mark, Marks
from core.client.spool import Body
from core.client.store_answers import Verdict, judge
from utils.object_store import ObjectStore, ObjectStoreFailed
from utils.times import utc_now

SINGLE = 16 << 20
"""Bytes that still go in one request."""

PART = 8 << 20
FORGOTTEN = timedelta(hours=6)
"""Uploads that began so long ago are nobody's: no task runs for a tenth of it."""

TIMEOUT_S, READ_S = 180.0, 60.0
PATIENCE_S = 120.0
"""How long a file waits for its turn before its task goes back to the queue: a store that hangs holds the others."""

_AT_A_TIME = 4
_ATTEMPTS = 3
_MOST_PARTS = 10_000
_ABORT_S = 2.0
_PREFIX = "assets/"
_ABORT = "abort_multipart_upload"
_GONE = frozenset({"NoSuchUpload", "NoSuchKey"})
"""What stores say of an upload that was aborted or, the latter, completed."""


class LargeUploads:
    """Puts files into one bucket, a few at a time."""

    def __init__(self, store: ObjectStore, marks: Marks) -> None:
        self._store = store
        self._marks = marks
        self._turns = asyncio.Semaphore(_AT_A_TIME)
        self._aborting: set[asyncio.Task[bool]] = set()

    async def put(self, key: str, body: Body, about: dict[str, str], until: float) -> None:
        """Store a file, over what the key holds. ``about``: the SDK's names of the object's headers; ``until``: the
        loop's time at which it is given up.

        Raises:
            StoreRefused, StoreUnavailable: it is not known to be stored.
        """
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._turns.acquire()
        except TimeoutError:
            raise StoreUnavailable(LARGE_SLOW, "other large files are still on their way to the store") from None
        try:
            async with asyncio.timeout_at(until):
                if body.size <= SINGLE:
                    await self._call("put_object", Key=key, Body=body.pieces(), ContentLength=body.size, **about)
                else:
                    await self._put_in_parts(key, body, about)
        except TimeoutError:
            raise StoreUnavailable(LARGE_SLOW, "a large file was still on its way when time was up") from None
        finally:
            self._turns.release()

    async def abort_leftovers(self) -> int:
        """Abort what ended processes of this host left behind, and what is too old to be under way; how many.

        Raises:
            StoreRefused: it refused one or more of them; the others are gone.
            StoreUnavailable: the store did not answer.
        """
        count = 0
        refused: StoreRefused | None = None
        for mark in self._marks.orphans():
            try:
                await self._call(_ABORT, Key=mark.key, UploadId=mark.upload_id)
            except StoreRefused as error:
                mark.leave()
                refused = refused or error
            except BaseException:
                mark.leave()
                raise
            else:
                mark.drop()
                count += 1
        count += await self._abort_forgotten()
        if refused is not None:
            raise refused
        return count

    async def aclose(self) -> None:
        """Wait for uploads that are being aborted."""
        if self._aborting:
            await asyncio.wait(self._aborting, timeout=_ABORT_S)

    async def _put_in_parts(self, key: str, body: Body, about: dict[str, str]) -> None:
        answer = await self._call("create_multipart_upload", Key=key, **about)
        try:
            mark = self._marks.make(key, answer["UploadId"])
        except OSError as error:
            await self._call(_ABORT, Key=key, UploadId=answer["UploadId"])
            raise StoreUnavailable(SPOOL_FULL, f"an upload cannot be noted: {error.strerror}") from None
        try:
            parts = await self._send_parts(mark, body)
            await self._call(
                "complete_multipart_upload", Key=key, UploadId=mark.upload_id, MultipartUpload={"Parts": parts}
            )
        except BaseException:
            await self._give_up(mark)
            raise
        mark.drop()

    async def _send_parts(self, mark: Mark, body: Body) -> list[dict[str, Any]]:
        length = max(PART, -(-body.size // _MOST_PARTS))
        parts: list[dict[str, Any]] = []
        for at in range(0, body.size, length):
            part: dict[str, Any] = {"PartNumber": len(parts) + 1}
            answer = await self._call(
                "upload_part", Key=mark.key, UploadId=mark.upload_id, Body=body.pieces(at, length), **part
            )
            parts.append({**part, "ETag": answer["ETag"]})
        return parts

    async def _give_up(self, mark: Mark) -> None:
        """Abort, also when the caller is being cancelled, who then waits a moment only."""
        task = asyncio.create_task(self._abort(mark))
        self._aborting.add(task)
        task.add_done_callback(self._aborting.discard)
        await asyncio.wait({task}, timeout=_ABORT_S)

    async def _abort(self, mark: Mark) -> bool:
        try:
            await self._call(_ABORT, Key=mark.key, UploadId=mark.upload_id)
        except MediaError as error:
            logger.bind(reason=str(error)).warning("an unfinished upload was left for later")
            mark.leave()
            return False
        except BaseException:
            mark.leave()
            raise
        mark.drop()
        return True

    async def _abort_forgotten(self) -> int:
        count = 0
        place: dict[str, str] = {}
        while True:
            page = await self._call("list_multipart_uploads", Prefix=_PREFIX, **place)
            uploads, before = page.get("Uploads", []), place
            for upload in uploads:
                if upload["Initiated"] < utc_now() - FORGOTTEN:
                    where = {"Key": upload["Key"], "UploadId": upload["UploadId"]}
                    await self._call(_ABORT, **where)
                    count += 1
            if uploads:  # some servers leave the markers of the next page empty
                place = {"KeyMarker": uploads[-1]["Key"], "UploadIdMarker": uploads[-1]["UploadId"]}
            if not page.get("IsTruncated") or place == before:
                return count

    async def _call(self, operation: str, **arguments: Any) -> Any:
        """One operation, tried again where that may help. To abort what is gone is no error."""
        renewed = self._store.has_fixed_keys
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(0.5 * 2**attempt * random.uniform(0.5, 1.0))
            if "Body" in arguments:
                arguments["Body"].seek(0)
            try:
                return await self._store.call(operation, **arguments)
            except ObjectStoreFailed as error:
                if operation == _ABORT and error.code in _GONE:
                    return None
                verdict = judge(error.status, error.code) if error.status else Verdict.AGAIN
                failure = _failure(verdict, error)
                if verdict is Verdict.REFUSED or (verdict is Verdict.NEW_KEYS and renewed):
                    break
                renewed = renewed or verdict is Verdict.NEW_KEYS  # the store's client saw to that
        raise failure


def _failure(verdict: Verdict, error: ObjectStoreFailed) -> MediaError:
    is_gone = error.code in _GONE  # aborted by others, or completed and the answer lost
    if verdict in (Verdict.REFUSED, Verdict.NEW_KEYS) and not is_gone:
        return StoreRefused("STORE_REFUSED", str(error))
    return StoreUnavailable("STORE_SLOW" if verdict is Verdict.THROTTLED else "STORE_DOWN", str(error))
