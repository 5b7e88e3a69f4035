"""Where the servers of the tests are."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

ROOT = Path(__file__).resolve().parents[2]
STACK = ROOT / "scripts" / "stack"
SERVERS = ("PG_URL", "PGBOUNCER_URL", "REDIS_URL", "RMQ_URL", "S3_ENDPOINT_URL")


class StackDownError(RuntimeError):
    """The servers that tests need do not answer."""


def stack_environment() -> dict[str, str]:
    """What `scripts/stack env` says: the private servers of this checkout, or those the environment names.

    Raises:
        StackDownError: one of them does not answer.
    """
    done = subprocess.run([STACK, "env"], capture_output=True, text=True, check=False)
    values = dict(line.split("=", 1) for line in done.stdout.splitlines())
    if done.returncode or not all(answers(values[name]) for name in SERVERS):
        raise StackDownError("the test servers are down: run scripts/stack up")
    return values


def answers(url: str) -> bool:
    """Whether something listens at the host and port of a URL."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "127.0.0.1", parts.port or 0), timeout=5).close()
    except OSError:
        return False
    return True


def with_path(url: str, path: str) -> str:
    """The same server, another database or vhost."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{path}"))


def is_private(environment: Mapping[str, str]) -> bool:
    """Whether the servers are this checkout's own, so that broker commands may be run."""
    return "STACK_HOME" in environment


def control_broker(*arguments: str) -> str:
    """Run rabbitmqctl on the private broker and return what it printed."""
    done = subprocess.run([STACK, "ctl", "--quiet", *arguments], capture_output=True, text=True, check=True)
    return done.stdout
