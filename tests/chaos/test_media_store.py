"""The object store stopped in the middle of puts: what was said to be stored is whole, the rest is put off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.client.upload_assets import MediaClient, StoreUnavailable, Uploaded
from tests.sandbox.media.bodies import file_of
from tests.support.media import media_client, wanted
from tests.support.own_stack import OwnStack, own_stack
from tests.support.raw_server import Seen, http, raw_server
from tests.support.s3 import S3Access

PICTURES, VIDEOS = 60, 2
PARTS = file_of("parts", "mp4", video_bytes=40 << 20)


@pytest.fixture
async def stack() -> AsyncIterator[OwnStack]:
    async with own_stack("s3") as stack:
        yield stack


async def keep_on(client: MediaClient, url: str, entity_id: str, put_off: list[str]) -> Uploaded:
    """As a worker would: what is put off runs again."""
    asset_type = "VIDEO" if "mp4" in url else "IMAGE"
    while True:
        try:
            return await client.upload(wanted(url, entity_id=entity_id, asset_type=asset_type))
        except StoreUnavailable as error:
            put_off.append(error.code)
            await asyncio.sleep(min(error.retry_after_s or 0.2, 1.0))


async def cdn(seen: Seen, writer: asyncio.StreamWriter) -> bool:
    await asyncio.sleep(0.05)
    name = seen.target.rpartition("/")[2]
    writer.write(http(200, PARTS if "mp4" in name else file_of(name, "jpg", 320)))
    return True


@pytest.mark.timeout(240)
async def test_a_store_that_is_restarted_under_load_loses_nothing(stack: OwnStack, tmp_path: Path) -> None:
    env = stack.env()
    names = ("S3_ENDPOINT_URL", "AWS_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_BUCKET")
    s3 = S3Access(*(env[name] for name in names))
    put_off: list[str] = []
    async with raw_server(cdn) as server, media_client(s3, server.url, ASSET_SPOOL_DIR=str(tmp_path)) as client:
        urls = {f"p{number}": f"https://a.cdninstagram.com/p{number}" for number in range(PICTURES)}
        urls |= {f"v{number}": f"https://a.cdninstagram.com/v{number}.mp4" for number in range(VIDEOS)}
        tasks = {name: asyncio.create_task(keep_on(client, url, name, put_off)) for name, url in urls.items()}
        await asyncio.wait(tasks.values(), return_when=asyncio.FIRST_COMPLETED)
        assert not all(task.done() for task in tasks.values())
        await stack.command("stop", "s3")
        await asyncio.sleep(1.5)
        await stack.command("start", "s3")
        found = dict(zip(tasks, await asyncio.gather(*tasks.values()), strict=True))
        await client.abort_leftovers()
        assert client._fetcher._budget.taken == 0
    assert put_off
    assert set(put_off) == {"STORE_DOWN"}
    boto = s3.client()
    for name, uploaded in found.items():
        body = PARTS if name.startswith("v") else file_of(name, "jpg", 320)
        assert boto.get_object(Bucket=s3.bucket, Key=uploaded.key)["Body"].read() == body
    assert boto.list_multipart_uploads(Bucket=s3.bucket).get("Uploads", []) == []
