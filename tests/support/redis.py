"""One of Redis' numbered databases for a pytest session; number 0 keeps who has which."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.support.names import is_abandoned, session_name
from tests.support.stack import with_path

NUMBERS = range(1, 64)
LEASE_S = 3600


@contextmanager
def reserved_database(server_url: str) -> Iterator[str]:
    """URL of a database that no other session uses meanwhile; it is left empty."""
    owner = session_name()
    with redis.Redis.from_url(with_path(server_url, "0"), decode_responses=True) as register:
        number = _take(register, owner)
        url = with_path(server_url, str(number))
        try:
            yield url
        finally:
            flush(url)
            if register.get(_key(number)) == owner:
                register.delete(_key(number))


def _take(register: redis.Redis, owner: str) -> int:
    start = os.getpid() % len(NUMBERS)
    numbers: list[int] = [*NUMBERS[start:], *NUMBERS[:start]]
    for number in numbers:
        holder = register.get(_key(number))
        if isinstance(holder, str) and is_abandoned(holder):
            register.delete(_key(number))
        if register.set(_key(number), owner, nx=True, ex=LEASE_S):
            return number
    raise RuntimeError("every Redis database is taken by another test session")


def _key(number: int) -> str:
    return f"beat:test:database:{number}"


def flush(url: str) -> None:
    """Forget everything in one numbered database."""
    with redis.Redis.from_url(url) as client:
        client.flushdb()
