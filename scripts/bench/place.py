"""Where benches run: scratch databases and vhosts on the stack, made for one run and dropped after it."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import redis

from config import Settings, load_settings
from scripts.migrate import migrate
from utils.db import connect

ROOT = Path(__file__).resolve().parents[2]
STACK = ROOT / "scripts" / "stack"
KEYS = "bench:" + base64.b64encode(bytes(32)).decode()
"""A key ring that seals nothing but made-up credentials."""

EVENTS_POLICY = ("events", "_q$", '{"queue-mode":"lazy"}', "--apply-to", "queues")
"""Nobody reads the events of a bench: they stay on the disk, as docs/operations.md advises."""

PROGRAM = {"ENVIRONMENT": "test", "LOG_FORMAT": "json"}


class BenchError(Exception):
    """The bench cannot run here; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A migrated scratch database, and the environment of programs that use it."""

    url: str
    pooled_url: str
    env: Mapping[str, str]
    pg: asyncpg.Connection
    workers_url: str = ""

    def direct_env(self, **more: str) -> dict[str, str]:
        """Environment of a program whose workers connect without the pooler, unless this is ``pooled()``."""
        return {**self.env, "PGBOUNCER_URL": self.workers_url, **more}

    def pooled(self) -> Place:
        """The same place, to be measured through the pooler by a suite that knows nothing of it."""
        return replace(self, workers_url=self.pooled_url)


def stack_environment() -> dict[str, str]:
    """The servers of this checkout's stack, or those that the environment names.

    Raises:
        BenchError: they are down, or the stack is a fast one, which loses data and flatters every figure.
    """
    done = subprocess.run([STACK, "env"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"no servers: run scripts/stack up\n{done.stderr.strip()}")
    values = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    if values.get("STACK_FAST") == "1":
        raise BenchError("the stack is fast, not durable: run scripts/stack down, then scripts/stack up")
    return values


async def refuse_a_fast_server(pg: asyncpg.Connection) -> None:
    """Believe the server rather than the environment.

    Raises:
        BenchError: a commit is not on disk when it is confirmed.
    """
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        value = await pg.fetchval("select current_setting($1)", setting)
        if value != "on":
            raise BenchError(f"PostgreSQL runs with {setting} = {value}: figures need a durable server")


@asynccontextmanager
async def place() -> AsyncIterator[Place]:
    """A database of its own, migrated, with a vhost of its own where the broker is ours."""
    servers = stack_environment()
    name = f"beat_bench_{os.getpid()}_{secrets.token_hex(3)}"
    admin = await connect(servers["PG_URL"], name="beat bench admin", command_timeout_s=None)
    try:
        await refuse_a_fast_server(admin)
        await admin.execute(f'create database "{name}"')
        url, pooled = with_path(servers["PG_URL"], name), with_path(servers["PGBOUNCER_URL"], name)
        try:
            await migrate(url)
            with vhost(servers, name) as broker:
                own = {"PG_URL": url, "PGBOUNCER_URL": pooled, "RMQ_URL": broker, "BEAT_KEYS": KEYS}
                pg = await connect(url, name="beat bench", command_timeout_s=None)
                try:
                    yield Place(url, pooled, {**os.environ, **servers, **own, **PROGRAM}, pg)
                finally:
                    await pg.close()
        finally:
            await admin.execute(f'drop database if exists "{name}" with (force)')
    finally:
        await admin.close()


@contextmanager
def vhost(servers: Mapping[str, str], name: str) -> Iterator[str]:
    """URL of a fresh vhost of the private broker; of a foreign broker, whose commands are out of reach, its own."""
    if "STACK_HOME" not in servers:
        yield servers["RMQ_URL"]
        return
    _broker("add_vhost", name)
    try:
        _broker("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        yield with_path(servers["RMQ_URL"], name)
    finally:
        _broker("delete_vhost", name)


def _broker(*arguments: str) -> None:
    subprocess.run([STACK, "ctl", "--quiet", *arguments], check=True, stdout=subprocess.DEVNULL)


def with_path(url: str, path: str) -> str:
    """The same server, another database or vhost."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


@contextmanager
def redis_database(server_url: str) -> Iterator[str]:
    """URL of a numbered Redis database that nobody else uses meanwhile, empty, emptied again at the end.

    Raises:
        BenchError: all are taken.
    """
    with redis.Redis.from_url(with_path(server_url, "0")) as register:
        for number in range(63, 0, -1):
            mark, url = f"beat:test:database:{number}", with_path(server_url, str(number))
            if not register.set(mark, f"bench {os.getpid()}", nx=True, ex=3600):  # tests keep the same register
                continue
            try:
                with redis.Redis.from_url(url) as client:
                    client.flushdb()
                    yield url
                    client.flushdb()
            finally:
                register.delete(mark)
            return
    raise BenchError("every Redis database is taken by a test session")


def settings_of(env: Mapping[str, str]) -> Settings:
    """The settings of a program that runs with this environment."""
    saved = dict(os.environ)
    os.environ.update(env)
    try:
        return load_settings()
    finally:
        os.environ.clear()
        os.environ.update(saved)
