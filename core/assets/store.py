"""An uploader process's view of the database: one connection, each statement of which serves all tasks that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import asyncpg
from loguru import logger

from core.assets import statements as sql
from core.assets.rows import AssetKey, NewAsset, StoredAsset
from core.crawler.errors import Unavailable
from core.flows.registry import Registry
from core.queue.bulk import RowResult, insert_many
from core.queue.queue import LOST
from utils.batches import Batches
from utils.db import connect_kept

T = TypeVar("T")

PATIENCE_S = 60.0
"""How long tasks wait for a database that is away before they are handed back to the queue."""

APART_S = 0.1
"""Between two statements of a kind while many tasks wait: a statement costs as much as five rows of it, and nobody
waits for a picture. Tasks that are recorded together are reported together."""

_PASSING = (*LOST, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


class AssetStore:
    """Looks up and records copies, and queues tasks. ``direct``: ``url`` leads to no pooler: statements stay parsed.

    Everything may be repeated, and is, when the database goes away in the middle.

    Raises:
        Unavailable: from every call, when the database has been away for a minute: the task runs again later.
    """

    def __init__(self, url: str, registry: Registry, *, direct: bool = False) -> None:
        self._url = url
        self._registry = registry
        self._direct = direct
        self._conn: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()
        how: dict[str, Any] = {"apart_s": APART_S, "shared": (Unavailable,)}
        self._finds: Batches[AssetKey, StoredAsset | None] = Batches(self._find, **how)
        self._records: Batches[NewAsset, str | None] = Batches(self._record, **how)
        self._stories: Batches[str, tuple[str, str] | None] = Batches(self._story, **how)
        self._tasks: Batches[dict[str, Any], RowResult] = Batches(self._queue, **how)

    async def find(self, key: AssetKey) -> StoredAsset | None:
        """The copy made earlier; None when there is none."""
        return await self._finds.add(key)

    async def record(self, asset: NewAsset) -> str | None:
        """Record a finished copy; the name of the object that it replaces, if that is another one."""
        return await self._records.add(asset)

    async def void(self, key: AssetKey, asset_url: str) -> None:
        """Forget a copy whose object is gone, if the row still names it: the next task makes it anew."""
        await self._with_connection(lambda conn: conn.execute(sql.VOID, *key, asset_url))

    async def young_story(self, shortcode: str) -> tuple[str, str] | None:
        """Owner and handle of a story that can still be seen; None for older ones and for those that are not stored."""
        return await self._stories.add(shortcode)

    async def queue(self, task: dict[str, Any]) -> RowResult:
        """Queue a task, as ``insert_many`` takes it; an idempotency key that is there queues nothing."""
        return await self._tasks.add(task)

    async def aclose(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            conn, self._conn = self._conn, None
            conn.terminate()

    async def _find(self, keys: list[AssetKey]) -> list[StoredAsset | None]:
        columns = [list(column) for column in zip(*keys, strict=True)]
        rows = await self._with_connection(lambda conn: conn.fetch(sql.CALLS[sql.FIND], *columns))
        found: list[StoredAsset | None] = [None] * len(keys)
        for row in rows:
            known = None if row["hash"] is None else int(row["hash"])
            found[row["number"] - 1] = StoredAsset(
                row["asset_url"], row["original_url"], known, row["etag"], row["last_modified"]
            )
        return found

    async def _record(self, assets: list[NewAsset]) -> list[str | None]:
        before: list[str | None] = [None] * len(assets)
        left = list(range(len(assets)))
        while left:  # a statement can write a row once: copies of one asset follow one another
            now = list({assets[place].key: place for place in reversed(left)}.values())
            for place, old in zip(now, await self._record_once([assets[place] for place in now]), strict=True):
                before[place] = old
            left = [place for place in left if place not in now]
        return before

    async def _record_once(self, assets: list[NewAsset]) -> list[str | None]:
        columns = [list(column) for column in zip(*map(_columns, assets), strict=True)]
        before: list[str | None] = [None] * len(assets)
        for row in await self._with_connection(lambda conn: conn.fetch(sql.CALLS[sql.RECORD], *columns)):
            before[row["number"] - 1] = row["before"]
        return before

    async def _story(self, shortcodes: list[str]) -> list[tuple[str, str] | None]:
        found: list[tuple[str, str] | None] = [None] * len(shortcodes)
        for row in await self._with_connection(lambda conn: conn.fetch(sql.YOUNG_STORY, shortcodes)):
            found[row["number"] - 1] = (row["profile_id"], row["handle"])
        return found

    async def _queue(self, tasks: list[dict[str, Any]]) -> list[RowResult]:
        return await self._with_connection(lambda conn: insert_many(conn, self._registry, tasks))

    async def _with_connection(self, body: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        give_up_at, pause = loop.time() + PATIENCE_S, 0.1
        async with self._turn:
            while True:
                try:
                    if self._conn is None or self._conn.is_closed():
                        self._conn = await connect_kept(self._url, name="beat assets", direct=self._direct)
                    return await body(self._conn)
                except _PASSING as error:
                    await self.aclose()
                    if loop.time() > give_up_at:
                        raise Unavailable(f"the database is away: {type(error).__name__}") from error
                    logger.bind(error=type(error).__name__, pause_s=pause).warning("asset rows were unavailable")
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 5.0)


def _columns(asset: NewAsset) -> Sequence[object]:
    return (
        *asset.key, asset.asset_url, asset.original_url, str(asset.hash), asset.etag, asset.last_modified,
        asset.content_type, asset.size_bytes,
    )  # fmt: skip
