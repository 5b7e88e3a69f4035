"""POST /tokens stores credentials sealed."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx2
import pytest

from config import Settings
from tests.support.api import running_api

SECRET = "EAABsbCS1iHgBA-not-a-real-token"
LONG = random.Random(7).randbytes(9000).hex()
GRAPH = {"source": "graphapi", "handle": "NatGeo", "credentials": {"token": SECRET, "user_id": "17841400573960012"}}


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with running_api(settings) as client:
        yield client


async def test_a_token_is_stored_sealed(api: httpx2.AsyncClient, pg: asyncpg.Connection) -> None:
    answer = await api.post("/tokens", json=GRAPH)
    assert answer.status_code == 200
    assert answer.json() == {"status": {"type": "SUCCESS", "message": "Inserted Successfully"}}
    row = await pg.fetchrow("select source, handle, enabled, credentials::text as sealed from credential")
    assert row is not None
    assert (row["source"], row["handle"], row["enabled"]) == ("graphapi", "natgeo", True)
    assert SECRET not in row["sealed"]


async def test_the_next_token_of_the_same_user_replaces_the_first(
    api: httpx2.AsyncClient, pg: asyncpg.Connection
) -> None:
    await api.post("/tokens", json=GRAPH)
    before = await pg.fetchval("select credentials::text from credential")
    await api.post("/tokens", json=GRAPH | {"credentials": {"token": SECRET + "-2", "user_id": "17841400573960012"}})
    assert await pg.fetchval("select count(*) from credential") == 1
    assert await pg.fetchval("select credentials::text from credential") != before


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({}, "body.source", "required"),
        ({"source": "graphapi"}, "body.credentials", "required"),
        ({"source": "graphapi", "credentials": {"token": SECRET}}, "body.credentials", "user_id"),
        ({"source": "graphapi", "credentials": {"token": [SECRET], "user_id": "1"}}, "body.credentials", "token"),
        ({"source": "myspace", "credentials": {"token": SECRET}}, "body.source", "myspace"),
        ({"source": "graphapi", "credentials": SECRET}, "body.credentials", "dictionary"),
        ({"source": "graphapi", "credentials": {"token": SECRET, "user_id": LONG}}, "body.credentials", "255"),
    ],
)
async def test_an_unusable_token_is_refused_with_what_is_missing_and_never_quoted(
    api: httpx2.AsyncClient, pg: asyncpg.Connection, body: dict[str, Any], field: str, said: str
) -> None:
    answer = await api.post("/tokens", json=body)
    assert answer.status_code == 422
    entry = answer.json()["detail"][0]
    assert ".".join(entry["loc"]) == field
    assert said in answer.json()["status"]["message"]
    assert SECRET not in answer.text
    assert await pg.fetchval("select count(*) from credential") == 0
