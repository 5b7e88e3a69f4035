"""The credential table: rows that are sealed on the way in and opened on the way out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from core.crawler.provider import Credential, SourceCredentials
from core.crawler.scrub import PUBLIC_KEYS
from credentials import statements as sql
from credentials.keys import checked_keys, idempotency_key, stored_handle
from credentials.vault import Vault, VaultError, mask

UNTIL_REPLACED = datetime(9999, 12, 31, tzinfo=UTC)
"""``disabled_till`` of a credential that the source refuses: no time brings it back, new keys do."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A credential as it may be shown."""

    id: int
    source: str
    handle: str | None
    state: str
    keys: Mapping[str, str]
    rest_count: int
    last_error: str | None
    updated_at: datetime


@dataclass(slots=True)
class Rotation:
    """What a rotation did: rows sealed anew, and ids that no key of the ring opens."""

    resealed: int = 0
    unreadable: list[int] = field(default_factory=list)


class CredentialStore:
    """Reads and writes of operators and listeners. Every method is one short transaction."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], vault: Vault) -> None:
        self._sessions = sessions
        self._vault = vault

    async def insert_creds(
        self, source: str, keys: Mapping[str, object], *, handle: str | None = None, said_at: datetime | None = None
    ) -> int:
        """Store a credential, or renew the one of the same identity; returns its id.

        Other keys than before end its rest and its expiry; the same keys again change nothing. A credential that an
        operator disabled stays disabled. What was said at ``said_at`` or before changes nothing that was said then or
        later.

        Raises:
            CredentialRefused: unknown source, or a key is missing.
        """
        checked = checked_keys(source, keys)
        same = {"idempotency_key": idempotency_key(source, checked)}
        kept_handle = stored_handle(source, handle)
        async with self._sessions.begin() as session:
            reserved = await session.scalar(sql.RESERVE, {**same, "source": source, "handle": kept_handle})
            if reserved is not None:
                await session.execute(
                    sql.SEAL, {"id": reserved, "handle": kept_handle, "sealed": self.seal(reserved, source, checked)}
                )
                await _remember(session, reserved, said_at)
                return int(reserved)
            row = (await session.execute(sql.LOCK_SAME, same)).one()
            if _is_older(said_at, row):
                return int(row.id)
            is_new = self._keys_or_none(row) != checked
            if is_new or kept_handle not in (None, row.handle):
                await session.execute(
                    sql.SEAL, {"id": row.id, "handle": kept_handle, "sealed": self.seal(row.id, source, checked)}
                )
            if is_new:
                await session.execute(sql.REVIVE, {"id": row.id})
            await _remember(session, row.id, said_at)
            return int(row.id)

    async def withdraw(
        self, source: str, keys: Mapping[str, str], *, reason: str, said_at: datetime | None = None
    ) -> int | None:
        """Disable the credential of the same identity until it is replaced; None when there is none.

        ``keys`` need only hold its identity. What was said before what is stored changes nothing.
        """
        async with self._sessions.begin() as session:
            same = {"idempotency_key": idempotency_key(source, keys)}
            row = (await session.execute(sql.LOCK_SAME, same)).one_or_none()
            if row is None:
                return None
            if not _is_older(said_at, row):
                await disable_until_replaced(session, row.id, reason=reason)
                await _remember(session, row.id, said_at)
            return int(row.id)

    async def stored(
        self, source: str, *, credential_id: int | None = None, handle: str | None = None
    ) -> list[Credential]:
        """The credentials of an id or of an account, resting and refused ones too, that can be opened and that no
        operator has disabled."""
        wanted = {"source": source, "id": credential_id, "handle": stored_handle(source, handle)}
        async with self._sessions() as session:
            rows = (await session.execute(sql.STORED, wanted)).all()
        opened = [(row, self._keys_or_none(row)) for row in rows]
        return [Credential(row.id, row.source, row.handle, keys) for row, keys in opened if keys is not None]

    async def list(self, source: str | None = None) -> list[Listed]:
        """Every credential, or those of a source; opens none, so it needs no key."""
        async with self._sessions() as session:
            return [_listed(row) for row in await session.execute(sql.ALL, {"source": source})]

    async def per_source(self) -> Sequence[SourceCredentials]:
        """The credentials of each source, counted by state; opens none."""
        async with self._sessions() as session:
            rows = await session.execute(sql.PER_SOURCE, {"replaced": UNTIL_REPLACED})
            return [SourceCredentials(**row) for row in rows.mappings()]

    async def enable(self, credential_id: int, *, enabled: bool = True) -> bool:
        """Set the operator's word; False when there is no such credential."""
        async with self._sessions.begin() as session:
            found = await session.scalar(sql.ENABLE, {"id": credential_id, "enabled": enabled})
            return found is not None

    async def rotate(self, batch: int = 100) -> Rotation:
        """Seal with the ring's first key every row that another key sealed.

        Each batch is a transaction of its own: interrupted, it goes on where it stopped.
        """
        done = Rotation()
        after: int | None = 0
        while after is not None:
            after = await self._rotate_batch(batch, after, done)
        return done

    def seal(self, credential_id: int, source: str, keys: Mapping[str, str]) -> dict[str, Any]:
        """The envelope of a row, with a mask of each key to show."""
        sealed = self._vault.seal(keys, bound_to=_binding(credential_id, source))
        shown = {name: value if name.lower() in PUBLIC_KEYS else mask(value) for name, value in keys.items()}
        return {**sealed, "mask": shown}

    def open(self, row: Any) -> dict[str, str]:
        """The keys of a row with id, source and credentials.

        Raises:
            VaultError: it cannot be opened.
        """
        return self.open_envelope(row.id, row.source, row.credentials)

    def open_envelope(self, credential_id: int, source: str, envelope: Mapping[str, Any]) -> dict[str, str]:
        """The keys that are sealed in a row's envelope.

        Raises:
            VaultError: it cannot be opened.
        """
        return self._vault.open(envelope, bound_to=_binding(credential_id, source))

    def _keys_or_none(self, row: Any) -> dict[str, str] | None:
        try:
            return self.open(row)
        except VaultError:
            return None

    async def _rotate_batch(self, batch: int, after: int, done: Rotation) -> int | None:
        wanted = {"kid": self._vault.sealing_key, "after": after, "batch": batch}
        async with self._sessions.begin() as session:
            rows = (await session.execute(sql.NOT_ON_KEY, wanted)).all()
            for row in rows:
                keys = self._keys_or_none(row)
                if keys is None:
                    done.unreadable.append(row.id)
                    continue
                await session.execute(sql.RESEAL, {"id": row.id, "sealed": self.seal(row.id, row.source, keys)})
                done.resealed += 1
        return rows[-1].id if rows else None


