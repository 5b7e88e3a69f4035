"""A real pool (python main.py, or main_assets.py) under measurement."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from core.amqp.relay import RELAY_LOCK
from scripts.bench.place import ROOT, BenchError
from scripts.bench.proc import descendants
from utils.db import connect


@dataclass
class Pool:
    """The supervisor's process; ``lines`` are its last log entries, ``events`` counts all of them by what they say,
    ``ready_s`` is its start-up time."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    ready_s: float = 0.0

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return self.process.pid

    def processes(self) -> list[int]:
        """The supervisor and everything below it."""
        return [self.pid, *descendants(self.pid)]

    async def kill_all(self) -> None:
        """SIGKILL to every process, as when the host loses its power; returns once the supervisor is gone."""
        signal_all(self.processes(), signal.SIGKILL)
        await self.process.wait()


@asynccontextmanager
async def running_pool(
    env: Mapping[str, str], flows: str, *, program: str = "main.py", **settings: str
) -> AsyncIterator[Pool]:
    """Start main.py with an extra module of flows, wait until every process is ready, stop it at the end."""
    full = {**env, "BEAT_EXTRA_FLOWS": flows, **settings}
    if "WORKER_FLOWS" in full:  # some flows alone are measured
        full.setdefault("WORKER_LISTENERS", "none")
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, cwd=ROOT, env=full, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    pool = Pool(process)
    reader = asyncio.create_task(_read(pool))
    try:
        await _until_ready(pool)
        pool.ready_s = time.monotonic() - started
        yield pool
    finally:
        await _stop(pool)
        await reader


def signal_all(pids: Iterable[int], sign: signal.Signals) -> int:
    """Send a signal to each that still lives; gives how many did."""
    sent = 0
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, sign)
            sent += 1
    return sent


@asynccontextmanager
async def held_relay(url: str) -> AsyncIterator[None]:
    """Be the one relay that works, and do nothing: those of the pools stand by, and events stay in the outbox."""
    conn = await connect(url, name="beat bench holds the relay", command_timeout_s=None)
    try:
        await conn.execute("select pg_advisory_lock($1)", RELAY_LOCK)
        yield
    finally:
        await conn.close()


async def _until_ready(pool: Pool) -> None:
    waits = [asyncio.create_task(pool.ready.wait()), asyncio.create_task(pool.process.wait())]
    try:
        await asyncio.wait(waits, timeout=90, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if not pool.ready.is_set():
        raise BenchError("the pool did not start:\n" + "\n".join(pool.lines[-20:]))


async def _stop(pool: Pool) -> None:
    if pool.process.returncode is None:
        pool.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(pool.process.wait(), 50)
        except TimeoutError:
            pool.process.kill()
            await pool.process.wait()


async def _read(pool: Pool) -> None:
    assert pool.process.stderr is not None
    async for line in pool.process.stderr:
        text = line.decode(errors="replace").rstrip()
        pool.lines = [*pool.lines[-200:], text]
        pool.events[_event(text)] += 1
        if "pool is ready" in text:
            pool.ready.set()


def _event(line: str) -> str:
    """What a log line says; the whole line when it is not one of ours."""
    with suppress(ValueError):
        said = json.loads(line)
        return str(said["event"]) if isinstance(said, dict) and "event" in said else line
    return line
