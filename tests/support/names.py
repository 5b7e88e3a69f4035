"""Names of things one pytest session makes on shared servers: they tell whether their session still lives."""

from __future__ import annotations

import hashlib
import os
import secrets
import socket
from pathlib import Path

PREFIX = f"beat_test_{hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]}_"
"""Of this host's sessions: another host's pids say nothing here."""


def session_name() -> str:
    """A new name of this session, good for a database, a vhost and (with dashes) a bucket."""
    return f"{PREFIX}{os.getpid()}_{secrets.token_hex(3)}"


def is_abandoned(name: str) -> bool:
    """Whether a session of this host made it and is gone without cleaning up."""
    if not name.startswith(PREFIX):
        return False
    pid = name.removeprefix(PREFIX).partition("_")[0]
    return pid.isdecimal() and not Path(f"/proc/{pid}").exists()
