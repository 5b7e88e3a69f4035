"""Runs the peers: their environment, their programs, their servers."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scripts.bench.peers import stamps
from scripts.bench.place import ROOT, BenchError, Place, redis_database, with_path
from scripts.bench.pool import signal_all
from scripts.stackd.environments import environment_path, install_environment
from scripts.stackd.errors import StackError
from scripts.stackd.layout import Layout
from utils.db import connect

REQUIREMENTS = Path(__file__).with_name("requirements-peers.txt")
VERSIONS = "import importlib.metadata as m, json, sys; print(json.dumps([m.version(name) for name in sys.argv[1:]]))"
POOLS = ("threads", "solo", "prefork")
PROCESSES = 4
READY_S, DRAIN_S = 30.0, 180.0
IDLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Peer:
    """A queue to compare with. ``server``: postgres, redis or rabbitmq; ``settings``: what it is tried with, the first
    one in quick runs; ``jobs``: for a drain of some seconds; ``one_program``: settings whose one program makes the four
    processes itself. ``name`` takes the version."""

    name: str
    package: str
    server: str
    settings: tuple[str, ...]
    what: str
    jobs: int
    one_program: tuple[str, ...] = ()


PEERS = (
    Peer("procrastinate {}", "procrastinate", "postgres", ("20", "5", "50"), "{} jobs at a time", 6_000),
    Peer("pgqueuer {}", "pgqueuer", "postgres", ("100", "50", "250"), "batches of {}", 60_000),
    Peer("Celery {} on Redis", "celery", "redis", POOLS, "{} pool", 12_000, ("prefork",)),
    Peer("Celery {} on RabbitMQ", "celery", "rabbitmq", POOLS, "{} pool", 12_000, ("prefork",)),
)


class Environment:
    """The peers' own virtual environment, made at first use."""

    def __init__(self) -> None:
        layout = Layout(ROOT)
        try:
            install_environment(layout, REQUIREMENTS)
        except StackError as error:
            raise BenchError(f"the peers' environment: {error}") from error
        self.python = environment_path(layout, REQUIREMENTS) / "bin" / "python"

    def versions(self) -> dict[str, str]:
        """Package -> installed version."""
        names = sorted({peer.package for peer in PEERS})
        done = subprocess.run([self.python, "-c", VERSIONS, *names], capture_output=True, text=True, check=True)
        return dict(zip(names, json.loads(done.stdout), strict=True))


@dataclass(frozen=True, slots=True)
class Arena:
    """One peer with one setting, on an empty server of its own."""

    python: Path
    peer: Peer
    setting: str
    url: str
    folder: Path

    def _argv(self, *words: str) -> list[str]:
        return [str(self.python), "-m", f"scripts.bench.peers.{self.peer.package}_peer", *words]

    def _environ(self) -> dict[str, str]:
        own = {"BENCH_URL": self.url, "BENCH_SETTING": self.setting, stamps.VARIABLE: str(self.folder)}
        return {**os.environ, **own, "PYTHONWARNINGS": "ignore"}

    async def ask(self, *words: str) -> str:
        """Run the peer's program to its end; what it printed.

        Raises:
            BenchError: it failed.
        """
        pipe = asyncio.subprocess.PIPE
        program = await asyncio.create_subprocess_exec(
            *self._argv(*words), cwd=ROOT, env=self._environ(), stdout=pipe, stderr=pipe
        )
        out, error = await program.communicate()
        if program.returncode:
            raise BenchError(f"{self.peer.package} {' '.join(words)} failed:\n{error.decode(errors='replace')[-2000:]}")
        return out.decode()

    @asynccontextmanager
    async def workers(self) -> AsyncIterator[None]:
        """Its worker processes, started together."""
        count = 1 if self.setting in self.peer.one_program else PROCESSES
        with tempfile.TemporaryFile() as errors:
            pipe = asyncio.subprocess.PIPE
            programs = [
                await asyncio.create_subprocess_exec(
                    *self._argv("work"), cwd=ROOT, env=self._environ(), stdin=pipe, stdout=pipe, stderr=errors
                )
                for _ in range(count)
            ]
            waiting = [asyncio.Event() for _ in programs]
            readers = [asyncio.create_task(_read(*pair)) for pair in zip(programs, waiting, strict=True)]
            try:
                async with asyncio.timeout(READY_S):
                    await asyncio.gather(*(event.wait() for event in waiting))
                for program in programs:
                    assert program.stdin is not None
                    program.stdin.write(b"go\n")
                yield
            except TimeoutError as error:
                errors.seek(0)
                text = errors.read().decode(errors="replace")[-2000:]
                what = str(error) or f"its processes were not ready in {READY_S:.0f} s"
                raise BenchError(f"{self.peer.package}: waited in vain: {what}\n{text}") from None
            finally:
                await _stop(programs)
                await asyncio.gather(*readers)

    async def begun(self, jobs: int) -> None:
        """Wait until so many jobs have begun.

        Raises:
            TimeoutError: it takes too long; says how many have.
        """
        for _ in range(int(DRAIN_S / 0.02)):
            if stamps.count(self.folder) >= jobs:
                return
            await asyncio.sleep(0.02)
        raise TimeoutError(f"{stamps.count(self.folder)} of {jobs} jobs have begun after {DRAIN_S:.0f} s")


