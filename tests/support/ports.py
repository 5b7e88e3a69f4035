"""Ports for servers that tests start."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

RANGE = range(20_000, 32_000)
"""Below the ports that the kernel gives to outgoing connections: none of those takes one before its server does."""

_dice = random.SystemRandom()  # tests seed the ordinary one, and sessions side by side would draw the same ports


def free_port() -> int:
    """A port of loopback on which nothing listens now; another program may still come first."""
    for _ in range(200):
        port = _dice.choice(RANGE)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) and _binds(port):
                return port
    raise RuntimeError(f"no free port between {RANGE[0]} and {RANGE[-1]}")


def _binds(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def silent_port() -> Iterator[int]:
    """A port of loopback where connections are refused while the block lasts: it is taken, and nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
