"""Permits, one after the other and fifty at once: Beat's, the library's, and a call of Redis that does nothing.

``python -m scripts.bench.permits URL COUNT`` takes so many permits in each way, a slice of each in turns, on a Redis
number of its own, and prints a JSON list of ``Taken``. No limit is ever reached.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

import uvloop
from asyncio_redis_rate_limit import RateLimiter as LibraryLimiter
from asyncio_redis_rate_limit import RateSpec
from redis.asyncio import Redis

from core.api.upstream import Budget
from scripts.bench.rows import quantile
from utils.rate_limit import ACQUIRE, Level, Limit, RateLimiter, redis_client

FLOOR, SCRIPT, LEVELS, SLIDING, SOURCE = "floor", "script", "levels", "sliding", "source"
"""A script that does nothing; the script of four levels of fixed windows; the limiter with that script, with the one of
four levels that slide, and with the one level of a source, which slides."""

LIBRARY, SHARED = "library", "shared"
"""Four limiters of the library, made for each permit; the same, made once."""

CONCURRENCIES = (1, 50)
ROOM = 10**9
PROCESSES = 136
WARM = 100
SLICES = 10

NOTHING = "return {0, 0}"
Take = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Taken:
    """Some permits: what they took in all, CPU of the client and of Redis, and the times of single ones."""

    way: str
    concurrency: int
    permits: int
    seconds: float
    client_s: float
    redis_s: float
    p50_s: float
    p99_s: float


@dataclass(slots=True)
class _Sum:
    """Slices of one way, added up."""

    times: list[float] = field(default_factory=list)
    seconds: float = 0.0
    client_s: float = 0.0
    redis_s: float = 0.0

    def add(self, times: list[float], seconds: float, client_s: float, redis_s: float) -> None:
        self.times += times
        self.seconds += seconds
        self.client_s += client_s
        self.redis_s += redis_s

    def taken(self, way: str, concurrency: int) -> Taken:
        middle, late = quantile(self.times, 0.5), quantile(self.times, 0.99)
        return Taken(way, concurrency, len(self.times), self.seconds, self.client_s, self.redis_s, middle, late)


def levels_of(name: str, *, sliding: bool = False) -> list[Level]:
    """Day, minute and second as the API stacks them, and a source's own second, all with room for everybody."""
    stacked = Budget(name, f"{name}_item").levels()
    levels = [Level(level.key, replace(level.limit, count=ROOM)) for level in stacked]
    source = Level(f"{name}_source", Limit(ROOM, 1))
    return [Level(level.key, replace(level.limit, sliding=sliding)) for level in (*levels, source)]


async def ways_of(client: Redis) -> dict[str, Take]:
    """How a permit is taken, by name."""
    limiter = RateLimiter(client, expected_processes=PROCESSES)
    digest = await client.script_load(NOTHING)
    script, told = client.register_script(ACQUIRE), asked_by(levels_of("script"))
    fixed, sliding = levels_of("fixed"), levels_of("sliding", sliding=True)
    single = levels_of("single", sliding=True)[-1:]
    kept = limiters(client, levels_of("shared"))
    made = levels_of("made")
    return {
        FLOOR: lambda: client.evalsha(digest, 0),
        SCRIPT: lambda: script(*told),
        LEVELS: lambda: limiter.acquire(fixed, max_wait_s=0),
        SLIDING: lambda: limiter.acquire(sliding, max_wait_s=0),
        SOURCE: lambda: limiter.acquire(single, max_wait_s=0),
        LIBRARY: lambda: through(limiters(client, made)),
        SHARED: lambda: through(kept),
    }


def asked_by(levels: Sequence[Level]) -> tuple[list[str], list[int]]:
    """Keys and arguments of the script."""
    spans = [(level.limit.count, round(level.limit.per_s * 1000), 0) for level in levels]
    return [level.key for level in levels], [number for span in spans for number in span]


def limiters(client: Redis, levels: Sequence[Level]) -> list[LibraryLimiter]:
    """The library's limiter of each level."""
    specs = [(level.key, RateSpec(level.limit.count, int(level.limit.per_s))) for level in levels]
    return [LibraryLimiter(key, spec, client, cache_prefix="bench_") for key, spec in specs]


async def through(stack: Sequence[LibraryLimiter]) -> None:
    """A permit of all, one level after the other."""
    for limiter in stack:
        async with limiter:
            pass


async def measured(client: Redis, ways: dict[str, Take], concurrency: int, permits: int) -> list[Taken]:
    """So many permits in each way, so many callers at once."""
    found = {way: _Sum() for way in ways}
    for take in ways.values():
        await _take_all(take, concurrency, WARM)
    for _ in range(SLICES):
        for way, take in ways.items():
            busy, cpu, started = await redis_cpu_s(client), time.process_time(), time.perf_counter()
            times = await _take_all(take, concurrency, permits // SLICES)
            seconds, used = time.perf_counter() - started, time.process_time() - cpu
            found[way].add(times, seconds, used, await redis_cpu_s(client) - busy)
    return [total.taken(way, concurrency) for way, total in found.items()]


async def _take_all(take: Take, concurrency: int, permits: int) -> list[float]:
    times: list[float] = []
    left = iter(range(permits))

    async def caller() -> None:
        for _ in left:
            began = time.perf_counter()
            await take()
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(caller() for _ in range(concurrency)))
    return times


async def redis_cpu_s(client: Redis) -> float:
    """CPU seconds of the server so far, whoever asked."""
    facts = await client.info("cpu")
    return float(facts["used_cpu_user"]) + float(facts["used_cpu_sys"])


async def _main(url: str, permits: int) -> None:
    client = redis_client(url)
    ways = await ways_of(client)
    found = [one for concurrency in CONCURRENCIES for one in await measured(client, ways, concurrency, permits)]
    await client.aclose()
    print(json.dumps([asdict(one) for one in found]))


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1], int(sys.argv[2])))
