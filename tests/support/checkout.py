"""Another checkout beside this one, with nothing in it but scripts/."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.stack import ROOT, SERVERS

INHERITED = (*SERVERS, "STACK_HOME", "STACK_FAST")


@dataclass(frozen=True)
class Checkout:
    """A copy of scripts/ and the way to run its stack."""

    path: Path
    prefix: Sequence[str] = ()
    """Command before scripts/stack, to become another user."""

    def stack(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run scripts/stack there; Python environments of servers are shared with this checkout."""
        environ = {key: value for key, value in os.environ.items() if key not in INHERITED}
        environ.setdefault("BEAT_CACHE_DIR", str(ROOT / ".stack" / "cache"))
        command = [*self.prefix, str(self.path / "scripts" / "stack"), *arguments]
        return subprocess.run(
            command, env={**environ, **environment}, capture_output=True, text=True, check=False, cwd="/"
        )

    def up(self, *servers: str) -> dict[str, str]:
        """Start servers and return what `env` prints."""
        done = self.stack("up", *servers)
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(line.split("=", 1) for line in self.stack("env").stdout.splitlines())

    def pids(self) -> dict[str, int]:
        """Pids by process name, as the pid files say."""
        files = (self.path / ".stack" / "pids").glob("*.pid")
        return {file.stem: int(file.read_text().split()[0]) for file in files}

    def kill(self, name: str) -> None:
        """SIGKILL one process of it."""
        os.kill(self.pids()[name], signal.SIGKILL)

    def processes(self) -> list[str]:
        """Command lines of every living process that was started from there."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                home = str((entry / "cwd").resolve()) if entry.name.isdecimal() else ""
            except OSError:
                continue
            if command and any(str(place) in f"{command} {home}/" for place in (self.path, self.data)):
                found.append(command)
        return found

    @property
    def data(self) -> Path:
        """Where its servers keep data."""
        return (self.path / ".stack" / "data").resolve()


@contextmanager
def checkout(path: Path, prefix: Sequence[str] = ()) -> Iterator[Checkout]:
    """Copy scripts/ to that directory; whatever was started there is stopped and deleted afterwards."""
    shutil.copytree(ROOT / "scripts", path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    other = Checkout(path, prefix)
    try:
        yield other
    finally:
        other.stack("down", "--purge")
        shutil.rmtree(path)
