"""What the server needs to do its work, looked at now."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from loguru import logger
from pydantic import BaseModel, Field
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from core.api.deps import Resources
from core.schema import RECORDED, Lacking, newer_migrations, warn_of_newer

Look = Callable[[Resources], Awaitable[str]]

CHECK_LIMIT_S = 2.0
OUTBOX_LAG_S = 300.0
"""Events older than this wait for a relay or broker that is not there."""


class Check(BaseModel):
    """One thing looked at."""

    ok: bool = Field(description="Whether it is as it should be")
    required: bool = Field(description="Whether the server is not ready without it")
    detail: str = Field(description="What was seen", examples=["version 1"])


class Broken(Exception):
    """A check found a fault; the text says which."""


async def look(resources: Resources) -> dict[str, Check]:
    """All checks at once, each with a time limit."""
    looks: dict[str, tuple[bool, Look]] = {
        "database": (True, _database),
        "schema_version": (True, _schema),
        "redis": (True, _redis),
        "outbox_lag": (False, _outbox),
        "broker": (False, _broker),
    }
    found = await asyncio.gather(
        *(_one(name, check, resources, required=required) for name, (required, check) in looks.items())
    )
    return dict(zip(looks, found, strict=True))


async def _one(name: str, check: Look, resources: Resources, *, required: bool) -> Check:
    try:
        async with asyncio.timeout(CHECK_LIMIT_S):
            return Check(ok=True, required=required, detail=await check(resources))
    except Broken as fault:
        return Check(ok=False, required=required, detail=str(fault))
    except TimeoutError:
        return Check(ok=False, required=required, detail=f"no answer in {CHECK_LIMIT_S:g} s")
    except Exception as error:  # noqa: BLE001 - a check reports whatever is wrong, and nothing that a log may not show
        logger.bind(check=name, error=type(error).__name__).warning("check_failed")
        return Check(ok=False, required=required, detail=type(error).__name__)


async def _database(resources: Resources) -> str:
    async with resources.begin() as session:
        await session.execute(text("select 1"))
    return "answers"


async def _schema(resources: Resources) -> str:
    try:
        async with resources.begin() as session:
            recorded = {row.version: row.name for row in await session.execute(text(RECORDED))}
    except ProgrammingError:
        raise Broken("there is no schema yet: run python -m scripts.migrate") from None
    version, needed = f"version {max(recorded, default=0)}", resources.schema_version
    if needed is None:
        return version
    try:
        newer = newer_migrations(recorded, needed)
    except Lacking as error:
        raise Broken(str(error)) from None
    if newer != resources.newer_migrations:  # said once, not at every probe
        resources.newer_migrations = newer
        warn_of_newer(newer)
    return f"{version}, newer than this code: {', '.join(newer)}" if newer else version


async def _redis(resources: Resources) -> str:
    await resources.redis.ping()
    return "answers"


async def _outbox(resources: Resources) -> str:
    query = text("select extract(epoch from now() - created_at)::float8 from event_outbox order by id limit 1")
    async with resources.begin() as session:
        lag_s = (await session.execute(query)).scalar() or 0.0
    if lag_s > OUTBOX_LAG_S:
        raise Broken(f"the oldest event has waited {lag_s:.0f} s for the relay")
    return f"{max(lag_s, 0.0):.1f} s"


async def _broker(resources: Resources) -> str:
    url = urlsplit(resources.settings.broker.rmq_url.get_secret_value())
    port = url.port or (5671 if url.scheme == "amqps" else 5672)
    _, writer = await asyncio.open_connection(url.hostname or "127.0.0.1", port)
    writer.close()
    await writer.wait_closed()
    return "reachable"
