"""The operations page and the routes of its buttons, on the real database through the pooler."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator

import asyncpg
import httpx2
import pytest

from config import Settings
from core.api import ops_page
from tests.support.api import running_api, with_settings
from tests.support.ops_page import of_tests, press, read_page, shown
from tests.support.pool import queue_tasks
from tests.support.schedules import plant

HOSTILE = "\"'><img src=x onerror=alert(1)></script><script>alert(2)</script>&amp;"
WORKER = """
insert into beat_worker (host, pid, flow, slots, beat_at)
values ($1, 1, 'w', $2::text::jsonb, now() - $3::float8 * interval '1 second')"""
CREDENTIAL = """
insert into credential (idempotency_key, source, credentials, enabled, disabled_till, data_access_expired)
values ($1, $2, '{"sealed": "a-secret"}', $3, $4::text::timestamptz, $5)"""
EVENT = """
insert into event_outbox (routing_key, entity_key, payload, created_at)
values ($1, 'e', '{}', now() - $2::text::interval)"""
FAIL = "update scrape_request_log set status = 'FAILED', scraped_at = now() - $2::text::interval where id = any($1)"


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with running_api(of_tests(settings)) as client:
        yield client


async def test_a_new_server_shows_that_there_is_nothing(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    page = await shown(api)
    assert page.rows["database"] == ["database", "ok", "answers"]
    version = await pg.fetchval("select max(version) from schema_migration")
    assert page.rows["schema version"][2] == f"version {version}"
    for words in ("no worker process", "nothing waits", "no event waits", "Relay: none works", "there is none"):
        assert words in page.text
    assert page.rows["refresh_profile_by_handle"][1:3] == ["", "0"]
    assert "/ops/flows/refresh_profile_by_handle/pause" in page.posts


async def test_the_page_shows_the_pool_flows_events_and_schedules(
    api: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    await pg.execute(WORKER, "here", json.dumps({"test_nap": 4}), 1)
    await pg.execute(WORKER, "there", json.dumps({"test_mark": 3}), 300)
    worker = await pg.fetchval("select id from beat_worker where host = 'here'")
    ids = await queue_tasks(pg, "test_nap", 9)
    await pg.execute(FAIL, ids[:2], "59 minutes")
    await pg.execute(FAIL, ids[2:3], "61 minutes")
    await pg.execute("update scrape_request_log set run_after = now() + interval '1 h' where id = $1", ids[3])
    await pg.execute(
        "update scrape_request_log set status = 'PROCESSING', worker = $2 where id = any($1)", ids[4:6], worker
    )
    await pg.execute("update scrape_request_log set created_at = now() - interval '3 hours' where id = $1", ids[6])
    await pg.execute("insert into beat_flow (flow, paused, slots) values ('test_mark', true, 7)")
    await pg.execute("delete from event_outbox")
    for age in ("1 s", "10 min"):
        await pg.execute(EVENT, "profile_log_events", age)
    await plant(pg, "sick")
    await pg.execute(
        "update scrape_schedule set last_outcome = 'failed', last_error = 'a reason token=planted',"
        " last_run_at = '2026-01-02 03:04'"
    )
    page = await shown(api)
    assert page.rows["here"][1:5] == ["alive", "1", "4", "1"]
    assert page.rows["there"] == ["there", "lost", "1", "3", "1", "5 min"]
    assert page.rows["test_nap"] == ["test_nap", "open", "3", "3 h 0 min", "1", "2", "2", "4", "1", "pause "]
    assert page.rows["test_mark"][1] == "paused"
    assert page.rows["test_mark"][7:] == ["0 (cap 7)", "0", "resume "]
    assert page.rows["profile_log_events"] == ["profile_log_events", "2", "10 min"]
    sick = page.rows["sick"]
    assert sick[1:4] == ["enabled", "0 0 1 1 *", "test_nap"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", sick[4])
    assert sick[5:] == ["2026-01-02 03:04", "failed", "a reason token=***", "disable "]


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "20000-01-01"])
async def test_times_that_no_date_can_hold_are_shown(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, moment: str
) -> None:
    tasks = await queue_tasks(pg, "test_nap", 2)
    await pg.execute("update scrape_request_log set created_at = $1::text::timestamptz", moment)
    await pg.execute("update scrape_request_log set run_after = created_at where id = $1", tasks[0])
    await pg.execute(CREDENTIAL, "k", "graphapi", True, moment, False)
    await plant(pg, "s")
    await pg.execute(
        "update scrape_schedule set next_run_at = $1::text::timestamptz, last_run_at = next_run_at", moment
    )
    page = await shown(api, task=tasks[1])
    assert page.rows["test_nap"][2:5:2] == ["1", "1"]
    assert page.rows["s"][4] == {"infinity": "never", "-infinity": "0001-01-01 00:00"}.get(moment, "9999-12-31 23:59")


async def test_credentials_are_counted_by_state_and_never_shown(
    api: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    hour, two = [await pg.fetchval("select (now() + $1::int * interval '1 h')::text", hours) for hours in (1, 2)]
    states = (
        (True, None, False), (True, "2026-01-01", False), (True, two, False), (True, hour, False),
        (True, "9999-12-31 00:00+00", False), (True, None, True), (True, hour, True), (False, None, False),
        (False, hour, True),
    )  # fmt: skip
    for number, state in enumerate(states):
        await pg.execute(CREDENTIAL, f"k{number}", "graphapi", *state)
    page = await shown(api)
    source, usable, resting, first, *others = page.rows["graphapi"]
    assert (source, usable, resting, others) == ("graphapi", "2", "2", ["1", "2", "2"])
    assert first == hour[:16]
    assert "a-secret" not in page.text


async def test_text_of_others_is_text(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    await pg.execute(WORKER, HOSTILE, json.dumps({HOSTILE: 1}), 1)
    await queue_tasks(pg, HOSTILE, 1)
    ids = await queue_tasks(pg, "test_nap", 1)
    await pg.execute("update scrape_request_log set data = $2, error_code = $2 where id = any($1)", ids, HOSTILE)
    await pg.execute(FAIL, ids, "1 minute")
    await pg.execute(EVENT, HOSTILE, "1 s")
    await pg.execute(CREDENTIAL, "k", HOSTILE, True, None, False)
    await plant(pg, "s", cron=HOSTILE, flow=HOSTILE)
    await pg.execute("update scrape_schedule set last_outcome = 'failed', last_error = $1", HOSTILE)
    page = await shown(api, task=ids[0])
    names = {name for name, _ in page.elements}
    assert names == {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "a", "output", "form", "input", "button",
        "span", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "script",
    }  # fmt: skip
    assert sum(name == "script" for name, _ in page.elements) == 1
    assert not any(attribute.startswith("on") for _, given in page.elements for attribute in given)
    assert page.text.count(HOSTILE) >= 9
    assert not any("img" in path for path in page.posts)


async def test_the_policy_allows_what_stands_on_the_page_and_nothing_else(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/ops")
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    page = read_page(answer.text)
    for name in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(page.inline[name].encode()).digest()).decode()
        assert policy[f"{name}-src"] == f"'sha256-{digest}'"
    assert (policy["default-src"], policy["base-uri"], policy["frame-ancestors"]) == ("'none'", "'none'", "'none'")
    assert not any({"src", "style"} & set(given) for _, given in page.elements)
    assert {given["href"] for _, given in page.elements if "href" in given} == {"/ops"}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_each_button_of_the_page_does_what_it_says(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    (task,) = await queue_tasks(pg, "test_nap", 1)
    await plant(pg, "s")
    paused = "select paused from beat_flow where flow = 'test_nap'"
    enabled, status = "select enabled from scrape_schedule", "select status from scrape_request_log"
    for path, said, query, value in (
        ("/ops/flows/test_nap/pause", "test_nap is paused", paused, True),
        ("/ops/flows/test_nap/resume", "test_nap is open", paused, False),
        ("/ops/schedules/s/disable", "s is disabled", enabled, False),
        ("/ops/schedules/s/enable", "s is enabled", enabled, True),
        (f"/ops/tasks/{task}/cancel", f"Task {task} is CANCELLED", status, "CANCELLED"),
        (f"/ops/tasks/{task}/retry", f"Task {task} is PENDING", status, "PENDING"),
    ):
        assert path in (await shown(api, task=task)).posts
        assert (await press(api, path))["status"] == {"type": "SUCCESS", "message": said}
        assert await pg.fetchval(query) == value
        await pg.execute("update scrape_request_log set retry_count = 3 where status <> 'PENDING'")
    assert await pg.fetchval("select retry_count from scrape_request_log") == 1
    events = await pg.fetch("select payload->>'status' as status from event_outbox order by id")
    assert [event["status"] for event in events] == ["PENDING", "FAILED", "PENDING"]


async def test_every_button_is_a_route(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    await plant(pg, "s")
    (task,) = await queue_tasks(pg, "test_nap", 1)
    posts = (await shown(api, task=task)).posts
    assert len(posts) > 75
    for path in posts:
        assert (await press(api, path))["status"]["type"] == "SUCCESS"


async def test_a_task_is_explained_on_the_page_and_by_a_route(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    (task,) = await queue_tasks(pg, "test_nap", 1)
    await press(api, "/ops/flows/test_nap/pause")
    fact = "flow test_nap is paused: beatctl flows resume test_nap"
    answer = (await api.get(f"/ops/tasks/{task}/explain")).json()
    assert answer == {
        "status": {"type": "SUCCESS", "message": f"Task {task} is PENDING"},
        "scrape_id": task, "task_status": "PENDING", "reason": "paused", "text": fact,
    }  # fmt: skip
    assert f"Task {task} is PENDING; paused: {fact}" in (await shown(api, task=task)).text
    assert f"task: there is no task {task + 1}" in (await shown(api, task=task + 1)).text


async def test_what_cannot_be_done_names_the_field_and_changes_nothing(
    api: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    (task,) = await queue_tasks(pg, "test_nap", 1)
    await pg.execute(FAIL, [task], "1 s")
    await plant(pg, "bad", cron="nonsense", params={"ms": "$nothing"})
    await pg.execute("update scrape_schedule set enabled = false")
    before = await pg.fetch("select to_jsonb(s) from scrape_schedule s")
    for method, path, status, code, words in (
        ("POST", "/ops/flows/no_flow/pause", 422, 422, "path.flow: there is no flow no_flow; see docs/flows.md"),
        ("POST", "/ops/schedules/bad/enable", 422, 422, "path.name: bad: cron: "),
        ("POST", "/ops/schedules/bad/enable", 422, 422, "path.name: bad: params.ms: the candidates have no column"),
        ("POST", "/ops/schedules/none/enable", 200, 404, "name: there is no schedule none"),
        ("POST", "/ops/schedules/none/disable", 200, 404, "name: there is no schedule none"),
        ("POST", "/ops/schedules/No%00name/disable", 422, 422, "path.name: String should match pattern"),
        ("POST", f"/ops/tasks/{task}/cancel", 200, 409, "has ended as FAILED: it can only be set to PENDING, which is"),
        ("POST", f"/ops/tasks/{task + 1}/retry", 200, 404, f"scrape_id: there is no task {task + 1}"),
        ("GET", f"/ops/tasks/{task + 1}/explain", 200, 404, f"scrape_id: there is no task {task + 1}"),
        ("POST", "/ops/tasks/x/retry", 422, 422, "path.scrape_id: Input should be a valid integer"),
        ("GET", "/ops?task=0", 422, 422, "query.task: Input should be greater than or equal to 1"),
    ):
        answer = await api.request(method, path)
        said = answer.json()["status"]
        assert (answer.status_code, said["type"], said["code"]) == (status, "ERROR", code), path
        assert words in said["message"]
    assert await pg.fetch("select to_jsonb(s) from scrape_schedule s") == before
    assert await pg.fetchval("select status from scrape_request_log") == "FAILED"
    assert await pg.fetchval("select count(*) from beat_flow") == 0


async def test_a_schedule_is_not_enabled_where_its_query_cannot_be_tried(
    settings: Settings, pg: asyncpg.Connection
) -> None:
    await plant(pg, "s")
    away = with_settings(of_tests(settings), "database", pg_url="postgresql://127.0.0.1:1/beat")
    async with running_api(away) as api:
        answer = await api.post("/ops/schedules/s/enable")
    assert answer.status_code == 503
    assert answer.json()["status"]["message"].startswith("PG_URL: the database cannot be reached: ")


def test_the_script_and_the_style_hold_no_end_tag() -> None:
    assert "</" not in ops_page.SCRIPT + ops_page.STYLE


@pytest.mark.parametrize(
    "error", [asyncpg.CannotConnectNowError("it starts"), asyncpg.InterfaceError("closed"), OSError(113, "no route")]
)
async def test_a_schedule_is_not_enabled_while_the_direct_database_is_away(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise error

    await plant(pg, "s")
    await pg.execute("update scrape_schedule set enabled = false")
    monkeypatch.setattr("core.api.ops.must_run", fail)
    answer = await api.post("/ops/schedules/s/enable")
    assert (answer.status_code, answer.json()["status"]["message"][:8]) == (503, "PG_URL: ")
    assert await pg.fetchval("select enabled from scrape_schedule") is False
