"""Two processes that copy other files for one asset at the same time: what is recorded is what the bucket holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from hashlib import sha256
from typing import Any

import asyncpg
import pytest

from core.assets.rows import NewAsset
from core.assets.store import AssetStore
from core.assets.uploader import Uploader, open_uploader
from core.client.upload_assets import MediaClient, MediaRequest, StoreUnavailable, Uploaded
from core.models.params import AssetParams
from tests.sandbox.dialects.urls import image_url
from tests.sandbox.media.bodies import file_of
from tests.support.media import environment
from tests.support.s3 import S3Access
from tests.support.sandbox import Sandbox
from tests.support.uploads import asset, asset_env

PK = 3_350_000_000_000_000_001
KEY = "assets/posts/instagram/Cross.jpg"


@pytest.fixture
async def both(
    program_env: dict[str, str], s3: S3Access, sandbox: Sandbox, pg: asyncpg.Connection
) -> AsyncIterator[tuple[Uploader, Uploader]]:
    """Two uploaders that have nothing in common but database and bucket."""
    async with AsyncExitStack() as stack:
        with environment(asset_env(program_env, s3, sandbox.url)) as settings:
            first, second = await open_uploader(settings), await open_uploader(settings)
        stack.push_async_callback(first.aclose)
        stack.push_async_callback(second.aclose)
        yield first, second


def picture(number: int, **changes: Any) -> AssetParams:
    return asset("Cross", image_url(PK + number, **changes), number)


def content(number: int) -> bytes:
    return file_of(str(PK + number), "jpg")


async def state(pg: asyncpg.Connection, s3: S3Access) -> tuple[int | None, str | None, bytes]:
    """Hash and digest of the row, and what the bucket holds."""
    row = await pg.fetchrow("select hash, sha256 from asset where entity_id = 'Cross'")
    assert row is not None
    client = s3.client()
    body: bytes = client.get_object(Bucket=s3.bucket, Key=KEY)["Body"].read()
    client.close()
    return row["hash"], row["sha256"], body


def copied(number: int) -> tuple[int, str, bytes]:
    return number, sha256(content(number)).hexdigest(), content(number)


async def cross(
    both: tuple[Uploader, Uploader], one: AssetParams, two: AssetParams, *, records: str
) -> tuple[BaseException | None, BaseException | None]:
    """Both look up, the first one's file is put, then the other's, then they record in the order of ``records``."""
    urls = (one.original_url, two.original_url)
    steps = [("put", urls[0]), ("put", urls[1]), *(("record", urls[int(who) - 1]) for who in records)]
    upload, record = MediaClient.upload, AssetStore.record

    async def in_turn(step: tuple[str, str], run: Callable[[], Awaitable[Any]]) -> Any:
        while steps[0] != step:
            await asyncio.sleep(0.01)
        try:
            return await run()
        finally:
            steps.pop(0)

    async def put(client: MediaClient, request: MediaRequest) -> Uploaded:
        done: Uploaded = await in_turn(("put", request.url), lambda: upload(client, request))
        return done

    async def note(store: AssetStore, row: NewAsset) -> str | None:
        before: str | None = await in_turn(("record", row.original_url), lambda: record(store, row))
        return before

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(MediaClient, "upload", put)
        patched.setattr(AssetStore, "record", note)
        async with asyncio.timeout(30):
            one_ended, two_ended = await asyncio.gather(both[0].copy(one), both[1].copy(two), return_exceptions=True)
    return one_ended, two_ended


@pytest.mark.parametrize("known", [False, True], ids=["the first copies", "over an older one"])
@pytest.mark.parametrize("records", ["12", "21"])
async def test_the_one_that_records_later_goes_back_and_is_copied_again(
    both: tuple[Uploader, Uploader], pg: asyncpg.Connection, s3: S3Access, records: str, known: bool
) -> None:
    if known:
        await both[0].copy(picture(3))
    ended = await cross(both, picture(1), picture(2), records=records)
    first, later = (int(who) for who in records)
    assert ended[first - 1] is None
    assert isinstance(ended[later - 1], StoreUnavailable)
    assert "OVERTAKEN" in str(ended[later - 1])
    assert await state(pg, s3) == (None, None, content(2))  # the row makes no claim until then
    await both[0].copy(picture(later))
    assert await state(pg, s3) == copied(later)


async def test_the_other_one_is_no_longer_taken_for_copied(
    both: tuple[Uploader, Uploader], pg: asyncpg.Connection, s3: S3Access
) -> None:
    """The task that went back may never run, for its URL dies: what was recorded first is copied anew if asked for."""
    await cross(both, picture(1), picture(2), records="12")
    await both[0].copy(picture(1))
    assert await state(pg, s3) == copied(1)


async def test_the_same_file_under_two_signatures_does_not_cross(
    both: tuple[Uploader, Uploader], pg: asyncpg.Connection, s3: S3Access
) -> None:
    again = picture(1, expires=int(time.time()) + 7200).model_copy(update={"hash": 2})
    assert await cross(both, picture(1), again, records="12") == (None, None)
    assert await state(pg, s3) == (2, *copied(1)[1:])


async def test_a_file_that_has_not_changed_is_copied_again_when_another_was_put_over_it(
    both: tuple[Uploader, Uploader], pg: asyncpg.Connection, s3: S3Access
) -> None:
    await both[0].copy(picture(1))
    again = picture(1, expires=int(time.time()) + 7200).model_copy(update={"hash": 4})
    ended = await cross(both, again, picture(2), records="21")
    assert [type(one) for one in ended] == [StoreUnavailable, type(None)]
    assert await state(pg, s3) == (None, None, content(2))
    await both[0].copy(again)
    assert await state(pg, s3) == (4, *copied(1)[1:])


async def test_two_tasks_that_learn_the_same_file_is_unchanged_do_not_cross(
    both: tuple[Uploader, Uploader], pg: asyncpg.Connection, s3: S3Access
) -> None:
    await both[0].copy(picture(1))
    one, two = (picture(1, expires=int(time.time()) + 7200 + n).model_copy(update={"hash": 4 + n}) for n in range(2))
    assert await cross(both, one, two, records="21") == (None, None)
    assert await state(pg, s3) == (4, *copied(1)[1:])


async def test_many_at_once_end_with_a_row_that_is_true(
    both: tuple[Uploader, Uploader], pg: asyncpg.Connection, s3: S3Access
) -> None:
    left = [picture(number) for number in range(1, 9)]
    rounds = 0
    while left:
        ended = await asyncio.gather(
            *(both[place % 2].copy(one) for place, one in enumerate(left)), return_exceptions=True
        )
        assert {type(one) for one in ended} <= {StoreUnavailable, type(None)}
        again = [one for one, error in zip(left, ended, strict=True) if error is not None]
        assert len(again) < len(left)  # one of them is always recorded
        left, rounds = again, rounds + 1
    number, *rest = await state(pg, s3)
    assert (number, *rest) == copied(number or 0)
    assert rounds > 1
