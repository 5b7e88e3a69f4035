"""The uploader of one process: copies what a task names, and records it before the task is reported."""

from __future__ import annotations

from dataclasses import dataclass, field

from loguru import logger

from config import Settings
from core.assets.gate import StoreGate
from core.assets.refresh import EXPIRES_IN, owner_refresh, refresh_key, story_refresh
from core.assets.rows import AssetKey, NewAsset, StoredAsset
from core.assets.store import AssetStore
from core.client.upload_assets import (
    MediaClient,
    MediaError,
    MediaRequest,
    StoreUnavailable,
    Uploaded,
    UrlExpired,
    same_file,
)
from core.flows.registry import build_registry
from core.models.params import AssetParams
from core.queue.bulk import REFUSED
from utils.times import utc_now


@dataclass(slots=True)
class Uploader:
    """One media client and one database connection. Made inside the running loop, after any fork."""

    media: MediaClient
    store: AssetStore
    gate: StoreGate = field(default_factory=StoreGate)

    async def copy(self, params: AssetParams, *, story: bool = False) -> None:
        """Copy one file and record it; nothing is fetched when the URL of this ``hash`` was copied before.

        Raises:
            UrlExpired: the URL is dead; the refresh of its owner is queued, unless it is a story of the past.
            MediaError: it could not be copied, or another task has copied the asset at the same time; the class says
                whether to try again.
            Unavailable: the database is away.
        """
        key = AssetKey(params.entity_id, params.entity_type, params.asset_type, params.platform.upper())
        stored = await self.store.find(key)
        if stored is not None and stored.hash == params.hash:
            return
        try:
            done = await self._upload(_request(key, params, stored))
        except UrlExpired:
            await self._refresh(key.platform, params, story=story)
            raise
        replaced = await self.store.record(_row(key, params, done, stored)) or (stored.asset_url if stored else None)
        if replaced and replaced != done.key:  # a row without an object has an empty name
            await self._replace(key, replaced)

    async def aclose(self) -> None:
        """Close both."""
        await self.media.aclose()
        await self.store.aclose()

    async def _upload(self, request: MediaRequest) -> Uploaded:
        trying = await self.gate.passage()
        try:
            done = await self.media.upload(request)
        except StoreUnavailable as error:
            if not error.of_large:
                self.gate.shut(error)
            raise
        finally:
            if trying:
                self.gate.tried()
        if not done.not_modified:
            self.gate.open()
        return done

    async def _replace(self, key: AssetKey, replaced: str) -> None:
        """Delete the object that was replaced, and see that the one is there which the row names now: of two tasks for
        one asset, each may take what the other has just put for what was there before.

        Raises:
            StoreUnavailable: OVERTAKEN: it is not, and the row says so.
        """
        now = await self.store.find(key)
        if now is None or now.asset_url != replaced:
            await self._forget(replaced)
            now = await self.store.find(key)
        if now is not None and now.asset_url and await self.media.is_missing(now.asset_url):
            await self.store.void(key, now.asset_url)
            raise StoreUnavailable("OVERTAKEN", "another task has deleted the object")

    async def _forget(self, replaced: str) -> None:
        """Delete an object that no row names any more; one that cannot be deleted costs space, not the task."""
        try:
            await self.media.delete(replaced)
        except MediaError as error:
            logger.bind(key=replaced, error=str(error)).warning("a replaced copy could not be deleted")

    async def _refresh(self, platform: str, params: AssetParams, *, story: bool) -> None:
        entity, owner = params.entity_id, None
        if not story:
            owner = owner_refresh(platform, params)
        elif (young := await self.store.young_story(entity)) is not None:
            entity, owner = young[0], story_refresh(*young)  # one refresh brings all stories of the profile
        if owner is None:
            return
        flow, wanted = owner
        now = utc_now()
        task = {
            "flow": flow,
            "platform": platform,
            "params": wanted,
            "idempotency_key": refresh_key(flow, entity, now.date()),
            "expires_at": now + EXPIRES_IN,
        }
        result = await self.store.queue(task)
        if result.outcome == REFUSED:
            logger.bind(refresh=flow, reason=result.message).warning("a dead URL has nobody to refresh it")


def _request(key: AssetKey, params: AssetParams, stored: StoredAsset | None) -> MediaRequest:
    same = stored if stored and stored.original_url and same_file(stored.original_url, params.original_url) else None
    return MediaRequest(
        url=params.original_url,
        platform=key.platform,
        entity_type=key.entity_type,
        entity_id=key.entity_id,
        asset_type=key.asset_type,
        etag=same.etag if same else None,
        last_modified=same.last_modified if same else None,
        known_key=stored.asset_url or None if stored else None,
    )


def _row(key: AssetKey, params: AssetParams, done: Uploaded, stored: StoredAsset | None) -> NewAsset:
    return NewAsset(
        key=key,
        asset_url=done.key,
        original_url=params.original_url,
        hash=params.hash,
        etag=done.etag,
        last_modified=done.last_modified,
        content_type=None if done.not_modified else done.content_type,
        size_bytes=None if done.not_modified else done.size_bytes,
        sha256=stored.sha256 if done.not_modified and stored else done.sha256,
        seen=stored.version if stored else "",
    )


async def open_uploader(settings: Settings) -> Uploader:
    """The uploader of this process. No connection is opened yet."""
    database = settings.database
    registry = build_registry(settings.workers.beat_extra_flows)
    store = AssetStore(database.pooled_url, registry, direct=database.pgbouncer_url is None)
    return Uploader(await MediaClient.open(settings), store)
