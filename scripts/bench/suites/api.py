"""The REST API: what a request costs the server's process, beside a bare application that answers the same bytes."""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from scripts.bench.callers import Called, called, get, post
from scripts.bench.place import ROOT, BenchError, Place, redis_database
from scripts.bench.proc import fine_cpu_s
from scripts.bench.rows import Metric, Row, quantile, row_of
from tests.support.ports import free_port

PROFILES, POSTS = 2000, 13
"""What is stored: so many profiles, all of today, so that no source is asked, and so many posts of each."""

CALLERS = 16
BULK = 500
FLOW = "refresh_profile_by_handle"

FILL_PROFILES = """
insert into instagram_account (profile_id, handle, full_name, profile_type, biography, followers, following,
    profile_pic_url, fbid, media_count, is_business_or_creator, is_private)
select (700000 + i)::text, 'creator_' || i, 'Creator ' || i, 'creator', repeat('At the lake. ', 10), 1000 + 7 * i, 200,
    'https://cdn.example/v/' || i || '.jpg', (17841400000000000 + i)::text, 300, true, false
from generate_series(0, $1::int - 1) i"""
FILL_POSTS = """
insert into instagram_post (profile_id, handle, post_id, post_type, caption, likes, views, plays, comments, reach,
    shortcode, display_url, thumbnail_url, publish_time)
select (700000 + i)::text, 'creator_' || i, (31 * i + j)::text, (array['image', 'carousel', 'reels'])[1 + j % 3],
    repeat('Sun and water. ', 8), 400 + j, 9000 + j, 9000 + j, 12, 5000 + j, 'C' || i || '_' || j,
    'https://cdn.example/d/' || i || '/' || j || '.jpg', 'https://cdn.example/t/' || i || '/' || j || '.jpg',
    now() - make_interval(days => j)
from generate_series(0, $1::int - 1) i, generate_series(1, $2::int) j"""
EMPTY = "truncate scrape_request_log, event_outbox"
_ID = re.compile(rb'"scrape_id":\d+')


@dataclass(frozen=True, slots=True)
class Route:
    """Requests of one kind: how many are sent at once and one by one, and how many of its ``unit`` each holds."""

    name: str
    unit: str
    request: Callable[[int], bytes]
    many: int
    single: int
    units: int = 1


def _task(number: int) -> dict[str, object]:
    return {"flow": FLOW, "platform": "INSTAGRAM", "params": {"handle": f"creator_{number}"}}


def _bulk(number: int) -> bytes:
    return post("/scrape_request_log/bulk", [_task(number * BULK + row) for row in range(BULK)])


