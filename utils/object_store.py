"""Objects in S3. The client is made at the first use: it takes 30 MB and some 100 ms that most processes can spare."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from utils.urls import USER_AGENT

STALE_KEYS = frozenset({"ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"})
"""What stores say of keys that have run out."""

_CONNECT_S = 3


class ObjectStoreFailed(Exception):
    """The store refused, or could not be reached (``status`` 0); the text holds no secret. ``code`` is the store's."""

    def __init__(self, message: str, *, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """Where the bucket is, and as whom. Without an endpoint it is AWS, without keys what the host may do there."""

    bucket: str
    endpoint_url: str | None = None
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    region: str = "us-east-1"


class ObjectStore:
    """One bucket. One per process, made before or after its loop runs, closed by whoever made it."""

    def __init__(self, access: StoreAccess, *, timeout_s: float = 15.0, read_s: float = 10.0) -> None:
        """``timeout_s`` is for a whole call with its second attempt, ``read_s`` for silence of the server."""
        self._access = access
        self._timeout_s = timeout_s
        self._read_s = read_s
        self._client: Any = None
        self._opening = asyncio.Lock()
        self._open = AsyncExitStack()

    @property
    def has_fixed_keys(self) -> bool:
        """Whether its keys stay the same; those of the host are fetched anew once they are refused as run out."""
        return self._access.access_key is not None

    async def put(self, key: str, body: bytes, *, content_type: str) -> None:
        """Store an object, over one of the same key.

        Raises:
            ObjectStoreFailed: it is not known to be stored.
        """
        await self.call("put_object", Key=key, Body=body, ContentType=content_type)

    async def get(self, key: str) -> bytes:
        """An object.

        Raises:
            ObjectStoreFailed: it is not there, or cannot be had.
        """
        body: bytes = await self.call("get_object", Key=key)
        return body

    async def aclose(self) -> None:
        """Close the client, if one was made."""
        self._client = None
        await self._open.aclose()

    async def call(self, operation: str, **arguments: Any) -> Any:
        """One operation of the SDK on the bucket: its answer, or the bytes of the answer's body if it has one.

        Raises:
            ObjectStoreFailed: it is not known to be done.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - costs memory, see above

        client = None
        try:
            async with asyncio.timeout(self._timeout_s):
                client = await self._connected()
                answer = await getattr(client, operation)(Bucket=self._access.bucket, **arguments)
                return await answer["Body"].read() if "Body" in answer else answer
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "refused"))
            status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if code in STALE_KEYS and not self.has_fixed_keys:
                await self._drop(client)
            raise ObjectStoreFailed(f"{operation}: {code}", status=status, code=code) from error
        except (BotoCoreError, OSError, ValueError) as error:  # TimeoutError is an OSError
            raise ObjectStoreFailed(f"{operation}: {type(error).__name__}") from error

    async def _connected(self) -> Any:
        async with self._opening:
            if self._client is None:
                self._client = await self._open.enter_async_context(self._new_client())
        return self._client

    async def _drop(self, client: Any) -> None:
        """Have the next call make a client, and with it fetch keys, unless that was done since."""
        if self._client is client:
            self._client = None
            opened, self._open = self._open, AsyncExitStack()
            await opened.aclose()

    def _new_client(self) -> Any:
        import aioboto3  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        access = self._access
        return aioboto3.Session().client(
            "s3",
            endpoint_url=access.endpoint_url,
            aws_access_key_id=access.access_key,
            aws_secret_access_key=access.secret_key,
            region_name=access.region,
            config=Config(
                user_agent=USER_AGENT,  # the SDK's own is put together anew for every request: a tenth of a call's time
                s3={"addressing_style": "path" if access.endpoint_url else "auto"},
                retries={"mode": "standard", "max_attempts": 2},
                connect_timeout=_CONNECT_S,
                read_timeout=self._read_s,
                request_checksum_calculation="when_required",  # servers other than AWS know no trailing checksums
                response_checksum_validation="when_required",
            ),
        )
