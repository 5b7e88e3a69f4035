"""Asset tasks, and the environment of programs that run them against the sandbox's CDN and the session's bucket."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import asyncpg

from core.models.params import AssetParams
from tests.sandbox.dialects.urls import image_url
from tests.sandbox.media.bodies import file_of
from tests.support.media import bucket_env
from tests.support.s3 import S3Access

FIRST = 3_350_000_000_000_000_000


def asset_env(env: dict[str, str], s3: S3Access, sandbox_url: str) -> dict[str, str]:
    """Small pools that copy from the sandbox to the bucket."""
    simulator = {"PROVIDER_SANDBOX_URL": sandbox_url, "ASSET_SANDBOX_CDN": sandbox_url}
    pools = {"ASSET_PROCESSES": "2", "ASSET_SLOTS": "10", "WORKER_LEASE_S": "3", "HEARTBEAT_S": "0.5"}
    return {**env, **bucket_env(s3), **simulator, **pools}


def asset(entity_id: str, url: str, number: int, **changes: Any) -> AssetParams:
    """Params of an upload; ``number`` is the hash."""
    known = {"entity_type": "POST", "asset_type": "IMAGE", "platform": "INSTAGRAM"}
    return AssetParams.model_validate(
        {**known, "entity_id": entity_id, "original_url": url, "hash": number, **changes}
    )


async def queue_uploads(
    pg: asyncpg.Connection, numbers: Sequence[int], flow: str = "asset_upload_flow", **changes: Any
) -> list[int]:
    """Queue uploads of pictures, one of another file for each number; their task ids."""
    tasks = [asset(str(number), image_url(FIRST + number), number, **changes).model_dump_json() for number in numbers]
    rows = await pg.fetch(
        """insert into scrape_request_log (flow, platform, params)
        select $1, t.params::jsonb->>'platform', t.params::jsonb from unnest($2::text[]) t(params) returning id""",
        flow,
        tasks,
    )
    return [row["id"] for row in rows]


def file_number(number: int) -> bytes:
    """What the CDN serves for a number."""
    return file_of(str(FIRST + number), "jpg")


def objects(s3: S3Access) -> dict[str, int]:
    """Keys and sizes of what the bucket holds."""
    client = s3.client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=s3.bucket)
    found = {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}
    client.close()
    return found


def params_of(row: asyncpg.Record) -> dict[str, Any]:
    """The params of a task's row."""
    found: dict[str, Any] = json.loads(row["params"])
    return found
