"""A media client on the session's bucket, and requests for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from config import Settings, load_settings
from core.client.upload_assets import MediaClient, MediaRequest
from tests.support.s3 import S3Access


def bucket_env(s3: S3Access) -> dict[str, str]:
    """Variables of a program that uses this bucket."""
    return {
        "AWS_BUCKET": s3.bucket,
        "AWS_ACCESS_KEY": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_REGION": s3.region,
        "S3_ENDPOINT_URL": s3.endpoint_url,
    }


@contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[Settings]:
    """The settings that these variables make."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield load_settings()


@asynccontextmanager
async def media_client(s3: S3Access, sandbox_url: str | None = None, **variables: str) -> AsyncIterator[MediaClient]:
    """A client whose CDN is the sandbox, if one is named."""
    simulator = {"PROVIDER_SANDBOX_URL": sandbox_url, "ASSET_SANDBOX_CDN": sandbox_url} if sandbox_url else {}
    with environment({**bucket_env(s3), **simulator, **variables}) as settings:
        client = await MediaClient.open(settings)
    try:
        yield client
    finally:
        await client.aclose()


def wanted(url: str, **changes: Any) -> MediaRequest:
    """A request for the picture of a post."""
    known = {"platform": "INSTAGRAM", "entity_type": "POST", "entity_id": "CxYz_1-2", "asset_type": "IMAGE"}
    return MediaRequest(url, **{**known, **changes})
