"""The chain over the real credential table: what an answer does to the row, and to the next process that picks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import cast

import asyncpg
import pytest

from core.crawler.crawler import Crawler
from core.crawler.errors import ChainFailed, NoSourceAvailable, ProviderError
from core.crawler.provider import Asked
from core.metrics import COUNTS, CREDENTIAL_REQUESTS
from credentials.manager import CredentialManager
from credentials.store import UNTIL_REPLACED
from credentials.vault import Vault, new_key
from tests.support.crawling import FIND, Sources, data, error, provider, serving, table_of
from utils.db import open_database
from utils.rate_limit import By, Limit, RateLimiter, redis_client
from utils.request import HttpClient, HttpOptions

RING = new_key("test")


@pytest.fixture
async def server() -> AsyncIterator[Sources]:
    async with serving() as sources:
        yield sources


@pytest.fixture
async def crawler(server: Sources, clean_db: str, pgbouncer_url: str, redis_url: str) -> AsyncIterator[Crawler]:
    database, http, limiter = (
        open_database(pgbouncer_url),
        HttpClient(HttpOptions()),
        RateLimiter(redis_client(redis_url)),
    )
    manager = CredentialManager(database.sessions, Vault.from_ring(RING))
    for source in ("lama", "shopify"):
        for number in (1, 2):
            await manager.insert_creds(
                source,
                {"x-access-key": f"key-{number}", "x-shopify-access-token": f"key-{number}"}
                | {"x-key": f"{source}-{number}"},
            )
    providers = [provider(source, server.url) for source in ("lama", "shopify")]
    yield Crawler(table_of(*providers), manager, http, limiter, max_wait_s=0.0)
    await http.aclose()
    await limiter.aclose()
    await database.dispose()


async def test_rate_limited_keys_rest_in_the_table_and_the_task_learns_until_when(
    crawler: Crawler, server: Sources, pg: asyncpg.Connection
) -> None:
    server.say("lama", error("RateLimited"))
    server.say("shopify", error("RateLimited", Retry_After="30"))
    with pytest.raises(ChainFailed) as failure:
        await crawler.fetch(FIND, Asked())
    assert failure.value.retry_after_s is not None
    assert 20 < failure.value.retry_after_s <= 30
    rows = await pg.fetch(
        "select source, rest_count, extract(epoch from disabled_till - now())::int as left_s from credential"
    )
    assert {(row["source"], row["rest_count"]) for row in rows} == {("lama", 1), ("shopify", 1)}
    assert all((500 < row["left_s"] <= 600) == (row["source"] == "lama") for row in rows)
    calls = len(server.calls)
    with pytest.raises(ChainFailed):
        await crawler.fetch(FIND, Asked())
    assert len(server.calls) == calls


async def test_a_refused_key_is_out_until_replaced_and_another_answers(
    crawler: Crawler, server: Sources, pg: asyncpg.Connection
) -> None:
    server.say("lama:1", error("CredentialInvalid", "revoked"))
    server.say("lama", data("found"))
    while not await pg.fetchval("select count(*) from credential where disabled_till = $1", UNTIL_REPLACED):
        assert (await crawler.fetch(FIND, Asked())).source == "lama"
    row = await pg.fetchrow("select id, enabled, last_error from credential where disabled_till is not null")
    assert row is not None
    assert (row["id"], row["enabled"], row["last_error"]) == (1, True, "(401, 'revoked')")


async def test_answers_are_counted_for_each_key_and_for_the_accounts_together(
    crawler: Crawler, server: Sources, pg: asyncpg.Connection
) -> None:
    server.say("lama:1", error("CredentialInvalid", "revoked"))
    server.say("lama", data("found"))
    COUNTS.take()
    while not await pg.fetchval("select count(*) from credential where disabled_till = $1", UNTIL_REPLACED):
        await crawler.fetch(FIND, Asked())
    counted = {tuple(json.loads(labels)): n for name, labels, n in COUNTS.take() if name == CREDENTIAL_REQUESTS.name}
    assert counted.pop(("lama", "1", "auth")) == 1
    assert counted.keys() == {("lama", "2", "ok")}
    await pg.execute("update credential set handle = 'creator' where source = 'lama'")
    cast(CredentialManager, crawler._credentials)._drop("lama")
    await crawler.fetch(FIND, Asked())
    (labels,) = [labels for name, labels, _ in COUNTS.take() if name == CREDENTIAL_REQUESTS.name]
    assert json.loads(labels) == ["lama", "account", "ok"]


@pytest.mark.parametrize(
    "change",
    ["disabled_till = now() + interval '1 hour'", "enabled = false", "data_access_expired = true"],
)
async def test_a_credential_that_was_put_away_while_a_fetch_waited_for_its_window_is_not_used(
    crawler: Crawler, server: Sources, pg: asyncpg.Connection, change: str
) -> None:
    server.say("lama", data("found"))
    await pg.execute("delete from credential where source = 'shopify' or id = 2")
    crawler.table.providers["lama"].limits = (Limit(1, 1.0, By.CREDENTIAL),)
    await crawler.fetch(FIND, Asked(), source="lama")
    waiting = asyncio.create_task(crawler.fetch(FIND, Asked(), source="lama", max_wait_s=5.0))
    await asyncio.sleep(0.3)
    await pg.execute(f"update credential set {change} where id = 1")  # as another process does at a 429
    with pytest.raises(ProviderError) as failure:
        await waiting
    assert server.calls == [("lama", "1")]
    assert isinstance(failure.value, ChainFailed if "till" in change else NoSourceAvailable)
