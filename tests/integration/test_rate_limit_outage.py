"""Redis dies and comes back: every process keeps to its share, says so once, and returns by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from loguru import logger

from tests.support.own_redis import OwnRedis, own_redis
from tests.support.ports import silent_port
from utils import rate_limit
from utils.rate_limit import Level, Limit, LimitExceeded, RateLimiter, redis_client, redis_key


@pytest.fixture
def server() -> Iterator[OwnRedis]:
    """A Redis that the test may kill."""
    with own_redis() as running:
        yield running


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What was logged meanwhile."""
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    yield lines
    logger.remove(sink)


class Clock:
    """A monotonic time that moves when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def admitted(limiter: RateLimiter, level: Level, tries: int) -> int:
    refusals: list[LimitExceeded] = []
    for _ in range(tries):
        try:
            await limiter.acquire([level], max_wait_s=0)
        except LimitExceeded as refused:
            refusals.append(refused)
    assert all(refused.level_key == level.key and refused.retry_after_s > 0 for refused in refusals)
    return tries - len(refusals)


async def test_processes_keep_to_their_shares_while_redis_is_away_and_return_to_it(
    server: OwnRedis, told: list[str]
) -> None:
    clock, level = Clock(), Level("source", Limit(10, 60))
    processes = [RateLimiter(redis_client(server.url), expected_processes=4, now=clock) for _ in range(4)]
    assert await admitted(processes[0], level, 4) == 4
    server.kill()
    # the first has just used more than its share of two; the others have theirs
    assert [await admitted(process, level, 20) for process in processes] == [0, 2, 2, 2]
    assert [line for line in told if "away" in line] == [
        "Redis is away, each process keeps to its share of the limits"
    ] * 4
    clock.now += 59.9
    assert [await admitted(process, level, 5) for process in processes] == [0, 0, 0, 0]
    clock.now += 0.2
    assert [await admitted(process, level, 5) for process in processes] == [2, 2, 2, 2]
    server.start()
    clock.now += 10
    assert await admitted(processes[1], level, 20) == 10
    assert [await admitted(process, level, 20) for process in processes] == [0, 0, 0, 0]
    assert sum("back" in line for line in told) == 4
    assert sum("away" in line for line in told) == 4
    for process in processes:
        await process.aclose()


async def test_a_share_below_one_is_one_in_a_longer_window(server: OwnRedis, told: list[str]) -> None:
    clock, level = Clock(), Level("source", Limit(10, 1))
    limiter = RateLimiter(redis_client(server.url), expected_processes=150, now=clock)
    server.kill()
    assert await admitted(limiter, level, 5) == 1
    with pytest.raises(LimitExceeded) as refused:
        await limiter.acquire([level], max_wait_s=5)
    assert refused.value.retry_after_s == pytest.approx(15)
    clock.now += 14.9
    assert await admitted(limiter, level, 5) == 0
    clock.now += 0.2
    assert await admitted(limiter, level, 5) == 1
    await limiter.aclose()


async def test_stacked_levels_stay_all_or_nothing_without_redis(server: OwnRedis, told: list[str]) -> None:
    clock = Clock()
    limiter = RateLimiter(redis_client(server.url), now=clock)
    wide, narrow = Level("wide", Limit(3, 1000)), Level("narrow", Limit(1, 1))
    server.kill()
    for _ in range(3):
        await limiter.acquire([wide, narrow], max_wait_s=0)
        for _ in range(20):
            with pytest.raises(LimitExceeded, match=r"narrow|wide"):
                await limiter.acquire([wide, narrow], max_wait_s=0)
        clock.now += 1.1
    with pytest.raises(LimitExceeded, match="wide"):
        await limiter.acquire([wide, narrow], max_wait_s=0)
    await limiter.aclose()


async def mute_redis() -> tuple[asyncio.Server, str, list[asyncio.StreamWriter]]:
    """A listener that accepts and never answers, the slowest way for Redis to be away; its URL, and who came."""
    arrivals: list[asyncio.StreamWriter] = []

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrivals.append(writer)
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(mute, "127.0.0.1", 0)
    return listener, f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}/0", arrivals


async def test_redis_is_tried_by_one_caller_in_a_while_and_no_other_waits_for_it(told: list[str]) -> None:
    listener, url, arrivals = await mute_redis()
    clock, level = Clock(), Level("source", Limit(1000, 60))
    limiter = RateLimiter(redis_client(url), now=clock)
    await limiter.acquire([level], max_wait_s=0)
    first = len(arrivals)
    assert await admitted(limiter, level, 200) == 200
    assert (first, len(arrivals)) == (1, 1)
    clock.now += 10
    probe = asyncio.create_task(limiter.acquire([level], max_wait_s=0))
    while len(arrivals) < 2:
        await asyncio.sleep(0.01)
    assert await admitted(limiter, level, 200) == 200
    assert not probe.done()
    await probe
    assert len(arrivals) == 2
    await limiter.aclose()
    listener.close()
    await listener.wait_closed()


async def test_a_crowd_does_not_queue_for_a_redis_that_is_away(
    monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    """As many as ask at once find out; all others, who have waited for their turn, believe them."""
    monkeypatch.setattr(rate_limit, "_TIMEOUT_S", 0.2)
    listener, url, arrivals = await mute_redis()
    limiter = RateLimiter(redis_client(url), now=Clock())
    level = Level("source", Limit(1000, 60))
    await asyncio.gather(*(limiter.acquire([level], max_wait_s=0) for _ in range(100)))
    assert len(arrivals) <= rate_limit._IN_FLIGHT
    assert len(told) == 1
    await limiter.aclose()
    listener.close()
    await listener.wait_closed()


async def test_a_long_outage_is_outlived_however_often_redis_was_tried(told: list[str]) -> None:
    clock, level = Clock(), Level("source", Limit(1000, 60))
    with silent_port() as port:
        limiter = RateLimiter(redis_client(f"redis://127.0.0.1:{port}/0"), now=clock)
        for _ in range(10):
            assert await admitted(limiter, level, 2) == 2
            clock.now += 10
    assert len(told) == 1
    await limiter.aclose()


async def test_a_place_for_later_is_remembered_for_the_time_without_redis(
    server: OwnRedis, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "_TIMEOUT_S", 30.0)  # a Redis that is slow is not away
    limiter, level = RateLimiter(redis_client(server.url), now=Clock()), Level("source", Limit(1, 60, sliding=True))
    await limiter.acquire([level], max_wait_s=0)
    _, wait_s = await limiter._try([limiter._windows(level)], 600)  # as a task does that then waits for its place
    server.kill()
    with pytest.raises(LimitExceeded) as refused:
        await limiter.acquire([level], max_wait_s=0)
    assert refused.value.retry_after_s == pytest.approx(wait_s + 60.1)
    await limiter.aclose()


async def test_nobody_waits_longer_than_allowed_in_several_turns_either(told: list[str]) -> None:
    with silent_port() as port:
        limiter = RateLimiter(redis_client(f"redis://127.0.0.1:{port}/0"))
        level = Level("source", Limit(1, 0.3))
        waiting = (limiter.acquire([level], max_wait_s=0.35) for _ in range(12))
        ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert None in ends
    assert any(isinstance(end, LimitExceeded) for end in ends)
    await limiter.aclose()


async def test_waiting_goes_on_across_an_outage(server: OwnRedis, told: list[str]) -> None:
    level = Level("source", Limit(1, 2.0))
    limiter = RateLimiter(redis_client(server.url))
    await limiter.acquire([level], max_wait_s=0)
    waiting = asyncio.create_task(limiter.acquire([level], max_wait_s=10))
    await asyncio.sleep(0.05)
    server.kill()
    await waiting
    assert told == ["Redis is away, each process keeps to its share of the limits"]
    await limiter.aclose()


async def test_a_restarted_redis_knows_the_script_again(server: OwnRedis) -> None:
    client = redis_client(server.url)
    limiter = RateLimiter(client)
    level = Level("source", Limit(5, 60))
    await limiter.acquire([level], max_wait_s=0)
    await client.script_flush()
    await limiter.acquire([level], max_wait_s=0)
    assert await client.get(redis_key("beat_", "source", 5, 60)) == b"2"
    await limiter.aclose()


def test_shares_need_at_least_one_process() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RateLimiter(redis_client("redis://127.0.0.1:1/0"), expected_processes=0)


async def test_nobody_listening_is_an_outage_too(told: list[str]) -> None:
    with silent_port() as port:
        limiter = RateLimiter(redis_client(f"redis://127.0.0.1:{port}/0"))
        await limiter.acquire([Level("source", Limit(1, 60))], max_wait_s=0)
    assert len(told) == 1
    await limiter.aclose()
