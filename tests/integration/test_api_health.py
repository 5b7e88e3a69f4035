"""Routes for load balancers and monitors, and what every answer has in common."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from config import Settings
from core.api.app import create_app
from core.runtime import Runtime
from server import Tokens
from tests.support.api import running_api, with_settings
from tests.support.raw_server import Seen, raw_server

NEWER = "schema is newer than the code"
NOWHERE = "127.0.0.1:9"
"""The discard port: nothing listens there."""


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with running_api(settings) as client:
        yield client


async def test_the_heartbeat_is_off_until_it_is_put_on(api: httpx2.AsyncClient) -> None:
    for asked, status in (("GET", 410), ("true", 200), ("GET", 200), ("false", 410), ("GET", 410)):
        answer = await (api.get("/heartbeat") if asked == "GET" else api.put("/heartbeat", params={"beat": asked}))
        assert (answer.status_code, answer.content) == (status, b"")


@pytest.mark.parametrize("path", ["/heartbeat", "/livez", "/readyz"])
async def test_a_probe_with_head_is_told_what_get_is_told(settings: Settings, path: str) -> None:
    without_redis = with_settings(settings, "providers", redis_url=SecretStr(f"redis://{NOWHERE}/0"))
    for one in (settings, with_settings(settings, "api", heartbeat=True), without_redis):
        async with running_api(one) as api:
            asked, told = await api.head(path), await api.get(path)
        assert (asked.status_code, asked.content) == (told.status_code, b"")
        assert asked.headers.get("content-type") == told.headers.get("content-type")


async def test_the_heartbeat_may_be_on_from_the_start(settings: Settings) -> None:
    async with running_api(with_settings(settings, "api", heartbeat=True)) as api:
        assert (await api.get("/heartbeat")).status_code == 200


async def test_a_heartbeat_that_is_no_boolean_is_refused(api: httpx2.AsyncClient) -> None:
    for params in ({}, {"beat": "perhaps"}):
        answer = await api.put("/heartbeat", params=params)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["query", "beat"]


async def test_ready_names_every_check(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/readyz")
    body = answer.json()
    assert (answer.status_code, body["status"]["type"], body["state"]) == (200, "SUCCESS", "ready")
    assert {name: check["ok"] for name, check in body["checks"].items()} == dict.fromkeys(
        ("database", "schema_version", "redis", "outbox_lag", "broker"), True
    )


async def test_without_redis_the_server_lives_but_is_not_ready(settings: Settings) -> None:
    away = with_settings(settings, "providers", redis_url=SecretStr(f"redis://{NOWHERE}/0"))
    async with running_api(away) as api:
        ready, alive = await api.get("/readyz"), await api.get("/livez")
    assert (ready.status_code, ready.json()["status"]["message"]) == (503, "Not ready: redis")
    assert ready.json()["checks"]["redis"]["detail"] == "ConnectionError"
    assert (alive.status_code, alive.json()["status"]["type"]) == (200, "SUCCESS")


@pytest.mark.parametrize("url", [f"postgresql://beat@{NOWHERE}/beat", "postgresql://beat@/beat?host=/nowhere"])
async def test_without_a_database_nothing_is_ready_and_routes_say_so(settings: Settings, url: str) -> None:
    """It refuses, or there is nothing at its address."""
    away = with_settings(settings, "database", pgbouncer_url=url)
    async with running_api(away) as api:
        ready, task = await api.get("/readyz"), await api.get("/scrape_request_log/flow/1")
        body = {"flow": "refresh_profile_basic", "platform": "INSTAGRAM", "params": {"handle": "natgeo"}}
        others = [
            await api.get("/profiles/instagram/byhandle/natgeo"),
            await api.get("/recent/posts/instagram/byprofileid/7"),
            await api.post("/scrape_request_log/flow/refresh_profile_basic", json=body),
        ]
    assert ready.status_code == 503
    assert ready.json()["status"]["message"] == "Not ready: database, schema_version"
    assert [answer.json() for answer in others] == [task.json()] * 3
    assert task.status_code == 503
    assert task.json()["status"] == {
        "type": "ERROR", "code": 503, "message": "The database cannot be reached, try again later",
    }  # fmt: skip


async def test_a_newer_schema_is_ready_and_named_in_the_log_once(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, logged: list[dict[str, Any]]
) -> None:
    await pg.execute("insert into schema_migration values (9998, 'near', '-'), (9999, 'far', '-')")
    try:
        answers = [await api.get("/readyz") for _ in range(2)]
    finally:
        await pg.execute("delete from schema_migration where version > 9000")
    for answer in answers:
        assert (answer.status_code, answer.json()["state"]) == (200, "ready")
        detail = answer.json()["checks"]["schema_version"]["detail"]
        assert detail == "version 9999, newer than this code: 9998_near, 9999_far"
    assert [line["migrations"] for line in logged if line["event"] == NEWER] == ["9998_near, 9999_far"]


async def test_a_schema_that_lacks_something_is_not_ready(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    newest = await pg.fetchval("select max(version) from schema_migration")
    said = []
    for change, undo in (
        ("update schema_migration set version = -version", "update schema_migration set version = -version"),
        (
            f"update schema_migration set version = 9999 where version = {newest}",
            f"update schema_migration set version = {newest} where version = 9999",
        ),
        ("alter table schema_migration rename to elsewhere", "alter table elsewhere rename to schema_migration"),
    ):
        await pg.execute(change)
        try:
            answer = await api.get("/readyz")
        finally:
            await pg.execute(undo)
        assert answer.status_code == 503
        said.append(answer.json()["checks"]["schema_version"]["detail"])
    assert said == [
        "migration 0001 is missing: run python -m scripts.migrate",
        f"migration {newest:04d} is missing: run python -m scripts.migrate",
        "there is no schema yet: run python -m scripts.migrate",
    ]


async def test_a_server_that_takes_connections_and_says_nothing_does_not_hold_the_probe(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.api.checks.CHECK_LIMIT_S", 0.2)

    async def never(_seen: Seen, _writer: asyncio.StreamWriter) -> bool:
        raise AssertionError("no HTTP is spoken here")

    async with raw_server(never) as silent:
        mute = with_settings(settings, "providers", redis_url=SecretStr(f"redis://127.0.0.1:{silent.port}/0"))
        async with running_api(mute) as api:
            redis = (await api.get("/readyz")).json()["checks"]["redis"]
    assert redis == {"ok": False, "required": True, "detail": "no answer in 0.2 s"}


@pytest.mark.parametrize(("scheme", "port"), [("amqp", 5672), ("amqps", 5671)])
async def test_a_broker_without_a_port_is_looked_for_where_its_scheme_says(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, scheme: str, port: int
) -> None:
    asked = []

    async def refused(host: str, port: int) -> None:
        asked.append((host, port))
        raise ConnectionRefusedError

    async with running_api(with_settings(settings, "broker", rmq_url=SecretStr(f"{scheme}://broker.example/"))) as api:
        monkeypatch.setattr("core.api.checks.asyncio.open_connection", refused)
        assert (await api.get("/readyz")).json()["checks"]["broker"]["ok"] is False
    assert ("broker.example", port) in asked


async def test_a_missing_broker_and_old_events_degrade_but_do_not_stop(
    settings: Settings, pg: asyncpg.Connection
) -> None:
    await pg.execute(
        "insert into event_outbox (routing_key, entity_key, payload, created_at)"
        " values ('k', '1', '{}', now() - interval '1 hour')"
    )
    async with running_api(with_settings(settings, "broker", rmq_url=SecretStr(f"amqp://{NOWHERE}/"))) as api:
        answer = await api.get("/readyz")
    assert (answer.status_code, answer.json()["state"]) == (200, "degraded")
    assert {name for name, check in answer.json()["checks"].items() if not check["ok"]} == {"outbox_lag", "broker"}


async def test_unknown_paths_and_methods_answer_the_envelope(api: httpx2.AsyncClient) -> None:
    for answer, code in ((await api.get("/nowhere"), 404), (await api.delete("/heartbeat"), 405)):
        assert answer.status_code == code
        assert answer.json()["status"]["type"] == "ERROR"
        assert answer.json()["status"]["code"] == code


async def test_every_answer_names_its_request_and_a_usable_given_name_is_kept(
    api: httpx2.AsyncClient, logged: list[dict[str, Any]]
) -> None:
    assert (await api.get("/livez", headers={"X-Request-Id": "abc-1"})).headers["x-request-id"] == "abc-1"
    served = [(line["path"], line["request_id"]) for line in logged if line["event"] == "request_served"]
    assert served == [("/livez", "abc-1")]
    assert (await api.get("/nowhere", headers={"X-Request-Id": "a b\tc"})).headers["x-request-id"] != "a b\tc"
    assert len((await api.get("/livez")).headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    "error",
    [
        PoolTimeout("all of them are in use"),
        ConnectionResetError(104, "reset"),
        TimeoutError(),
        socket.gaierror(-2, "Name or service not known"),
        OSError(113, "No route to host"),
        OSError("Multiple exceptions: refused, unreachable"),
        DBAPIError("select 1", None, asyncpg.AdminShutdownError("terminated by an administrator")),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_each_way_in_which_a_connection_is_not_had_is_an_outage(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("core.api.tasks.seen", fail)
    answer = await api.get("/scrape_request_log/flow/1")
    assert (answer.status_code, answer.json()["status"]["code"]) == (503, 503)


async def test_a_file_that_is_missing_is_no_database_that_is_away(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.api.tasks.seen", lambda *_: open("/nowhere/file"))  # noqa: SIM115, PTH123
    assert (await api.get("/scrape_request_log/flow/1")).status_code == 500


async def test_a_request_does_not_wait_for_the_window_of_a_source(settings: Settings) -> None:
    class SeenError(Exception):
        pass

    def build(given: Settings) -> Runtime:
        raise SeenError(given.providers.rate_wait_s)

    app = create_app(settings, build_runtime=build, token_store=Tokens)
    with pytest.raises(SeenError) as seen:
        async with app.router.lifespan_context(app):
            pass
    assert (settings.providers.rate_wait_s > 0, seen.value.args) == (True, (0.0,))


async def test_an_internal_error_answers_an_envelope_without_internals(
    api: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    await pg.execute("alter table scrape_request_log rename to hidden_detail")
    try:
        answer = await api.get("/scrape_request_log/flow/1")
    finally:
        await pg.execute("alter table hidden_detail rename to scrape_request_log")
    request_id = answer.headers["x-request-id"]
    assert answer.status_code == 500
    assert answer.json() == {
        "status": {"type": "ERROR", "code": 500, "message": f"Internal error, see the log for request {request_id}"}
    }
