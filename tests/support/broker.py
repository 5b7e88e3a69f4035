"""A RabbitMQ of a test's own, which it may stop and kill without disturbing anybody."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.own_stack import OwnStack

NAME = "rabbitmq"


@dataclass(frozen=True)
class OwnBroker:
    """One node; it keeps its data and its address when it is stopped and started."""

    stack: OwnStack
    url: str

    async def start(self) -> None:
        """Start it and wait until it takes connections; nothing happens when it runs."""
        await self.stack.command("start", NAME)

    async def stop(self) -> None:
        """End it as an operator would."""
        await self.stack.command("stop", NAME)

    async def refuse_messages(self, *, refuse: bool) -> None:
        """Raise or clear its memory alarm: it reads nothing from those who publish."""
        await self.stack.command("ctl", "set_vm_memory_high_watermark", "absolute", "1MB" if refuse else "1GB")

    def kill(self) -> None:
        """kill -9, with all that is in its memory."""
        pid = int((self.stack.home / ".stack" / "pids" / f"{NAME}.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)


@asynccontextmanager
async def own_broker() -> AsyncIterator[OwnBroker]:
    """A started broker, stopped and deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="beat-broker-", ignore_cleanup_errors=True) as home:
        stack = OwnStack(Path(home))
        stack.home.chmod(0o755)
        try:
            await stack.command("up", NAME)
            lines = (line.partition("=") for line in stack.run("env").splitlines())
            yield OwnBroker(stack, {name: value for name, _, value in lines}["RMQ_URL"])
        finally:
            await stack.command("down", "--purge")
