"""What the demo puts in: credentials through REST, half of the tasks through REST and half through plain SQL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
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


async def queue_through_rest(world: World, tasks: Sequence[tuple[str, Mapping[str, Any]]]) -> list[int]:
    """One POST per (flow, params), some at a time; the tasks' ids in the same order."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def queue(session: aiohttp.ClientSession, flow: str, params: Mapping[str, Any]) -> int:
        async with turn:
            body = {"flow": flow, "platform": "INSTAGRAM", "params": params}
            return int((await _post(session, f"/scrape_request_log/flow/{flow}", body))["scrape_id"])

    async with aiohttp.ClientSession(world.api_url) as session:
        return await asyncio.gather(*(queue(session, *task) for task in tasks))


async def queue_through_sql(pg: asyncpg.Connection, handles: Sequence[str]) -> None:
    """As another service would: as few columns as there are."""
    await pg.executemany(
        """insert into scrape_request_log (flow, platform, params)
        values ($1, 'INSTAGRAM', jsonb_build_object('handle', $2::text))""",
        [(FLOW, handle) for handle in handles],
    )


async def _post(session: aiohttp.ClientSession, path: str, body: Any) -> dict[str, Any]:
    async with session.post(path, json=body) as response:
        answer: dict[str, Any] = await response.json()
    if answer["status"]["type"] != "SUCCESS":
        raise DemoError(f"POST {path} answered: {answer['status']['message']}")
    return answer
