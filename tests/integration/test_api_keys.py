"""Keys of the API on a server that wants them, on the real database through the pooler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx2
import pytest

from config import Settings
from core.api import key_ring
from core.api.key_ring import digest_of, new_key
from server import make_app
from tests.support.api import running_api, with_settings

FLOW = "refresh_profile_by_handle"
CREATE = f"/scrape_request_log/flow/{FLOW}"
BULK = "/scrape_request_log/bulk"
BODY: dict[str, Any] = {"flow": FLOW, "platform": "INSTAGRAM", "params": {"handle": "natgeo"}}
ADD = "insert into api_key (name, digest, scope, account_id, expires_at) values ($1, $2, $3, $4, now() + $5::interval)"
OPEN = {"/heartbeat", "/livez", "/readyz"}
"""Paths that a load balancer asks with GET or HEAD, and without a key."""


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with running_api(with_settings(settings, "api", api_host="0.0.0.0")) as client:
        yield client


@pytest.fixture
async def keys(pg: asyncpg.Connection) -> dict[str, dict[str, str]]:
    """Headers by scope, and of a key of account 42."""
    given = {}
    for name, scope, account in (
        ("read", "read", None), ("write", "write", None), ("admin", "admin", None), ("of 42", "write", "42")
    ):  # fmt: skip
        key = new_key()
        await pg.execute(ADD, name.replace(" ", "-"), digest_of(key), scope, account, None)
        given[name] = {"Authorization": f"Bearer {key}"}
    return given


def test_every_route_wants_a_key_but_those_of_load_balancers(settings: Settings) -> None:
    paths: dict[str, dict[str, Any]] = make_app(settings).openapi()["paths"]
    routes = {(method, path): route.get("security") for path, found in paths.items() for method, route in found.items()}
    assert len(routes) > 20
    assert {route for route, security in routes.items() if not security} == {("get", path) for path in OPEN}


@pytest.mark.parametrize(
    "header", [None, "Bearer", "Bearer ", "Bearer beat_nobody", "Basic dTpw", "Bearer " + "x" * 9000]
)
async def test_who_shows_no_good_key_is_sent_away(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, header: str | None
) -> None:
    answer = await api.post(CREATE, json=BODY, headers={} if header is None else {"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    status = answer.json()["status"]
    assert (status["type"], status["code"]) == ("ERROR", 401)
    assert status["message"].startswith("Authorization: ")
    assert await pg.fetchval("select count(*) from scrape_request_log") == 0


async def test_load_balancers_need_no_key(api: httpx2.AsyncClient) -> None:
    for ask in (api.get, api.head):
        assert [(await ask(path)).status_code for path in sorted(OPEN)] == [410, 200, 200]


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/scrape_request_log/flow/1", "read"),
        ("GET", "/list_scrape_data/7", "read"),
        ("GET", "/recent/posts/instagram/byprofileid/1", "read"),
        ("GET", "/metrics", "read"),
        ("POST", CREATE, "write"),
        ("POST", BULK, "write"),
        ("POST", "/scrape_request_log/flow/update/1", "write"),
        ("GET", "/profiles/instagram/byhandle/a/insights?token=t&user_id=1", "write"),
        ("GET", "/profiles/instagram/byhandle/natgeo?full_refresh=1", "write"),
        ("GET", "/profiles/instagram/byhandle/natgeo?force_refresh=true", "write"),
        ("POST", "/tokens", "admin"),
        ("PUT", "/heartbeat?beat=true", "admin"),
    ],
)
async def test_a_scope_includes_the_lesser_ones_and_no_greater_one(
    api: httpx2.AsyncClient, keys: dict[str, dict[str, str]], method: str, path: str, scope: str
) -> None:
    for name in key_ring.SCOPES:
        body = {"json": {"source": "no such", "credentials": {}}} if path == "/tokens" else {"json": BODY}
        reaches = key_ring.SCOPES.index(name) >= key_ring.SCOPES.index(scope)
        if reaches and "byhandle" in path:
            continue  # it would ask a source
        answer = await api.request(method, path, headers=keys[name], **(body if method == "POST" else {}))
        assert (answer.status_code == 403) is not reaches, answer.text
        assert answer.status_code != 401
        if not reaches:
            assert answer.json()["status"]["message"] == f"The key {name} has the scope {name}, this needs {scope}"


async def test_where_no_keys_are_wanted_no_page_of_another_site_changes_anything(
    settings: Settings, pg: asyncpg.Connection
) -> None:
    paths: dict[str, dict[str, Any]] = make_app(settings).openapi()["paths"]
    changes = {(method, path) for path, found in paths.items() for method in found if method != "get"}
    create = CREATE.replace(FLOW, "{flow}")
    assert {("post", create), ("post", BULK), ("post", "/tokens"), ("put", "/heartbeat")} < changes
    line = {"content": f'{{"flow": "{FLOW}", "params": {{"handle": "natgeo"}}}}\n'.encode()}
    async with running_api(settings) as api:
        for method, path in changes:
            found = path.format(flow=FLOW, scrape_id=1, name="s", platform="instagram", handle="natgeo")
            body: dict[str, Any] = line if path == BULK else {"json": BODY}
            for headers in ({"origin": "http://evil"}, {"sec-fetch-site": "cross-site"}):
                answer = await api.request(method, found, params={"beat": "true"}, headers=headers, **body)
                assert answer.status_code == 403, (method, path)
                assert answer.json()["status"]["message"].startswith("Origin: a page of another site has sent this")
        asked = await api.get("/list_scrape_data/7", headers={"origin": "http://evil"})
        assert asked.status_code == 200
        own = await api.post(CREATE, json=BODY, headers={"sec-fetch-site": "same-origin"})
        assert own.status_code == 200
    assert await pg.fetchval("select count(*) from scrape_request_log") == 1


async def test_a_revoked_or_expired_key_opens_nothing(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, keys: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_ring, "REMEMBERED_S", 0.0)
    path = "/list_scrape_data/7"
    assert (await api.get(path, headers=keys["read"])).status_code == 200
    await pg.execute("delete from api_key where name = 'read'")
    assert (await api.get(path, headers=keys["read"])).status_code == 401
    await pg.execute("update api_key set expires_at = now() - interval '1 second' where name = 'write'")
    assert (await api.get(path, headers=keys["write"])).status_code == 401


async def test_a_key_is_remembered_for_a_while_and_no_longer(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, keys: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/list_scrape_data/7"
    monkeypatch.setattr(key_ring, "REMEMBERED_S", 3600.0)
    assert (await api.get(path, headers=keys["read"])).status_code == 200
    monkeypatch.setattr(key_ring, "REMEMBERED_S", 0.01)
    assert (await api.get(path, headers=keys["admin"])).status_code == 200
    await pg.execute("delete from api_key")
    await asyncio.sleep(0.02)
    assert (await api.get(path, headers=keys["read"])).status_code == 200
    assert (await api.get(path, headers=keys["admin"])).status_code == 401


async def test_a_key_of_an_account_queues_for_it_and_sees_no_other_tasks(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, keys: dict[str, dict[str, str]]
) -> None:
    mine = (await api.post(CREATE, json=BODY, headers=keys["of 42"])).json()["scrape_id"]
    other = (await api.post(CREATE, json=BODY, headers=keys["write"] | {"x-bb-account-id": "43"})).json()["scrape_id"]
    assert await pg.fetchval("select account_id from scrape_request_log where id = $1", mine) == "42"

    one, two = [
        (await api.get(f"/scrape_request_log/flow/{task}", headers=keys["of 42"])).json()["status"]
        for task in (mine, other)
    ]
    assert one["type"] == "SUCCESS"
    assert (two["code"], two["message"]) == (404, f"scrape log not found for scrape_id - {other}")
    update = {"status": "FAILED", "retry_count": 1}
    changed = await api.post(f"/scrape_request_log/flow/update/{other}", json=update, headers=keys["of 42"])
    assert changed.json()["status"]["code"] == 404
    assert await pg.fetchval("select status from scrape_request_log where id = $1", other) == "PENDING"

    assert (await api.get("/list_scrape_data/42", headers=keys["of 42"])).json()["scrape_list"]
    refused = [
        await api.get("/list_scrape_data/43", headers=keys["of 42"]),
        await api.post(CREATE, json=BODY, headers=keys["of 42"] | {"x-bb-account-id": "43"}),
        await api.post(BULK, json=[BODY, BODY | {"account_id": "43"}], headers=keys["of 42"]),
    ]
    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert await pg.fetchval("select count(*) from scrape_request_log") == 2
    assert (await api.post(BULK, json=[BODY], headers=keys["of 42"])).json()["created"] == 1
    assert await pg.fetchval("select account_id from scrape_request_log order by id desc limit 1") == "42"


@pytest.mark.parametrize(
    ("host", "wants", "open_", "status"),
    [
        ("127.0.0.1", False, False, 200),
        ("127.0.0.1", True, False, 401),
        ("10.0.0.7", False, False, 401),
        ("10.0.0.7", False, True, 200),
    ],
)
async def test_keys_are_wanted_beyond_loopback_or_when_told_so(
    settings: Settings, host: str, wants: bool, open_: bool, status: int
) -> None:
    async with running_api(with_settings(settings, "api", api_host=host, api_keys=wants, api_open=open_)) as api:
        assert (await api.get("/list_scrape_data/7")).status_code == status


async def test_no_key_is_stored_or_said(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, keys: dict[str, dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    key = keys["write"]["Authorization"].removeprefix("Bearer ")
    answer = await api.post(CREATE, json=BODY | {"flow": "no_such"}, headers=keys["write"])
    assert key not in answer.text
    assert key not in caplog.text
    stored = await pg.fetch("select api_key::text as row from api_key")
    assert not any(key in row["row"] for row in stored)
