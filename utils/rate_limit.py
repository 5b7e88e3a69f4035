"""How often something may be asked: stacked limits shared by all processes through Redis.

The budgets of a provider are stacked (per second, minute, day; per source and per credential) and one refused level
must not use up the others. asyncio-redis-rate-limit counts each level by itself and counts refused attempts too, so
that a waiting caller eats the day's budget; therefore stacked levels are one Lua call here, and the library serves
limits of a single level (``SingleLimiter``). Both use fixed windows that begin with the first request, and the same
keys. A provider's window may begin at any moment, and two bursts around the border of one of ours would pass its limit
and burn the key: towards providers windows slide, and whoever may wait is given a place instead of another try.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from asyncio_redis_rate_limit import RateLimiter as LibraryLimiter
from asyncio_redis_rate_limit import RateLimitError, RateSpec
from loguru import logger
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from utils.local_limit import LocalLimits, Window

_TIMEOUT_S = 1.0
_IN_FLIGHT = 8
_MOST_WINDOWS = 4096
_PROBE_S = (0.5, 1.0, 2.0, 4.0)
_JITTER_SHARE, _JITTER_MAX_S = 0.1, 0.5

# KEYS: one per level; ARGV: count, window in ms, 1 for calendar windows, for each. Returns {0, 0} when all levels have
# room (then each counts one), else {number of the level that opens last, ms until then}.
ACQUIRE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local worst, wait = 0, -1
for i, key in ipairs(KEYS) do
  local count, window = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1])
  if tonumber(redis.call('GET', key) or 0) >= count then
    local left = redis.call('PTTL', key)
    if left == -1 then redis.call('PEXPIRE', key, window) end
    if left < 0 then left = window end
    if left > wait then worst, wait = i, left end
  end
end
if worst > 0 then return {worst, wait} end
for i, key in ipairs(KEYS) do
  if redis.call('INCR', key) == 1 then
    local window = tonumber(ARGV[3 * i - 1])
    if ARGV[3 * i] == '1' then window = window - now % window end
    redis.call('PEXPIRE', key, window)
  end
end
return {0, 0}
"""


# Sliding windows. KEYS: a list per level, newest admission first, in ms; ARGV: longest wait in ms, then for each level
# its count and window in ms. Admissions never go back in time, so a place is the latest of what the levels allow. Gives
# {0, ms until the place that was taken} or {number of the level that opens last, ms until then} with nothing counted.
_RESERVE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local worst, place = 1, now
for i, key in ipairs(KEYS) do
  local count, window = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local opens = tonumber(redis.call('LINDEX', key, 0) or now)
  if count < 1 then
    opens = now + 2 * window + tonumber(ARGV[1])
  elseif redis.call('LLEN', key) >= count then
    opens = math.max(opens, tonumber(redis.call('LINDEX', key, count - 1)) + window)
  end
  if opens > place then worst, place = i, opens end
end
if place - now > tonumber(ARGV[1]) then return {worst, place - now} end
for i, key in ipairs(KEYS) do
  local count, window = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  redis.call('LPUSH', key, place)
  redis.call('LTRIM', key, 0, count - 1)
  redis.call('PEXPIRE', key, place - now + window)
end
return {0, place - now}
"""

_BUNCHING_S = 0.1
"""Requests sent apart may arrive closer together: sliding windows are longer by this."""


class By(StrEnum):
    """Whose budget a limit is."""

    SOURCE = "source"
    CREDENTIAL = "credential"


@dataclass(frozen=True, slots=True)
class Limit:
    """``count`` requests in ``per_s`` seconds.

    ``calendar`` windows begin at multiples of ``per_s`` (a day: midnight UTC). ``sliding``: in any ``per_s`` seconds.
    """

    count: int
    per_s: float
    by: By = By.SOURCE
    calendar: bool = False
    sliding: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """One limit on one thing: ``key`` names the source, the credential, the handle."""

    key: str
    limit: Limit


class LimitExceeded(Exception):
    """No room, and waiting for it would take longer than the caller wants."""

    def __init__(self, level_key: str, retry_after_s: float) -> None:
        super().__init__(level_key, retry_after_s)
        self.level_key = level_key
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"limit of {self.level_key} is used up, opens in {self.retry_after_s:.3f} s"


def redis_client(url: str, *, max_connections: int = 50) -> Redis:
    """A client that fails within a second: callers queue for connections, nothing is retried behind their back."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=max_connections,
        timeout=_TIMEOUT_S,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis.from_pool(pool)


def redis_key(prefix: str, unique_key: str, count: int, per_s: float) -> str:
    """The counter of a level, as asyncio-redis-rate-limit names it: prefix + md5 of (unique key + text of the rate)."""
    seconds = int(per_s) if float(per_s).is_integer() else per_s
    spec = f"RateSpec(requests={count}, seconds={seconds})"
    return prefix + hashlib.md5(f"{unique_key}{spec}".encode(), usedforsecurity=False).hexdigest()


