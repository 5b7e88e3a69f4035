"""What the demo puts in: credentials through REST, half of the tasks through REST and half through plain SQL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp
import asyncpg

from scripts.demo.world import DemoError, World

FLOW = "refresh_profile_by_handle"
AT_ONCE = 16


async def register_credentials(world: World) -> int:
    """POST every credential that the simulator accepts; how many."""
    count = 0
    async with aiohttp.ClientSession(world.api_url) as session:
        for source, credentials in world.sandbox.credentials.items():
            for credential in credentials:
                body = {"source": source, "credentials": credential.credentials, "handle": credential.handle}
                await _post(session, "/tokens", body)
                count += 1
    return count


async def queue_through_rest(world: World, handles: Sequence[str]) -> None:
    """One POST per handle, some at a time."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def queue(session: aiohttp.ClientSession, handle: str) -> None:
        async with turn:
            body = {"flow": FLOW, "platform": "INSTAGRAM", "params": {"handle": handle}}
            await _post(session, f"/scrape_request_log/flow/{FLOW}", body)

    async with aiohttp.ClientSession(world.api_url) as session:
        await asyncio.gather(*(queue(session, handle) for handle in handles))


async def queue_through_sql(pg: asyncpg.Connection, handles: Sequence[str]) -> None:
    """As another service would: as few columns as there are."""
    await pg.executemany(
        """insert into scrape_request_log (flow, platform, params)
        values ($1, 'INSTAGRAM', jsonb_build_object('handle', $2::text))""",
        [(FLOW, handle) for handle in handles],
    )


async def _post(session: aiohttp.ClientSession, path: str, body: Any) -> None:
    async with session.post(path, json=body) as response:
        answer = await response.json()
    if answer["status"]["type"] != "SUCCESS":
        raise DemoError(f"POST {path} answered: {answer['status']['message']}")
