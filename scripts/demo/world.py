"""Everything the demo runs: a fresh database on the stack, the simulator, the API, worker pool and asset pool."""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import asyncpg
from redis.asyncio import Redis
from redis.exceptions import RedisError

from scripts.migrate import migrate
from tests.support.sandbox import Sandbox, running_sandbox
from utils.db import connect, reason

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / ".stack" / "logs"
DATABASE = "beat_demo"
REDIS_NUMBER = "15"
FLOWS = (
    "refresh_profile_by_handle",
    "refresh_profile_by_profile_id",
    "refresh_profile_basic",
    "refresh_post_by_shortcode",
)
"""Flows of the main job, and those that its API uses."""

PROCESSES = 8
"""Worker processes, which share all flows among them."""


class DemoError(Exception):
    """The demo cannot go on; the message says what to do."""


@dataclass(frozen=True)
class World:
    """What is running, and where."""

    env: Mapping[str, str]
    sandbox: Sandbox
    api_url: str

    @property
    def pg_url(self) -> str:
        """Direct URL of the demo's database."""
        return self.env["PG_URL"]


def stack_env() -> dict[str, str]:
    """The environment with the stack's variables, the environment's own ones going first.

    Raises:
        DemoError: there is no stack.
    """
    path = ROOT / ".stack" / "env"
    lines = path.read_text().splitlines() if path.exists() else []
    env = {name: value for name, _, value in (line.partition("=") for line in lines)} | dict(os.environ)
    missing = [name for name in ("PG_URL", "PGBOUNCER_URL", "REDIS_URL", "RMQ_URL", "AWS_BUCKET") if name not in env]
    if missing:
        raise DemoError(f"{', '.join(missing)} not set: run `scripts/stack up`, or set them to servers of yours")
    return env


@asynccontextmanager
async def running_world(creators: int, limit_factor: float, flows: Collection[str]) -> AsyncIterator[World]:
    """Start it all, with workers for the main job and ``flows``.

    Everything that was started ends with the block, the stack stays.
    """
    env = stack_env()
    async with AsyncExitStack() as stack:
        try:
            env["PG_URL"] = await _fresh_database(env["PG_URL"])
            env["REDIS_URL"] = await _fresh_limits(env["REDIS_URL"])
        except (OSError, asyncpg.PostgresError) as error:
            raise DemoError(f"PG_URL: a database {DATABASE} cannot be made there: {reason(error)}") from None
        except RedisError as error:
            raise DemoError(f"REDIS_URL: limits cannot be cleared there: {reason(error)}") from None
        env["PGBOUNCER_URL"] = _with_path(env["PGBOUNCER_URL"], DATABASE)
        sandbox = await stack.enter_async_context(running_sandbox(creators=creators, limit_factor=limit_factor))
        port = _free_port()
        env |= {
            "BEAT_KEYS": "demo:" + base64.b64encode(secrets.token_bytes(32)).decode(),
            "PROVIDER_SANDBOX_URL": sandbox.url,
            "ASSET_SANDBOX_CDN": sandbox.url,
            "ASSET_PROCESSES": "2",
            "DEMO_LIMIT_FACTOR": f"{limit_factor:g}",
            "PAGE_PAUSE_FACTOR": "0",
            "ENVIRONMENT": "demo",
            "LOG_FORMAT": "json",
            "API_PORT": str(port),
            "HEARTBEAT": "true",
            "WORKER_FLOWS": env.get("WORKER_FLOWS", ",".join(dict.fromkeys((*FLOWS, *flows)))),
            "WORKER_PROCESSES": env.get("WORKER_PROCESSES", str(PROCESSES)),
            "WORKER_LISTENERS": env.get("WORKER_LISTENERS", "none"),
            "WORKER_SCALE": env.get("WORKER_SCALE", "0.4"),
        }
        world = World(env, sandbox, f"http://127.0.0.1:{port}")
        names = ("server.py", "main.py", "main_assets.py")
        programs = {name: await stack.enter_async_context(_program(name, env)) for name in names}
        await _answers(world.api_url + "/readyz", programs)
        yield world


async def _fresh_database(url: str) -> str:
    admin = await connect(url, name="beat demo")
    try:
        await admin.execute(f"drop database if exists {DATABASE} with (force)")
        await admin.execute(f"create database {DATABASE}")
    finally:
        await admin.close()
    own = _with_path(url, DATABASE)
    await migrate(own)
    return own


async def _fresh_limits(url: str) -> str:
    own = _with_path(url, REDIS_NUMBER)
    async with Redis.from_url(own) as redis:
        async for key in redis.scan_iter("beat_*"):
            await redis.delete(key)
    return own


@asynccontextmanager
async def _program(name: str, env: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    LOGS.mkdir(parents=True, exist_ok=True)
    with _log_of(name).open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, name, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 45)
            except TimeoutError:
                process.kill()
                await process.wait()


def _log_of(name: str) -> Path:
    return LOGS / f"demo-{name.removesuffix('.py')}.log"


async def _answers(url: str, programs: Mapping[str, asyncio.subprocess.Process]) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as session:
        for _ in range(300):
            try:
                async with session.get(url) as response:
                    if response.status == 200:
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            ended = [name for name, process in programs.items() if process.returncode is not None]
            if ended:
                said = "".join(_log_of(ended[0]).read_text(errors="replace").splitlines(keepends=True)[-5:])
                raise DemoError(f"{ended[0]} has ended:\n{said}")
            await asyncio.sleep(0.1)
    raise DemoError(f"{url} does not answer 200: see {_log_of('server.py')} and {_log_of('main.py')}")


def _with_path(url: str, path: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
