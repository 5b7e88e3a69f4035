"""An uploader process's view of the database: one connection, each statement of which serves all tasks that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import asyncpg
from loguru import logger

from core.assets import statements as sql
from core.assets.rows import AssetKey, NewAsset, Recorded, StoredAsset
from core.client.errors import StoreUnavailable
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
        self._records: Batches[NewAsset, Recorded] = Batches(self._record, **how)
        self._stories: Batches[str, tuple[str, str] | None] = Batches(self._story, **how)
        self._tasks: Batches[dict[str, Any], RowResult] = Batches(self._queue, **how)

    async def find(self, key: AssetKey) -> StoredAsset | None:
        """The copy made earlier, or what is left of its row; None when there is none."""
        return await self._finds.add(key)

    async def record(self, asset: NewAsset) -> str | None:
        """Record a finished copy; the name of the object that it replaces, if that is another one.

        Raises:
            StoreUnavailable: OVERTAKEN: another one with other bytes was recorded since the look-up. Which of the two
                the object holds is not known, and the row no longer says that it is.
        """
        done = await self._records.add(asset)
        if done.crossed:
            raise StoreUnavailable("OVERTAKEN", "another task has copied the asset meanwhile")
        return done.before

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
        for number, asset_url, original_url, known, *rest in rows:
            found[number - 1] = StoredAsset(asset_url, original_url, None if known is None else int(known), *rest)
        return found

    async def _record(self, assets: list[NewAsset]) -> list[Recorded]:
        done = [Recorded()] * len(assets)
        left = list(range(len(assets)))
        while left:  # a statement can write a row once: copies of one asset follow one another
            now = list({assets[place].key: place for place in reversed(left)}.values())
            for place, one in zip(now, await self._record_once([assets[place] for place in now]), strict=True):
                done[place] = one
            left = [place for place in left if place not in now]
        return done

    async def _record_once(self, assets: list[NewAsset]) -> list[Recorded]:
        columns = [list(column) for column in zip(*map(_columns, assets), strict=True)]
        done = [Recorded()] * len(assets)
        for row in await self._with_connection(lambda conn: conn.fetch(sql.CALLS[sql.RECORD], *columns)):
            done[row["number"] - 1] = Recorded(row["before"], row["crossed"])
        for key in [asset.key for asset, one in zip(assets, done, strict=True) if one.crossed]:
            await self._with_connection(partial(_doubt, key))
        return done

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
        asset.content_type, asset.size_bytes, asset.sha256, asset.seen,
    )  # fmt: skip


async def _doubt(key: AssetKey, conn: asyncpg.Connection) -> None:
    await conn.execute(sql.DOUBT, *key)
