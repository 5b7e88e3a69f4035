"""A LISTEN connection that stays open and hears nothing any more is noticed and replaced.

Nothing but a notification reaches a QueueListener: what it hears again afterwards is no merit of the probe.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import asyncpg
import pytest

from core.queue import listener
from core.queue.listener import SELF_CHANNEL, QueueListener
from tests.support.deaf_proxy import DeafProxy, deaf_proxy
from tests.support.relay import until
from utils.db import connect

INSERT = "insert into scrape_request_log (flow, platform, params) values ($1, 'INSTAGRAM', '{}')"
SESSIONS = """
select count(*) from pg_stat_activity where datname = current_database() and application_name = 'beat listen'"""


@dataclass
class Ear:
    """A listener of its own on a connection through the proxy, and what it has heard."""

    proxy: DeafProxy
    heard: list[str] = field(default_factory=list)
    cancelled: list[tuple[int, int]] = field(default_factory=list)
    gaps: int = 0

    def gap(self) -> None:
        """It listens anew."""
        self.gaps += 1

    async def has_heard(self, flow: str) -> bool:
        return flow in self.heard

    async def has_heard_of_a_cancellation(self) -> bool:
        return bool(self.cancelled)

    async def listens_anew(self, times: int) -> bool:
        return self.gaps >= times

    async def missed(self, messages: int) -> bool:
        return self.proxy.swallowed >= messages


@pytest.fixture
async def ear(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ear]:
    """As in production, but with seconds between its notifications to itself instead of ten."""
    monkeypatch.setattr(listener, "SELF_S", 1.0)
    monkeypatch.setattr(listener, "connect", partial(connect, command_timeout_s=3.0))
    async with deaf_proxy(database) as proxy:
        ear = Ear(proxy)
        own = QueueListener(proxy.url, ear.heard.append, lambda *ids: ear.cancelled.append(ids), ear.gap)
        task = asyncio.create_task(own.run())
        try:
            await until(partial(ear.listens_anew, 1))
            yield ear
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.mark.parametrize("to_all", [False, True], ids=["to notifications", "to everything"])
async def test_a_connection_that_went_deaf_is_replaced_and_single_inserts_are_heard_again(
    pg: asyncpg.Connection, ear: Ear, *, to_all: bool
) -> None:
    await pg.execute(INSERT, "before")
    await until(partial(ear.has_heard, "before"))

    ear.proxy.make_deaf(to_all=to_all)
    await pg.execute(INSERT, "while deaf")
    await until(partial(ear.missed, 1))
    await until(partial(ear.listens_anew, 2))
    assert "while deaf" not in ear.heard  # the gap sends the supervisor to look for itself

    for flow in ("after", "and after that"):
        await pg.execute(INSERT, flow)
        await until(partial(ear.has_heard, flow))
    await pg.execute("select pg_notify('beat_cancel', '7:42')")
    await until(ear.has_heard_of_a_cancellation)
    await until(lambda: pg.fetchval(f"select ({SESSIONS}) = 1"))  # the deaf one is closed at the server, too
    assert (ear.gaps, ear.cancelled) == (2, [(7, 42)])


async def test_a_connection_that_hears_itself_is_kept(pg: asyncpg.Connection, ear: Ear) -> None:
    async def notified(itself: int) -> bool:
        return len(heard) >= itself

    heard: list[object] = []
    await pg.add_listener(SELF_CHANNEL, lambda *args: heard.append(args[3]))
    await until(partial(notified, 5))  # two missing ones would have been enough to replace it
    assert (ear.proxy.opened, ear.gaps) == (1, 1)
