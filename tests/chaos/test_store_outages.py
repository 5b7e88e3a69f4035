"""The object store stopped in the middle of puts: what was said to be stored is whole, the rest is put off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from core.client.upload_assets import MediaClient, StoreUnavailable, Uploaded
from tests.sandbox.media.bodies import file_of
from tests.support.media import media_client, wanted
from tests.support.own_stack import OwnStack, own_stack
from tests.support.raw_server import Seen, http, raw_server, until
from tests.support.s3 import S3Access

PICTURES, VIDEOS = 40, 2
PARTS = file_of("parts", "mp4", video_bytes=18 << 20)


@pytest.fixture
async def stack() -> AsyncIterator[OwnStack]:
    async with own_stack("s3") as stack:
        yield stack


@dataclass
class Load:
    """Uploads without end until ``over``; what is put off runs again, as a worker would run it."""

    client: MediaClient
    over: asyncio.Event = field(default_factory=asyncio.Event)
    put_off: list[str] = field(default_factory=list)
    done: int = 0

    async def keep_on(self, name: str) -> Uploaded:
        """Upload one file again and again; what the upload that ended after ``over`` gave."""
        asset_type = "VIDEO" if name.endswith("mp4") else "IMAGE"
        request = wanted(f"https://a.cdninstagram.com/{name}", entity_id=name, asset_type=asset_type)
        while True:
            try:
                found = await self.client.upload(request)
            except StoreUnavailable as error:
                self.put_off.append(error.code)
                await asyncio.sleep(min(error.retry_after_s or 0.2, 1.0))
                continue
            self.done += 1
            if self.over.is_set():
                return found


async def cdn(seen: Seen, writer: asyncio.StreamWriter) -> bool:
    await asyncio.sleep(0.05)
    name = seen.target.rpartition("/")[2]
    writer.write(http(200, PARTS if "mp4" in name else file_of(name, "jpg", 320)))
    return True


@pytest.mark.timeout(600)
async def test_a_store_that_is_restarted_under_load_loses_nothing(stack: OwnStack, tmp_path: Path) -> None:
    env = stack.env()
    variables = ("S3_ENDPOINT_URL", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_BUCKET")
    s3 = S3Access(*(env[name] for name in variables))
    names = [f"p{number}" for number in range(PICTURES)] + [f"v{number}.mp4" for number in range(VIDEOS)]
    async with raw_server(cdn) as server, media_client(s3, server.url, ASSET_SPOOL_DIR=str(tmp_path)) as client:
        load = Load(client)
        tasks = [asyncio.create_task(load.keep_on(name)) for name in names]
        await until(lambda: load.done > 0)
        await stack.command("stop", "s3")
        await until(lambda: len(load.put_off) > PICTURES)
        await stack.command("start", "s3")
        load.over.set()
        found = await asyncio.gather(*tasks)
        await client.abort_leftovers()
        assert client._fetcher._budget.taken == 0
    assert set(load.put_off) == {"STORE_DOWN"}
    boto = s3.client()
    for name, uploaded in zip(names, found, strict=True):
        body = PARTS if name.endswith("mp4") else file_of(name, "jpg", 320)
        assert boto.get_object(Bucket=s3.bucket, Key=uploaded.key)["Body"].read() == body
    assert boto.list_multipart_uploads(Bucket=s3.bucket).get("Uploads", []) == []
