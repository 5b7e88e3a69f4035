"""What every server has in common: prepare, start, wait until it answers, stop."""

from __future__ import annotations

import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from scripts.stackd.errors import StackError
from scripts.stackd.layout import Layout
from scripts.stackd.ports import Ports
from scripts.stackd.process import Daemon, Program


@dataclass(frozen=True)
class Context:
    """What a server needs to know of its stack."""

    layout: Layout
    ports: Ports
    fast: bool
    """Postgres without fsync: for unit tests only."""
    environ: Mapping[str, str]
    """Environment of the servers: PATH and libraries that find them."""


class Service(ABC):
    """One server, which may be several processes."""

    name: ClassVar[str]
    port_names: ClassVar[tuple[str, ...]]
    patience_s: ClassVar[float] = 30.0

    def __init__(self, context: Context) -> None:
        self.context = context
        self.ports = context.ports
        self.data = context.layout.data / self.name

    @property
    def port(self) -> int:
        """The port its clients use."""
        return self.ports[self.port_names[0]]

    @abstractmethod
    def programs(self) -> dict[str, Program]:
        """Processes by name, in the order they start."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it answers its own protocol now."""

    def prepare(self) -> None:  # noqa: B027 - most servers have something to prepare, not all
        """Write configuration and create data; runs before each start."""

    def complete(self) -> None:  # noqa: B027
        """Create what clients expect to find; runs after each start."""

    def daemon(self, name: str) -> Daemon:
        """The process of that name."""
        return Daemon(name, self.context.layout.pids, self.context.layout.logs)

    def missing(self) -> list[str]:
        """Names of processes that do not live."""
        return [name for name in self.programs() if self.daemon(name).pid() is None]

    def running(self) -> bool:
        """All processes live and the server answers."""
        return not self.missing() and self.ready()

    def start(self) -> bool:
        """Bring up what is missing; returns False when all was running."""
        if self.running():
            return False
        for attempt in range(3):
            self.prepare()
            for name in self.missing():
                self.daemon(name).spawn(self.programs()[name])
            if self._answers():
                self.complete()
                return True
            time.sleep(attempt)  # a killed predecessor may still hold its port or shared memory for a moment
        reasons = "\n".join(f"  {self.daemon(name).log}:\n{self.daemon(name).tail()}" for name in self.programs())
        raise StackError(f"{self.name} did not start\n{reasons}")

    def _answers(self) -> bool:
        """Wait for readiness; False as soon as a process has ended."""
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline:
            if self.missing():
                return False
            if self.ready():
                return True
            time.sleep(0.05)
        return False

    def stop(self) -> bool:
        """Stop the processes, last started first; returns whether there were any."""
        programs = self.programs()
        stopped = [self.daemon(name).stop(programs[name].stop_signal) for name in reversed(programs)]
        return any(stopped)

    def run(self, argv: Sequence[str | Path], *, as_server: bool = False, env: Mapping[str, str] | None = None) -> str:
        """Run a helper program to its end and return what it printed."""
        account = self.context.layout.server_account() if as_server else None
        done = subprocess.run(
            argv,
            cwd=self.context.layout.data,
            env={**self.context.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
        if done.returncode:
            raise StackError(f"{self.name}: {argv[0]} failed ({done.returncode})\n{done.stdout}{done.stderr}".rstrip())
        return done.stdout

    def give_to_server(self, path: Path) -> None:
        """Hand a path to the account the server runs as."""
        account = self.context.layout.server_account()
        if account:
            os.chown(path, account.pw_uid, account.pw_gid)
