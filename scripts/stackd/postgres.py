"""Postgres 15 and the PgBouncer in front of it."""

from __future__ import annotations

import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from scripts.stackd.layout import folder
from scripts.stackd.process import Program
from scripts.stackd.service import Service

USER = DATABASE = "beat"

BOUNCER_INI = """\
[databases]
* = host=127.0.0.1 port={postgres} user={user}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
admin_users = {user}
pool_mode = transaction
max_client_conn = 1000
default_pool_size = 20
server_idle_timeout = 60
server_login_retry = 1
autodb_idle_timeout = 60
ignore_startup_parameters = extra_float_digits,jit
log_connections = 0
log_disconnections = 0
log_stats = 0
"""


class Postgres(Service):
    """The database: durable unless the stack is fast."""

    name = "postgres"
    port_names = ("postgres",)

    @property
    def _cluster(self) -> Path:
        return self.data / "cluster"

    @property
    def _mode_file(self) -> Path:
        return self.context.layout.home / "postgres-mode"

    @property
    def _mode(self) -> str:
        return "fast" if self.context.fast else "durable"

    def programs(self) -> dict[str, Program]:
        durable = "off" if self.context.fast else "on"
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "400",
            "shared_buffers": "128MB",
            "max_wal_size": "2GB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "fsync": durable,
            "full_page_writes": durable,
            "synchronous_commit": durable,
        }
        options = [option for key, value in settings.items() for option in ("-c", f"{key}={value}")]
        argv: list[str | Path] = ["postgres", "-D", self._cluster, "-p", str(self.port), *options]
        account = self.context.layout.server_account()
        # SIGINT is Postgres' fast shutdown: it does not wait for clients to leave.
        return {self.name: Program(argv, self.data, self.context.environ, account, signal.SIGINT)}

    def running(self) -> bool:
        """Also in the wanted durability: a server in the other one is stopped and started again."""
        if not super().running():
            return False
        if self._mode_file.read_text() == self._mode:
            return True
        self.stop()
        return False

    def prepare(self) -> None:
        folder(self.data)
        self.give_to_server(self.data)
        self._mode_file.write_text(self._mode)
        if not (self._cluster / "PG_VERSION").exists():
            options = ["-U", USER, "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
            self.run(["initdb", "-D", self._cluster, *options], as_server=True)
        self._forget_foreign_pid()

    def _forget_foreign_pid(self) -> None:
        """Remove a lock file whose pid now belongs to some other program: Postgres would refuse to start."""
        lock = self._cluster / "postmaster.pid"
        with suppress(OSError, IndexError):
            pid = lock.read_text().split()[0]
            if b"postgres" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                lock.unlink()

    def ready(self) -> bool:
        return answers(self, self.port, "postgres")

    def complete(self) -> None:
        client = ["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", "postgres", "-qAtX", "-c"]
        found = self.run([*client, f"select 1 from pg_database where datname = '{DATABASE}'"])
        if not found.strip():
            self.run([*client, f"create database {DATABASE}"])


class PgBouncer(Service):
    """Transaction pooling for any database of that Postgres."""

    name = "pgbouncer"
    port_names = ("pgbouncer",)

    def programs(self) -> dict[str, Program]:
        argv: list[str | Path] = ["pgbouncer", self.data / "pgbouncer.ini"]
        account = self.context.layout.server_account()
        # SIGINT waits for pools to drain, SIGTERM does not.
        return {self.name: Program(argv, self.data, self.context.environ, account)}

    def prepare(self) -> None:
        folder(self.data)
        text = BOUNCER_INI.format(postgres=self.ports["postgres"], port=self.port, user=USER)
        (self.data / "pgbouncer.ini").write_text(text)

    def ready(self) -> bool:
        return answers(self, self.port, "pgbouncer")  # its own console: any other database waits for Postgres


def answers(service: Service, port: int, database: str) -> bool:
    """Whether something that speaks Postgres accepts clients there."""
    command = ["pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port), "-U", USER, "-d", database, "-t", "2"]
    return subprocess.run(command, env=dict(service.context.environ), check=False).returncode == 0
