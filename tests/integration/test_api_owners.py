"""Insights with the caller's token, and the check of tokens: real database and Redis, Graph simulated."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import asyncpg
import httpx2
import pytest
from pydantic import SecretStr
from redis import Redis

from config import Settings
from core.crawler.errors import ChainFailed, InsufficientData, Outcome
from instagram.models.pages import Audience
from tests.integration.test_api_profiles import LIMITED, asked, put_account
from tests.sandbox.credentials import SandboxCredential
from tests.support.api import running_api, with_settings
from tests.support.redis import flush
from tests.support.sandbox import Sandbox
from utils.rate_limit import redis_key

OTHER = "EAABsbCS1iHgBA-another-not-real-token"


@pytest.fixture
async def api(settings: Settings, sandbox: Sandbox) -> AsyncIterator[httpx2.AsyncClient]:
    """An API without any credential."""
    async with running_api(with_settings(settings, "providers", provider_sandbox_url=sandbox.url)) as client:
        yield client


@pytest.fixture
def own(sandbox: Sandbox) -> SandboxCredential:
    """The token of a connected account."""
    return sandbox.credentials["graphapi"][0]


def headers(credential: SandboxCredential, token: str | None = None) -> dict[str, str]:
    return {
        "X-Access-Token": token or credential.credentials["token"],
        "X-User-Id": credential.credentials["user_id"],
    }


def path(credential: SandboxCredential, what: str = "insights") -> str:
    return f"/profiles/INSTAGRAM/byhandle/{credential.handle}/{what}"


async def store(api: httpx2.AsyncClient, credential: SandboxCredential, token: str | None = None) -> None:
    keys = credential.credentials | ({"token": token} if token else {})
    body = {"source": "graphapi", "handle": credential.handle, "credentials": keys}
    assert (await api.post("/tokens", json=body)).status_code == 200


async def sealed(pg: asyncpg.Connection) -> list[str]:
    return [row["sealed"] for row in await pg.fetch("select credentials->>'ct' as sealed from credential order by id")]


async def test_insights_answer_the_account_store_it_and_keep_the_token(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection, own: SandboxCredential
) -> None:
    who = sandbox.universe.by_handle(own.handle or "")
    assert who is not None
    answer = await api.get(path(own), headers=headers(own))
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == {"type": "SUCCESS", "message": "Profile Retrieved"}
    profile = answer.json()["profile"]
    assert set(profile) == {"handle", "followers", "following", "media_count", "post_metrics"}
    assert (profile["handle"], profile["followers"], profile["following"]) == (who.handle, who.followers, who.following)
    assert profile["post_metrics"]["all"]["avg_likes"] > 0
    stored = await pg.fetchrow("select profile_id, media_count from instagram_account")
    assert tuple(stored or ()) == (str(who.pk), profile["media_count"])
    assert profile["media_count"] not in {None, who.followers, who.following}
    assert await pg.fetchval("select count(*) from instagram_post") > 0
    assert await pg.fetchval("select count(*) from event_outbox where routing_key = 'profile_log_events'") == 1
    row = await pg.fetchrow("select source, handle, enabled from credential")
    assert dict(row or {}) == {"source": "graphapi", "handle": who.handle, "enabled": True}


@pytest.mark.parametrize("way", ["header", "header rather than query", "query", "body"])
async def test_the_token_may_come_in_a_header_in_the_query_or_in_a_body(
    api: httpx2.AsyncClient, own: SandboxCredential, way: str
) -> None:
    token, user_id = own.credentials["token"], own.credentials["user_id"]
    if way == "body":
        answer = await api.post(path(own), json={"token": token, "user_id": user_id})
    elif way == "query":
        answer = await api.get(path(own), params={"token": token, "user_id": user_id})
    else:
        old = {"token": OTHER, "user_id": "1"} if "query" in way else {}
        answer = await api.get(path(own).replace("INSTAGRAM", "instagram"), params=old, headers=headers(own))
    assert answer.json()["status"]["type"] == "SUCCESS", answer.text


@pytest.mark.parametrize("what", ["insights", "audienceinsights"])
async def test_a_token_that_is_missing_or_malformed_is_refused_and_not_repeated(
    api: httpx2.AsyncClient, own: SandboxCredential, what: str
) -> None:
    for token, user_id in ((None, None), (OTHER, None), (None, "1"), (OTHER, "x1"), (f"{OTHER} x", "1")):
        given = {"token": token, "user_id": user_id}
        params = {name: value for name, value in given.items() if value}
        answer = await api.get(path(own, what), params=params)
        assert (answer.status_code, answer.json()["status"]["code"]) == (422, 422)
        assert OTHER not in answer.text
    answer = await api.post(path(own, what), json={"token": "", "user_id": "1"})
    assert answer.status_code == 422


@pytest.mark.parametrize("way", ["/profiles/INSTAGRAM/byhandle/natgeo/insights/", "/token/validate/", "/heartbeat/"])
async def test_a_path_with_one_more_slash_is_unknown_and_its_query_not_repeated(
    api: httpx2.AsyncClient, own: SandboxCredential, way: str
) -> None:
    answer = await api.get(way, params={"token": own.credentials["token"]}, headers={"host": "elsewhere.example"})
    assert answer.status_code == 404
    assert answer.json()["status"] == {"type": "ERROR", "message": "Not Found", "code": 404}
    assert own.credentials["token"] not in f"{answer.headers}{answer.text}"


async def test_a_token_in_the_query_is_in_no_log_line(
    api: httpx2.AsyncClient, own: SandboxCredential, capfd: pytest.CaptureFixture[str]
) -> None:
    params = {"token": OTHER, "user_id": own.credentials["user_id"]}
    answer = await api.get(path(own), params=params)
    assert answer.json()["status"] == {"type": "ERROR", "message": "Token is invalid", "code": 190}
    assert OTHER not in "".join(capfd.readouterr())


async def test_a_token_that_took_the_place_of_none_and_is_refused_leaves_nothing_usable(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, own: SandboxCredential, redis_url: str
) -> None:
    first = (await api.get(path(own), headers=headers(own, OTHER))).json()
    assert first["status"]["code"] == 190
    flush(redis_url)
    assert (await api.get(path(own), headers=headers(own))).json()["status"]["type"] == "SUCCESS"
    assert await pg.fetchval("select count(*) from credential") == 1


async def test_another_token_that_proves_good_takes_the_place_of_the_stored_one(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, own: SandboxCredential
) -> None:
    await store(api, own, OTHER)
    before = await sealed(pg)
    assert (await api.get(path(own), headers=headers(own))).json()["status"]["type"] == "SUCCESS"
    assert (await sealed(pg)) != before
    assert len(await sealed(pg)) == 1


@pytest.mark.parametrize("whose", ["nobody's", "another account's"])
async def test_another_token_that_does_not_leaves_the_stored_one_in_its_place(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection, own: SandboxCredential, whose: str
) -> None:
    await store(api, own)
    before = await sealed(pg)
    given = headers(own, OTHER) if whose == "nobody's" else headers(sandbox.credentials["graphapi"][1])
    answer = await api.get(path(own), headers=given)
    assert answer.json()["status"]["type"] == "SUCCESS"
    assert await sealed(pg) == before


async def test_a_token_whose_data_access_has_run_out_is_replaced(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, own: SandboxCredential
) -> None:
    await store(api, own, OTHER)
    await pg.execute("update credential set data_access_expired = true")
    assert (await api.get(path(own), headers=headers(own))).json()["status"]["type"] == "SUCCESS"
    assert await pg.fetchval("select not data_access_expired from credential")


async def test_a_resting_token_does_not_give_way_to_one_that_is_refused(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, own: SandboxCredential
) -> None:
    await store(api, own)
    await pg.execute("update credential set disabled_till = now() + interval '1 hour'")
    before = await sealed(pg)
    refused = (await api.get(path(own), headers=headers(own, OTHER))).json()["status"]
    assert (refused["type"], await sealed(pg)) == ("ERROR", before)


async def test_the_same_token_again_is_not_asked_about(
    api: httpx2.AsyncClient, sandbox: Sandbox, own: SandboxCredential
) -> None:
    await store(api, own)
    await api.get(path(own), headers=headers(own))
    assert {row["function"] for row in (await sandbox.stats())["rows"]} == {"fetch_profile_by_handle"}


async def test_tokens_sent_at_once_for_one_account_are_not_taken_for_each_other(
    api: httpx2.AsyncClient, own: SandboxCredential
) -> None:
    """The later one meets the limit of one a second and account, if that second is not over."""
    bad, good = await asyncio.gather(
        api.get(path(own), headers=headers(own, OTHER)), api.get(path(own), headers=headers(own))
    )
    assert bad.json()["status"] != good.json()["status"]


async def test_a_handle_that_graph_does_not_know_is_not_found(api: httpx2.AsyncClient, own: SandboxCredential) -> None:
    answer = await api.get("/profiles/INSTAGRAM/byhandle/no.such.body/insights", headers=headers(own))
    assert answer.json()["status"] == {"type": "ERROR", "message": "Profile not found - no.such.body", "code": 404}


@pytest.mark.parametrize("kind", ["insights", "audience"])
@pytest.mark.parametrize("level", [("daily", 20_000, 86_400), ("per_minute", 60, 60), ("per_handle_{}", 1, 1)], ids=str)
async def test_a_used_up_limit_refuses_the_request(
    api: httpx2.AsyncClient,
    sandbox: Sandbox,
    own: SandboxCredential,
    redis_url: str,
    kind: str,
    level: tuple[str, int, int],
) -> None:
    name, count, per_s = level
    used_up = redis_key("beat_server_", f"refresh_profile_insta_{kind}_{name.format(own.handle)}", count, per_s)
    with Redis.from_url(redis_url) as redis:
        redis.set(used_up, count, ex=60)
    what = {"insights": "insights", "audience": "audienceinsights"}[kind]
    answer = await api.get(path(own, what), headers=headers(own))
    assert answer.json() == {"status": LIMITED}
    assert await asked(sandbox) == 0


async def rich(sandbox: Sandbox) -> SandboxCredential:
    """The token of an account with enough followers for an audience."""
    for credential in sandbox.credentials["graphapi"]:
        who = sandbox.universe.by_handle(credential.handle or "")
        if who is not None and who.followers >= 100:
            return credential
    raise AssertionError("no connected account has followers")


@pytest.mark.parametrize("version", ["v15.0", "v18.0"])
async def test_the_audience_is_answered_in_whole_numbers_and_nothing_is_stored(
    settings: Settings, sandbox: Sandbox, pg: asyncpg.Connection, version: str
) -> None:
    own = await rich(sandbox)
    await put_account(pg, "4711", own.handle or "")
    used = with_settings(settings, "providers", provider_sandbox_url=sandbox.url, graph_version=version)
    async with running_api(used) as api:
        answer = await api.get(path(own, "audienceinsights"), headers=headers(own))
    assert answer.json()["status"] == {"type": "SUCCESS", "message": "Profile Retrieved"}, answer.text
    profile = answer.json()["profile"]
    assert set(profile) == {"handle", "audience_data"}
    data: dict[str, Any] = profile["audience_data"]
    who = sandbox.universe.by_handle(own.handle or "")
    assert who is not None
    if version == "v18.0":
        people = sandbox.universe.number("follower_demographics", who.index, "Pune, Maharashtra")
        assert data["city"]["Pune, Maharashtra"] == people % (who.followers // 2 + 1)
    assert profile["handle"] == own.handle
    assert "IN" not in data["city"]
    assert all(type(count) is int for count in data["city"].values())
    assert set(data["gender_age"]) == {"male", "female", "uncategorized"}
    assert all(type(count) is int for ages in data["gender_age"].values() for count in ages.values())
    assert data["gender_age"]["female"]["25-34"] >= 0
    for table in ("instagram_profile_insights", "profile_log", "event_outbox"):
        assert await pg.fetchval(f"select count(*) from {table}") == 0


@pytest.mark.parametrize(
    ("audience", "shown"),
    [
        (Audience(city={"Pune": 1.5}), ({"Pune": 1}, {"male": {}, "female": {}, "uncategorized": {}})),
        (
            Audience(country={"IN": 3}, gender_age={"F.25-34": 2.5}),
            ({}, {"male": {}, "female": {"25-34": 2}, "uncategorized": {}}),
        ),
        (Audience(city={}, gender_age={}, country={"IN": 3}), None),
        (Audience(), None),
    ],
)
async def test_a_part_of_an_audience_is_answered_and_none_at_all_is_an_error(
    api: httpx2.AsyncClient,
    pg: asyncpg.Connection,
    own: SandboxCredential,
    monkeypatch: pytest.MonkeyPatch,
    audience: Audience,
    shown: tuple[dict[str, int], dict[str, dict[str, int]]] | None,
) -> None:
    async def fetch(*_: object, handle: str) -> SimpleNamespace:
        assert handle == own.handle
        return SimpleNamespace(value=audience)

    monkeypatch.setattr("instagram.owner_views.crawler_of", lambda _: SimpleNamespace(fetch=fetch))
    await store(api, own)
    await put_account(pg, "4711", own.handle or "")
    answer = (await api.get(path(own, "audienceinsights"), headers=headers(own))).json()
    if shown is None:
        assert (answer["status"]["code"], answer["status"]["message"][:7]) == (404, "Error: ")
    else:
        assert answer["profile"]["audience_data"] == {"city": shown[0], "gender_age": shown[1]}


async def test_the_audience_of_an_account_that_is_not_stored_is_not_asked_for(
    api: httpx2.AsyncClient, sandbox: Sandbox, own: SandboxCredential
) -> None:
    answer = (await api.get(path(own, "audienceinsights"), headers=headers(own))).json()["status"]
    assert (answer["code"], answer["message"][:7]) == (404, "Error: ")
    assert await asked(sandbox) == 0


async def test_a_token_that_is_refused_gives_no_audience(
    api: httpx2.AsyncClient, sandbox: Sandbox, pg: asyncpg.Connection
) -> None:
    own = await rich(sandbox)
    await put_account(pg, "4711", own.handle or "")
    answer = await api.get(path(own, "audienceinsights"), headers=headers(own, OTHER))
    assert answer.json()["status"] == {"type": "ERROR", "message": "Token is invalid", "code": 190}


async def test_too_few_followers_have_no_audience(
    api: httpx2.AsyncClient, own: SandboxCredential, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Reader:
        async def adopt(self, *_: object) -> None:
            pass

        async def audience(self, *_: object) -> None:
            raise ChainFailed("f", (Outcome("graphapi", InsufficientData("fewer than 100 followers")),))

    monkeypatch.setattr("core.api.owners.resolve", lambda _: Reader())
    status = (await api.get(path(own, "audienceinsights"), headers=headers(own))).json()["status"]
    assert (status["code"], status["message"][:7]) == (404, "Error: ")


async def test_other_platforms_have_no_insights(api: httpx2.AsyncClient, own: SandboxCredential) -> None:
    for what in ("insights", "audienceinsights"):
        answer = await api.get(f"/profiles/YOUTUBE/byhandle/x/{what}", headers=headers(own))
        assert answer.json()["status"] == {"type": "ERROR", "message": "Platform not supported - YOUTUBE", "code": 400}


def check(credential: SandboxCredential, **more: str) -> dict[str, str]:
    return {
        "access_token": credential.credentials["token"],
        "social_user_id": credential.credentials["user_id"],
        "handle": credential.handle or "",
        "platform": "INSTAGRAM",
        "type": "graphapi",
        **more,
    }


@pytest.fixture(params=["app", "itself"])
async def checking(
    settings: Settings, sandbox: Sandbox, request: pytest.FixtureRequest
) -> AsyncIterator[httpx2.AsyncClient]:
    """Checks by the app, and checks in which a token vouches for itself."""
    values: dict[str, Any] = {"provider_sandbox_url": sandbox.url}
    if request.param == "app":
        values |= {"graph_app_id": "123", "graph_app_secret": SecretStr("app-secret")}
    async with running_api(with_settings(settings, "providers", **values)) as client:
        yield client


async def test_a_good_token_is_valid_however_it_is_sent(
    checking: httpx2.AsyncClient, own: SandboxCredential, redis_url: str, pg: asyncpg.Connection
) -> None:
    wanted = {"status": {"type": "SUCCESS", "message": "Token is valid"}, "code": 200}
    everything = check(own)
    rest = {name: everything[name] for name in ("handle", "platform", "type")}
    assert (await checking.get("/token/validate", params=everything)).json() == wanted
    flush(redis_url)
    for query in (rest, check(own, access_token=OTHER, social_user_id="1")):
        assert (await checking.get("/token/validate", params=query, headers=headers(own))).json() == wanted
        flush(redis_url)
    assert (await checking.post("/token/validate", content=json.dumps(everything))).json() == wanted
    assert await pg.fetchval("select count(*) from credential") == 0


async def test_tokens_checked_at_once_get_each_its_own_verdict(
    checking: httpx2.AsyncClient, own: SandboxCredential
) -> None:
    good, bad = await asyncio.gather(
        checking.get("/token/validate", params=check(own)),
        checking.get("/token/validate", params=check(own, access_token=OTHER, handle="another")),
    )
    assert (good.json()["status"]["type"], bad.json()["status"]["code"]) == ("SUCCESS", 190)


async def test_a_token_that_nobody_issued_is_invalid(checking: httpx2.AsyncClient, own: SandboxCredential) -> None:
    answer = await checking.get("/token/validate", params=check(own, access_token=OTHER))
    assert answer.json() == {"status": {"type": "ERROR", "message": "Token is invalid", "code": 190}}


@pytest.mark.parametrize(
    ("state", "said"), [("scopeless", (190, "Token is invalid")), ("expired", (500, "Data access expired"))]
)
@pytest.mark.parametrize("mode", ["compatible", "strict"])
async def test_what_is_wrong_with_a_token_decides_the_code(
    settings: Settings, sandbox: Sandbox, own: SandboxCredential, mode: str, state: str, said: tuple[int, str]
) -> None:
    code, message = said
    app = {"graph_app_id": "123", "graph_app_secret": SecretStr("app-secret")}
    used = with_settings(settings, "providers", provider_sandbox_url=sandbox.url, **app)
    token = f"{own.credentials['token']}:{state}"
    async with running_api(with_settings(used, "api", http_status_mode=mode)) as client:
        answer = await client.get("/token/validate", params=check(own, access_token=token))
    assert answer.json() == {"status": {"type": "ERROR", "message": message, "code": code}}
    assert answer.status_code == (200 if mode == "compatible" else {190: 401}.get(code, code))


async def test_a_check_that_cannot_be_made_is_no_verdict(
    checking: httpx2.AsyncClient, sandbox: Sandbox, own: SandboxCredential
) -> None:
    await sandbox.fault("graphapi", "server_error")
    status = (await checking.get("/token/validate", params=check(own))).json()["status"]
    assert (status["code"], own.credentials["token"] in status["message"]) == (503, False)


async def test_checks_of_other_platforms_and_sources_are_refused(
    api: httpx2.AsyncClient, own: SandboxCredential
) -> None:
    other = (await api.get("/token/validate", params=check(own, platform="YOUTUBE"))).json()["status"]
    assert (other["code"], other["message"]) == (400, "Platform not supported - YOUTUBE")
    for refused in (
        await api.get("/token/validate", params=check(own, type="lama")),
        await api.post("/token/validate", json=check(own, type="lama", handle="another")),
    ):
        place = "body" if refused.request.method == "POST" else "query"
        assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, [place, "type"])
    for name in check(own):
        left = {key: value for key, value in check(own).items() if key != name}
        answer = await api.get("/token/validate", params=left)
        assert answer.status_code == 422
        assert any(name in entry["loc"] for entry in answer.json()["detail"]), name
        assert own.credentials["token"] not in answer.text
