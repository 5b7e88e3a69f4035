"""The credentials of the object store: those of the settings, or what the host itself may do."""

from __future__ import annotations

import asyncio
from typing import Any

from core.client.errors import StoreUnavailable
from core.client.sigv4 import Keys
from utils.object_store import StoreAccess


class KeySource:
    """Where a process has its keys from. A host's keys run out and are renewed."""

    def __init__(self, access: StoreAccess) -> None:
        self._fixed = None
        if access.access_key is not None:
            self._fixed = Keys(access.access_key, access.secret_key or "")
        self._host: asyncio.Task[Any] | None = None
        self._given: Keys | None = None

    async def current(self) -> Keys:
        """Keys to sign with now.

        Raises:
            StoreUnavailable: the host has none, or its service for them did not answer.
        """
        if self._fixed is not None:
            return self._fixed
        try:
            frozen = await (await self._asked()).get_frozen_credentials()
        except Exception as error:  # noqa: BLE001 - botocore's providers raise whatever their transport does
            raise StoreUnavailable("STORE_DOWN", f"no credentials of this host: {type(error).__name__}") from None
        self._given = Keys(frozen.access_key, frozen.secret_key, frozen.token)
        return self._given

    def forget(self, refused: Keys) -> bool:
        """Have the keys fetched anew, unless that was done since these were given; False when they are fixed."""
        if refused == self._given:
            self._host = self._given = None
        return self._fixed is None

    async def _asked(self) -> Any:
        """What the host says, asked once for all who wait: its service answers few at a time."""
        asked = self._host = self._host or asyncio.create_task(_host_credentials())
        try:
            return await asyncio.shield(asked)  # of one who is cancelled nobody else hears
        except Exception:
            if self._host is asked:
                self._host = None
            raise


async def _host_credentials() -> Any:
    from aiobotocore.session import get_session  # noqa: PLC0415 - costs memory that most deployments can spare

    found = await get_session().get_credentials()
    if found is None:
        raise LookupError
    return found
