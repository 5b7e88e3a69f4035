"""What the asset flows do, from the sandbox's CDN to the bucket and the row."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import md5, sha256
from typing import Any

import asyncpg
import pytest

from core.assets.flows import asset_upload_flow, asset_upload_flow_stories
from core.assets.rows import NewAsset
from core.assets.store import AssetStore
from core.assets.uploader import Uploader
from core.client.upload_assets import (
    MediaClient,
    MediaRefused,
    MediaRequest,
    StoreRefused,
    StoreUnavailable,
    Uploaded,
    UrlExpired,
)
from core.flows.registry import build_registry
from core.models.params import AssetParams
from core.runtime import FlowContext
from credentials.runtime import build_runtime
from tests.sandbox.dialects.urls import avatar_url, image_url, video_url
from tests.sandbox.media.bodies import file_of
from tests.support.media import environment
from tests.support.raw_server import always, http, raw_server
from tests.support.s3 import S3Access
from tests.support.sandbox import Sandbox
from tests.support.uploads import asset, asset_env, objects

PK = 3_350_000_000_000_000_001
KEY = "assets/posts/instagram/Cx1.jpg"


@pytest.fixture
def _empty_bucket(s3: S3Access) -> Iterator[None]:
    yield
    client = s3.client()
    for key in objects(s3):
        client.delete_object(Bucket=s3.bucket, Key=key)
    client.close()


@pytest.fixture
async def ctx(
    program_env: dict[str, str], s3: S3Access, sandbox: Sandbox, _empty_bucket: None
) -> AsyncIterator[FlowContext]:
    with environment(asset_env(program_env, s3, sandbox.url)) as settings:
        runtime = build_runtime(settings)
        yield FlowContext(runtime, None, datetime.now(UTC))
        await runtime.aclose()


def dead(pk: int) -> str:
    return image_url(pk, expires=int(time.time()) - 5)


async def asked(sandbox: Sandbox) -> int:
    return int((await sandbox.stats())["by_source"].get("cdn", 0))


async def row_of(pg: asyncpg.Connection, entity_id: str = "Cx1") -> dict[str, Any]:
    return dict(await pg.fetchrow("select * from asset where entity_id = $1", entity_id) or {})


def digest(body: bytes) -> str:
    return sha256(body).hexdigest()


async def refreshes(pg: asyncpg.Connection) -> list[tuple[str, str, str]]:
    rows = await pg.fetch("select flow, platform, params::text as params from scrape_request_log order by id")
    return [(row["flow"], row["platform"], row["params"]) for row in rows]


async def test_a_picture_is_copied_whole_and_recorded_as_it_came(
    ctx: FlowContext, pg: asyncpg.Connection, s3: S3Access
) -> None:
    await asset_upload_flow(asset("Cx1", image_url(PK), 2**64 - 1, platform="instagram"), ctx)
    body = file_of(str(PK), "jpg")
    assert s3.client().get_object(Bucket=s3.bucket, Key=KEY)["Body"].read() == body
    row = await row_of(pg)
    assert (row["asset_url"], row["original_url"], row["hash"]) == (KEY, image_url(PK), 2**64 - 1)
    assert (row["entity_type"], row["asset_type"], row["platform"]) == ("POST", "IMAGE", "INSTAGRAM")
    assert (row["content_type"], row["bytes"], row["sha256"]) == ("image/jpeg", len(body), digest(body))
    assert row["etag"]
    assert row["last_modified"]


async def test_a_video_of_the_same_post_is_an_asset_of_its_own(
    ctx: FlowContext, pg: asyncpg.Connection, s3: S3Access
) -> None:
    await asset_upload_flow(asset("Cx1", image_url(PK), 1), ctx)
    await asset_upload_flow_stories(asset("Cx1", video_url(PK), 2, asset_type="VIDEO"), ctx)
    assert set(objects(s3)) == {KEY, "assets/posts/instagram/Cx1.mp4"}
    assert await pg.fetchval("select count(*) from asset where entity_id = 'Cx1'") == 2


async def test_a_hash_that_was_copied_before_is_neither_fetched_nor_put_again(
    ctx: FlowContext, pg: asyncpg.Connection, s3: S3Access, sandbox: Sandbox
) -> None:
    params = asset("Cx1", image_url(PK), 2**63 + 1)
    await asset_upload_flow(params, ctx)
    before, requests = await row_of(pg), await asked(sandbox)
    s3.client().delete_object(Bucket=s3.bucket, Key=KEY)
    await asset_upload_flow(params, ctx)
    assert await asked(sandbox) == requests
    assert (await row_of(pg), objects(s3)) == (before, {})


async def test_a_new_signature_of_the_same_file_is_asked_for_with_what_is_known_of_it(
    ctx: FlowContext, pg: asyncpg.Connection, s3: S3Access
) -> None:
    await asset_upload_flow(asset("Cx1", image_url(PK), 7), ctx)
    before = await row_of(pg)
    s3.client().delete_object(Bucket=s3.bucket, Key=KEY)
    again = image_url(PK, expires=int(time.time()) + 7200)
    await asset_upload_flow(asset("Cx1", again, 8), ctx)
    assert objects(s3) == {}  # the CDN said that nothing has changed: nothing was put
    now = await row_of(pg)
    assert (now.pop("hash"), now.pop("original_url")) == (8, again)
    assert now.pop("updated_at") > before["updated_at"]
    assert now["sha256"] == digest(file_of(str(PK), "jpg"))
    assert now.items() <= before.items()


async def test_a_cdn_is_told_the_tag_and_the_date_that_it_gave(
    ctx: FlowContext, pg: asyncpg.Connection, program_env: dict[str, str], s3: S3Access
) -> None:
    given = {"ETag": '"e"', "Last_Modified": "Thu, 09 May 2024 10:00:00 GMT"}
    answer = http(200, file_of("a", "jpg"), **given)
    async with raw_server(always(answer)) as cdn:
        with environment(asset_env(program_env, s3, cdn.url)) as settings:
            runtime = build_runtime(settings)
            for number in range(2):
                params = asset("Cx1", f"https://scontent.cdninstagram.com/a.jpg?oh={number}", number)
                await asset_upload_flow(params, FlowContext(runtime, None, datetime.now(UTC)))
            await runtime.aclose()
    told = [[seen.headers.get(name) for name in ("if-none-match", "if-modified-since")] for seen in cdn.seen]
    assert told == [[None, None], list(given.values())]


async def test_what_is_known_of_one_file_is_not_said_of_another(
    ctx: FlowContext, pg: asyncpg.Connection, s3: S3Access
) -> None:
    """A CDN would believe a date, or a tag that two files happen to share, and the old picture would stay."""
    await asset_upload_flow(asset("Cx1", image_url(PK), 7), ctx)
    tag = '"' + md5(file_of(str(PK + 1), "jpg"), usedforsecurity=False).hexdigest() + '"'
    await pg.execute("update asset set etag = $1", tag)  # that of the other file, as the CDN makes them
    await asset_upload_flow(asset("Cx1", image_url(PK + 1), 8), ctx)
    assert s3.client().get_object(Bucket=s3.bucket, Key=KEY)["Body"].read() == file_of(str(PK + 1), "jpg")


async def test_what_is_known_of_one_size_is_not_said_of_another(
    ctx: FlowContext, pg: asyncpg.Connection, s3: S3Access
) -> None:
    """A CDN gives all sizes of a picture the same date, and may give them the same tag."""
    await asset_upload_flow(asset("Cx1", image_url(PK, 150, 150), 7), ctx)
    tag = '"' + md5(file_of(str(PK), "jpg", 640), usedforsecurity=False).hexdigest() + '"'
    await pg.execute("update asset set etag = $1", tag)
    await asset_upload_flow(asset("Cx1", image_url(PK, 640, 640), 8), ctx)
    assert s3.client().get_object(Bucket=s3.bucket, Key=KEY)["Body"].read() == file_of(str(PK), "jpg", 640)


async def test_what_is_known_of_a_file_is_not_said_to_somebody_else(
    ctx: FlowContext, pg: asyncpg.Connection, s3: S3Access
) -> None:
    """A file of the same name at another place may be older."""
    await asset_upload_flow(asset("Cx1", "https://i.ytimg.com/vi/a/default.jpg", 7), ctx)
    s3.client().delete_object(Bucket=s3.bucket, Key=KEY)
    await asset_upload_flow(asset("Cx1", "https://i9.ytimg.com/vi/a/default.jpg", 8), ctx)
    assert objects(s3) == {}  # the same CDN said that nothing has changed
    await asset_upload_flow(asset("Cx1", "https://yt3.ggpht.com/vi/a/default.jpg", 9), ctx)
    assert set(objects(s3)) == {KEY}


async def test_an_object_of_another_extension_is_deleted_once_the_row_names_the_new_one(
    ctx: FlowContext, pg: asyncpg.Connection, s3: S3Access
) -> None:
    await asset_upload_flow(asset("Cx1", image_url(PK), 7), ctx)
    await asset_upload_flow(asset("Cx1", image_url(PK, form="webp"), 8), ctx)
    new = "assets/posts/instagram/Cx1.webp"
    row = await row_of(pg)
    assert (row["asset_url"], row["content_type"], row["hash"]) == (new, "image/webp", 8)
    assert set(objects(s3)) == {new}


async def test_an_object_is_deleted_although_the_answer_that_named_it_was_lost(
    ctx: FlowContext, pg: asyncpg.Connection, s3: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection broke after the record was committed: recorded again, the row has the new name already."""
    await asset_upload_flow(asset("Cx1", image_url(PK), 7), ctx)
    record = AssetStore.record

    async def twice(store: AssetStore, row: NewAsset) -> str | None:
        await record(store, row)
        return await record(store, row)

    monkeypatch.setattr(AssetStore, "record", twice)
    await asset_upload_flow(asset("Cx1", image_url(PK, form="webp"), 8), ctx)
    assert set(objects(s3)) == {"assets/posts/instagram/Cx1.webp"}