async def disable_until_replaced(
    session: AsyncSession, credential_id: int, *, reason: str, data_access_expired: bool = False
) -> None:
    """Only other keys bring it back."""
    refused = {"expired": data_access_expired, "replaced": UNTIL_REPLACED, "reason": reason}
    await session.execute(sql.INVALIDATE, {"id": credential_id, **refused})


async def _remember(session: AsyncSession, credential_id: int, said_at: datetime | None) -> None:
    if said_at is not None:
        await session.execute(sql.SAID_AT, {"id": credential_id, "said_at": said_at.astimezone(UTC).isoformat()})


def _said_at(row: Any) -> datetime | None:
    said = row.credentials.get("said_at") if isinstance(row.credentials, dict) else None
    return datetime.fromisoformat(said) if said else None


def _is_older(said_at: datetime | None, row: Any) -> bool:
    """Not newer than what the row holds: older, or the same again."""
    stored = _said_at(row)
    return said_at is not None and stored is not None and said_at <= stored


def _binding(credential_id: int, source: str) -> str:
    return f"credential:{credential_id}:{source}"


def _listed(row: Any) -> Listed:
    return Listed(
        id=row.id,
        source=row.source,
        handle=row.handle,
        state=_state(row),
        keys=_masks(row.mask),
        rest_count=row.rest_count,
        last_error=row.last_error,
        updated_at=row.updated_at,
    )


def _masks(shown: object) -> dict[str, str]:
    """The masks of an envelope; those of one that Beat did not make are passed over."""
    found = shown.items() if isinstance(shown, dict) else ()
    return {name: value for name, value in found if isinstance(value, str)}


def _state(row: Any) -> str:
    if not row.enabled:
        return "disabled"
    if row.data_access_expired:
        return "data access expired"
    if row.disabled_till is None:
        return "usable"
    if row.disabled_till >= UNTIL_REPLACED:
        return "refused until replaced"
    return f"resting until {row.disabled_till.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
