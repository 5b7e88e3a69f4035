"""A real pool (python main.py, or main_assets.py) under measurement."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from scripts.bench.place import ROOT, BenchError
from scripts.bench.proc import descendants


@dataclass
class Pool:
    """The supervisor's process; ``lines`` are its last log entries, ``ready_s`` its start-up time."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    ready_s: float = 0.0

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return self.process.pid

    def processes(self) -> list[int]:
        """The supervisor and everything below it."""
        return [self.pid, *descendants(self.pid)]


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
        if "pool is ready" in text:
            pool.ready.set()
