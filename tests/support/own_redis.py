"""A redis-server of a test's own, to be killed and started again."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import redis

from tests.support.ports import free_port


@dataclass(slots=True)
class OwnRedis:
    """One server on one port; ``start`` after ``kill`` gives an empty one on the same port."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        """URL of its database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start and wait until it answers."""
        program = shutil.which("redis-server")
        assert program is not None, "redis-server is not installed"
        options = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(self.directory)]
        command = [program, "--port", str(self.port), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < until:
            if self._answers(self.process.pid):
                return
            time.sleep(0.02)
        self.kill()
        raise OSError(f"redis-server did not start on port {self.port}")

    def _answers(self, pid: int) -> bool:
        """Whether this very process does; the port may have gone to another server."""
        try:
            with redis.Redis(port=self.port, socket_timeout=5) as client:
                return bool(client.info("server")["process_id"] == pid)
        except redis.RedisError:
            return False

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def own_redis() -> Iterator[OwnRedis]:
    """A running server on a free port below the ephemeral range, killed at the end."""
    with TemporaryDirectory() as directory:
        server = _started(Path(directory))
        try:
            yield server
        finally:
            server.kill()


def _started(directory: Path) -> OwnRedis:
    for _ in range(20):
        server = OwnRedis(directory, free_port())
        try:
            server.start()
        except OSError:
            continue
        return server
    raise OSError("no free port for redis-server")
