"""What the identity service and others say of credentials, over the broker into the table of credentials."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
import asyncpg
import pytest
from aio_pika.abc import AbstractChannel

from config import Settings
from core.amqp.amqp import run_listener
from core.amqp.listeners import BY_QUEUE
from core.amqp.topology import declare_topology, error_queue
from credentials.manager import CredentialManager
from credentials.runtime import build_runtime
from tests.support.pool import RunningPool, fork_servers_of, kill, running_pool
from tests.support.relay import open_channel, take, until
from tests.support.sandbox import Sandbox
from utils.db import connect

IDENTITY, VALIDATE = "identity_token_q", "credentials_validate_q"
TOKEN = "EAABplantedtokenofnatgeo0001"
MESSAGE = {"handle": "@NatGeo ", "socialUserId": 17841400573960012, "graphAccessToken": TOKEN, "platform": "instagram"}
STORED = "select * from credential order by id"
BLOCKED = "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
PROCESSES = "select pid from beat_worker where flow = $1 and pid > 0 order by pid"


@pytest.fixture
async def channel(rmq_url: str) -> AsyncIterator[AbstractChannel]:
    """A channel to queues that are declared, bound and empty."""
    async with open_channel(rmq_url) as channel:
        await declare_topology(channel._connection)  # type: ignore[attr-defined]
        for queue in (IDENTITY, VALIDATE, error_queue(IDENTITY), error_queue(VALIDATE)):
            await channel.queue_delete(queue)
        await declare_topology(channel._connection)  # type: ignore[attr-defined]
        yield channel


@asynccontextmanager
async def reading(queue: str, settings: Settings, rmq_url: str) -> AsyncIterator[CredentialManager]:
    """One process's listener in the test's own."""
    runtime, stopping = build_runtime(settings), asyncio.Event()
    assert isinstance(runtime.credentials, CredentialManager)
    task = asyncio.create_task(run_listener(BY_QUEUE[queue], rmq_url, runtime, stopping=stopping))
    try:
        yield runtime.credentials
        stopping.set()
        await asyncio.wait_for(task, 20)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await runtime.aclose()


async def publish(channel: AbstractChannel, queue: str, body: Mapping[str, Any]) -> None:
    """To the exchange, as the owner of the message does."""
    listener = BY_QUEUE[queue]
    exchange = await channel.get_exchange(listener.exchange)
    await exchange.publish(aio_pika.Message(json.dumps(body).encode()), listener.routing_key)


async def empty(channel: AbstractChannel, queue: str) -> bool:
    """Nothing waits in the queue; what was in the hands of a consumer that has gone is back in it."""
    other = await channel._connection.channel()  # type: ignore[attr-defined]
    source = await other.declare_queue(queue, passive=True)
    await other.close()
    return (source.declaration_result.message_count or 0) == 0


async def credentials(pg: asyncpg.Connection, count: int) -> list[asyncpg.Record]:
    """The stored credentials, once there are so many."""

    async def enough() -> list[asyncpg.Record]:
        rows = await pg.fetch(STORED)
        return list(rows) if len(rows) >= count else []

    found: list[asyncpg.Record] = await until(enough)
    assert len(found) == count
    return found


async def test_a_new_token_is_stored_sealed_under_its_account(
    pg: asyncpg.Connection, channel: AbstractChannel, settings: Settings, rmq_url: str
) -> None:
    async with reading(IDENTITY, settings, rmq_url) as manager:
        await publish(channel, IDENTITY, MESSAGE | {"tenant": "further keys are passed over"})
        (row,) = await credentials(pg, 1)
        (found,) = await manager.stored("graphapi", handle="natgeo")
    assert (row["source"], row["handle"], row["idempotency_key"]) == (
        "graphapi",
        "natgeo",
        "graphapi:17841400573960012",
    )
    assert dict(found.keys) == {"token": TOKEN, "user_id": "17841400573960012"}
    assert TOKEN not in str(dict(row))
    assert await empty(channel, IDENTITY)


async def test_the_same_message_again_changes_nothing_and_a_new_token_ends_the_rest(
    pg: asyncpg.Connection, channel: AbstractChannel, settings: Settings, rmq_url: str
) -> None:
    async with reading(IDENTITY, settings, rmq_url) as manager:
        await publish(channel, IDENTITY, MESSAGE)
        (first,) = await credentials(pg, 1)
        (stored,) = await manager.stored("graphapi", handle="natgeo")
        await manager.invalidate(stored, reason="Data access expired", data_access_expired=True)
        (before,) = await credentials(pg, 1)
        for _ in range(3):
            await publish(channel, IDENTITY, MESSAGE)
        await publish(channel, IDENTITY, MESSAGE | {"socialUserId": "2", "handle": "nasa"})
        again, _ = await credentials(pg, 2)
        assert dict(again) == dict(before)
        await publish(channel, IDENTITY, MESSAGE | {"graphAccessToken": "EAABanothertokenofnatgeo0002"})
        await until(lambda: pg.fetchval("select not data_access_expired from credential where id = $1", first["id"]))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"graphAccessToken": None}, "invalid payload: graphAccessToken"),
        ({"graphAccessToken": ""}, "invalid payload: graphAccessToken"),
        ({"graphAccessToken": f"{TOKEN}\nX-Evil: 1"}, "refused: token of a graphapi credential holds line breaks"),
        ({"socialUserId": {"id": TOKEN}}, "invalid payload: socialUserId"),
        ({"platform": "YOUTUBE"}, "invalid payload: platform: Value error, only tokens of INSTAGRAM are stored"),
        ({"handle": " "}, "invalid payload: handle"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
async def test_a_message_that_cannot_be_a_token_goes_to_the_error_queue_with_the_field(
    pg: asyncpg.Connection,
    channel: AbstractChannel,
    settings: Settings,
    rmq_url: str,
    change: dict[str, Any],
    reason: str,
) -> None:
    body = {key: value for key, value in (MESSAGE | change).items() if value is not None}
    async with reading(IDENTITY, settings, rmq_url):
        await publish(channel, IDENTITY, body)
        (dead,) = await take(channel, error_queue(IDENTITY), 1)
    assert json.loads(dead.body) == body
    assert reason in str(dead.headers["x-reason"])
    assert TOKEN not in str(dead.headers)
    assert await pg.fetch(STORED) == []


async def test_stored_tokens_are_checked_and_those_that_graph_refuses_are_not_used_again(
    pg: asyncpg.Connection,
    channel: AbstractChannel,
    settings: Settings,
    rmq_url: str,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, third = sandbox.credentials["graphapi"][:3]
    providers = settings.providers.model_copy(update={"provider_sandbox_url": sandbox.url})
    async with reading(VALIDATE, settings.model_copy(update={"providers": providers}), rmq_url) as manager:
        ids = {
            handle: await manager.insert_creds("graphapi", {"token": token, "user_id": f"{number}"}, handle=handle)
            for number, (handle, token) in enumerate(
                {
                    "good": first.credentials["token"],
                    "expired": f"{second.credentials['token']}:expired",
                    "scopeless": f"{third.credentials['token']}:scopeless",
                    "impostor": TOKEN,
                }.items()
            )
        }
        for handle in ("expired", "scopeless", "Impostor"):
            await publish(channel, VALIDATE, {"handle": handle})
        await until(lambda: pg.fetchval("select count(*) = 3 from credential where last_error is not null"))
        await publish(channel, VALIDATE, {"source": "graphapi", "credential_id": ids["good"]})
        await publish(channel, VALIDATE, {"credential_id": 4711})
        await publish(channel, VALIDATE, {"source": "lama", "handle": "natgeo"})
        await publish(channel, VALIDATE, {"source": "graphapi"})
        dead = await take(channel, error_queue(VALIDATE), 2)
        assert {str(message.headers["x-reason"]) for message in dead} == {
            "refused: source: only credentials of graphapi can be checked",
            "invalid payload: payload: Value error, name either credential_id or handle",
        }
        (waiting,) = await take(channel, f"retry.{VALIDATE}", 1)
        assert "there is no enabled credential" in str(waiting.headers["x-reason"])
        listed = await manager.list()
    states = {one.handle: (one.state, one.last_error) for one in listed}
    assert states == {
        "good": ("usable", None),
        "expired": ("data access expired", "Data access expired"),
        "scopeless": ("refused until replaced", states["scopeless"][1]),
        "impostor": ("refused until replaced", "Token is invalid"),
    }
    assert str(states["scopeless"][1]).startswith("the token lacks ")


async def test_a_message_waits_for_a_database_that_is_away_and_uses_up_no_attempt(
    pg: asyncpg.Connection, channel: AbstractChannel, settings: Settings, rmq_url: str, stack_env: dict[str, str]
) -> None:
    """The listener's database takes no connections for a while; then the message has its effect."""
    direct = settings.database.model_copy(update={"pgbouncer_url": None})
    admin = await connect(stack_env["PG_URL"], name="test")
    switch = f'alter database "{direct.pg_url.rpartition("/")[2]}" allow_connections '
    await admin.execute(switch + "false")
    try:
        async with reading(IDENTITY, settings.model_copy(update={"database": direct}), rmq_url):
            await publish(channel, IDENTITY, MESSAGE)
            await asyncio.sleep(2)
            assert await pg.fetch(STORED) == []
            await admin.execute(switch + "true")
            await credentials(pg, 1)
    finally:
        await admin.execute(switch + "true")
        await admin.close()
    assert await empty(channel, error_queue(IDENTITY))
    assert await empty(channel, f"retry.{IDENTITY}")


