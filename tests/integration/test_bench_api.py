"""The benches of the API and of the limiter measure what they say: equal answers, whole ones, and permits for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from scripts.bench import permits
from scripts.bench.callers import called, get
from scripts.bench.place import BenchError, place, redis_database
from scripts.bench.suites import api
from utils.rate_limit import redis_client

GOOD = b'HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n{"status":{"type":"SUCCESS"}}'


@asynccontextmanager
async def answering(*pieces: bytes) -> AsyncIterator[int]:
    """A port where each request is answered with these pieces, and the connection closed when there are none."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while pieces and (await reader.read(1000)):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_the_limit_of_the_api_answers_what_the_api_answers(stack_env: dict[str, str]) -> None:
    async with place() as here:
        await here.pg.execute(api.FILL_PROFILES, 60)
        await here.pg.execute(api.FILL_POSTS, 60, api.POSTS)
        with redis_database(here.env["REDIS_URL"]) as redis:
            async with api.beat(here, redis) as server, api.bare(here) as limit:
                for route in api.ROUTES:
                    await api.compare(route, server, limit)
                    assert (await api.run(here, server, replace(route, many=4, single=4), quick=False)).per_cpu_s > 0
                other = replace(api.ROUTES[0], request=lambda number: get(f"/{number}/nowhere"))
                with pytest.raises(BenchError, match="no success"):
                    await api.compare(other, server, limit)


async def test_answers_that_come_in_pieces_are_awaited_whole() -> None:
    async with answering(GOOD[:20], GOOD[20:50], GOOD[50:]) as port:
        seen = await called(port, [get("/")] * 5, 2)
    assert len(seen.times) == 5
    assert min(seen.times) >= 0.02
    assert seen.body == GOOD.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("pieces", [(), (GOOD.replace(b"SUCCESS", b"ERROR!!"),), (GOOD.replace(b"200", b"500"),)])
async def test_an_answer_that_is_no_success_fails_the_bench(pieces: tuple[bytes, ...]) -> None:
    async with answering(*pieces) as port:
        with pytest.raises(BenchError, match=r"closed|no success"):
            await called(port, [get("/")] * 3, 1)


async def test_permits_are_taken_in_every_way(redis_url: str) -> None:
    client = redis_client(redis_url)
    try:
        ways = await permits.ways_of(client)
        found = await permits.measured(client, ways, 3, 20)
        assert [(one.way, one.permits) for one in found] == [(way, 20) for way in ways]
        assert all(one.client_s > 0 and one.p99_s >= one.p50_s > 0 for one in found)
        counted = [await client.get(key) async for key in client.scan_iter("bench_*")]
        assert counted.count(b"%d" % (permits.WARM + 20)) >= 2  # its seconds may have gone by
    finally:
        await client.aclose()
