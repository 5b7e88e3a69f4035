"""What goes over the wire to a CDN, over how many connections, and what is left of it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path

import aiohttp
import pytest

from core.client.connector import Reach
from core.client.door import SIMULATED, Door
from core.client.reasons import cdn_failure
from core.client.store import RULE
from core.client.upload_assets import MediaError, MediaRefused, MediaUnavailable, StoreUnavailable, UrlExpired
from core.crawler.errors import Retry
from tests.integration.test_request_connections import make_certificates
from tests.sandbox.dialects.urls import HOST, image_url
from tests.sandbox.media.bodies import file_of
from tests.support.media import bucket_env, media_client, wanted
from tests.support.raw_server import RawServer, Seen, always, http, raw_server, stall, until
from tests.support.s3 import S3Access
from tests.support.sandbox import Sandbox

ROOT = Path(__file__).parents[2]
PICTURE = file_of("a", "jpg", 64)
OK = http(200, b"")
MIB = 1 << 20


@pytest.fixture
async def cdn() -> AsyncIterator[RawServer]:
    async with raw_server(
        always(http(200, PICTURE, ETag='"e"', Last_Modified="Thu, 09 May 2024 10:00:00 GMT"))
    ) as server:
        yield server


@pytest.mark.parametrize(
    "target",
    [
        "/v/t51/a_n.jpg?stp=cmp1_dst-jpg_e35&efg=eyJlZmci%3D%3D&_nc_ohc=a%2fb%2Fc&oh=00_AfX&oe=7FFFFFFF",
        "/a/../b//./c.jpg?b=%7e&a=%2D&c=~&d='*!()$@:,;[]{}|^`<>\"\\&&e=&=f&g".replace("\\", ""),
        "/%zz%2e%2e/%?q=%&a+b=%20",
        "/x?http://other.example/?y=1",
        "//double.example/x?y",
        "/a;b=c,d?e;f",
    ],
)
async def test_path_and_query_are_sent_to_the_byte(s3: S3Access, cdn: RawServer, target: str) -> None:
    async with media_client(s3, cdn.url) as client:
        await client.upload(wanted(f"https://scontent.cdninstagram.com{target}"))
    (seen,) = cdn.seen
    assert seen.target == target
    assert seen.headers["host"] == "scontent.cdninstagram.com"


async def test_a_request_says_nothing_about_who_asks(s3: S3Access, cdn: RawServer) -> None:
    async with media_client(s3, cdn.url) as client:
        await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg", etag='"e"', last_modified="then"))
        known = {"etag": '"e"', "last_modified": "Thu, 09 May 2024 10:00:00 GMT", "known_key": "assets/a.jpg"}
        await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg", **known))
    plain, conditional = (seen.headers for seen in cdn.seen)
    assert set(plain) == {"host", "accept", "accept-encoding", "user-agent"}
    assert (plain["accept"], plain["accept-encoding"]) == ("image/*", "identity")
    assert plain["user-agent"].startswith("Mozilla/5.0")
    assert set(conditional) - set(plain) == {"if-none-match", "if-modified-since"}


async def test_a_video_is_asked_for_as_one(s3: S3Access) -> None:
    async with raw_server(always(http(200, file_of("a", "mp4")))) as cdn, media_client(s3, cdn.url) as client:
        await client.upload(wanted("https://video.fbcdn.net/a.mp4", asset_type="VIDEO"))
    assert cdn.seen[0].headers["accept"] == "video/*"


async def test_what_is_known_of_a_file_stays_known_when_the_cdn_says_only_that_nothing_changed(s3: S3Access) -> None:
    known = {"etag": '"e"', "last_modified": "Thu, 09 May 2024 10:00:00 GMT"}
    request = wanted("https://scontent.cdninstagram.com/a.jpg", known_key="assets/a.jpg", **known)
    async with raw_server(always(http(304, b""))) as cdn, media_client(s3, cdn.url) as client:
        found = await client.upload(request)
    assert {"etag": found.etag, "last_modified": found.last_modified} == known


@pytest.mark.parametrize(("leads_to", "says_it"), [("/a.jpg?oh=2", True), ("/stands-in.jpg", False)])
async def test_what_is_known_of_a_file_is_not_said_of_the_one_it_is_redirected_to(
    s3: S3Access, leads_to: str, says_it: bool
) -> None:
    async def handle(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        if seen.target == "/a.jpg?oh=1":
            writer.write(http(302, b"", Location=leads_to))
        else:
            writer.write(http(304, b"") if "if-modified-since" in seen.headers else http(200, PICTURE))
        return True

    known = {"last_modified": "Thu, 09 May 2024 10:00:00 GMT", "known_key": "assets/posts/instagram/CxYz_1-2.jpg"}
    async with raw_server(handle) as cdn, media_client(s3, cdn.url) as client:
        found = await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg?oh=1", **known))
    assert found.not_modified is says_it
    assert ["if-modified-since" in seen.headers for seen in cdn.seen] == [True, says_it]


async def test_cookies_are_not_kept(s3: S3Access) -> None:
    async with raw_server(always(http(200, PICTURE, Set_Cookie="id=1"))) as cdn, media_client(s3, cdn.url) as client:
        for _ in range(2):
            await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg"))
        assert "cookie" not in cdn.seen[1].headers


async def test_headers_that_cannot_be_kept_are_not(s3: S3Access) -> None:
    odd = http(200, PICTURE, ETag='"' + "e" * 600 + '"', Last_Modified="\xe9")
    async with raw_server(always(odd)) as cdn, media_client(s3, cdn.url) as client:
        found = await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg"))
    assert (found.etag, found.last_modified) == (None, None)


async def test_connections_are_kept(s3: S3Access, cdn: RawServer) -> None:
    async with raw_server(always(OK)) as store:
        async with media_client(s3, cdn.url, S3_ENDPOINT_URL=store.url) as client:
            for _ in range(20):
                await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg"))
        assert (cdn.connections, store.connections) == (1, 1)
        assert (len(cdn.seen), len(store.seen)) == (20, 20)


async def test_one_host_has_so_many_connections_and_another_its_own(s3: S3Access) -> None:
    async def slow(_seen: Seen, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(0.02)
        writer.write(http(200, PICTURE))
        return True

    async with raw_server(slow) as cdn, raw_server(always(OK)) as store:
        env = {"S3_ENDPOINT_URL": store.url, "ASSET_HOST_CONNECTIONS": "3", "ASSET_STORE_CONNECTIONS": "2"}
        async with media_client(s3, cdn.url, **env) as client:
            urls = [f"https://{host}.cdninstagram.com/{number}.jpg" for number in range(15) for host in ("a", "b")]
            await asyncio.gather(*(client.upload(wanted(url)) for url in urls))
    assert cdn.most_open == 6
    assert store.most_open == 2


async def test_a_kept_connection_that_was_closed_is_replaced(s3: S3Access) -> None:
    async with raw_server(always(http(200, PICTURE))) as cdn, media_client(s3, cdn.url) as client:
        for _ in range(3):
            await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg"))
            for writer in list(cdn.writers):
                writer.close()
    assert cdn.connections == 3


@pytest.mark.parametrize("late_s", [0.0, 0.05])
async def test_what_nobody_asked_for_is_not_the_answer_to_the_next_request(s3: S3Access, late_s: float) -> None:
    async def handle(_seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(http(200, PICTURE))
        await writer.drain()
        await asyncio.sleep(late_s)
        writer.write(http(200, file_of("another", "jpg", 128)))
        return True

    async with raw_server(handle) as cdn, media_client(s3, cdn.url) as client:
        for _ in range(3):
            found = await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg"))
            assert found.size_bytes == len(PICTURE)
            await asyncio.sleep(0.1)
    assert cdn.connections == 3


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (http(204, b""), MediaUnavailable, "BAD_ANSWER"),
        (http(206, PICTURE), MediaUnavailable, "BAD_ANSWER"),
        (http(304, b""), MediaUnavailable, "BAD_ANSWER"),
        (http(302, b""), MediaUnavailable, "BAD_ANSWER"),
        (http(400, b""), MediaRefused, "BAD_STATUS"),
        (http(401, b""), MediaRefused, "BAD_STATUS"),
        (http(451, b""), MediaRefused, "BAD_STATUS"),
        (http(408, b""), MediaUnavailable, "THROTTLED"),
        (http(425, b""), MediaUnavailable, "THROTTLED"),
        (http(200, b"URL signature expired"), UrlExpired, "URL_EXPIRED"),
        (http(200, b"\x1f\x8b\x08" + bytes(99), Content_Encoding="gzip"), MediaRefused, "BAD_TYPE"),
        (http(200, b"<svg xmlns='http://www.w3.org/2000/svg'/>"), MediaRefused, "NOT_MEDIA"),
        (b"HTTP/1.1 200 X\r\nContent-Length: 99999999999\r\n\r\n" + PICTURE, MediaRefused, "TOO_LARGE"),
        (b"HTTP/1.1 200 X\r\nContent-Length: -1\r\n\r\n", MediaUnavailable, "BAD_ANSWER"),
        (b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n\xff\xd8\xff", MediaUnavailable, "TRUNCATED"),
        (b"HTTP/1.1 200 X\r\nTransfer-Encoding: unchunked\r\n\r\n" + PICTURE[:200], MediaUnavailable, "TRUNCATED"),
        (b"HTTP/1.0 200 X\r\n\r\n" + PICTURE[:200], MediaUnavailable, "TRUNCATED"),
        (http(403, b"nobody may see oh=secret"), UrlExpired, "URL_EXPIRED"),
        (b"HTTP/1.1 403 X\r\nContent-Length: 99\r\n\r\nURL signature", UrlExpired, "URL_EXPIRED"),
        (b"HTTP/1.1 410 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nUR", UrlExpired, "URL_EXPIRED"),
        (b"not http at all\r\n\r\n", MediaUnavailable, "BAD_ANSWER"),
        (b"", MediaUnavailable, "CONNECTION"),
    ],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else None,
)
async def test_odd_answers(s3: S3Access, answer: bytes, kind: type[MediaError], code: str) -> None:
    async with raw_server(always(answer, keep=False)) as cdn, media_client(s3, cdn.url) as client:
        with pytest.raises(MediaError) as caught:
            await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg?oh=secret"))
    assert (type(caught.value), caught.value.code) == (kind, code)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(("status", "code"), [(429, "THROTTLED"), (500, "SERVER_ERROR"), (503, "SERVER_ERROR")])
@pytest.mark.parametrize(("said", "wait_s", "retry"), [("90", 90.0, Retry.LATER), ("1", 1.0, Retry.BACKOFF)])
async def test_a_cdn_that_says_how_long_to_wait_is_believed(
    s3: S3Access, status: int, code: str, said: str, wait_s: float, retry: Retry
) -> None:
    async with raw_server(always(http(status, b"", Retry_After=said))) as cdn, media_client(s3, cdn.url) as client:
        with pytest.raises(MediaUnavailable) as caught:
            await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg"))
    assert (caught.value.code, caught.value.retry_after_s, caught.value.retry) == (code, wait_s, retry)


@pytest.mark.parametrize("head", [b"Content-Length: 1048576\r\n", b"Transfer-Encoding: chunked\r\n", b""])
@pytest.mark.parametrize(("more", "code"), [(0, None), (1, "TOO_LARGE")])
async def test_a_file_may_be_as_large_as_the_limit(s3: S3Access, head: bytes, more: int, code: str | None) -> None:
    body = b"\xff\xd8\xff" + bytes(MIB - 5 + more) + b"\xff\xd9"
    if head.startswith(b"Transfer"):
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    answer = b"HTTP/1.1 200 X\r\n" + head.replace(b"1048576", b"%d" % len(body)) + b"\r\n" + body
    limit = {"ASSET_MAX_IMAGE_MB": "1"}
    async with raw_server(always(answer, keep=False)) as cdn, media_client(s3, cdn.url, **limit) as client:
        with pytest.raises(MediaRefused, match=code) if code else nullcontext():
            found = await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg"))
            assert found.size_bytes == MIB


@pytest.mark.parametrize("codings", ["Chunked", "identity, chunked", "identity\r\nTransfer-Encoding: chunked"])
async def test_a_file_that_says_where_it_ends_needs_no_end_of_its_own(s3: S3Access, codings: str) -> None:
    body = PICTURE[:200]
    answer = f"HTTP/1.1 200 X\r\nTransfer-Encoding: {codings}\r\n\r\n".encode()
    answer += b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    async with raw_server(always(answer, keep=False)) as cdn, media_client(s3, cdn.url) as client:
        assert (await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg"))).size_bytes == len(body)


async def test_the_first_bytes_may_come_one_by_one(s3: S3Access) -> None:
    answer = http(200, PICTURE)

    async def handle(_seen: Seen, writer: asyncio.StreamWriter) -> bool:
        start = len(answer) - len(PICTURE) + 1
        for piece in (answer[:start], answer[start : start + 1], answer[start + 1 :]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        return True

    async with raw_server(handle) as cdn, media_client(s3, cdn.url) as client:
        assert (await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg"))).size_bytes == len(PICTURE)


async def test_a_page_is_refused_before_the_rest_of_it_comes(s3: S3Access) -> None:
    async def handle(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 99999\r\n\r\n<!DOCTYPE html>" + b" " * 99)
        return await stall(seen)

    async with raw_server(handle) as cdn, media_client(s3, cdn.url) as client:
        with pytest.raises(MediaRefused, match="NOT_MEDIA"):
            await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg"))


async def test_a_file_that_comes_in_drops_is_given_up(s3: S3Access) -> None:
    async def handle(_seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(http(200, PICTURE)[:-500])
        while not writer.is_closing():
            writer.write(b".")
            await asyncio.sleep(0.05)
        return False

    env = {"ASSET_TOTAL_TIMEOUT_S": "0.3", "ASSET_READ_TIMEOUT_S": "5"}
    async with raw_server(handle) as cdn, media_client(s3, cdn.url, **env) as client:
        with pytest.raises(MediaUnavailable, match="TIMEOUT"):
            await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg"))


async def test_a_cdn_that_takes_no_connection_is_given_up(s3: S3Access) -> None:
    with socket.socket() as full, socket.socket() as only:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        only.connect(full.getsockname())  # there is room for no other
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        async with media_client(s3, url, ASSET_CONNECT_TIMEOUT_S="0.2") as client:
            with pytest.raises(MediaUnavailable, match="TIMEOUT"):
                await asyncio.wait_for(client.upload(wanted("https://scontent.cdninstagram.com/a.jpg")), 5)


@pytest.mark.parametrize("connects", [True, False])
async def test_a_store_that_does_not_answer_does_not_hold_its_task(
    s3: S3Access, cdn: RawServer, monkeypatch: pytest.MonkeyPatch, *, connects: bool
) -> None:
    monkeypatch.setattr("core.client.store._FIRST_PAUSE_S", 0.001)
    with socket.socket() as full, socket.socket() as only:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        if not connects:
            only.connect(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        env = {"ASSET_CONNECT_TIMEOUT_S": "0.2", "ASSET_READ_TIMEOUT_S": "0.2", "S3_ENDPOINT_URL": url}
        async with media_client(s3, cdn.url, **env) as client:
            with pytest.raises(StoreUnavailable, match="STORE_DOWN: PUT: too slow"):
                await asyncio.wait_for(client.upload(wanted("https://scontent.cdninstagram.com/a.jpg")), 10)


async def test_nothing_is_downloaded_while_the_store_is_known_to_be_away(s3: S3Access, cdn: RawServer) -> None:
    async with media_client(s3, cdn.url, S3_ENDPOINT_URL="http://127.0.0.1:1") as client:
        with client._store.circuit.enter() as turn:
            for _ in range(RULE.threshold):
                turn.failed()
        with pytest.raises(StoreUnavailable, match=r"STORE_DOWN: .*lately"):
            await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg"))
    assert cdn.seen == []


async def test_a_dead_url_is_dead_although_its_text_does_not_come(
    s3: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def handle(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 404 X\r\nContent-Length: 99\r\n\r\n<html>")
        return await stall(seen)

    monkeypatch.setattr("core.client.fetch._NOTE_S", 0.1)
    async with raw_server(handle) as cdn, media_client(s3, cdn.url) as client:
        with pytest.raises(UrlExpired, match="answered 404"):
            await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg"))


async def test_what_a_cdn_says_of_a_dead_url_may_come_in_pieces(s3: S3Access) -> None:
    async def handle(_seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 403 X\r\nContent-Length: 21\r\n\r\nURL sig")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b"nature expired")
        return True

    async with raw_server(handle) as cdn, media_client(s3, cdn.url) as client:
        with pytest.raises(UrlExpired, match="URL signature expired"):
            await client.upload(wanted("https://scontent.cdninstagram.com/a.jpg"))


async def test_a_certificate_that_is_not_trusted_is_named(tmp_path: Path) -> None:
    _, context = make_certificates(tmp_path)
    async with raw_server(always(OK), context) as cdn:
        reach = Reach(lambda _: True, frozenset({cdn.port}))
        door = Door.open(per_host=1, connect_s=2, read_s=2, reach=reach)
        with pytest.raises(aiohttp.ClientError) as caught:
            await door.get(f"https://127.0.0.1:{cdn.port}/", {})
        await door.aclose()
    failure = cdn_failure(caught.value, "127.0.0.1")
    assert isinstance(failure, MediaUnavailable)
    assert failure.code == "TLS"
    assert "self-signed" in str(failure)


@pytest.mark.parametrize(
    ("fault", "code", "retry"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "DNS", Retry.LATER),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "DNS", Retry.BACKOFF),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "CONNECTION", Retry.LATER),
        *(
            (OSError(number, os.strerror(number)), "CONNECTION", Retry.LATER)
            for number in (errno.EADDRNOTAVAIL, errno.EMFILE, errno.ENETDOWN, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
        ),
        (OSError(errno.ECONNREFUSED, "Connection refused"), "CONNECTION", Retry.BACKOFF),
    ],
    ids=str,
)
async def test_what_is_wrong_with_this_host_costs_a_task_no_attempt(
    s3: S3Access, monkeypatch: pytest.MonkeyPatch, fault: OSError, code: str, retry: Retry
) -> None:
    loop = asyncio.get_running_loop()

    async def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        if isinstance(fault, socket.gaierror):
            raise fault
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", port))]

    async def connect(*_: object) -> None:
        raise fault

    async with media_client(s3) as client:
        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(loop, "sock_connect", connect)
        with pytest.raises(MediaUnavailable) as caught:
            await client.upload(wanted("https://cdn.example/a.jpg"))
    assert (caught.value.code, caught.value.retry) == (code, retry)


def test_the_hosts_that_the_simulator_stands_for() -> None:
    for host in (HOST, "video.fbcdn.net", "i.ytimg.com", "yt3.ggpht.com", "yt3.googleusercontent.com"):
        assert SIMULATED.fullmatch(host)
    for host in ("cdninstagram.com.evil.example", "evilcdninstagram.com", "cdn.example", "127.0.0.1"):
        assert not SIMULATED.fullmatch(host)


async def test_two_hundred_failures_leave_no_descriptor(s3: S3Access, sandbox: Sandbox) -> None:
    before = descriptors()
    async with raw_server(lambda seen, _: stall(seen)) as silent:
        await fail_often(s3, sandbox, silent.url)
    await until(lambda: descriptors() <= before)


async def fail_often(s3: S3Access, sandbox: Sandbox, silent_url: str) -> None:
    async with media_client(s3, silent_url) as client:
        tasks = [asyncio.create_task(client.upload(wanted(image_url(number)))) for number in range(100)]
        await asyncio.sleep(0.5)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ended)
    await sandbox.fault("cdn", "half_body", times=50)
    await sandbox.fault("cdn", "reset")
    async with media_client(s3, sandbox.url) as client:
        many = (client.upload(wanted(image_url(number))) for number in range(100))
        ended = await asyncio.gather(*many, return_exceptions=True)
        assert all(isinstance(one, MediaUnavailable) for one in ended)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


UPLOAD = """
import asyncio, json, sys
from pathlib import Path
import uvloop
from config import load_settings
from core.client.upload_assets import MediaClient, MediaRequest

