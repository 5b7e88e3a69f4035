"""Who is named, once, when a transaction stays open for long, and where it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from config import Settings
from core.api.metrics import expose
from core.flows.registry import build_registry
from core.queue import holders, session
from core.queue.holders import HOLDERS, HolderWatch, without_values
from core.queue.queue import QueueUnavailable
from core.queue.upkeep import Upkeep
from utils.db import connect, open_database


@pytest.fixture
async def holder(clean_db: str) -> AsyncIterator[asyncpg.Connection]:
    """A session that has read something in a transaction which stays open."""
    conn = await connect(clean_db, name="somebody's export")
    await conn.execute("begin isolation level repeatable read")
    await conn.fetch("select 'planted-value' as it, 4711 from beat_flow")
    yield conn
    conn.terminate()


@pytest.fixture
def watch(pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch) -> HolderWatch:
    """A watch that finds everything old and looks whenever it is asked."""
    monkeypatch.setattr(holders, "LONG_TRANSACTION_S", 0.0)
    monkeypatch.setattr(holders, "LOOK_S", 0.0)

    async def run(body: Any) -> Any:
        return await body(pg)

    return HolderWatch(run)


def about(logged: list[dict[str, Any]], application: str) -> list[dict[str, Any]]:
    return [line for line in logged if line.get("application") == application]


async def test_who_locks_the_queue_is_named_although_upkeep_waits_for_it(
    settings: Settings, clean_db: str, logged: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holders, "LONG_TRANSACTION_S", 0.0)
    monkeypatch.setattr(session, "connect", partial(connect, command_timeout_s=1.0))
    operator = await connect(clean_db, name="somebody's repair")
    await operator.execute(
        "begin; insert into beat_flow (flow) values ('f'); lock table scrape_request_log in share mode"
    )
    upkeep = Upkeep(settings, build_registry(), "here")
    look = await upkeep.look([])
    with pytest.raises(QueueUnavailable):
        await upkeep.work(look)
    assert [line["event"] for line in about(logged, "somebody's repair")] == ["an old transaction holds back vacuum"]
    operator.terminate()
    await upkeep.aclose()


async def test_an_old_transaction_is_named_once_and_again_when_it_has_ended(
    holder: asyncpg.Connection, watch: HolderWatch, logged: list[dict[str, Any]]
) -> None:
    for _ in range(3):
        await watch.look()
    (line,) = about(logged, "somebody's export")
    assert line["event"] == "an old transaction holds back vacuum"
    assert (line["pid"], line["state"]) == (holder.get_server_pid(), "idle in transaction")
    assert line["query"] == "select ? as it, ? from beat_flow"
    await holder.execute("rollback")
    await watch.look()
    assert [one["event"] for one in about(logged, "somebody's export")][1:] == ["an old transaction has ended"]
    await holder.execute("begin isolation level repeatable read")
    await holder.fetch("select 1 from beat_flow")
    await watch.look()
    assert len(about(logged, "somebody's export")) == 3, "the next one is another offender"


async def test_looks_are_a_minute_apart(holder: asyncpg.Connection, pg: asyncpg.Connection) -> None:
    looks = 0

    async def run(body: Any) -> Any:
        nonlocal looks
        looks += 1
        return await body(pg)

    watch = HolderWatch(run)
    for _ in range(5):
        await watch.look()
    assert looks == 1


async def test_a_session_without_a_snapshot_and_a_young_one_are_left_alone(
    pg: asyncpg.Connection, clean_db: str
) -> None:
    idle = await connect(clean_db, name="idle in read committed")
    await idle.execute("begin")
    await idle.execute("select 1 from beat_flow")
    assert [row["application"] for row in await pg.fetch(HOLDERS, 0.0)] == []
    await idle.execute("insert into event_confirmed (routing_key) values ('x')")
    assert [row["application"] for row in await pg.fetch(HOLDERS, 0.0)] == ["idle in read committed"]
    assert await pg.fetch(HOLDERS, 3600.0) == []
    idle.terminate()


async def test_the_one_that_holds_back_most_is_in_the_metrics(
    holder: asyncpg.Connection, pg: asyncpg.Connection, clean_db: str
) -> None:
    async def exposed() -> dict[str, float]:
        engine = open_database(clean_db).engine
        async with AsyncSession(engine) as session:
            text = (await expose(session, [])).decode()
        await engine.dispose()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}

    for _ in range(4):
        await pg.execute("insert into event_confirmed (routing_key) values (gen_random_uuid()::text)")
    await asyncio.sleep(0.05)
    shown = await exposed()
    labels = f'{{application="somebody\'s export",pid="{holder.get_server_pid()}"}}'
    assert shown[f"beat_oldest_xmin_age_seconds{labels}"] >= 0.05
    assert shown[f"beat_oldest_xmin_age_transactions{labels}"] >= 4
    assert shown["beat_oldest_transaction_seconds"] == shown[f"beat_oldest_xmin_age_seconds{labels}"]
    await holder.execute("rollback")
    assert (await exposed())['beat_oldest_xmin_age_seconds{application="",pid=""}'] == 0


def test_a_query_is_shown_without_secrets() -> None:
    assert "EAAB" not in without_values("select * from t where token = access_token=EAABplantedtokenplantedtoken")
