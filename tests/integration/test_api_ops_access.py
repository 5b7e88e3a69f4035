"""Who may open the operations page and press its buttons, from where, and that the log says who did."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx2
import pytest

from config import Settings
from core.api.key_ring import digest_of, new_key
from tests.support.api import running_api, with_settings
from tests.support.ops_page import of_tests, press, shown
from tests.support.pool import queue_tasks
from tests.support.schedules import plant

KEY = "insert into api_key (name, digest, scope, account_id) values ($1, $2, $3, $4)"
BUTTONS = (
    "/ops/flows/test_nap/pause", "/ops/flows/test_nap/resume", "/ops/schedules/s/enable", "/ops/schedules/s/disable",
    "/ops/tasks/1/retry", "/ops/tasks/1/cancel",
)  # fmt: skip


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with running_api(of_tests(settings)) as client:
        yield client


@pytest.fixture
async def keyed(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with running_api(with_settings(of_tests(settings), "api", api_keys=True)) as client:
        yield client


async def key_of(pg: asyncpg.Connection, scope: str, account: str | None = None) -> str:
    key = new_key()
    await pg.execute(KEY, scope, digest_of(key), scope, account)
    return key


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil"},
        {"origin": "null"},
        {"origin": "http://beat:81"},
        {"origin": "http://evil", "sec-fetch-site": "cross-site"},
        {"origin": "http://beat", "sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "none"},
    ],
    ids=str,
)
async def test_no_page_of_another_site_presses_a_button(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, headers: dict[str, str]
) -> None:
    await queue_tasks(pg, "test_nap", 1)
    await pg.execute("update scrape_request_log set id = 1")
    await plant(pg, "s")
    for path in BUTTONS:
        answer = await api.post(path, headers=headers)
        assert answer.status_code == 403, path
        assert answer.json()["status"]["message"].startswith("Origin: a page of another site has sent this")
    assert await pg.fetchval("select status from scrape_request_log") == "PENDING"
    assert await pg.fetchval("select enabled from scrape_schedule")
    assert await pg.fetchval("select count(*) from beat_flow") == 0


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://beat"},
        {"origin": "https://beat", "content-type": "application/x-www-form-urlencoded"},
        {"origin": "https://x", "sec-fetch-site": "same-origin"},
    ],
    ids=str,
)
async def test_programs_and_the_page_itself_do(api: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    """The third without its script, the last behind a proxy that names another host: the browser's word counts."""
    assert (await api.post("/ops/flows/test_nap/pause", headers=headers)).json()["paused"] is True


async def test_only_an_admin_key_opens_it_as_a_bearers_or_as_a_password(
    keyed: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    keys = {scope: await key_of(pg, scope) for scope in ("read", "write", "admin")}
    reads = ("/ops", "/ops/tasks/1/explain")
    for method, path in [*(("GET", path) for path in reads), *(("POST", path) for path in BUTTONS)]:
        for auth in (None, ("any", "beat_nobody"), ("any", ""), ("any", "x" * 9000)):
            answer = await keyed.request(method, path, auth=auth)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Basic realm="Beat"'
            assert answer.json()["status"]["message"].startswith("Authorization: ")
        for scope in ("read", "write"):
            answer = await keyed.request(method, path, auth=("any", keys[scope]))
            assert answer.status_code == 403
            assert answer.json()["status"]["message"] == f"The key {scope} has the scope {scope}, this needs admin"
        bearer = {"Authorization": f"Bearer {keys['admin']}"}
        assert (await keyed.request(method, path, auth=("", keys["admin"]))).status_code == 200
        assert (await keyed.request(method, path, headers=bearer)).status_code == 200


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic bm9jb2xvbg==", "Basic /////w=="])
async def test_a_basic_header_that_is_none_is_refused(keyed: httpx2.AsyncClient, header: str) -> None:
    answer = await keyed.get("/ops", headers={"Authorization": header})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Basic realm="Beat"')


async def test_a_browsers_key_opens_nothing_else(keyed: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    """Other routes have no guard against pages of other sites, and need none: no browser sends a bearer's key."""
    auth = ("any", await key_of(pg, "admin"))
    for method, path in (("PUT", "/heartbeat?beat=true"), ("GET", "/metrics"), ("POST", "/tokens")):
        answer = await keyed.request(method, path, auth=auth)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_key_of_an_account_moves_no_other_tasks(keyed: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    keyed.auth = httpx2.BasicAuth("any", await key_of(pg, "admin", "42"))
    mine, other = await queue_tasks(pg, "test_nap", 2)
    await pg.execute("update scrape_request_log set account_id = '42' where id = $1", mine)
    assert (await press(keyed, f"/ops/tasks/{mine}/cancel"))["status"]["type"] == "SUCCESS"
    for verb in ("cancel", "retry"):
        assert (await press(keyed, f"/ops/tasks/{other}/{verb}"))["status"]["code"] == 404
    assert (await keyed.get(f"/ops/tasks/{other}/explain")).json()["status"]["code"] == 404
    assert f"there is no task {other}" in (await shown(keyed, task=other)).text
    assert await pg.fetchval("select status from scrape_request_log where id = $1", other) == "PENDING"


async def test_the_log_says_who_did_what(
    keyed: httpx2.AsyncClient, pg: asyncpg.Connection, logged: list[dict[str, Any]]
) -> None:
    keyed.auth = httpx2.BasicAuth("any", await key_of(pg, "admin"))
    await press(keyed, "/ops/flows/test_nap/pause")
    (line,) = [one for one in logged if one["event"] == "flow_switched"]
    assert (line["flow"], line["paused"], line["by"]) == ("test_nap", True, "admin")
