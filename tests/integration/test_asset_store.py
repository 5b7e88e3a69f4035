"""Asset rows: looked up and recorded in batches, through the pooler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest

from core.assets.rows import AssetKey, NewAsset, StoredAsset
from core.assets.store import AssetStore
from core.client.upload_assets import StoreUnavailable
from core.crawler.errors import Unavailable
from core.flows.registry import build_registry
from tests.support.postgres import SOMEONE_WAITS
from utils.db import POOLED_NAME

BIGGEST = 2**64 - 1
PICTURE = NewAsset(
    key=AssetKey("787132", "PROFILE", "IMAGE", "INSTAGRAM"),
    asset_url="assets/profiles/instagram/787132.jpg",
    original_url="https://scontent.cdninstagram.com/v/t51/1_n.jpg?oh=00_A&oe=6A2F427E",
    hash=BIGGEST,
    etag='"5e9-1"',
    last_modified="Mon, 01 Jun 2026 10:00:00 GMT",
    content_type="image/jpeg",
    size_bytes=50_123,
    sha256="5f" * 32,
    seen=None,
)
OTHER = replace(PICTURE, hash=3, etag='"other"', sha256="07" * 32)


@pytest.fixture
async def store(pg: asyncpg.Connection, pgbouncer_url: str) -> AsyncIterator[AssetStore]:
    opened = AssetStore(pgbouncer_url, build_registry())
    yield opened
    await opened.aclose()


async def test_a_recorded_copy_is_found_again_with_its_hash_exact(store: AssetStore) -> None:
    assert await store.find(PICTURE.key) is None
    assert await store.record(PICTURE) is None
    found = await store.find(PICTURE.key)
    assert found is not None
    assert replace(found, version="") == StoredAsset(
        PICTURE.asset_url, PICTURE.original_url, BIGGEST, PICTURE.etag, PICTURE.last_modified, PICTURE.sha256, ""
    )


async def test_the_view_shows_what_was_recorded_under_the_names_neighbours_read(
    store: AssetStore, pg: asyncpg.Connection
) -> None:
    await store.record(PICTURE)
    row = dict(await pg.fetchrow("select * from asset_log") or {})
    assert {type(row.pop("id")), type(row.pop("created_at")), type(row.pop("updated_at"))} == {int, datetime}
    assert row == {
        "entity_id": "787132", "entity_type": "PROFILE", "platform": "INSTAGRAM", "asset_type": "IMAGE",
        "asset_url": PICTURE.asset_url, "original_url": PICTURE.original_url,
    }  # fmt: skip


async def test_a_new_extension_gives_the_old_name_once_and_keeps_one_row(
    store: AssetStore, pg: asyncpg.Connection
) -> None:
    await store.record(PICTURE)
    webp = replace(PICTURE, asset_url="assets/profiles/instagram/787132.webp", hash=1, content_type="image/webp")
    assert await store.record(webp) == PICTURE.asset_url
    assert await store.record(webp) is None
    assert await pg.fetchval("select array_agg(asset_url) from asset") == [webp.asset_url]


async def test_an_unchanged_file_keeps_its_type_and_size_and_takes_the_new_hash(
    store: AssetStore, pg: asyncpg.Connection
) -> None:
    await store.record(PICTURE)
    await pg.execute("update asset set updated_at = '2020-01-01', created_at = '2020-01-01'")
    await store.record(replace(PICTURE, hash=2, content_type=None, size_bytes=None))
    row = await pg.fetchrow("select hash, content_type, bytes, updated_at, created_at from asset")
    assert row is not None
    assert (row["hash"], row["content_type"], row["bytes"]) == (2, "image/jpeg", 50_123)
    assert row["updated_at"] > datetime(2026, 1, 1, tzinfo=UTC) > row["created_at"]


async def test_assets_that_share_an_id_do_not_touch_each_other(store: AssetStore) -> None:
    others = [
        replace(PICTURE, key=PICTURE.key._replace(**change), asset_url=str(number))
        for number, change in enumerate(
            ({}, {"entity_type": "POST"}, {"asset_type": "VIDEO"}, {"platform": "YOUTUBE"}, {"entity_id": "787133"})
        )
    ]
    assert await asyncio.gather(*map(store.record, others)) == [None] * 5
    found = await asyncio.gather(*(store.find(one.key) for one in others))
    assert [one and one.asset_url for one in found] == ["0", "1", "2", "3", "4"]


async def test_copies_of_one_asset_in_one_batch_follow_one_another(store: AssetStore) -> None:
    versions = [replace(PICTURE, asset_url=name, hash=number) for number, name in enumerate("abcb")]
    assert await asyncio.gather(*map(store.record, versions)) == [None, "a", "b", "c"]
    last = await store.find(PICTURE.key)
    assert last is not None
    assert (last.asset_url, last.hash) == ("b", 3)


async def test_many_finished_copies_are_few_statements(store: AssetStore, pg: asyncpg.Connection) -> None:
    await pg.execute("create table seen (n int)")
    await pg.execute("""
        create function see() returns trigger language plpgsql as $$ begin insert into seen select count(*) from fresh;
        return null; end $$""")
    await pg.execute("""
        create trigger see after insert on asset referencing new table as fresh
        for each statement execute function see()""")
    try:
        some = [replace(PICTURE, key=PICTURE.key._replace(entity_id=str(number))) for number in range(150)]
        await asyncio.gather(*map(store.record, some))
        sizes = [row["n"] for row in await pg.fetch("select n from seen")]
    finally:
        await pg.execute("drop trigger see on asset; drop function see; drop table seen")
    assert sum(sizes) == 150
    assert len(sizes) <= 2


async def test_a_row_that_the_database_refuses_fails_alone(store: AssetStore) -> None:
    good = [replace(PICTURE, key=PICTURE.key._replace(entity_id=str(number))) for number in range(3)]
    bad = replace(PICTURE, etag="half of a pair: \ud800")
    results = await asyncio.gather(*map(store.record, [good[0], bad, *good[1:]]), return_exceptions=True)
    assert [results[0], *results[2:]] == [None] * 3
    assert isinstance(results[1], Exception)
    assert await store.find(PICTURE.key) is None


async def test_processes_that_record_the_same_assets_never_deadlock(pg: asyncpg.Connection, pgbouncer_url: str) -> None:
    stores = [AssetStore(pgbouncer_url, build_registry()) for _ in range(4)]
    some = [replace(PICTURE, key=PICTURE.key._replace(entity_id=str(number))) for number in range(100)]
    before = await pg.fetchval("select deadlocks from pg_stat_database where datname = current_database()")
    for turn in range(10):
        orders = [some[turn * 10 :] + some[: turn * 10], some[::-1], some[1::2] + some[::2], some]
        await asyncio.gather(
            *(store.record(asset) for store, order in zip(stores, orders, strict=True) for asset in order)
        )
    await asyncio.gather(*(store.aclose() for store in stores))
    await pg.execute("select pg_stat_clear_snapshot()")
    assert await pg.fetchval("select deadlocks from pg_stat_database where datname = current_database()") == before
    assert await pg.fetchval("select count(*) from asset") == 100


async def test_a_lost_connection_costs_nothing(store: AssetStore, pg: asyncpg.Connection) -> None:
    await store.record(PICTURE)
    lost = await pg.fetchval(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity"
        " where datname = current_database() and application_name = $1",
        POOLED_NAME,
    )
    assert lost > 0
    assert await store.find(PICTURE.key) is not None


async def test_a_database_that_is_away_is_asked_once_for_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.assets.store.PATIENCE_S", -1.0)

    connections: list[int] = []

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        store = AssetStore(f"postgresql://beat@127.0.0.1:{port}/beat?sslmode=disable", build_registry())
        ends = await asyncio.gather(*(store.find(PICTURE.key) for _ in range(5)), return_exceptions=True)
    assert [type(end) for end in ends] == [Unavailable] * 5
    assert len(connections) == 1


async def test_a_copy_whose_object_is_gone_is_forgotten_if_the_row_still_names_it(store: AssetStore) -> None:
    await store.record(PICTURE)
    await store.void(PICTURE.key, "assets/profiles/instagram/787132.webp")
    assert (await known(store)).asset_url == PICTURE.asset_url
    await store.void(PICTURE.key, PICTURE.asset_url)
    gone = await known(store)
    assert (gone.asset_url, gone.hash, gone.etag, gone.sha256) == ("", None, None, None)
    await store.record(replace(PICTURE, seen=gone.version))
    assert (await known(store)).asset_url == PICTURE.asset_url


# -- two tasks for one asset -------------------------------------------------------------------------------------------


async def known(store: AssetStore) -> StoredAsset:
    found = await store.find(PICTURE.key)
    assert found is not None
    return found


async def refused(recording: Awaitable[str | None]) -> None:
    with pytest.raises(StoreUnavailable, match="OVERTAKEN"):
        await recording


async def test_a_copy_is_recorded_over_the_row_that_was_looked_up(store: AssetStore) -> None:
    await store.record(replace(PICTURE, seen=""))
    first = await known(store)
    await store.record(replace(OTHER, seen=first.version))
    second = await known(store)
    assert (second.sha256, second.version != first.version) == (OTHER.sha256, True)


@pytest.mark.parametrize("present", [False, True])
async def test_a_copy_is_not_recorded_over_a_row_written_since(
    store: AssetStore, pg: asyncpg.Connection, present: bool
) -> None:
    if present:
        await store.record(PICTURE)
    seen = (await known(store)).version if present else ""
    webp = replace(OTHER, asset_url="assets/profiles/instagram/787132.webp", original_url="https://i.ytimg.com/b")
    await store.record(replace(webp, seen=seen))
    other = replace(PICTURE, sha256="11" * 32, seen=seen)
    await refused(store.record(other))
    row = dict(await pg.fetchrow("select * from asset") or {})
    assert (row["asset_url"], row["original_url"]) == (webp.asset_url, webp.original_url)
    assert {row[name] for name in ("hash", "etag", "last_modified", "bytes", "sha256")} == {None}
    await store.record(replace(other, seen=(await known(store)).version))
    assert (await known(store)).sha256 == other.sha256


async def test_only_those_of_a_batch_that_crossed_are_refused(store: AssetStore) -> None:
    some = [replace(PICTURE, key=PICTURE.key._replace(entity_id=str(number)), seen="") for number in range(6)]
    await asyncio.gather(*map(store.record, some[::2]))
    again = (store.record(replace(one, sha256="11" * 32)) for one in some)
    ended = await asyncio.gather(*again, return_exceptions=True)
    assert [type(one) for one in ended] == [StoreUnavailable, type(None)] * 3


async def test_of_two_that_saw_the_same_in_one_batch_the_second_is_refused(store: AssetStore) -> None:
    ended = await asyncio.gather(
        *(store.record(replace(one, seen="")) for one in (PICTURE, OTHER, OTHER)), return_exceptions=True
    )
    assert [type(one) for one in ended] == [type(None), StoreUnavailable, StoreUnavailable]


@pytest.mark.parametrize("present", [False, True])
@pytest.mark.parametrize("same", [False, True])
async def test_a_row_that_is_being_written_is_waited_for_and_looked_at_then(
    store: AssetStore, pg: asyncpg.Connection, present: bool, same: bool
) -> None:
    """The statement's snapshot still shows the row of before, or none."""
    if present:
        await store.record(PICTURE)
    seen = (await known(store)).version if present else ""
    async with pg.transaction():
        if present:
            await pg.execute("update asset set sha256 = $1, etag = 'x'", OTHER.sha256)
        else:
            insert = "insert into asset (entity_id, entity_type, asset_type, platform, asset_url, sha256) values"
            await pg.execute(f"{insert} ($1, $2, $3, $4, $5, $6)", *PICTURE.key, PICTURE.asset_url, OTHER.sha256)
        sha256 = OTHER.sha256 if same else "11" * 32
        recording = asyncio.create_task(store.record(replace(PICTURE, sha256=sha256, seen=seen)))
        while not await pg.fetchval(SOMEONE_WAITS):
            await pg.execute("select pg_stat_clear_snapshot()")
    if same:
        assert await recording is None
    else:
        await refused(recording)
    assert (await known(store)).hash == (PICTURE.hash if same else None)


async def test_the_functions_of_before_serve_uploaders_that_still_run(
    store: AssetStore, pg: asyncpg.Connection
) -> None:
    """They do not know digests: that of the file they replace must not stay."""
    record = f"select * from asset_record({', '.join(f'${number}' for number in range(1, 12))})"
    find = "select * from asset_find($1, $2, $3, $4)"
    one, url = [[part] for part in PICTURE.key], "https://i.ytimg.com/b"
    rest = ([url], ["5"], ['"e"'], [None], ["image/png"], [9])
    assert await pg.fetch(record, *one, ["a.png"], *rest) == []
    seen = (await known(store)).version
    await store.record(replace(PICTURE, seen=seen))
    assert [tuple(row) for row in await pg.fetch(record, *one, ["a.png"], *rest)] == [(1, PICTURE.asset_url)]
    assert [tuple(row) for row in await pg.fetch(find, *one)] == [(1, "a.png", url, "5", '"e"', None)]
    assert (await known(store)).sha256 is None
    await refused(store.record(replace(PICTURE, seen=seen)))
    await store.void(PICTURE.key, "a.png")
    assert await pg.fetch(find, *one) == []
