"""A stack of a test's own, whose servers it may stop and restart without disturbing anybody."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.migrate import migrate

ROOT = Path(__file__).resolve().parents[2]
KEYS = "test:" + base64.b64encode(bytes(32)).decode()


@dataclass(frozen=True)
class OwnStack:
    """Servers below ``home``."""

    home: Path

    def run(self, *arguments: str) -> str:
        """One command of scripts/stack on this stack."""
        command = [sys.executable, "-P", "-m", "scripts.stackd", str(self.home), *arguments]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "BEAT_CACHE_DIR": str(ROOT / ".stack" / "cache")}
        for name in ("PG_URL", "PGBOUNCER_URL", "REDIS_URL", "RMQ_URL", "S3_ENDPOINT_URL"):
            env.pop(name, None)
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            raise AssertionError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    async def command(self, *arguments: str) -> str:
        """The same, without blocking the loop."""
        return await asyncio.to_thread(self.run, *arguments)

    def env(self) -> dict[str, str]:
        """Environment of a program that uses these servers."""
        lines = (line.partition("=") for line in self.run("env").splitlines() if "=" in line)
        return {**os.environ, "ENVIRONMENT": "test", "BEAT_KEYS": KEYS, **{name: value for name, _, value in lines}}


@asynccontextmanager
async def own_stack(*servers: str) -> AsyncIterator[OwnStack]:
    """The named servers, by default all, and a migrated database; stopped and deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="beat-chaos-", ignore_cleanup_errors=True) as home:
        Path(home).chmod(0o755)
        stack = OwnStack(Path(home))
        try:
            await stack.command("up", *servers)
            if not servers or "postgres" in servers:
                await migrate(stack.env()["PG_URL"])
            yield stack
        finally:
            await stack.command("down", "--purge")
