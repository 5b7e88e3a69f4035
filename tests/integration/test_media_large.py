"""Large files: on the disk, to the store in parts, and nothing left behind."""

from __future__ import annotations

import asyncio
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from core.assets.leftovers import clean_up
from core.client import large
from core.client.large import LargeUploads
from core.client.marks import Marks
from core.client.spool import Body
from core.client.upload_assets import MediaClient, MediaError, MediaRefused, StoreRefused, StoreUnavailable
from tests.sandbox.media.bodies import file_of
from tests.support.media import bucket_env, media_client, wanted
from tests.support.raw_server import RawServer, Seen, always, http, raw_server, stall, until
from tests.support.s3 import S3Access
from utils.object_store import ObjectStore, ObjectStoreFailed, StoreAccess

ROOT = Path(__file__).parents[2]
MIDDLE, PARTS = file_of("middle", "mp4", video_bytes=2 << 20), file_of("parts", "mp4", video_bytes=18 << 20)


@pytest.fixture
async def cdn() -> AsyncIterator[RawServer]:
    """Serves the large file to whoever asks for it, the middle one otherwise."""

    async def handle(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(http(200, PARTS if "parts" in seen.target else MIDDLE, ETag='"e"'))
        return True

    async with raw_server(handle) as server:
        yield server


@pytest.fixture
async def client(s3: S3Access, cdn: RawServer, tmp_path: Path) -> AsyncIterator[MediaClient]:
    async with media_client(s3, cdn.url, ASSET_SPOOL_DIR=str(tmp_path)) as client:
        yield client


def video(name: str) -> Any:
    return wanted(f"https://video.fbcdn.net/{name}.mp4", asset_type="VIDEO", entity_id=name)


def stored(s3: S3Access, key: str) -> bytes:
    body: bytes = s3.client().get_object(Bucket=s3.bucket, Key=key)["Body"].read()
    return body


def unfinished(s3: S3Access) -> list[str]:
    return [one["UploadId"] for one in s3.client().list_multipart_uploads(Bucket=s3.bucket).get("Uploads", [])]


def notes(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def assert_nothing_is_left(s3: S3Access, folder: Path, client: MediaClient) -> None:
    assert unfinished(s3) == []
    assert notes(folder) == []
    assert client._fetcher._budget.taken == 0


@pytest.mark.parametrize("name", ["middle", "parts"])
async def test_a_large_file_arrives_whole_with_its_headers(
    client: MediaClient, s3: S3Access, tmp_path: Path, name: str
) -> None:
    found = await client.upload(video(name))
    body = MIDDLE if name == "middle" else PARTS
    assert (found.key, found.size_bytes) == (f"assets/posts/instagram/{name}.mp4", len(body))
    assert found.sha256 == sha256(body).hexdigest()
    assert stored(s3, found.key) == body
    head = s3.client().head_object(Bucket=s3.bucket, Key=found.key)
    assert (head["ContentType"], head["ContentDisposition"]) == ("video/mp4", "inline")
    assert head["CacheControl"] == "public, max-age=86400"
    assert_nothing_is_left(s3, tmp_path, client)


async def test_a_part_that_fails_twice_is_sent_again(
    client: MediaClient, s3: S3Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_on_part(monkeypatch, 2, [503, 0])
    found = await client.upload(video("parts"))
    assert stored(s3, found.key) == PARTS
    assert_nothing_is_left(s3, tmp_path, client)


def fail_on_part(monkeypatch: pytest.MonkeyPatch, number: int, statuses: list[int]) -> None:
    """The store answers a part with these statuses, half of it read, before it takes it."""
    real = ObjectStore.call

    async def call(store: ObjectStore, operation: str, **arguments: Any) -> Any:
        if operation == "upload_part" and arguments["PartNumber"] == number and statuses:
            arguments["Body"].read(1 << 20)
            raise ObjectStoreFailed("upload_part: no", status=statuses.pop(0), code="Testing")
        return await real(store, operation, **arguments)

    monkeypatch.setattr(ObjectStore, "call", call)


@pytest.mark.parametrize(
    ("statuses", "error"),
    [
        ([403], StoreRefused("STORE_REFUSED", "upload_part: no")),
        ([500, 0, 503], StoreUnavailable("STORE_DOWN", "upload_part: no")),
        ([500, 503, 429], StoreUnavailable("STORE_SLOW", "upload_part: no")),
    ],
    ids=str,
)
async def test_an_upload_that_fails_is_aborted(
    client: MediaClient,
    s3: S3Access,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    statuses: list[int],
    error: MediaError,
) -> None:
    fail_on_part(monkeypatch, 2, list(statuses))
    with pytest.raises(type(error), match=str(error)):
        await client.upload(video("parts"))
    assert_nothing_is_left(s3, tmp_path, client)


async def test_an_upload_that_is_cancelled_is_aborted(
    client: MediaClient, s3: S3Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = asyncio.Event()
    real = ObjectStore.call

    async def call(store: ObjectStore, operation: str, **arguments: Any) -> Any:
        if operation == "upload_part" and arguments["PartNumber"] == 2:
            reached.set()
        return await real(store, operation, **arguments)

    monkeypatch.setattr(ObjectStore, "call", call)
    task = asyncio.create_task(client.upload(video("parts")))
    await reached.wait()
    assert len(unfinished(s3)) == len(notes(tmp_path)) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert_nothing_is_left(s3, tmp_path, client)


EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>no</Message></Error>"


async def test_the_hosts_keys_are_fetched_anew_once_they_have_run_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handle(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        is_old = "Credential=old/" in seen.headers["authorization"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "new")
        writer.write(http(400, EXPIRED) if is_old else http(200, b"", ETag='"e"'))
        return True

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "old")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    body = Body()
    await body.write(MIDDLE)
    body.spill(tmp_path)
    await body.flush()
    async with raw_server(handle) as server:
        for keys, kind in (({}, None), ({"access_key": "old", "secret_key": "fixed"}, StoreRefused)):
            store = ObjectStore(StoreAccess("b", server.url, **keys))
            uploads = LargeUploads(store, Marks(tmp_path, "b"))
            with pytest.raises(kind) if kind else nullcontext():
                await uploads.put("k", body, {}, asyncio.get_running_loop().time() + 20)
            await store.aclose()
    body.close()
    assert len(server.seen) == 3
    assert server.seen[1].body == MIDDLE
    assert not [name for name in server.seen[1].headers if "checksum" in name or "trailer" in name]  # few servers know


async def test_the_hosts_keys_that_are_refused_again_are_not_fetched_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "old")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    async with raw_server(always(http(400, EXPIRED))) as server:
        store = ObjectStore(StoreAccess("b", server.url))
        with pytest.raises(StoreRefused):
            await LargeUploads(store, Marks(tmp_path, "b")).abort_leftovers()
        await store.aclose()
    assert len(server.seen) == 2


KILLED = """
import os, signal, sys
from pathlib import Path
from core.client.large import LargeUploads
from core.client.marks import Marks
from core.client.spool import Body
Marks(Path(sys.argv[1]), sys.argv[2]).make(sys.argv[3], sys.argv[4])
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_what_a_killed_process_left_is_aborted_and_the_living_ones_are_not(
    client: MediaClient, s3: S3Access, tmp_path: Path
) -> None:
    marks = client._large._marks
    begun = {}
    for key in ("assets/posts/x/dead.mp4", "assets/posts/x/living.mp4", "assets/posts/x/gone.mp4"):
        begun[key] = s3.client().create_multipart_upload(Bucket=s3.bucket, Key=key)["UploadId"]
    dead, living, gone = begun
    s3.client().abort_multipart_upload(Bucket=s3.bucket, Key=gone, UploadId=begun[gone])
    for key in (dead, gone):
        words = ["-c", KILLED, str(marks._folder), marks._bucket, key, begun[key]]
        process = await asyncio.create_subprocess_exec(sys.executable, *words, cwd=ROOT)
        assert await process.wait() == -9
    other = Marks(marks._folder, "another bucket").make("assets/k", "u")
    other.leave()
    mark = marks.make(living, begun[living])
    assert await client.abort_leftovers() == 2
    assert unfinished(s3) == [begun[living]]
    assert len(notes(tmp_path)) == 2
    mark.leave()
    assert await client.abort_leftovers() == 1
    assert unfinished(s3) == []
    assert [path.name for path in notes(tmp_path)] == [other.path.name]


async def test_what_was_completed_before_its_process_was_killed_holds_nothing_up(
    client: MediaClient, s3: S3Access, tmp_path: Path
) -> None:
    place = {"Bucket": s3.bucket, "Key": "assets/posts/x/done.mp4"}
    upload = s3.client().create_multipart_upload(**place)["UploadId"]
    tag = s3.client().upload_part(**place, UploadId=upload, PartNumber=1, Body=b"all")["ETag"]
    parts = {"Parts": [{"PartNumber": 1, "ETag": tag}]}
    s3.client().complete_multipart_upload(**place, UploadId=upload, MultipartUpload=parts)
    client._large._marks.make(place["Key"], upload).leave()
    assert await client.abort_leftovers() == 1
    assert stored(s3, place["Key"]) == b"all"
    assert_nothing_is_left(s3, tmp_path, client)


async def test_leftovers_are_looked_for_from_any_directory_again_and_again(
    client: MediaClient, s3: S3Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**bucket_env(s3), "ASSET_SPOOL_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr("core.assets.leftovers.EVERY_S", 0.1)
    cleaning = asyncio.create_task(clean_up())
    for number in range(2):
        key = f"assets/posts/x/left{number}.mp4"
        upload = s3.client().create_multipart_upload(Bucket=s3.bucket, Key=key)["UploadId"]
        client._large._marks.make(key, upload).leave()
        async with asyncio.timeout(30):
            while unfinished(s3) or notes(tmp_path):
                await asyncio.sleep(0.2)
    cleaning.cancel()
    await asyncio.wait({cleaning})
    assert_nothing_is_left(s3, tmp_path, client)


async def test_a_process_that_cannot_be_started_is_started_later(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    async def start(*_: object, **__: object) -> None:
        tried.append("in vain")
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("core.assets.leftovers.asyncio.create_subprocess_exec", start)
    monkeypatch.setattr("core.assets.leftovers.EVERY_S", 0.01)
    cleaning = asyncio.create_task(clean_up())
    async with asyncio.timeout(5):
        await until(lambda: len(tried) > 1 or cleaning.done())
    assert not cleaning.done()
    cleaning.cancel()
    await asyncio.wait({cleaning})


async def test_who_looks_for_leftovers_ends_with_its_pool(
    s3: S3Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with raw_server(lambda seen, _: stall(seen)) as store:
        env = {**bucket_env(s3), "ASSET_SPOOL_DIR": str(tmp_path), "S3_ENDPOINT_URL": store.url}
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        cleaning = asyncio.create_task(clean_up())
        await until(lambda: store.open_now > 0)
        cleaning.cancel()
        await asyncio.wait({cleaning})
        async with asyncio.timeout(20):
            await until(lambda: store.open_now == 0)


async def test_uploads_without_a_note_are_aborted_once_they_are_old(
    client: MediaClient, s3: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("assets/posts/x/1.mp4", "raw/x/2.zst"):
        s3.client().create_multipart_upload(Bucket=s3.bucket, Key=key)
    assert await client.abort_leftovers() == 0
    monkeypatch.setattr(large, "FORGOTTEN", timedelta(seconds=-60))
    assert await client.abort_leftovers() == 1
    (other,) = unfinished(s3)
    s3.client().abort_multipart_upload(Bucket=s3.bucket, Key="raw/x/2.zst", UploadId=other)


async def test_more_uploads_than_fit_a_page_are_all_looked_at(
    client: MediaClient, s3: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, place = ObjectStore.call, {"Bucket": s3.bucket}
    begun = [s3.client().create_multipart_upload(**place, Key=f"assets/posts/x/{n // 2}.mp4") for n in range(5)]
    pages: list[list[str]] = []

    async def call(store: ObjectStore, operation: str, **arguments: Any) -> Any:
        if operation != "list_multipart_uploads":
            return await real(store, operation, **arguments)
        assert len(pages) < 9, "it begins again and again"
        page = await real(store, operation, MaxUploads=1, **arguments)
        pages.append([one["UploadId"] for one in page.get("Uploads", [])])
        return page

    with monkeypatch.context() as patched:
        patched.setattr(ObjectStore, "call", call)
        assert await client.abort_leftovers() == 0  # they are young
    assert {one for page in pages for one in page} == {one["UploadId"] for one in begun}
    for one in begun:
        s3.client().abort_multipart_upload(**place, Key=one["Key"], UploadId=one["UploadId"])


async def test_an_abort_that_fails_leaves_its_note_to_the_next(
    client: MediaClient, s3: S3Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ObjectStore.call

    async def call(store: ObjectStore, operation: str, **arguments: Any) -> Any:
        if operation in ("upload_part", "abort_multipart_upload"):
            raise ObjectStoreFailed(f"{operation}: no", status=403, code="AccessDenied")
        return await real(store, operation, **arguments)

    with monkeypatch.context() as patched:
        patched.setattr(ObjectStore, "call", call)
        with pytest.raises(StoreRefused):
            await client.upload(video("parts"))
    assert len(unfinished(s3)) == len(notes(tmp_path)) == 1
    assert await client.abort_leftovers() == 1
    assert_nothing_is_left(s3, tmp_path, client)


async def test_a_leftover_that_cannot_be_aborted_is_tried_again(
    client: MediaClient, s3: S3Access, tmp_path: Path
) -> None:
    key = "assets/posts/x/left.mp4"
    upload = s3.client().create_multipart_upload(Bucket=s3.bucket, Key=key)["UploadId"]
    client._large._marks.make(key, upload).leave()
    async with media_client(replace(s3, secret_key="wrong"), ASSET_SPOOL_DIR=str(tmp_path)) as refused:
        with pytest.raises(StoreRefused):
            await refused.abort_leftovers()
    assert len(notes(tmp_path)) == 1
    assert await client.abort_leftovers() == 1
    assert_nothing_is_left(s3, tmp_path, client)


async def test_a_leftover_whose_abort_is_refused_does_not_keep_the_others(tmp_path: Path) -> None:
    aborts = count(1)

    async def handle(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        if seen.method != "DELETE":
            writer.write(http(200, b"<ListMultipartUploadsResult/>"))
        elif next(aborts) == 1:
            writer.write(http(403, b"<Error><Code>AccessDenied</Code></Error>"))
        else:
            writer.write(http(204, b""))
        return True

    marks = Marks(tmp_path, "b")
    for name in ("one", "two", "three"):
        marks.make(name, name).leave()
    async with raw_server(handle) as server:
        store = ObjectStore(StoreAccess("b", server.url, access_key="a", secret_key="s"))
        with pytest.raises(StoreRefused):
            await LargeUploads(store, marks).abort_leftovers()
        await store.aclose()
    assert (len(notes(tmp_path)), next(aborts)) == (1, 4)


async def test_large_files_wait_for_room_on_the_disk_and_all_arrive(s3: S3Access, cdn: RawServer) -> None:
    limits = {"ASSET_SPOOL_MB": "3", "ASSET_MAX_VIDEO_MB": "3", "ASSET_MAX_IMAGE_MB": "3"}
    async with media_client(s3, cdn.url, **limits) as client:
        found = await asyncio.gather(*(client.upload(video(f"room-{number}")) for number in range(4)))
        assert client._fetcher._budget.taken == 0
    assert {one.size_bytes for one in found} == {len(MIDDLE)}
    assert all(stored(s3, one.key) == MIDDLE for one in found)
    assert len(cdn.seen) > 4  # those without room asked again later


async def test_a_file_that_finds_no_room_for_long_is_put_off(
    client: MediaClient, s3: S3Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.client.fetch.PATIENCE_S", 0.05)
    budget = client._fetcher._budget
    assert budget.try_take(1024 << 20)
    with pytest.raises(StoreUnavailable, match="SPOOL_FULL"):
        await asyncio.wait_for(client.upload(video("middle")), 5)
    budget.give(1024 << 20)
    assert_nothing_is_left(s3, tmp_path, client)
    await client.upload(video("middle"))


async def test_a_file_that_has_grown_while_it_waited_for_room_waits_for_more(s3: S3Access, tmp_path: Path) -> None:
    files = [file_of("a", "mp4", video_bytes=size << 20) for size in (2, 3)]

    async def handle(_seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(http(200, files.pop(0) if len(files) > 1 else files[0]))
        return True

    limits = {"ASSET_SPOOL_MB": "9", "ASSET_MAX_VIDEO_MB": "4", "ASSET_MAX_IMAGE_MB": "4"}
    async with raw_server(handle) as server, media_client(s3, server.url, **limits) as client:
        budget = client._fetcher._budget
        assert budget.try_take(9 << 20)
        task = asyncio.create_task(client.upload(video("grown")))
        await until(lambda: bool(budget._waiting))
        budget.give(9 << 20)
        assert (await task).size_bytes == len(files[0])
        assert_nothing_is_left(s3, tmp_path, client)


async def test_a_file_that_proves_unchanged_gives_its_room_back(s3: S3Access, tmp_path: Path) -> None:
    """Another server of the CDN answers when it is asked again."""
    answers = [http(200, MIDDLE), http(304, b"")]

    async def handle(_seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(answers.pop(0))
        return True

    limits = {"ASSET_SPOOL_MB": "3", "ASSET_MAX_VIDEO_MB": "3", "ASSET_MAX_IMAGE_MB": "3"}
    async with raw_server(handle) as server, media_client(s3, server.url, **limits) as client:
        budget = client._fetcher._budget
        assert budget.try_take(3 << 20)
        known = {"etag": '"e"', "known_key": "assets/posts/instagram/middle.mp4"}
        task = asyncio.create_task(client.upload(replace(video("middle"), **known)))
        await until(lambda: bool(budget._waiting))
        budget.give(3 << 20)
        assert (await task).not_modified
        assert_nothing_is_left(s3, tmp_path, client)


async def test_a_file_of_unknown_length_takes_the_room_of_the_largest(s3: S3Access, tmp_path: Path) -> None:
    async def handle(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n" + MIDDLE[:-1])
        await writer.drain()
        await until(lambda: client._fetcher._budget.taken > 0)
        taken.append(client._fetcher._budget.taken)
        writer.write(MIDDLE[-1:])
        return False

    taken: list[int] = []
    limits = {"ASSET_SPOOL_MB": "9", "ASSET_MAX_VIDEO_MB": "5", "ASSET_SPOOL_DIR": str(tmp_path)}
    async with raw_server(handle) as server, media_client(s3, server.url, ASSET_MAX_IMAGE_MB="5", **limits) as client:
        await client.upload(video("middle"))
        assert taken == [5 << 20]
        assert_nothing_is_left(s3, tmp_path, client)


@pytest.mark.parametrize(("setting", "error"), [("ASSET_MAX_IMAGE_MB", None), ("ASSET_MAX_VIDEO_MB", "TOO_LARGE")])
async def test_videos_have_a_limit_of_their_own(
    s3: S3Access, cdn: RawServer, tmp_path: Path, setting: str, error: str | None
) -> None:
    async with media_client(s3, cdn.url, ASSET_SPOOL_DIR=str(tmp_path), **{setting: "1"}) as client:
        with pytest.raises(MediaRefused, match=error) if error else nullcontext():
            await client.upload(video("middle"))
        assert_nothing_is_left(s3, tmp_path, client)


async def test_a_file_of_unknown_length_is_cut_at_the_limit(s3: S3Access, tmp_path: Path) -> None:
    endless = b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n" + PARTS
    limits = {"ASSET_SPOOL_MB": "3", "ASSET_MAX_VIDEO_MB": "3", "ASSET_MAX_IMAGE_MB": "3"}
    spool = {"ASSET_SPOOL_DIR": str(tmp_path), **limits}
    async with raw_server(always(endless, keep=False)) as server, media_client(s3, server.url, **spool) as client:
        with pytest.raises(MediaRefused, match="TOO_LARGE"):
            await client.upload(video("endless"))
        assert_nothing_is_left(s3, tmp_path, client)


def full(*_: object) -> None:
    """What a full disk does to whatever writes."""
    raise OSError(28, "No space left on device")


async def test_a_full_disk_puts_the_task_off(
    client: MediaClient, s3: S3Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.client.nameless.NamelessFile.append", full)
    with pytest.raises(StoreUnavailable, match=r"SPOOL_FULL: .*No space left"):
        await client.upload(video("middle"))
    assert_nothing_is_left(s3, tmp_path, client)


async def test_an_upload_that_cannot_be_noted_is_aborted(
    client: MediaClient, s3: S3Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Marks, "make", full)
    with pytest.raises(StoreUnavailable, match=r"SPOOL_FULL: .*No space left"):
        await client.upload(video("parts"))
    assert_nothing_is_left(s3, tmp_path, client)


def test_a_note_that_cannot_be_written_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    monkeypatch.setattr("core.client.marks.os.write", full)
    with pytest.raises(OSError, match="No space left"):
        Marks(tmp_path, "b").make("assets/k", "u")
    assert (notes(tmp_path), sorted(Path("/proc/self/fd").iterdir())) == ([], before)


def test_notes_that_are_not_for_the_taking_leave_nothing_open(tmp_path: Path) -> None:
    Marks(tmp_path, "another bucket").make("assets/k", "u").leave()
    marks = Marks(tmp_path, "b")
    held = marks.make("assets/k", "u")
    (tmp_path / "broken.upload").write_text("{")
    before = sorted(Path("/proc/self/fd").iterdir())
    assert list(marks.orphans()) == []
    assert sorted(Path("/proc/self/fd").iterdir()) == before
    held.drop()


async def test_an_upload_that_is_gone_is_no_fault_of_the_task(
    client: MediaClient, s3: S3Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to its completion was lost, and the store does not know it when it is asked again."""
    real = ObjectStore.call

    async def call(store: ObjectStore, operation: str, **arguments: Any) -> Any:
        answer = await real(store, operation, **arguments)
        if operation == "complete_multipart_upload":
            raise ObjectStoreFailed(f"{operation}: NoSuchUpload", status=404, code="NoSuchUpload")
        return answer

    monkeypatch.setattr(ObjectStore, "call", call)
    with pytest.raises(StoreUnavailable):
        await client.upload(video("parts"))
    assert_nothing_is_left(s3, tmp_path, client)


async def test_a_store_that_hangs_sends_those_back_who_wait_for_their_turn(
    client: MediaClient, s3: S3Access, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging: list[str] = []

    async def hang(_store: ObjectStore, operation: str, **_: Any) -> Any:
        hanging.append(operation)
        await asyncio.Event().wait()

    monkeypatch.setattr(ObjectStore, "call", hang)
    monkeypatch.setattr(large, "PATIENCE_S", 0.1, raising=False)
    tasks = [asyncio.create_task(client.upload(video("middle"))) for _ in range(4)]
    await until(lambda: len(hanging) == 4)
    with pytest.raises(StoreUnavailable, match="LARGE_SLOW"):
        await asyncio.wait_for(client.upload(video("middle")), 5)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    monkeypatch.undo()
    await client.upload(video("middle"))
    assert_nothing_is_left(s3, tmp_path, client)


async def test_an_upload_that_would_outlast_its_task_is_put_off(
    s3: S3Access, cdn: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ObjectStore.call

    async def slow(store: ObjectStore, operation: str, **arguments: Any) -> Any:
        if operation == "upload_part":
            await asyncio.sleep(20)
        return await real(store, operation, **arguments)

    monkeypatch.setattr(ObjectStore, "call", slow)
    limits = {"TASK_TIME_LIMIT_S": "3", "ASSET_SPOOL_DIR": str(tmp_path)}
    async with media_client(s3, cdn.url, **limits) as client:
        with pytest.raises(StoreUnavailable, match="LARGE_SLOW"):
            await asyncio.wait_for(client.upload(video("parts")), 3)
        assert_nothing_is_left(s3, tmp_path, client)


async def test_a_spool_directory_that_was_tidied_up_is_made_again(client: MediaClient, tmp_path: Path) -> None:
    (folder,) = tmp_path.iterdir()
    before = folder.stat().st_mode
    folder.rmdir()
    assert (await client.upload(video("middle"))).size_bytes == len(MIDDLE)
    assert before == folder.stat().st_mode == stat.S_IFDIR | 0o700


async def test_a_cancelled_download_leaves_nothing(s3: S3Access, tmp_path: Path) -> None:
    async def part(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(http(200, PARTS)[: 5 << 20])
        await writer.drain()
        await seen.reader.read()
        return False

    async with raw_server(part) as server, media_client(s3, server.url, ASSET_SPOOL_DIR=str(tmp_path)) as client:
        task = asyncio.create_task(client.upload(video("parts")))
        await until(lambda: client._fetcher._budget.taken > 0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert_nothing_is_left(s3, tmp_path, client)


async def test_a_picture_that_cannot_be_decoded_is_not_stored_when_that_is_asked_for(s3: S3Access) -> None:
    whole, decode = file_of("a", "jpg"), {"ASSET_VERIFY_DECODE": "1"}
    broken = whole[:2000]
    async with raw_server(always(http(200, broken))) as server:
        async with media_client(s3, server.url, **decode) as client:
            with pytest.raises(MediaRefused, match="NOT_DECODABLE"):
                await client.upload(wanted("https://video.fbcdn.net/a.jpg", entity_id="broken"))
        async with media_client(s3, server.url) as client:
            assert (await client.upload(wanted("https://video.fbcdn.net/a.jpg"))).size_bytes == len(broken)
    async with raw_server(always(http(200, whole))) as server, media_client(s3, server.url, **decode) as client:
        assert (await client.upload(wanted("https://video.fbcdn.net/a.jpg"))).size_bytes == len(whole)
