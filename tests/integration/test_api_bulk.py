"""The bulk route, on the real database through the pooler."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import asyncpg
import httpx2
import pytest

from config import Settings
from tests.support.api import running_api, sealing_app

PATH = "/scrape_request_log/bulk"


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with running_api(settings) as client:
        yield client


def row(handle: str = "natgeo", **more: Any) -> dict[str, Any]:
    return {"flow": "refresh_profile_by_handle", "params": {"handle": handle}} | more


async def test_ten_thousand_rows_of_more_than_a_megabyte_are_queued(
    api: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    body = json.dumps([row("h" * 200 + str(n)) for n in range(10_000)]).encode()
    assert len(body) > 2**20
    answer = await api.post(PATH, content=body, headers={"x-bb-account-id": "42"})
    assert answer.status_code == 200
    said = answer.json()
    assert said["status"] == {"type": "SUCCESS", "message": "10000 of 10000 scrape requests added"}
    assert (said["created"], len(said["rows"])) == (10_000, 10_000)
    queued = (
        "select count(*) from scrape_request_log where account_id = '42'"
        " and expires_at - created_at between interval '50 minutes' and interval '70 minutes'"
    )
    assert await pg.fetchval(queued) == 10_000
    refused = await api.post("/tokens", content=body)
    assert refused.status_code == 413


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/json", None])
async def test_lines_are_rows_and_bad_ones_are_named(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, kind: str | None
) -> None:
    lines = [
        "\ufeff" + json.dumps(row(idempotency_key="k")),
        "{broken",
        json.dumps(row("a", x=1)),
        json.dumps(row(idempotency_key="k")),
    ]
    headers = {"content-type": kind} if kind else {}
    said = (await api.post(PATH, content="\n".join(lines).encode(), headers=headers)).json()
    assert (said["created"], said["existing"], said["refused"]) == (1, 1, 2)
    first, broken, extra, again = said["rows"]
    assert (first["outcome"], broken["field"], extra["field"], again["scrape_id"]) == (
        "created",
        "row",
        "x",
        first["scrape_id"],
    )
    assert await pg.fetchval("select count(*) from scrape_request_log") == 1


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"[", "no JSON list"), (b"", "1 to 10000 rows"), (b"\xff", "UTF-8"), (b"{}\n" * 10_001, "got 10001")],
)
async def test_a_body_without_rows_is_refused(api: httpx2.AsyncClient, content: bytes, word: str) -> None:
    answer = await api.post(PATH, content=content)
    assert answer.status_code == 422
    assert word in answer.json()["status"]["message"]


async def test_a_list_of_anything_is_refused_row_by_row(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    said = (await api.post(PATH, json=[None, 1, [], row(), row() | {"account_id": 7}])).json()
    assert [one["outcome"] for one in said["rows"]] == ["refused"] * 3 + ["created", "refused"]


async def test_a_form_is_refused(api: httpx2.AsyncClient) -> None:
    assert (await api.post(PATH, data={"flow": "x"})).status_code == 415


async def test_a_body_that_breaks_off_is_the_callers_affair(settings: Settings, logged: list[dict[str, Any]]) -> None:
    begun = {"type": "http.request", "body": b"[{", "more_body": True}
    heard: Iterator[dict[str, Any]] = iter([begun, {"type": "http.disconnect"}])
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(heard)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    app = sealing_app(settings)
    scope = {"type": "http", "method": "POST", "path": PATH, "query_string": b"", "headers": []}
    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
    assert sent[0]["status"] == 400
    assert "request_failed" not in {line["event"] for line in logged}