def told(name):
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return next(int(words[1]) * 1024 for words in lines if words[0] == name)

def wanted(name, kind):
    return MediaRequest(f"https://a.cdninstagram.com/{name}", "INSTAGRAM", "POST", name, kind)

async def main(slots):
    client = await MediaClient.open(load_settings())
    await client.upload(wanted("one", "IMAGE"))
    await client.upload(wanted("large", "VIDEO"))
    idle = told("VmRSS:")
    Path("/proc/self/clear_refs").write_text("5")
    await asyncio.gather(*(client.upload(wanted(str(n), "IMAGE")) for n in range(slots - 5)),
                         *(client.upload(wanted(f"large{n}", "VIDEO")) for n in range(5)))
    print(json.dumps({"idle": idle, "peak": told("VmHWM:")}))
    await client.aclose()

uvloop.run(main(int(sys.argv[1])))
"""


async def test_a_slot_takes_less_than_two_mebibytes(s3: S3Access, tmp_path: Path) -> None:
    """All slots at once hold the largest picture that stays in memory, five of them stream 12 MiB through the disk."""
    slots, at_once = 60, asyncio.Event()
    small, large = b"\xff\xd8\xff" + bytes(MIB - 5) + b"\xff\xd9", file_of("large", "mp4", video_bytes=12 * MIB)

    async def send(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(http(200, large if "large" in seen.target else small))
        await writer.drain()
        return True

    async def take(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        if len(store.seen) >= slots - 5 + 2:
            at_once.set()
        if len(store.seen) > 2:
            await asyncio.wait_for(at_once.wait(), 60)
        writer.write(OK)
        return True

    async with raw_server(send) as cdn, raw_server(take) as store:
        env = {**os.environ, **bucket_env(s3), "S3_ENDPOINT_URL": store.url, "PROVIDER_SANDBOX_URL": cdn.url}
        env |= {"ASSET_SANDBOX_CDN": cdn.url, "ASSET_STORE_CONNECTIONS": "100", "ASSET_HOST_CONNECTIONS": "100"}
        env |= {"ASSET_SPOOL_DIR": str(tmp_path), "ASSET_READ_TIMEOUT_S": "60"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", UPLOAD, str(slots), cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
    assert process.returncode == 0
    found = json.loads(said)
    assert (found["peak"] - found["idle"]) / slots < 2 * MIB
