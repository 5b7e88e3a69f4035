"""Events about requests to providers: what is said, what is masked, and that nothing depends on it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from config import Settings, load_settings
from core.amqp import traces
from core.amqp.payloads import TraceEvent
from core.amqp.traces import TraceLog
from core.runtime import Runtime
from credentials.runtime import build_runtime
from tests.support.consume import drain_queue
from tests.support.http_client import client
from tests.support.postgres import SOMEONE_WAITS, held_table
from tests.support.raw_server import RawServer, Seen, http, raw_server
from tests.support.relay import running_relay, until, waiting
from utils.db import open_database
from utils.request import ConnectFailed, Exchange

PUT = "select exchange, routing_key, entity_key, payload from event_outbox order by id"
TOKEN = "EAAB0000000000000000secret"
SEEN = Exchange("GET", "https://api.example.com/x", 200, 0.1234, 2)


async def answer(seen: Seen, writer: asyncio.StreamWriter) -> bool:
    moved = http(302, location="/there") if seen.target.startswith("/moved") else http()
    writer.write(moved)
    return True


@pytest.fixture
async def provider() -> AsyncIterator[RawServer]:
    async with raw_server(answer) as server:
        yield server


@pytest.fixture
async def runtime(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runtime]:
    """A runtime that traces everything."""
    monkeypatch.setenv("TRACE_SHARE", "1")
    made = build_runtime(load_settings())
    yield made
    await made.aclose()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def payloads(pg: asyncpg.Connection) -> list[dict[str, Any]]:
    """What has been put into the outbox."""
    rows = await pg.fetch("select payload::text from event_outbox order by id")
    found = [json.loads(row[0]) for row in rows]
    assert all(set(one) == set(TraceEvent.__annotations__) for one in found)
    return found


async def test_a_request_is_announced_with_its_secrets_masked(
    runtime: Runtime, provider: RawServer, pg: asyncpg.Connection
) -> None:
    before = datetime.now(UTC)
    await runtime.http.request(
        "get",
        f"{provider.url}/users/17",
        params={"fields": "id,name", "access_token": TOKEN},
        headers={"X-RapidAPI-Key": "k" * 30, "Authorization": f"Bearer {TOKEN}", "X-Page": "2"},
    )
    await runtime.settle()
    (one,) = await payloads(pg)
    at = datetime.fromisoformat(one.pop("timestamp"))
    headers = one.pop("headers")
    assert TOKEN not in str(one) + str(headers)
    assert before.timestamp() - 0.001 <= at.timestamp() <= datetime.now(UTC).timestamp()
    assert at.utcoffset() is not None
    assert 0 <= one.pop("timeTaken") < 60_000
    assert str(UUID(one.pop("id")))
    assert {name: headers[name] for name in ("x-rapidapi-key", "authorization", "x-page")} == {
        "x-rapidapi-key": "***", "authorization": "***", "x-page": "2",
    }  # fmt: skip
    assert one == {
        "hostName": socket.gethostname(), "hostname": socket.gethostname(), "serviceName": "beat", "method": "GET",
        "uri": f"{provider.url}/users/17?fields=id%2Cname&access_token=***", "responseStatus": 200,
        "remoteAddress": "127.0.0.1", "onlyRequest": False, "requestBody": "", "responseBody": "",
    }  # fmt: skip


async def test_times_are_milliseconds(pg: asyncpg.Connection, clean_db: str) -> None:
    database = open_database(clean_db)
    log = TraceLog(database, 1.0)
    log(SEEN)
    await log.settle()
    await database.dispose()
    assert [one["timeTaken"] for one in await payloads(pg)] == [123]


async def test_each_hop_and_each_failure_is_one_event(
    runtime: Runtime, provider: RawServer, pg: asyncpg.Connection
) -> None:
    await runtime.http.request("POST", f"{provider.url}/moved", json={"a": 1})
    with closed_port() as port, pytest.raises(ConnectFailed):
        await runtime.http.request("GET", f"http://127.0.0.1:{port}/")
    await runtime.settle()
    found = [(one["method"], one["responseStatus"]) for one in await payloads(pg)]
    assert found == [("POST", 302), ("GET", 200), ("GET", 0)]


async def test_traces_reach_their_readers_without_anybody_asking(
    runtime: Runtime, provider: RawServer, pg: asyncpg.Connection, settings: Settings
) -> None:
    rmq_url = settings.broker.rmq_url.get_secret_value()
    async with running_relay(settings) as relay:
        await runtime.http.request("GET", f"{provider.url}/users/18")
        await until(lambda: waiting(pg))
        relay.woken.set()

        async def empty() -> bool:
            return not await waiting(pg)

        await until(empty)
    found = [one for one in await drain_queue(rmq_url, "trace_log_q") if one["uri"] == f"{provider.url}/users/18"]
    assert [(one["method"], one["responseStatus"]) for one in found] == [("GET", 200)]


async def test_their_address_is_the_identity_exchange(pg: asyncpg.Connection, clean_db: str) -> None:
    database = open_database(clean_db)
    log = TraceLog(database, 1.0)
    log(SEEN)
    await log.settle()
    await database.dispose()
    (row,) = await pg.fetch(PUT)
    assert (row["exchange"], row["routing_key"]) == ("identity.dx", "trace_log")


async def test_a_part_of_them_or_none(settings: Settings, pg: asyncpg.Connection, clean_db: str) -> None:
    assert build_runtime(settings).traces is None  # TRACE_SHARE is 0 in tests
    database = open_database(clean_db)
    log = TraceLog(database, 0.5)
    for _ in range(1000):
        log(SEEN)
    await log.settle()
    await database.dispose()
    assert 300 < await waiting(pg) < 700


async def test_a_request_does_not_need_the_database(provider: RawServer, logged: list[dict[str, Any]]) -> None:
    with closed_port() as port:
        away = open_database(f"postgresql://beat@127.0.0.1:{port}/none")
        log = TraceLog(away, 1.0)
        async with client(on_exchange=log) as http_client:
            assert (await http_client.request("GET", provider.url)).status == 200
        await log.aclose()
        await away.dispose()
    (lost,) = [line for line in logged if line["event"] == "traces of requests were lost"]
    assert lost["traces"] == 1


async def test_a_process_that_ends_takes_no_more(clean_db: str, pg: asyncpg.Connection) -> None:
    database = open_database(clean_db)
    log = TraceLog(database, 1.0)
    log(SEEN)
    await log.aclose()
    log(SEEN)
    await log.settle()
    await database.dispose()
    assert await waiting(pg) == 1


async def test_what_a_slow_database_leaves_waiting_is_bounded(
    clean_db: str, pg: asyncpg.Connection, logged: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "MOST_WAITING", 10)
    database = open_database(clean_db)
    log = TraceLog(database, 1.0)
    for _ in range(15):
        log(SEEN)
    await log.settle()
    assert await waiting(pg) == 10
    log(SEEN)
    await log.settle()
    await database.dispose()
    assert await waiting(pg) == 11
    assert [line["traces"] for line in logged if "dropped" in line["event"]] == [5], "they are told once"


async def test_what_comes_while_others_are_handed_on_follows_by_itself(
    clean_db: str, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "HAND_ON_S", 0.01)
    database = open_database(clean_db)
    log = TraceLog(database, 1.0)
    async with held_table(clean_db, "event_outbox"):
        log(SEEN)
        await until(lambda: pg.fetchval(SOMEONE_WAITS))
        log(SEEN)
        await asyncio.sleep(0.1)  # its turn comes, and finds the first still under way
    await until(lambda: pg.fetchval("select count(*) = 2 from event_outbox"))
    await log.aclose()
    await database.dispose()


async def test_the_end_waits_for_a_hanging_database_only_so_long(
    clean_db: str, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, logged: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(traces, "SETTLE_S", 0.1)
    database = open_database(clean_db)
    log = TraceLog(database, 1.0)
    async with held_table(clean_db, "event_outbox"):
        log(SEEN)
        await log.aclose()
    await database.dispose()
    assert "traces of requests were not handed on in time" in [line["event"] for line in logged]


async def test_an_exchange_of_which_no_event_can_be_made_harms_nobody(
    clean_db: str, pg: asyncpg.Connection, logged: list[dict[str, Any]]
) -> None:
    database = open_database(clean_db)
    log = TraceLog(database, 1.0)
    log(Exchange("GET", "https://[no-address/", None, 0.1, 0))
    await log.settle()
    log(SEEN)
    await log.aclose()
    await database.dispose()
    assert await waiting(pg) == 1
    (lost,) = [line for line in logged if line["event"] == "traces of requests were lost"]
    assert (lost["traces"], lost["error"]) == (1, "ValueError")