class RateLimiter:
    """Admission through every level at once, or none of them counts.

    Without Redis each process admits ``count / expected_processes`` in any window by its own memory, so that the sum
    stays under the limit; one caller in a while (0.5 s, then up to 4 s apart) tries Redis again and all return to it.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        prefix: str = "beat_",
        factor: float = 1.0,
        expected_processes: int = 1,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._acquire = redis.register_script(ACQUIRE)
        self._reserve = redis.register_script(_RESERVE)
        self._prefix = prefix
        self._factor = factor
        self._now = now
        self._local = LocalLimits(expected_processes)
        self._windows = lru_cache(maxsize=_MOST_WINDOWS)(self._window)
        self._turn = asyncio.Semaphore(_IN_FLIGHT)  # a crowd of callers must not look like a slow Redis
        self._failures = 0
        self._probe_at = 0.0

    async def acquire(self, levels: Sequence[Level], *, max_wait_s: float) -> None:
        """Come back when every level has counted this request; sleeps until the windows open, never polls.

        Raises:
            LimitExceeded: the wait would pass ``max_wait_s`` (0 never waits); nothing was counted.
            ValueError: sliding and fixed windows in one call.
        """
        if not levels:
            return
        windows = [self._windows(level) for level in levels]
        if len({window.sliding for window in windows}) > 1:
            raise ValueError("sliding and fixed windows cannot be acquired together")
        deadline = self._now() + max_wait_s
        while True:
            index, wait_s = await self._try(windows, max(0.0, deadline - self._now()))
            if index is None:
                await asyncio.sleep(wait_s)
                return
            left_s = deadline - self._now()
            if wait_s > left_s or max_wait_s <= 0:
                raise LimitExceeded(levels[index].key, wait_s)
            spread_s = min(_JITTER_SHARE * windows[index].per_s, _JITTER_MAX_S, left_s - wait_s)
            await asyncio.sleep(wait_s + random.uniform(0, spread_s))

    async def aclose(self) -> None:
        """Close the Redis client."""
        await self._redis.aclose()

    def _window(self, level: Level) -> Window:
        limit = level.limit
        count = max(1, int(limit.count * self._factor)) if limit.count > 0 else 0
        key = redis_key(self._prefix, level.key, count, limit.per_s)
        if limit.sliding:
            return Window(f"{key}:sliding", count, limit.per_s + _BUNCHING_S, sliding=True)
        return Window(key, count, limit.per_s, limit.calendar)

    async def _try(self, windows: Sequence[Window], max_wait_s: float) -> tuple[int | None, float]:
        """None and the seconds until the place that was taken, or which level refused and for how many seconds."""
        if not self._failures:
            async with self._turn:
                if not self._failures:  # it may have gone away while others had their turn
                    return await self._try_redis(windows, max_wait_s)
        if self._now() < self._probe_at:
            return self._local.admit(windows, self._now()) or (None, 0.0)
        self._back_off()  # before the probe: other callers must not wait for its outcome
        return await self._try_redis(windows, max_wait_s)

    async def _try_redis(self, windows: Sequence[Window], max_wait_s: float) -> tuple[int | None, float]:
        try:
            level, wait_s = await self._ask_redis(windows, max_wait_s)
        except (RedisError, OSError) as error:
            self._redis_failed(error)
            return self._local.admit(windows, self._now()) or (None, 0.0)
        if self._failures:
            self._failures = 0
            logger.info("Redis is back, limits are shared again")
        if level is None:
            self._local.note(windows, self._now() + wait_s)
        return level, wait_s

    async def _ask_redis(self, windows: Sequence[Window], max_wait_s: float) -> tuple[int | None, float]:
        keys, spans = [w.key for w in windows], [max(1, round(w.per_s * 1000)) for w in windows]
        async with asyncio.timeout(_TIMEOUT_S):  # pool, connect and answer together; TimeoutError is an OSError
            if windows[0].sliding:
                counts = [part for w, span in zip(windows, spans, strict=True) for part in (w.count, span)]
                worst, wait_ms = await self._reserve(keys=keys, args=[round(max_wait_s * 1000), *counts])
            else:
                args = [p for w, span in zip(windows, spans, strict=True) for p in (w.count, span, int(w.calendar))]
                worst, wait_ms = await self._acquire(keys=keys, args=args)
        return (None, wait_ms / 1000) if worst == 0 else (worst - 1, (wait_ms + 1) / 1000)

    def _redis_failed(self, error: Exception) -> None:
        if not self._failures:
            logger.warning("Redis is away, each process keeps to its share of the limits", error=type(error).__name__)
            self._back_off()

    def _back_off(self) -> None:
        pause_s = _PROBE_S[min(self._failures, len(_PROBE_S) - 1)]
        self._failures += 1
        self._probe_at = self._now() + pause_s * random.uniform(0.75, 1.0)


class SingleLimiter:
    """One limit of a single level, by asyncio-redis-rate-limit; refused attempts count as well.

    For what may be refused at the door, such as calls per API key. Errors of Redis reach the caller.
    """

    def __init__(self, redis: Redis, limit: Limit, *, prefix: str = "beat_") -> None:
        if not float(limit.per_s).is_integer() or limit.per_s < 1 or limit.calendar:
            raise ValueError("a single-level limit has a floating window of whole seconds")
        self._redis = redis
        self._spec = RateSpec(limit.count, int(limit.per_s))
        self._prefix = prefix

    async def acquire(self, key: str) -> None:
        """Count one; never waits.

        Raises:
            LimitExceeded: over the limit, with the time until the window ends.
        """
        # an object per call: the library holds a lock over the round trip, which would queue everybody behind everybody
        limiter = LibraryLimiter(key, self._spec, self._redis, cache_prefix=self._prefix)
        try:
            async with limiter:
                return
        except RateLimitError:
            left_ms = await self._redis.pttl(redis_key(self._prefix, key, *self._spec))
        raise LimitExceeded(key, max(0, left_ms) / 1000)
