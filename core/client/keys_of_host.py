"""The credentials of the object store: those of the settings, or what the host itself may do."""

from __future__ import annotations

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
        self._host: Any = None

    async def current(self) -> Keys:
        """Keys to sign with now.

        Raises:
            StoreUnavailable: the host has none, or its service for them did not answer.
        """
        if self._fixed is not None:
            return self._fixed
        try:
            if self._host is None:
                self._host = await _host_credentials()
            frozen = await self._host.get_frozen_credentials()
        except Exception as error:  # noqa: BLE001 - botocore's providers raise whatever their transport does
            raise StoreUnavailable("STORE_DOWN", f"no credentials of this host: {type(error).__name__}") from None
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)

    def forget(self) -> bool:
        """Have the keys fetched anew; False when they are fixed."""
        self._host = None
        return self._fixed is None


async def _host_credentials() -> Any:
    from aiobotocore.session import get_session  # noqa: PLC0415 - costs memory that most deployments can spare

    found = await get_session().get_credentials()
    if found is None:
        raise LookupError
    return found