async def test_an_object_that_cannot_be_deleted_costs_no_task(
    ctx: FlowContext, pg: asyncpg.Connection, s3: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_client: MediaClient, key: str) -> None:
        raise StoreRefused("STORE_REFUSED", f"DELETE: 403 {key}")

    await asset_upload_flow(asset("Cx1", image_url(PK), 7), ctx)
    monkeypatch.setattr(MediaClient, "delete", refuse)
    await asset_upload_flow(asset("Cx1", image_url(PK, form="webp"), 8), ctx)
    webp = "assets/posts/instagram/Cx1.webp"
    assert ((await row_of(pg))["asset_url"], set(objects(s3))) == (webp, {KEY, webp})


async def test_a_row_without_an_object_has_none_deleted(
    ctx: FlowContext, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty key is the bucket itself."""
    await asset_upload_flow(asset("Cx1", image_url(PK), 7), ctx)
    await pg.execute("update asset set asset_url = ''")
    deleted: list[str] = []

    async def delete(_client: MediaClient, key: str) -> None:
        deleted.append(key)

    monkeypatch.setattr(MediaClient, "delete", delete)
    await asset_upload_flow(asset("Cx1", image_url(PK), 7), ctx)
    assert ((await row_of(pg))["asset_url"], deleted) == (KEY, [])


async def test_of_two_tasks_that_replace_each_others_object_one_is_left(
    ctx: FlowContext, pg: asyncpg.Connection, s3: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The webp is recorded over the old picture, and then, before that is deleted, a new picture over the webp."""
    await asset_upload_flow(asset("Cx1", image_url(PK), 7), ctx)
    record = AssetStore.record

    async def in_turn(store: AssetStore, row: NewAsset) -> str | None:
        replaced = await record(store, row)
        if row.asset_url != KEY:
            await asset_upload_flow(asset("Cx1", image_url(PK + 1), 8), ctx)
        return replaced

    monkeypatch.setattr(AssetStore, "record", in_turn)
    await asset_upload_flow(asset("Cx1", image_url(PK, form="webp"), 9), ctx)
    assert ((await row_of(pg))["hash"], set(objects(s3))) == (8, {KEY})


async def test_a_deletion_that_comes_too_late_is_noticed_and_made_good(
    ctx: FlowContext, pg: asyncpg.Connection, s3: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old object is deleted after another task has put and recorded one of the same name."""
    webp = "assets/posts/instagram/Cx1.webp"
    await asset_upload_flow(asset("Cx1", image_url(PK, form="webp"), 7), ctx)
    under_way, go_on = asyncio.Event(), asyncio.Event()
    delete = MediaClient.delete

    async def late(client: MediaClient, key: str) -> None:
        if key == webp:
            under_way.set()
            await go_on.wait()
        await delete(client, key)

    with monkeypatch.context() as patched:
        patched.setattr(MediaClient, "delete", late)
        task = asyncio.create_task(asset_upload_flow(asset("Cx1", image_url(PK), 8), ctx))
        await under_way.wait()
        await asset_upload_flow(asset("Cx1", image_url(PK + 1, form="webp"), 9), ctx)
        go_on.set()
        with pytest.raises(StoreUnavailable, match="OVERTAKEN"):
            await task
    assert ((await row_of(pg))["asset_url"], objects(s3)) == ("", {})
    await asset_upload_flow(asset("Cx1", image_url(PK), 8), ctx)
    assert ((await row_of(pg))["asset_url"], set(objects(s3))) == (KEY, {KEY})


async def test_an_unchanged_picture_whose_object_was_deleted_meanwhile_is_noticed(
    ctx: FlowContext, pg: asyncpg.Connection, s3: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asset_upload_flow(asset("Cx1", image_url(PK), 7), ctx)
    upload = MediaClient.upload

    async def overtaken(client: MediaClient, request: MediaRequest) -> Uploaded:
        done = await upload(client, request)
        if done.not_modified:
            await asset_upload_flow(asset("Cx1", image_url(PK, form="webp"), 9), ctx)
        return done

    monkeypatch.setattr(MediaClient, "upload", overtaken)
    again = asset("Cx1", image_url(PK, expires=int(time.time()) + 7200), 8)
    with pytest.raises(StoreUnavailable, match="OVERTAKEN"):
        await asset_upload_flow(again, ctx)
    await asset_upload_flow(again, ctx)
    assert ((await row_of(pg))["hash"], set(objects(s3))) == (8, {KEY})


@pytest.mark.parametrize("fault", ["html", "error_in_200", "not_found", "half_body", "server_error"])
async def test_what_was_not_copied_is_not_recorded(
    ctx: FlowContext, pg: asyncpg.Connection, s3: S3Access, sandbox: Sandbox, fault: str
) -> None:
    await sandbox.fault("cdn", fault)
    with pytest.raises(Exception, match=r".") as caught:
        await asset_upload_flow(asset("Cx1", image_url(PK), 7), ctx)
    assert type(caught.value).__module__ == "core.client.errors"
    assert (await row_of(pg), objects(s3)) == ({}, {})


async def test_a_bad_entity_is_refused_before_anything_is_fetched(ctx: FlowContext, sandbox: Sandbox) -> None:
    with pytest.raises(MediaRefused):
        await asset_upload_flow(asset("..", image_url(PK), 7), ctx)
    assert await asked(sandbox) == 0


# -- dead URLs ---------------------------------------------------------------------------------------------------------


async def expire(ctx: FlowContext, params: AssetParams, *, story: bool = False) -> None:
    with pytest.raises(UrlExpired):
        await (asset_upload_flow_stories if story else asset_upload_flow)(params, ctx)


async def test_the_owner_of_dead_urls_is_refreshed_once_a_day(ctx: FlowContext, pg: asyncpg.Connection) -> None:
    picture = asset("787132", avatar_url(787132, expires=1), 1, entity_type="PROFILE")
    for params in (picture, picture, asset("Cx1", dead(PK), 2), asset("Cx1", dead(PK), 3, asset_type="VIDEO")):
        await expire(ctx, params)
    assert await refreshes(pg) == [
        ("refresh_profile_by_profile_id", "INSTAGRAM", '{"profile_id": "787132"}'),
        ("refresh_post_by_shortcode", "INSTAGRAM", '{"shortcode": "Cx1"}'),
    ]
    within = "select bool_and(expires_at between now() + interval '23 hours' and now() + interval '24 hours')"
    assert await pg.fetchval(f"{within} from scrape_request_log")
    await pg.execute("update scrape_request_log set idempotency_key = idempotency_key || 'of yesterday'")
    await expire(ctx, picture)
    assert len(await refreshes(pg)) == 3


async def test_many_dead_urls_at_once_are_one_refresh_each(ctx: FlowContext, pg: asyncpg.Connection) -> None:
    uploader = await ctx.runtime.uploader()

    async def copy(number: int) -> None:
        with suppress(UrlExpired):
            await uploader.copy(asset(f"Cx{number % 20}", dead(PK + number), number))

    await asyncio.gather(*map(copy, range(100)))
    assert len(await refreshes(pg)) == 20


async def test_an_owner_whose_flow_is_not_built_leaves_the_task_failed_and_queues_nothing(
    ctx: FlowContext, pg: asyncpg.Connection, pgbouncer_url: str
) -> None:
    registry = dict(build_registry())
    registry["refresh_post_by_shortcode"] = replace(registry["refresh_post_by_shortcode"], target=None)
    store = AssetStore(pgbouncer_url, registry)
    uploader = Uploader((await ctx.runtime.uploader()).media, store)
    with pytest.raises(UrlExpired):
        await uploader.copy(asset("Cx1", dead(PK), 1))
    await store.aclose()
    assert await refreshes(pg) == []


@pytest.mark.parametrize(
    ("age", "owner", "handle", "count"),
    [
        ("23 hours", "787132", "natgeo", 1),
        ("25 hours", "787132", "natgeo", 0),
        ("1 hour", None, "natgeo", 0),
        ("1 hour", "787132", "", 0),
        (None, "1", None, 0),
    ],
)
async def test_stories_are_refreshed_while_they_can_be_seen(
    ctx: FlowContext, pg: asyncpg.Connection, age: str | None, owner: str | None, handle: str | None, count: int
) -> None:
    if age is not None:
        await pg.execute(
            "insert into instagram_post (shortcode, post_type, profile_id, handle, publish_time)"
            " values ('335', 'story', $1, $2, now() - $3::text::interval)",
            owner,
            handle,
            age,
        )
    await expire(ctx, asset("335", dead(PK), 1), story=True)
    found = await refreshes(pg)
    assert [flow for flow, _, _ in found] == ["refresh_story_posts_by_profile_id"] * count


async def test_dead_stories_of_one_profile_are_one_refresh(ctx: FlowContext, pg: asyncpg.Connection) -> None:
    await pg.execute(
        "insert into instagram_post (shortcode, post_type, profile_id, handle, publish_time)"
        " select 's' || n, 'story', (787132 + n / 10)::text, 'natgeo' || n / 10, now() from generate_series(0, 19) n"
    )
    for number in range(20):
        await expire(ctx, asset(f"s{number}", dead(PK), number), story=True)
    assert [params for _, _, params in await refreshes(pg)] == [
        '{"handle": "natgeo0", "profile_id": "787132"}',
        '{"handle": "natgeo1", "profile_id": "787133"}',
    ]


async def test_a_dead_url_leaves_the_copy_that_is_there(ctx: FlowContext, pg: asyncpg.Connection, s3: S3Access) -> None:
    await asset_upload_flow(asset("Cx1", image_url(PK), 1), ctx)
    before = await row_of(pg)
    await expire(ctx, asset("Cx1", dead(PK), 2))
    assert (await row_of(pg), set(objects(s3))) == (before, {KEY})
