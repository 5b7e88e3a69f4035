"""Routes of the task queue, on the real database through the pooler."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx2
import pytest

from config import Settings
from tests.support.api import running_api, with_settings

FLOW = "refresh_profile_by_handle"
PATH = f"/scrape_request_log/flow/{FLOW}"
BODY: dict[str, Any] = {"flow": FLOW, "platform": "INSTAGRAM", "params": {"handle": "natgeo"}}


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with running_api(settings) as client:
        yield client


@pytest.fixture
async def strict_api(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with running_api(with_settings(settings, "api", http_status_mode="strict")) as client:
        yield client


async def create(api: httpx2.AsyncClient, headers: dict[str, str] | None = None, **changes: Any) -> int:
    answer = await api.post(PATH, json=BODY | changes, headers=headers)
    assert answer.status_code == 200, answer.text
    return int(answer.json()["scrape_id"])


async def rows(pg: asyncpg.Connection) -> list[asyncpg.Record]:
    found: list[asyncpg.Record] = await pg.fetch("select * from scrape_request_log order by id")
    return found


def refused_fields(answer: httpx2.Response) -> list[str]:
    body = answer.json()
    assert answer.status_code == 422, answer.text
    assert body["status"]["type"] == "ERROR"
    assert body["status"]["code"] == 422
    fields = [".".join(map(str, entry["loc"])) for entry in body["detail"]]
    assert all(field in body["status"]["message"] for field in fields)
    return fields


async def test_a_task_is_queued_and_answered_with_its_id(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    answer = await api.post(PATH, json=BODY, headers={"x-bb-account-id": "42"})
    (row,) = await rows(pg)
    assert answer.json() == {
        "status": {"type": "SUCCESS", "message": "Scrape request log added"},
        "code": 200,
        "scrape_id": row["id"],
    }
    assert (row["flow"], row["platform"], row["status"], row["account_id"]) == (FLOW, "INSTAGRAM", "PENDING", "42")
    assert row["expires_at"] - row["created_at"] == timedelta(hours=1)
    events = await pg.fetch("select payload->>'status' as status from event_outbox")
    assert [event["status"] for event in events] == ["PENDING"]


async def test_json_without_a_content_type_is_accepted(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    answer = await api.post(PATH, content=json.dumps(BODY).encode())
    assert "content-type" not in answer.request.headers
    assert answer.json()["status"]["type"] == "SUCCESS"
    assert len(await rows(pg)) == 1


async def test_a_byte_order_mark_before_the_body_is_no_part_of_it(api: httpx2.AsyncClient) -> None:
    answer = await api.post(PATH, content=json.dumps(BODY).encode("utf-8-sig"))
    assert answer.json()["status"]["type"] == "SUCCESS"


async def test_a_form_is_refused_with_what_to_send_instead(api: httpx2.AsyncClient) -> None:
    answer = await api.post(PATH, data={"flow": FLOW})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["status"]["message"]


async def test_the_platform_may_be_written_in_any_case(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    await create(api, platform="Instagram")
    assert (await rows(pg))[0]["platform"] == "INSTAGRAM"


async def test_priority_expiry_and_reason_are_taken_from_the_body(
    api: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    until = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
    naive = until.replace(tzinfo=None).isoformat()
    await create(api, priority=9, expires_at=naive, reason="campaign", status="COMPLETE", retry_count=7)
    (row,) = await rows(pg)
    assert (row["priority"], row["expires_at"], row["status"], row["retry_count"]) == (9, until, "PENDING", 1)
    assert await pg.fetchval("select payload->>'reason' from event_outbox") == "campaign"


async def test_params_are_stored_in_the_types_of_the_flow(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    flow = "refresh_profile_by_profile_id"
    body = {"flow": flow, "platform": "INSTAGRAM", "params": {"profile_id": 787132}}
    assert (await api.post(f"/scrape_request_log/flow/{flow}", json=body)).status_code == 200
    assert json.loads((await rows(pg))[0]["params"]) == {"profile_id": "787132"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"flow": "refresh_profile_basic"}, "body.flow"),
        ({"flow": None}, "body.flow"),
        ({"platform": None}, "body.platform"),
        ({"platform": "MYSPACE"}, "body.platform"),
        ({"platform": "YOUTUBE"}, "body.platform"),
        ({"params": None}, "body.params"),
        ({"params": ["natgeo"]}, "body.params"),
        ({"params": {}}, "body.params.handle"),
        ({"params": {"handle": {"a": 1}}}, "body.params.handle"),
        ({"params": {"handle": "natgeo", "extra": 1}}, "body.params.extra"),
        ({"params": {"handle": "x" * 300_000}}, "body.params"),
        ({"params": {"handle": "nul\x00inside"}}, "body.0"),
        ({"params": {"handle": "\ud800"}}, "body.0"),
        ({"priority": "high"}, "body.priority"),
        ({"priority": 2**40}, "body.priority"),
        ({"expires_at": "2020-01-01T00:00:00"}, "body.expires_at"),
        ({"reason": "nul\x00inside"}, "body.0"),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, "body.expires_at"),
        ({"expires_at": "0001-01-01T00:00:00+14:00"}, "body.expires_at"),
    ],
)
async def test_a_wrong_task_is_refused_with_the_field_named_and_nothing_is_stored(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, change: dict[str, Any], field: str
) -> None:
    answer = await api.post(PATH, content=json.dumps(BODY | change).encode())
    assert refused_fields(answer) == [field]
    assert await rows(pg) == []
    assert await pg.fetchval("select count(*) from event_outbox") == 0


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff\xfe",
        b'{"flow": NaN}',
        b'{"priority": 1e999}',
        b"[" * 200_000,
        b'{"priority": ' + b"1" * 5000 + b"}",
    ],
    ids=["empty", "cut off", "list", "text", "null", "not UTF-8", "NaN", "infinite", "deep", "long number"],
)
async def test_a_body_that_is_no_json_object_is_refused(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, text: bytes
) -> None:
    answer = await api.post(PATH, content=text)
    assert all(field.startswith("body") for field in refused_fields(answer))
    assert await rows(pg) == []


async def test_an_unknown_flow_is_refused(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    answer = await api.post("/scrape_request_log/flow/refresh_everything", json=BODY | {"flow": "refresh_everything"})
    assert refused_fields(answer) == ["body.flow"]
    assert "no flow 'refresh_everything'" in answer.json()["status"]["message"]
    assert await rows(pg) == []


@pytest.mark.parametrize(("mode", "http"), [("compatible", 200), ("strict", 501)])
async def test_a_flow_that_is_not_built_is_refused_with_501(
    settings: Settings, pg: asyncpg.Connection, mode: str, http: int
) -> None:
    flow = "fetch_channels_csv"
    async with running_api(with_settings(settings, "api", http_status_mode=mode)) as api:
        answer = await api.post(
            f"/scrape_request_log/flow/{flow}", json={"flow": flow, "platform": "YOUTUBE", "params": {}}
        )
    assert answer.status_code == http
    assert answer.json()["status"] == {"type": "ERROR", "code": 501, "message": f"flow: {flow} is not built yet"}
    assert await rows(pg) == []


async def test_a_refusal_quotes_no_value(api: httpx2.AsyncClient) -> None:
    answer = await api.post(PATH, json=BODY | {"params": {"handle": "natgeo", "token": "EAABsbCS1iHgBA-very-secret"}})
    assert refused_fields(answer) == ["body.params.token"]
    assert "very-secret" not in answer.text


async def test_a_megabyte_of_params_is_refused_before_it_is_read(
    api: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    body = json.dumps(BODY | {"params": {"handle": "x" * 2**20}}).encode()

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65536):
            yield body[start : start + 65536]

    for content in (body, in_pieces()):
        answer = await api.post(PATH, content=content)
        assert answer.status_code == 413
        assert answer.json()["status"]["code"] == 413
    assert await rows(pg) == []


async def test_the_same_idempotency_key_answers_the_first_task(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    key = {"Idempotency-Key": "order-7"}
    assert await create(api, headers=key) == await create(api, headers=key)
    assert len(await rows(pg)) == 1


async def test_a_key_of_another_task_is_a_conflict(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    key = {"Idempotency-Key": "order-7"}
    await create(api, headers=key)
    answer = await api.post(PATH, json=BODY | {"params": {"handle": "bbcearth"}}, headers=key)
    assert answer.json()["status"]["code"] == 409
    assert len(await rows(pg)) == 1


async def test_a_task_is_shown_with_naive_utc_times(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    task_id = await create(api)
    await pg.execute(
        "update scrape_request_log set status = 'FAILED', data = '(429, ''slow'')', error_code = 'RATE_LIMITED',"
        " scraped_at = '2026-03-01 12:30:00+02', created_at = '2026-03-01 12:29:00.5+02', result = '{\"sources\": []}'"
    )
    answer = await api.get(f"/scrape_request_log/flow/{task_id}")
    assert answer.json() == {
        "status": {"type": "SUCCESS", "message": "Scrape Log Data Retrieved"},
        "post": {
            "scrape_id": task_id,
            "data": "(429, 'slow')",
            "status": "FAILED",
            "params": {"handle": "natgeo"},
            "created_at": "2026-03-01T10:29:00.500000",
            "flow": FLOW,
            "scraped_at": "2026-03-01T10:30:00",
            "platform": "INSTAGRAM",
            "priority": 1,
            "retry_count": 1,
            "error_code": "RATE_LIMITED",
            "result": {"sources": []},
        },
    }


@pytest.mark.parametrize(("mode", "http"), [("compatible", 200), ("strict", 404)])
async def test_a_missing_task_is_404_in_the_envelope(settings: Settings, clean_db: str, mode: str, http: int) -> None:
    async with running_api(with_settings(settings, "api", http_status_mode=mode)) as api:
        shown = await api.get("/scrape_request_log/flow/4711")
        updated = await api.post("/scrape_request_log/flow/update/4711", json={"status": "FAILED", "retry_count": 1})
    for answer in (shown, updated):
        assert answer.status_code == http
        assert answer.json() == {
            "status": {"type": "ERROR", "code": 404, "message": "scrape log not found for scrape_id - 4711"}
        }


@pytest.mark.parametrize("column", ["created_at", "scraped_at", "expires_at", "run_after", "picked_at"])
@pytest.mark.parametrize("moment", ["infinity", "-infinity", "20000-01-01", "0044-03-15 BC", "294276-12-31"])
async def test_a_row_with_a_time_that_no_date_holds_is_shown_and_set(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, column: str, moment: str
) -> None:
    task = await create(api, {"x-bb-account-id": "42"})
    await pg.execute(f"update scrape_request_log set {column} = $1::text::timestamptz", moment)
    edge = "0001-01-01T00:00:00" if moment.startswith("-") or "BC" in moment else "9999-12-31T23:59:59"
    shown = (await api.get(f"/scrape_request_log/flow/{task}")).json()["post"]
    assert shown.get(column, edge) == edge
    assert (await api.get("/list_scrape_data/42")).json()["scrape_list"] == [shown | {"account_id": "42"}]
    answer = await api.post(f"/scrape_request_log/flow/update/{task}", json={"status": "CANCELLED", "retry_count": 1})
    assert answer.json()["status"]["type"] == "SUCCESS"


@pytest.mark.parametrize("task_id", ["0", "-1", "abc", str(2**63)])
async def test_an_impossible_task_id_is_refused(api: httpx2.AsyncClient, task_id: str) -> None:
    assert refused_fields(await api.get(f"/scrape_request_log/flow/{task_id}")) == ["path.scrape_id"]


async def test_an_account_lists_its_newest_tasks_without_an_envelope(api: httpx2.AsyncClient) -> None:
    mine = [await create(api, headers={"x-bb-account-id": "42"}) for _ in range(12)]
    await create(api, headers={"x-bb-account-id": "43"})
    ten = (await api.get("/list_scrape_data/42")).json()
    assert set(ten) == {"account_id", "scrape_list"}
    assert [task["scrape_id"] for task in ten["scrape_list"]] == mine[:1:-1]
    assert {task["account_id"] for task in ten["scrape_list"]} == {"42"}
    two = (await api.get("/list_scrape_data/42", params={"size": "2"})).json()
    assert [task["scrape_id"] for task in two["scrape_list"]] == mine[:9:-1]
    assert (await api.get("/list_scrape_data/nobody")).json() == {"account_id": "nobody", "scrape_list": []}


@pytest.mark.parametrize("size", ["0", "-1", "1001", "all"])
async def test_a_list_holds_one_to_a_thousand_tasks(api: httpx2.AsyncClient, size: str) -> None:
    assert refused_fields(await api.get("/list_scrape_data/42", params={"size": size})) == ["query.size"]


async def test_a_stuck_task_is_queued_again_or_failed_as_schedulers_do_it(
    api: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    task_id = await create(api)
    await pg.execute("update scrape_request_log set status = 'PROCESSING', worker = 7, picked_at = now()")
    for status in ("PENDING", "FAILED"):
        body = BODY | {"retry_count": 2, "status": status}
        answer = await api.post(f"/scrape_request_log/flow/update/{task_id}", content=json.dumps(body).encode())
        assert answer.json() == {
            "status": {"type": "SUCCESS", "message": "Scrape request log updated"},
            "scrape_id": task_id,
        }
        (row,) = await rows(pg)
        assert (row["status"], row["retry_count"], row["worker"], row["picked_at"]) == (status, 2, None, None)
    said = await pg.fetch(
        "select payload->>'status' as status, payload->>'retry_count' as attempt from event_outbox order by id"
    )
    assert [tuple(event) for event in said] == [("PENDING", "1"), ("PENDING", "2"), ("FAILED", "2")]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"status": None}, "body.status"),
        ({"status": "PROCESSING"}, "body.status"),
        ({"status": "EXPIRED"}, "body.status"),
        ({"status": "DONE"}, "body.status"),
        ({"retry_count": None}, "body.retry_count"),
        ({"retry_count": -1}, "body.retry_count"),
        ({"flow": "refresh_profile_basic"}, "body.flow"),
        ({"platform": "YOUTUBE"}, "body.platform"),
    ],
)
async def test_a_wrong_update_is_refused_with_the_field_named_and_changes_nothing(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, change: dict[str, Any], field: str
) -> None:
    task_id = await create(api)
    before = await rows(pg)
    body = BODY | {"retry_count": 2, "status": "FAILED"} | change
    answer = await api.post(f"/scrape_request_log/flow/update/{task_id}", json=body)
    assert refused_fields(answer) == [field]
    assert await rows(pg) == before


async def test_a_finished_task_cannot_be_failed(strict_api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    task_id = await create(strict_api)
    await pg.execute("update scrape_request_log set status = 'COMPLETE', scraped_at = now()")
    answer = await strict_api.post(
        f"/scrape_request_log/flow/update/{task_id}", json=BODY | {"retry_count": 2, "status": "FAILED"}
    )
    assert answer.status_code == 409
    assert "has ended as COMPLETE" in answer.json()["status"]["message"]
    assert (await rows(pg))[0]["status"] == "COMPLETE"
