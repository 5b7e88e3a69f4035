"""The provider sandbox as a fixture: one process a session, clean for every test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.sandbox.universe import DEFAULT_NOW
from tests.support.sandbox import Sandbox, running_sandbox


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sandbox_process() -> AsyncIterator[Sandbox]:
    """The running process; tests take ``sandbox``."""
    async with running_sandbox(now=DEFAULT_NOW) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def sandbox(sandbox_process: Sandbox) -> Sandbox:
    """The sandbox without faults, statistics and used-up limits."""
    await sandbox_process.clear()
    return sandbox_process
