"""A real pool (python main.py, or main_assets.py) in its own process, for tests that kill it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import asyncpg

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120.0
"""How long a test waits for what must happen. A busy machine is many times slower; a wait that succeeds is short."""


@dataclass
class RunningPool:
    """A supervisor's process and the file it logs to, as JSON lines."""

    process: asyncio.subprocess.Process
    log: Path

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return self.process.pid

    @property
    def lines(self) -> list[str]:
        """What supervisor and children have logged so far."""
        return self.log.read_text(errors="replace").splitlines()

    def alive(self) -> bool:
        """Whether the supervisor runs."""
        return self.process.returncode is None

    async def wait_for_line(self, part: str, within_s: float = PATIENCE_S) -> None:
        """Wait until a log line holds this text."""
        for _ in range(int(within_s / 0.05)):
            if part in self.log.read_text(errors="replace"):
                return
            if not self.alive():
                break
            await asyncio.sleep(0.05)
        raise AssertionError(f"no {part!r} in the log:\n" + "\n".join(self.lines[-40:]))

    async def stop(self, within_s: float = PATIENCE_S) -> int:
        """SIGTERM; the exit code."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), within_s)


@asynccontextmanager
async def running_pool(
    env: dict[str, str], *, program: str = "main.py", **settings: str
) -> AsyncIterator[RunningPool]:
    """Start main.py with these settings on top of ``env``; a supervisor left at the end is killed."""
    full = {
        **env,
        "LOG_FORMAT": "json",
        "BEAT_EXTRA_FLOWS": "tests.support.flows",
        "PAGE_PAUSE_FACTOR": "0",
        "WORKER_LISTENERS": "none",
        **settings,
    }
    with tempfile.NamedTemporaryFile(prefix="beat-pool-", suffix=".log") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, program, cwd=ROOT, env=full, stdout=asyncio.subprocess.DEVNULL, stderr=log
        )
        try:
            yield RunningPool(process, Path(log.name))
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def children_of(pid: int) -> list[int]:
    """Process ids of the direct children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
    return found


def command_of(pid: int) -> str:
    """Command line of a process, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def fork_servers_of(pid: int) -> list[int]:
    """Process ids of a supervisor's fork server: one, or none while it has yet to be started."""
    return [child for child in children_of(pid) if "forkserver" in command_of(child)]


@dataclass(frozen=True)
class Host:
    """All processes of one pool: nothing on its host lives on when they are killed together."""

    supervisor: int
    fork_servers: list[int]
    children: list[int]

    @classmethod
    def of(cls, pool: RunningPool) -> Self:
        """As they are now."""
        servers = fork_servers_of(pool.pid)
        return cls(pool.pid, servers, [child for server in servers for child in children_of(server)])

    @property
    def all(self) -> list[int]:
        """Every process id."""
        return [self.supervisor, *self.fork_servers, *self.children]


def kill(pid: int) -> bool:
    """SIGKILL to a process of a pool; False when it was gone already.

    A pid that was written down may belong to a stranger by now: only programs of this checkout are killed.
    """
    try:
        ours = Path(f"/proc/{pid}/cwd").readlink() == ROOT and any(
            word in command_of(pid) for word in ("main.py", "main_assets.py", "multiprocessing")
        )
        if ours:
            os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return ours


def pause(pids: Iterable[int]) -> None:
    """SIGSTOP."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)


def resume(pids: Iterable[int]) -> None:
    """SIGCONT; those that are gone are passed over."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


async def queue_tasks(pg: asyncpg.Connection, flow: str, count: int, *, low_ms: int = 0, high_ms: int = 0) -> list[int]:
    """Insert tasks that sleep a random time; their ids."""
    rows = await pg.fetch(
        """insert into scrape_request_log (flow, platform, params)
        select $1, 'INSTAGRAM', jsonb_build_object('ms', $3::int + floor(random() * ($4::int - $3::int + 1))::int)
        from generate_series(1, $2::int) returning id""",
        flow,
        count,
        low_ms,
        high_ms,
    )
    return [row["id"] for row in rows]


async def wait_for_statuses(pg: asyncpg.Connection, wanted: dict[str, int], within_s: float = PATIENCE_S) -> None:
    """Wait until the queue counts exactly these statuses."""
    counts: dict[str, int] = {}
    for _ in range(int(within_s / 0.1)):
        rows = await pg.fetch("select status, count(*) from scrape_request_log group by 1")
        counts = {row["status"]: row["count"] for row in rows}
        if counts == wanted:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"wanted {json.dumps(wanted)}, have {json.dumps(counts)}")