ROUTES = (
    Route("profile by handle", "request", lambda n: get(f"/profiles/instagram/byhandle/creator_{n}"), 3000, 500),
    Route("recent posts", "request", lambda n: get(f"/recent/posts/instagram/byprofileid/{700000 + n}"), 3000, 500),
    Route("one task", "request", lambda n: post(f"/scrape_request_log/flow/{FLOW}", _task(n)), 2000, 500),
    Route(f"tasks in bulk, {BULK} a request", "row", _bulk, 48, 20, BULK),
)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: where it listens, and its process."""

    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class Run:
    """Units a second and a CPU second of the server with many callers, and times of requests one by one."""

    per_s: float
    per_cpu_s: float
    times: Sequence[float]


async def suite(place: Place, *, quick: bool) -> list[Row]:
    """Requests a second and a CPU second, and how long one takes."""
    await place.pg.execute(FILL_PROFILES, PROFILES)
    await place.pg.execute(FILL_POSTS, PROFILES, POSTS)
    await place.pg.execute("vacuum analyze instagram_account")
    await place.pg.execute("vacuum analyze instagram_post")
    ours: dict[Route, list[Run]] = {route: [] for route in ROUTES}
    limits: dict[Route, list[Run]] = {route: [] for route in ROUTES}
    with redis_database(place.env["REDIS_URL"]) as redis:
        async with beat(place, redis) as server, bare(place) as limit:
            for route in ROUTES:
                await compare(route, server, limit)
            for _ in range(1 if quick else 3):
                for route in ROUTES:
                    limits[route].append(await run(place, limit, route, quick=quick))
                    ours[route].append(await run(place, server, route, quick=quick))
    return [row for route in ROUTES for row in rows_of(route, ours[route], limits[route])]


def rows_of(route: Route, ours: Sequence[Run], limits: Sequence[Run]) -> list[Row]:
    """The rows of one route."""

    def row(name: str, unit: str, figure: Callable[[Run], float]) -> Row:
        return row_of(Metric("api", f"{route.name}: {name}", unit), list(map(figure, ours)), list(map(figure, limits)))

    return [
        row(f"{route.unit}s per server CPU second", "1/s", lambda run: run.per_cpu_s),
        row(f"server CPU per {route.unit}", "µs", lambda run: 1e6 / run.per_cpu_s),
        row(f"{route.unit}s, {CALLERS} callers", "1/s", lambda run: run.per_s),
        row("time of a request, one caller, p50", "ms", lambda run: quantile(run.times, 0.5) * 1e3),
        row("time of a request, one caller, p99", "ms", lambda run: quantile(run.times, 0.99) * 1e3),
    ]


async def compare(route: Route, server: Server, limit: Server) -> None:
    """See that both answer the same.

    Raises:
        BenchError: they differ.
    """
    answers = [_ID.sub(b"", (await called(one.port, [route.request(1)], 1)).body) for one in (server, limit)]
    if answers[0] != answers[1]:
        raise BenchError(f"{route.name}: the limit answers otherwise: {answers[0][:2000]!r} {answers[1][:2000]!r}")


async def run(place: Place, server: Server, route: Route, *, quick: bool) -> Run:
    """One run on one server, whose queue is empty before."""
    await place.pg.execute(EMPTY)
    many, single = (max(4, count // (5 if quick else 1)) for count in (route.many, route.single))
    await _send(server, route, max(4, many // 10), CALLERS)  # opens connections, and what is done once in a life
    before = fine_cpu_s(server.pid)
    crowd = await _send(server, route, many, CALLERS)
    used = fine_cpu_s(server.pid) - before
    alone = await _send(server, route, single, 1)
    units = many * route.units
    return Run(units / crowd.seconds, units / used, alone.times)


async def _send(server: Server, route: Route, count: int, callers: int) -> Called:
    return await called(server.port, [route.request(number * 17 % PROFILES) for number in range(count)], callers)


@asynccontextmanager
async def beat(place: Place, redis: str) -> AsyncIterator[Server]:
    """server.py as in production, through the pooler."""
    port = free_port()
    more = {"PGBOUNCER_URL": place.pooled_url, "REDIS_URL": redis, "API_PORT": str(port)}
    async with _running({**place.env, **more}, port, "server.py") as server:
        yield server


@asynccontextmanager
async def bare(place: Place) -> AsyncIterator[Server]:
    """The limit, through the pooler as well."""
    port = free_port()
    async with _running(place.env, port, "-m", "scripts.bench.bare_api", place.pooled_url, str(port)) as server:
        yield server


@asynccontextmanager
async def _running(env: Mapping[str, str], port: int, *words: str) -> AsyncIterator[Server]:
    with tempfile.TemporaryFile() as said:
        process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT, env=env, stderr=said)
        try:
            if not await _listens(process, port):
                said.seek(0)
                raise BenchError(f"{words} did not start: {said.read(2000).decode(errors='replace')}")
            yield Server(port, process.pid)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _listens(process: asyncio.subprocess.Process, port: int) -> bool:
    for _ in range(600):
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        if process.returncode is not None:
            return False
        await asyncio.sleep(0.05)
    return False
