"""Stacked limits over a real Redis: admitted requests count, refused ones do not, nobody polls."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
from asyncio_redis_rate_limit import RateLimiter as LibraryLimiter
from asyncio_redis_rate_limit import RateLimitError, RateSpec
from redis.asyncio import Redis

from tests.support.own_redis import OwnRedis, own_redis
from utils import rate_limit
from utils.rate_limit import By, Level, Limit, LimitExceeded, RateLimiter, SingleLimiter, redis_client, redis_key

DAY = Level("graphapi", Limit(20_000, 86_400))
MINUTE = Level("graphapi", Limit(1_000, 60))
SECOND = Level("graphapi:7", Limit(10, 30, By.CREDENTIAL))


@pytest.fixture(scope="module")
def server() -> Iterator[OwnRedis]:
    """A Redis whose counters of commands are this module's own."""
    with own_redis() as running:
        yield running


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine Redis is slow, not away."""
    monkeypatch.setattr(rate_limit, "_TIMEOUT_S", 30.0)


@pytest.fixture
async def redis(server: OwnRedis) -> AsyncIterator[Redis]:
    """A client of the empty server."""
    client = redis_client(server.url)
    await client.flushall()
    await client.config_resetstat()
    yield client
    await client.aclose()


async def counted(redis: Redis, level: Level) -> int:
    key = redis_key("beat_", level.key, level.limit.count, level.limit.per_s)
    return int(await redis.get(key) or 0)


async def script_calls(redis: Redis) -> int:
    stats = await redis.info("commandstats")
    return sum(int(stat["calls"]) for name, stat in stats.items() if name.startswith("cmdstat_evalsha"))


async def admitted(limiter: RateLimiter, levels: list[Level], tries: int, max_wait_s: float = 0) -> Counter[str]:
    async def one() -> str:
        try:
            await limiter.acquire(levels, max_wait_s=max_wait_s)
        except LimitExceeded as refused:
            return refused.level_key
        return "admitted"

    return Counter(await asyncio.gather(*(one() for _ in range(tries))))


async def test_refused_requests_use_up_no_level(redis: Redis) -> None:
    limiter = RateLimiter(redis)
    ends = await admitted(limiter, [DAY, MINUTE, SECOND], 500)
    assert ends == {"admitted": 10, "graphapi:7": 490}
    assert [await counted(redis, level) for level in (DAY, MINUTE, SECOND)] == [10, 10, 10]


async def test_the_refusal_names_the_level_that_opens_last_and_when(redis: Redis) -> None:
    limiter = RateLimiter(redis)
    short, long = Level("short", Limit(1, 5)), Level("long", Limit(1, 500))
    await limiter.acquire([short, long], max_wait_s=0)
    with pytest.raises(LimitExceeded) as refused:
        await limiter.acquire([long, short], max_wait_s=5)
    assert refused.value.level_key == "long"
    assert 490 < refused.value.retry_after_s < 501


async def test_a_window_ends_and_the_next_has_its_full_count(redis: Redis) -> None:
    limiter = RateLimiter(redis)
    level = Level("source", Limit(3, 1.5))
    assert (await admitted(limiter, [level], 5))["admitted"] == 3
    key = redis_key("beat_", "source", 3, 1.5)
    while await redis.exists(key):
        await asyncio.sleep(0.01)
    assert (await admitted(limiter, [level], 5))["admitted"] == 3


async def test_waiters_get_in_when_the_window_opens_and_ask_once_per_window(redis: Redis) -> None:
    limiter = RateLimiter(redis)
    level = Level("source", Limit(20, 2.0))
    await limiter.acquire([level], max_wait_s=0)
    await redis.config_resetstat()
    assert (await admitted(limiter, [level], 39, max_wait_s=30))["admitted"] == 39
    # 19 at once, 20 after one wait: 39 first questions and 20 second ones; polling would be hundreds
    assert 59 <= await script_calls(redis) <= 79


async def test_a_wait_longer_than_the_caller_wants_is_refused_at_once(redis: Redis) -> None:
    limiter = RateLimiter(redis)
    level = Level("source", Limit(1, 600))
    await limiter.acquire([level], max_wait_s=5)
    await redis.config_resetstat()
    with pytest.raises(LimitExceeded):
        await limiter.acquire([level], max_wait_s=5)
    assert await script_calls(redis) == 1


async def test_a_calendar_day_ends_at_midnight_utc(redis: Redis) -> None:
    limiter = RateLimiter(redis)
    await limiter.acquire([Level("quota", Limit(10, 86_400, calendar=True)), DAY], max_wait_s=0)
    left_s = await redis.pttl(redis_key("beat_", "quota", 10, 86_400)) / 1000
    now_s = (await redis.time())[0]
    assert abs((now_s + left_s + 43_200) % 86_400 - 43_200) < 5
    assert 86_390 < await redis.ttl(redis_key("beat_", DAY.key, 20_000, 86_400)) <= 86_400


async def test_the_factor_multiplies_counts_and_zero_stays_closed(redis: Redis) -> None:
    assert (await admitted(RateLimiter(redis, factor=5), [Level("a", Limit(2, 60))], 20))["admitted"] == 10
    assert (await admitted(RateLimiter(redis, factor=0.1), [Level("b", Limit(2, 60))], 20))["admitted"] == 1
    assert (await admitted(RateLimiter(redis, factor=5), [Level("c", Limit(0, 60))], 20))["admitted"] == 0
    await RateLimiter(redis).acquire([], max_wait_s=0)


async def test_a_counter_that_lost_its_end_is_mended(redis: Redis) -> None:
    level = Level("source", Limit(1, 60))
    key = redis_key("beat_", "source", 1, 60)
    await redis.set(key, 99)
    with pytest.raises(LimitExceeded):
        await RateLimiter(redis).acquire([level], max_wait_s=0)
    assert 0 < await redis.ttl(key) <= 60


def _compete(url: str, tries: int, results: multiprocessing.Queue[list[float]]) -> None:
    """One process: many tasks want in for a while; puts the wall times of admissions."""
    rate_limit._TIMEOUT_S = 30.0

    async def run() -> list[float]:
        limiter = RateLimiter(redis_client(url), expected_processes=3)
        times: list[float] = []

        async def one() -> None:
            try:
                await limiter.acquire(
                    [DAY, Level("raced", Limit(10, 600)), Level("raced", Limit(15, 700))], max_wait_s=0
                )
            except LimitExceeded:
                return
            times.append(time.time())

        await asyncio.gather(*(one() for _ in range(tries)))
        await limiter.aclose()
        return times

    results.put(asyncio.run(run()))


async def test_many_processes_together_stay_within_the_limit(server: OwnRedis, redis: Redis) -> None:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[list[float]] = context.Queue()
    processes = [context.Process(target=_compete, args=(server.url, 200, results)) for _ in range(3)]
    for process in processes:
        process.start()
    try:
        times = [moment for _ in processes for moment in await asyncio.to_thread(results.get, True, 60)]
    finally:
        for process in processes:
            process.join()
    assert len(times) == 10
    assert await counted(redis, DAY) == 10


async def test_the_key_is_the_one_that_the_library_uses(redis: Redis) -> None:
    async with LibraryLimiter("handle", RateSpec(5, 60), redis, cache_prefix="beat_server_"):
        pass
    assert await redis.get(redis_key("beat_server_", "handle", 5, 60)) == b"1"
    for _ in range(4):
        await SingleLimiter(redis, Limit(5, 60), prefix="beat_server_").acquire("handle")
    with pytest.raises(RateLimitError):
        async with LibraryLimiter("handle", RateSpec(5, 60), redis, cache_prefix="beat_server_"):
            pass


async def test_the_single_limiter_refuses_with_the_time_left(redis: Redis) -> None:
    limiter = SingleLimiter(redis, Limit(5, 60), prefix="beat_server_")

    ends = await asyncio.gather(*(limiter.acquire("key-1") for _ in range(40)), return_exceptions=True)
    refusals = [end for end in ends if isinstance(end, LimitExceeded)]
    assert (ends.count(None), len(refusals)) == (5, 35)
    assert all(refusal.level_key == "key-1" and 0 < refusal.retry_after_s <= 60 for refusal in refusals)
    await limiter.acquire("key-2")
    for wrong in (Limit(5, 0.5), Limit(5, 60, calendar=True)):
        with pytest.raises(ValueError, match="whole seconds"):
            SingleLimiter(redis, wrong)


async def test_more_callers_than_connections_queue_instead_of_failing(server: OwnRedis, redis: Redis) -> None:
    limiter = RateLimiter(redis_client(server.url, max_connections=3))
    level = Level("source", Limit(150, 60))
    assert (await admitted(limiter, [level], 300))["admitted"] == 150
    assert await counted(redis, level) == 150
    await limiter.aclose()


async def test_a_sliding_window_admits_no_more_than_its_count_in_any_window(redis: Redis) -> None:
    limiter, level = RateLimiter(redis), Level("source", Limit(5, 0.4, sliding=True))
    key, places, waiting = redis_key("beat_", "source", 5, 0.4) + ":sliding", [], []
    for _ in range(30):
        waiting.append(asyncio.create_task(limiter.acquire([level], max_wait_s=30)))
        await asyncio.sleep(random.uniform(0, 0.05))
        places += [int(place) for place in reversed(await redis.lrange(key, 0, -1)) if int(place) not in places]
    await asyncio.gather(*waiting)
    assert len(places) >= 6
    assert all(later - earlier >= 400 for earlier, later in zip(places, places[5:], strict=False))


async def test_whoever_may_wait_for_a_sliding_window_asks_once(redis: Redis) -> None:
    limiter, level = RateLimiter(redis), Level("source", Limit(10, 0.2, sliding=True))
    await redis.config_resetstat()
    assert (await admitted(limiter, [level], 40, max_wait_s=30))["admitted"] == 40
    assert await script_calls(redis) <= 41


async def test_a_sliding_window_refuses_what_may_not_wait_and_counts_nothing(redis: Redis) -> None:
    limiter = RateLimiter(redis)
    wide, narrow = (Level(key, Limit(n, 60, sliding=True)) for key, n in (("wide", 100), ("narrow", 2)))
    ends = await admitted(limiter, [wide, narrow], 20)
    assert ends == {"admitted": 2, "narrow": 18}
    key = redis_key("beat_", "wide", 100, 60) + ":sliding"
    assert await redis.llen(key) == 2
    closed = Level("closed", Limit(0, 60, sliding=True))
    for max_wait_s in (0, 600):
        assert (await admitted(limiter, [closed], 3, max_wait_s))["closed"] == 3


async def test_places_are_given_in_order_and_whoever_has_one_for_later_waits_for_it(redis: Redis) -> None:
    """The source admits three in 60 s, each credential one in 30 s: the second call of one waits, and so do all after.

    Nothing here takes so long: the places are read and nobody waits for them to come.
    """
    limiter, source = RateLimiter(redis), Level("source", Limit(3, 60, sliding=True))
    key = redis_key("beat_", "source", 3, 60) + ":sliding"
    places: list[int] = []
    waiting = []
    for credential in ("a", "a", "b", "c", "d"):
        levels = [source, Level(credential, Limit(1, 30, By.CREDENTIAL, sliding=True))]
        waiting.append(asyncio.create_task(limiter.acquire(levels, max_wait_s=600)))
        before = [str(place).encode() for place in reversed(places[-3:])]
        while (taken := await redis.lrange(key, 0, -1)) == before:
            await asyncio.sleep(0.01)
        places.append(int(taken[0]))
        assert len(taken) == min(3, len(places))
    first = places[0]
    assert places == [first, first + 30_100, first + 30_100, first + 60_100, first + 90_200]
    assert await redis.pttl(key) > 61_000  # as long as the last place and its window
    done, _ = await asyncio.wait(waiting, timeout=0.1)
    assert done <= {waiting[0]}
    for task in waiting:
        task.cancel()


async def test_sliding_and_fixed_windows_are_not_mixed(redis: Redis) -> None:
    with pytest.raises(ValueError, match="together"):
        await RateLimiter(redis).acquire([Level("a", Limit(1, 1)), Level("b", Limit(1, 1, sliding=True))], max_wait_s=0)