async def _read(program: asyncio.subprocess.Process, ready: asyncio.Event) -> None:
    assert program.stdout is not None
    async for line in program.stdout:
        if line == b"ready\n":
            ready.set()


async def _stop(programs: list[asyncio.subprocess.Process]) -> None:
    signal_all([program.pid for program in programs if program.returncode is None], signal.SIGTERM)
    for program in programs:
        with suppress(TimeoutError):
            await asyncio.wait_for(program.wait(), 15)
        if program.returncode is None:
            program.kill()
            await program.wait()


@asynccontextmanager
async def arena(place: Place, python: Path, peer: Peer, setting: str) -> AsyncIterator[Arena]:
    """An empty server of the peer's kind, with its tables."""
    with tempfile.TemporaryDirectory(prefix="beat-bench-") as folder:
        async with _server(place, peer.server) as url:
            made = Arena(python, peer, setting, url, Path(folder))
            await made.ask("prepare")
            yield made


@asynccontextmanager
async def _server(place: Place, kind: str) -> AsyncIterator[str]:
    if kind == "redis":
        with redis_database(place.env["REDIS_URL"]) as url:
            yield url
    elif kind == "rabbitmq":
        yield place.env["RMQ_URL"]
    else:
        name = f"beat_bench_peer_{os.getpid()}_{secrets.token_hex(3)}"
        await place.pg.execute(f'create database "{name}"')
        await place.pg.execute(f'alter database "{name}" set jit to off')  # as Beat has it: compiling costs more
        try:
            yield with_path(place.url, name)
        finally:
            await place.pg.execute(f'drop database if exists "{name}" with (force)')


async def run(
    place: Place, python: Path, peer: Peer, setting: str, jobs: int, probes: int
) -> tuple[float, list[float]]:
    """Drain so many jobs, then queue single ones into the idle queue.

    Gives jobs a second, from when every process has begun its first one until the last one has begun, and milliseconds
    from each confirmed commit to the job's first line.
    """
    async with arena(place, python, peer, setting) as made:
        await made.ask("fill", str(jobs))
        if peer.server == "postgres":
            await _settle(made.url)
        async with made.workers():
            await made.begun(jobs)
            drained = stamps.read(made.folder)
            if not probes:
                return rate(drained), []
            await asyncio.sleep(IDLE_S)
            committed = json.loads((await made.ask("ping", str(probes), str(jobs))).splitlines()[-1])
            await made.begun(jobs + probes)
            begun = {job: at for entries in stamps.read(made.folder) for job, at in entries}
    return rate(drained), [(begun[job] - at) / 1e6 for job, at in enumerate(committed, jobs)]


def rate(processes: list[list[tuple[int, int]]]) -> float:
    """Jobs a second while all processes worked.

    Raises:
        BenchError: one process began only when the others had done most of the work.
    """
    start = max(entries[0][1] for entries in processes)
    times = sorted(at for entries in processes for _, at in entries)
    counted = sum(at > start for at in times)
    if counted < len(times) / 4:
        raise BenchError(f"a peer's processes worked together for {counted} of {len(times)} jobs only")
    return counted / (times[-1] - start) * 1e9


async def _settle(url: str) -> None:
    """The same start for all that live in PostgreSQL: vacuumed, with statistics, just after a checkpoint."""
    conn = await connect(url, name="beat bench", command_timeout_s=None)
    try:
        await conn.execute("vacuum analyze")
        await conn.execute("checkpoint")
    finally:
        await conn.close()
