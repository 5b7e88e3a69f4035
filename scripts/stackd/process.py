"""Long-lived processes of ours: detached start, identity by pid and start time, stop."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Program:
    """A command line and the world it runs in."""

    argv: Sequence[str | Path]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    account: pwd.struct_passwd | None = None
    """Account to drop to; None keeps the invoking user."""
    stop_signal: signal.Signals = signal.SIGTERM


@dataclass(frozen=True)
class Daemon:
    """One process known by its pid file, which outlives this command."""

    name: str
    pids: Path
    logs: Path

    @property
    def log(self) -> Path:
        """Everything the process prints."""
        return self.logs / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return self.pids / f"{self.name}.pid"

    def pid(self) -> int | None:
        """Pid while the very process we started lives; a stale file or a reused pid counts as none."""
        try:
            pid, started = map(int, self._pid_file.read_text().split())
        except (OSError, ValueError):
            return None
        return pid if start_time(pid) == started else None

    def spawn(self, program: Program) -> None:
        """Start in a session of its own, so that a Ctrl-C in the caller's terminal does not reach it."""
        account = program.account
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                program.argv,
                cwd=program.cwd,
                env=dict(program.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
                umask=0o022,
            )
        partial = self._pid_file.with_suffix(".new")
        partial.write_text(f"{process.pid} {start_time(process.pid) or 0}")
        partial.rename(self._pid_file)

    def stop(self, how: signal.Signals, patience_s: float = 20.0) -> bool:
        """End the process, by force after `patience_s`; returns whether there was one."""
        pid = self.pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, how)
            if not self._gone_within(patience_s):
                os.killpg(pid, signal.SIGKILL)
                self._gone_within(5.0)
        self._pid_file.unlink(missing_ok=True)
        return pid is not None

    def _gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.pid() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def tail(self, lines: int = 12) -> str:
        """The last lines of its log, indented, for error messages."""
        with suppress(OSError):
            text = self.log.read_text(errors="replace").splitlines()[-lines:]
            return "\n".join(f"    {line}" for line in text)
        return ""


def start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of a living process; None when there is none (a zombie is none)."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # a server started by this very command is our child until we end
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
