"""Who may call which source now, and who is resting."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import asyncpg
from loguru import logger
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from core.amqp import outbox
from core.amqp.events import token_invalid_event
from core.crawler.provider import Credential, Unusable
from credentials import statements as sql
from credentials.keys import IDENTITY_NAMES, stored_handle
from credentials.store import UNTIL_REPLACED, CredentialStore, disable_until_replaced
from credentials.vault import Vault, VaultError
from utils.db import fetch_in
from utils.times import utc_now

PAUSES_S = (600.0, 1800.0, 3600.0)
"""The first, second and every later rest in a row."""

LONGEST_REST_S = 31 * 86400.0
CACHE_S = 1.0
SAMPLE = 100
_MOST_CACHED = 2000

_FORGET_S = 10.0
"""Sources that were not asked for so long are not looked at along with others."""

_Key = tuple[str, str | None]
_TOGETHER: _Key = ("", None)


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """What the table said about a source (or a source's handle) a moment ago."""

    loaded_at: float
    usable: list[Credential] = field(default_factory=list)
    resting: list[tuple[int, datetime]] = field(default_factory=list)


class CredentialManager(CredentialStore):
    """The credential table as a CredentialSource. Processes share the table; each looks at most once a second."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], vault: Vault) -> None:
        super().__init__(sessions, vault)
        self._snapshots: dict[_Key, _Snapshot] = {}
        self._loading: dict[_Key, asyncio.Lock] = {}
        self._asked: dict[str, float] = {}
        self._drops: dict[str, int] = {}
        self._opened: dict[int, tuple[object, Credential]] = {}
        self._rest_counts: dict[int, int] = {}
        self._unreadable: dict[int, object] = {}

    async def pick(
        self, source: str, *, handle: str | None = None, exclude: Collection[int] = ()
    ) -> Credential | Unusable:
        """A random usable credential of the source (of that handle, when given), none of ``exclude``."""
        snapshot = await self._snapshot((source, stored_handle(source, handle)))
        usable = [credential for credential in snapshot.usable if credential.id not in exclude]
        if usable:
            return random.choice(usable)
        reopenings = [till for credential_id, till in snapshot.resting if credential_id not in exclude]
        return Unusable(source, min(reopenings, default=None))

    async def usable(self, credential: Credential) -> bool:
        """Whether the table still says so, now; if not, the next ``pick`` looks too."""
        async with self._sessions.begin() as session:
            usable = bool(await session.scalar(sql.USABLE, {"id": credential.id}))
        if not usable:
            self._drop(credential.source)
        return usable

    async def rest(self, credential: Credential, *, reason: str, retry_after_s: float | None = None) -> datetime:
        """Rest for what the source said, else 10, 30, 60 minutes by rests in a row; returns when that is over."""
        wait_s = None if retry_after_s is None else min(max(retry_after_s, 1.0), LONGEST_REST_S)
        wanted = {
            "id": credential.id,
            "reason": reason,
            "wait_s": wait_s,
            "pauses_s": list(PAUSES_S),
            "most": len(PAUSES_S),
        }
        async with self._sessions.begin() as session:
            till: datetime | None = await session.scalar(sql.REST, wanted)
        self._drop(credential.source)
        latest = utc_now() + timedelta(seconds=LONGEST_REST_S)
        return latest if till is None else min(till, latest)

    async def invalidate(self, credential: Credential, *, reason: str, data_access_expired: bool = False) -> None:
        """Disable until it is replaced, and announce it if it is an account's; one that was replaced while the call ran
        stays usable.

        A row that this process cannot open is left alone: it may be new keys, and is not picked here anyway.
        """
        async with self._sessions.begin() as session:
            wanted = {"id": credential.id, "replaced": UNTIL_REPLACED}
            row = (await session.execute(sql.LOCK, wanted)).one_or_none()
            if row is not None and self._keys_or_none(row) == dict(credential.keys):
                await disable_until_replaced(
                    session, credential.id, reason=reason, data_access_expired=data_access_expired
                )
                name = IDENTITY_NAMES.get(credential.source)
                if name is not None and not row.refused:
                    known_as = credential.handle, credential.keys.get("user_id")
                    await outbox.add(session, [token_invalid_event(name, *known_as, reason)])
        self._drop(credential.source)

    async def worked(self, credential: Credential) -> None:
        """Start rests from the shortest again; nothing is written when it had none."""
        if self._rest_counts.get(credential.id, 0) == 0:
            return
        self._rest_counts[credential.id] = 0
        async with self._sessions.begin() as session:
            await session.execute(sql.WORKED, {"id": credential.id})

    async def insert_creds(
        self, source: str, keys: Mapping[str, object], *, handle: str | None = None, said_at: datetime | None = None
    ) -> int:
        """As the store does; this process sees the new keys at once, others within a second."""
        credential_id = await super().insert_creds(source, keys, handle=handle, said_at=said_at)
        self._drop(source)
        return credential_id

    async def withdraw(
        self, source: str, keys: Mapping[str, str], *, reason: str, said_at: datetime | None = None
    ) -> int | None:
        """As the store does; this process stops using it at once, others within a second."""
        credential_id = await super().withdraw(source, keys, reason=reason, said_at=said_at)
        self._drop(source)
        return credential_id

    async def _snapshot(self, key: _Key) -> _Snapshot:
        source, handle = key
        if handle is None:
            self._asked[source] = time.monotonic()
        known = self._snapshots.get(key)
        if known is not None and time.monotonic() - known.loaded_at < CACHE_S:
            return known
        async with self._loading.setdefault(_TOGETHER if handle is None else key, asyncio.Lock()):
            while (latest := self._snapshots.get(key)) is None or latest is known:
                self._make_room()
                await self._load([source] if handle is not None else self._wanted(source), handle)
            return latest

    def _wanted(self, source: str) -> list[str]:
        """This source, however long it has waited for its turn, and those that are asked for these days: one statement
        looks at all of them."""
        oldest = time.monotonic() - _FORGET_S
        self._asked = {one: asked_at for one, asked_at in self._asked.items() if asked_at > oldest}
        return sorted({source, *self._asked})

    async def _load(self, sources: Sequence[str], handle: str | None) -> None:
        """New snapshots, but not of a source about which something was learnt meanwhile."""
        began, before = time.monotonic(), dict(self._drops)
        found: dict[str, _Snapshot] = {source: _Snapshot(began) for source in sources}
        unopened: dict[int, str] = {}
        async with self._sessions.begin() as session:
            for row in await fetch_in(session, sql.LOOK, list(sources), handle, SAMPLE, UNTIL_REPLACED):
                if row["what"] == "resting":
                    found[row["source"]].resting.append((row["id"], row["disabled_till"]))
                elif (credential := self._read(row, unopened)) is not None:
                    found[row["source"]].usable.append(credential)
            for row_id, reason in sorted(unopened.items()):  # in one order: others may say it of the same rows
                await session.execute(sql.SAY, {"id": row_id, "reason": reason})
        for source, snapshot in found.items():
            if self._drops.get(source) == before.get(source):
                self._snapshots[source, handle] = snapshot

    def _read(self, row: asyncpg.Record, unopened: dict[int, str]) -> Credential | None:
        """The row as a credential, opened once per envelope; None when that fails: the log says so once, and the reason
        is added to ``unopened``, for the row."""
        row_id, source, envelope = row["id"], row["source"], row["credentials"]
        self._rest_counts[row_id] = row["rest_count"]
        known = self._opened.get(row_id)
        if known is not None and known[0] == envelope and known[1].handle == row["handle"]:
            return known[1]
        try:
            credential = Credential(row_id, source, row["handle"], self.open_envelope(row_id, source, envelope))
        except VaultError as error:
            if row_id not in self._unreadable or self._unreadable[row_id] != envelope:
                self._unreadable[row_id] = envelope
                logger.bind(credential=row_id, source=source, reason=str(error)).error("credential could not be opened")
                unopened[row_id] = str(error)
            return None
        self._opened[row_id] = (envelope, credential)
        return credential

    def _drop(self, source: str) -> None:
        self._drops[source] = self._drops.get(source, 0) + 1
        for key in [key for key in self._snapshots if key[0] == source]:
            del self._snapshots[key]

    def _make_room(self) -> None:
        """Bound what is remembered: handles and credentials may be many, a snapshot is old after a second."""
        if len(self._snapshots) >= _MOST_CACHED:
            self._snapshots.clear()
        self._loading = {key: lock for key, lock in self._loading.items() if lock.locked()}
        for remembered in (self._opened, self._unreadable):
            if len(remembered) > _MOST_CACHED:
                remembered.clear()
