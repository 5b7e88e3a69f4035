"""Starts the provider sandbox as a process of its own, and talks to its control API."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.sandbox.credentials import SandboxCredential, sandbox_credentials
from tests.sandbox.posts import DAY
from tests.sandbox.universe import Universe
from tests.support.ports import free_port

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox: where it is, what it answers from, and its controls."""

    url: str
    universe: Universe
    process: asyncio.subprocess.Process
    control: aiohttp.ClientSession

    @property
    def credentials(self) -> dict[str, list[SandboxCredential]]:
        """source -> the credential rows that it accepts."""
        return sandbox_credentials(self.universe)

    async def fault(self, source: str, kind: str, **conditions: Any) -> None:
        """Put a fault in force; ``conditions`` are the other fields of tests.sandbox.faults.FaultIn."""
        await self._call("POST", "faults", {"source": source, "kind": kind, **conditions})

    async def hits(self) -> Mapping[str, int]:
        """source -> requests that a fault in force has hit."""
        found: dict[str, int] = {}
        for one in await self._call("GET", "faults"):
            source = one["fault"]["source"]
            found[source] = found.get(source, 0) + one["hits"]
        return found

    async def clear(self) -> None:
        """End all faults, forget statistics and the requests counted against limits."""
        await self._call("DELETE", "faults")
        await self._call("DELETE", "stats")

    async def stats(self) -> Mapping[str, Any]:
        """{total, by_source, rows: [{source, function, status, credential, fault, count}]}."""
        answer: Mapping[str, Any] = await self._call("GET", "stats")
        return answer

    async def _call(self, method: str, path: str, body: object = None) -> Any:
        async with self.control.request(method, f"{self.url}/_sandbox/{path}", json=body) as response:
            if response.status >= 400:
                raise ValueError(f"{method} {path}: {response.status} {await response.text()}")
            return await response.json() if response.status != 204 else None


@asynccontextmanager
async def running_sandbox(
    *, seed: int = 1, creators: int = 1000, now: int | None = None, limit_factor: float = 1.0
) -> AsyncIterator[Sandbox]:
    """A sandbox on a free port of loopback, ended with the block. ``now``: None is today 00:00 UTC."""
    present = int(time.time()) // DAY * DAY if now is None else now
    universe = Universe(seed, present, creators)
    port, process = await _start(universe, limit_factor)
    kept = aiohttp.TCPConnector(keepalive_timeout=1)  # the sandbox closes idle connections later than that
    try:
        async with aiohttp.ClientSession(connector=kept) as control:
            yield Sandbox(f"http://127.0.0.1:{port}", universe, process, control)
    finally:
        if process.returncode is None:
            process.terminate()
        await _ended(process)


async def _start(universe: Universe, limit_factor: float) -> tuple[int, asyncio.subprocess.Process]:
    """Another program may take the port in between: then the next one is tried."""
    environment = {key: value for key, value in os.environ.items() if key != "DEMO_LIMIT_FACTOR"}
    said = b""
    for _ in range(5):
        port = free_port()
        options = {
            "port": port,
            "seed": universe.seed,
            "creators": universe.size,
            "now": universe.now,
            "limit-factor": limit_factor,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.sandbox", *words, cwd=_ROOT, env=environment, stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        said = await process.stdout.readline()
        if said.startswith(b"sandbox ready "):
            return port, process
        await process.wait()
    raise RuntimeError(f"the provider sandbox did not start: {said!r}")


async def _ended(process: asyncio.subprocess.Process) -> None:
    try:
        await asyncio.wait_for(process.wait(), 5)
    except TimeoutError:
        process.kill()
        await process.wait()
