"""Redis 7, in memory only."""

from __future__ import annotations

import socket

from scripts.stackd.layout import folder
from scripts.stackd.process import Program
from scripts.stackd.service import Service

DATABASES = 64


class Redis(Service):
    """Rate windows and caches; whatever it forgets is only a window."""

    name = "redis"
    port_names = ("redis",)

    def programs(self) -> dict[str, Program]:
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.data)]
        what = ["--databases", str(DATABASES), "--save", "", "--appendonly", "no", "--daemonize", "no"]
        return {self.name: Program(["redis-server", *where, *what], self.data, self.context.environ)}

    def prepare(self) -> None:
        folder(self.data)

    def ready(self) -> bool:
        return exchange(self.port, b"PING\r\n", 5) == b"+PONG"


def exchange(port: int, request: bytes, size: int) -> bytes:
    """Send bytes to a loopback port and return the first `size` of the answer; empty when nobody answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(request)
            return connection.recv(size, socket.MSG_WAITALL)
    except OSError:
        return b""