async def _blocked(pg: asyncpg.Connection) -> Any:
    """In a transaction the first look would be all that is seen."""
    await pg.execute("select pg_stat_clear_snapshot()")
    return await pg.fetchval(BLOCKED)


async def test_a_session_that_ends_in_mid_transaction_uses_up_no_attempt(
    pg: asyncpg.Connection, channel: AbstractChannel, settings: Settings, rmq_url: str
) -> None:
    async with reading(IDENTITY, settings, rmq_url):
        async with pg.transaction():
            await pg.execute("lock table credential")
            await publish(channel, IDENTITY, MESSAGE)
            victim = await until(lambda: _blocked(pg))
            assert await pg.fetchval("select pg_terminate_backend($1)", victim)
        await credentials(pg, 1)
    assert await empty(channel, error_queue(IDENTITY))
    assert await empty(channel, f"retry.{IDENTITY}")


async def test_the_pool_reads_each_queue_in_five_processes_that_are_replaced_and_drained(
    pg: asyncpg.Connection, channel: AbstractChannel, program_env: dict[str, str]
) -> None:
    queues = f"{IDENTITY},{VALIDATE}"
    async with running_pool(program_env, WORKER_FLOWS="test_missing", WORKER_LISTENERS=queues) as pool:
        await pool.wait_for_line("pool is ready")
        await until(lambda: consumers(channel, IDENTITY, 5))
        await until(lambda: consumers(channel, VALIDATE, 5))
        for number in range(40):
            await publish(channel, IDENTITY, MESSAGE | {"socialUserId": number + 1, "handle": f"creator_{number}"})
        await credentials(pg, 40)
        before = await processes(pg, pool)
        assert len(before) == 5
        assert kill(before[0])
        await pool.wait_for_line("child died")
        await until(lambda: consumers(channel, IDENTITY, 5))
        after = await processes(pg, pool)
        assert len(set(after) - set(before)) == 1
        async with pg.transaction():
            await pg.execute("lock table credential")
            await publish(channel, IDENTITY, MESSAGE)
            await until(lambda: _blocked(pg))
            pool.process.terminate()
            await pool.wait_for_line("pool is stopping")
        assert await asyncio.wait_for(pool.process.wait(), 20) == 0  # the message in hand was handled to its end
        await credentials(pg, 41)
        assert not [line for line in pool.lines if TOKEN in line or "traceback" in line]
    assert await empty(channel, IDENTITY)
    assert await pg.fetchval("select count(*) from beat_worker") == 0


async def consumers(channel: AbstractChannel, queue: str, count: int) -> bool:
    source = await channel.declare_queue(queue, passive=True)
    return source.declaration_result.consumer_count == count


async def processes(pg: asyncpg.Connection, pool: RunningPool) -> list[int]:
    """Process ids of the readers of the identity queue, once all are named."""

    async def named() -> list[int]:
        rows = await pg.fetch(PROCESSES, f"listener {IDENTITY}")
        return [row["pid"] for row in rows] if len(rows) == 5 else []

    assert fork_servers_of(pool.pid)
    found: list[int] = await until(named)
    return found
