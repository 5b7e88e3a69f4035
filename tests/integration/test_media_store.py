"""Small objects: what each answer of the store leads to, and what the stack's store really answers."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import pytest

from core.client import store as small_store
from core.client.errors import StoreRefused, StoreUnavailable
from core.client.sigv4 import Keys
from core.client.store import ATTEMPTS, RULE, Pace, Store
from core.client.store_answers import Verdict, code_of, judge
from core.crawler.circuit import CircuitRule
from tests.support.raw_server import Handler, RawServer, Seen, http, raw_server
from tests.support.s3 import S3Access
from utils.object_store import StoreAccess
from utils.times import utc_now

ABOUT = {"content-type": "image/jpeg", "content-disposition": "inline", "cache-control": "public, max-age=86400"}
KEY = "assets/posts/instagram/a b%2F(1)~\N{DEVANAGARI LETTER A}.jpg"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_store, "_FIRST_PAUSE_S", 0.001)


def access(s3: S3Access) -> StoreAccess:
    return StoreAccess(s3.bucket, s3.endpoint_url, s3.access_key, s3.secret_key, s3.region)


@asynccontextmanager
async def opened(place: StoreAccess) -> AsyncIterator[Store]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(sock_connect=2, sock_read=2)) as session:
        yield Store(place, session)


@asynccontextmanager
async def fake(handler: Handler) -> AsyncIterator[tuple[Store, RawServer]]:
    async with raw_server(handler) as server, opened(StoreAccess("b", server.url, "AK", "hunter2")) as store:
        yield store, server


def error(status: int, code: str = "", **headers: str) -> bytes:
    xml = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>no</Message></Error>".encode() if code else b""
    return http(status, xml, Content_Type="application/xml", **headers)


def in_turn(*answers: bytes) -> Handler:
    left = list(answers)

    async def handle(_seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        return True

    return handle


OK = http(200, b"")
AGAIN = [
    (500, "InternalError"), (500, ""), (502, ""), (503, ""), (503, "ServiceUnavailable"), (504, ""),
    (400, "RequestTimeout"), (400, "BadDigest"), (400, "IncompleteBody"), (409, "OperationAborted"), (408, ""),
    (507, ""), (520, ""), (529, ""), (307, "TemporaryRedirect"), (400, "RequestTimeoutException"),
    (400, "PriorRequestNotComplete"), (400, "XAmzContentSHA256Mismatch"), (400, "InternalError"),
    (400, "ServiceUnavailable"),
]  # fmt: skip
THROTTLED = [
    (503, "SlowDown"), (400, "Throttling"), (400, "RequestLimitExceeded"), (429, ""), (503, "BandwidthLimitExceeded"),
    (400, "ThrottlingException"), (400, "ThrottledException"), (400, "RequestThrottled"),
    (400, "RequestThrottledException"), (400, "TooManyRequests"), (400, "TooManyRequestsException"),
]  # fmt: skip
REFUSED = [
    (403, "AccessDenied"), (404, "NoSuchBucket"), (400, "InvalidRequest"), (403, "SignatureDoesNotMatch"),
    (403, "RequestTimeTooSkewed"), (301, "PermanentRedirect"), (403, ""), (400, ""), (403, "ExpiredToken"),
    (501, "NotImplemented"), (307, ""),
]  # fmt: skip


@pytest.mark.parametrize(("status", "code"), AGAIN + THROTTLED)
async def test_what_passes_is_tried_again(status: int, code: str) -> None:
    async with fake(in_turn(error(status, code), OK)) as (store, server):
        await store.put("k", b"body", ABOUT)
    assert [seen.body for seen in server.seen] == [b"body", b"body"]


@pytest.mark.parametrize(
    ("status", "code", "named"),
    [(*case, "STORE_DOWN") for case in AGAIN] + [(*case, "STORE_SLOW") for case in THROTTLED],
)
async def test_what_does_not_pass_is_put_off(status: int, code: str, named: str) -> None:
    async with fake(in_turn(error(status, code))) as (store, server):
        with pytest.raises(StoreUnavailable) as caught:
            await store.put("k", b"body", ABOUT)
    assert (caught.value.code, len(server.seen)) == (named, ATTEMPTS)
    assert bool(caught.value.retry_after_s) is (named == "STORE_SLOW")


async def test_the_path_is_sent_as_it_is_signed() -> None:
    async with fake(in_turn(OK)) as (store, server):
        await store.put(KEY, b"body", ABOUT)
    assert server.seen[0].target == store._place.path(KEY)


@pytest.mark.parametrize(("status", "code"), REFUSED)
async def test_what_waiting_does_not_mend_is_tried_once(status: int, code: str) -> None:
    async with fake(in_turn(error(status, code))) as (store, server):
        with pytest.raises(StoreRefused, match=code or str(status)) as caught:
            await store.put("k", b"body", ABOUT)
    assert len(server.seen) == 1
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_store_that_points_elsewhere_is_not_followed(status: int) -> None:
    """What is signed for one server is not for another one's eyes."""
    async with fake(in_turn(error(status, "PermanentRedirect", Location="/another/k"))) as (store, server):
        with pytest.raises(StoreRefused):
            await store.put("k", b"body", ABOUT)
    assert [seen.target for seen in server.seen] == ["/b/k"]


async def test_a_store_that_knows_no_such_object_has_deleted_it() -> None:
    async with fake(in_turn(error(404, "NoSuchKey"))) as (store, server):
        await store.delete("k")
        with pytest.raises(StoreRefused):
            await store.put("k", b"body", ABOUT)
    assert [seen.method for seen in server.seen] == ["DELETE", "PUT"]


async def test_a_cut_answer_is_tried_again() -> None:
    calls: list[Seen] = []

    async def cut(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        calls.append(seen)
        whole = len(calls) > 2
        writer.write(OK if whole else OK[:10])
        return whole

    async with fake(cut) as (store, _):
        await store.put("k", b"body", ABOUT)
    assert [seen.body for seen in calls] == [b"body"] * 3


@pytest.mark.parametrize("size", [50_000, 60 << 10, 64 << 10, 1 << 20])
async def test_a_store_that_stops_taking_a_body_does_not_hold_its_task(size: int) -> None:
    """The session's limit of silence runs only once all of the body is sent."""

    def narrow(info: Any) -> socket.socket:
        made = socket.socket(*info[:3])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return made

    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        connector = aiohttp.TCPConnector(socket_factory=narrow)
        timeout = aiohttp.ClientTimeout(sock_connect=2, sock_read=0.2)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            store = Store(StoreAccess("b", f"http://127.0.0.1:{deaf.getsockname()[1]}", "AK", "SK"), session)
            with pytest.raises(StoreUnavailable, match="STORE_DOWN: PUT: too slow"):
                await asyncio.wait_for(store.put("k", bytes(size), ABOUT), 5)


async def test_an_error_that_comes_in_pieces_is_read_whole() -> None:
    left = [error(400, "RequestTimeout"), OK]

    async def handle(_seen: Seen, writer: asyncio.StreamWriter) -> bool:
        answer = left.pop(0)
        for piece in (answer[:-40], answer[-40:]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        return True

    async with fake(handle) as (store, _):
        await store.put("k", b"body", ABOUT)
    assert left == []


async def test_a_store_that_is_away_is_left_alone_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_store, "RULE", CircuitRule(threshold=3, pause_s=0.2))
    async with opened(StoreAccess("b", "http://127.0.0.1:1", "AK", "SK")) as store:
        with pytest.raises(StoreUnavailable) as caught:
            await store.put("k", b"body", ABOUT)
        assert caught.value.code == "STORE_DOWN"
        with pytest.raises(StoreUnavailable, match="lately") as shut:
            store.check_open()
        assert shut.value.retry_after_s is not None
        assert 0 < shut.value.retry_after_s <= 0.2
        await asyncio.sleep(0.25)
        store.check_open()


async def test_throttling_slows_down_the_whole_process_and_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_store, "_FIRST_PAUSE_S", 0.05)
    async with fake(in_turn(error(503, "SlowDown"), OK)) as (store, _):
        begin = time.monotonic()
        await store.put("k", b"body", ABOUT)
        await store.put("k", b"body", ABOUT)
        assert time.monotonic() - begin >= 0.1
        for _ in range(10):
            await store.put("k", b"body", ABOUT)
        assert store._pace.pause_s == 0.0


def test_requests_that_are_throttled_together_lengthen_the_pause_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_store, "_FIRST_PAUSE_S", 2.0)
    pace = Pace()
    for _ in range(10):
        pace.throttled()
    assert pace.pause_s == 4.0


async def test_a_host_whose_keys_ran_out_fetches_new_ones_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[int] = []

    class Frozen:
        access_key, secret_key, token = "AK", "SK", "a-token"

    class Host:
        async def get_frozen_credentials(self) -> Frozen:
            return Frozen()

    async def host_credentials() -> Host:
        fetched.append(1)
        return Host()

    monkeypatch.setattr("core.client.keys_of_host._host_credentials", host_credentials)
    for code in ("ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"):
        fetched.clear()
        answers = in_turn(error(400, code), OK)
        async with raw_server(answers) as server, opened(StoreAccess("b", server.url)) as store:
            await store.put("k", b"body", ABOUT)
            await store.put("k", b"body", ABOUT)
        assert len(fetched) == 2
    assert server.seen[0].headers["x-amz-security-token"] == "a-token"
    async with raw_server(in_turn(error(400, "ExpiredToken"))) as server, opened(StoreAccess("b", server.url)) as store:
        with pytest.raises(StoreRefused):
            await store.put("k", b"body", ABOUT)
    assert len(server.seen) == 2


async def test_many_uploads_ask_the_host_for_keys_once_and_once_more_when_they_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    renewed = asyncio.Event()

    class Host:
        access_key, secret_key = "AK", "SK"

        def __init__(self, number: int) -> None:
            self.token = f"token-{number}"

        async def get_frozen_credentials(self) -> Self:
            return self

    async def host_credentials() -> Host:
        asked.append(1)
        await asyncio.sleep(0.05)
        return Host(len(asked))

    async def handle(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        is_old = seen.headers["x-amz-security-token"] == "token-1"
        if not is_old:
            renewed.set()
        elif seen.target == "/b/k0":
            await renewed.wait()  # its keys are refused when others have new ones already
        writer.write(error(400, "ExpiredToken") if is_old else OK)
        return True

    monkeypatch.setattr("core.client.keys_of_host._host_credentials", host_credentials)
    async with raw_server(handle) as server, opened(StoreAccess("b", server.url)) as store:
        one = asyncio.create_task(store.put("cancelled", b"body", ABOUT))
        others = [asyncio.create_task(store.put(f"k{number}", b"body", ABOUT)) for number in range(50)]
        await asyncio.sleep(0.01)
        one.cancel()
        await asyncio.gather(*others)
    assert len(asked) == 2


async def test_a_host_without_keys_says_so_and_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    async def nothing() -> None:
        asked.append(1)
        raise LookupError

    monkeypatch.setattr("core.client.keys_of_host._host_credentials", nothing)
    async with opened(StoreAccess("b", "http://127.0.0.1:1")) as store:
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="STORE_DOWN: no credentials of this host"):
                await store.put("k", b"body", ABOUT)
    assert len(asked) == 2


def test_errors_are_read_from_whatever_xml_holds_them() -> None:
    assert code_of("\n\n<?xml version='1.0'?><Error>\n <Code>InternalError</Code></Error>") == "InternalError"
    assert code_of("<html>") == ""
    assert judge(200, "InternalError") is Verdict.AGAIN
    assert judge(204, "") is Verdict.DONE


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1 << 20])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_the_real_store_takes_what_is_signed(s3: S3Access, size: int, kind: Callable[[bytes], bytes]) -> None:
    body = (bytes(range(256)) * 4097)[:size]
    async with opened(access(s3)) as store:
        await store.put(KEY, kind(body), ABOUT)
    answer = s3.client().get_object(Bucket=s3.bucket, Key=KEY)
    assert answer["Body"].read() == body
    assert (answer["ContentType"], answer["ContentDisposition"]) == ("image/jpeg", "inline")


async def test_the_real_store_is_asked_whether_an_object_is_missing(s3: S3Access) -> None:
    async with opened(access(s3)) as store:
        await store.put(KEY, b"body", ABOUT)
        assert not await store.is_missing(KEY)
        await store.delete(KEY)
        assert await store.is_missing(KEY)


async def test_a_store_that_does_not_let_one_look_says_nothing() -> None:
    async with fake(in_turn(b"HTTP/1.1 403 X\r\nContent-Length: 9\r\n\r\n")) as (store, _):
        assert not await store.is_missing("k")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"secret_key": "wrong"}, "SignatureDoesNotMatch"),
        ({"access_key": "nobody:here"}, "SignatureDoesNotMatch"),
        ({"bucket": "no-such-bucket-here"}, "NoSuchBucket"),
    ],
)
async def test_the_real_store_refuses_what_is_wrong(s3: S3Access, change: dict[str, str], code: str) -> None:
    async with opened(replace(access(s3), **change)) as store:
        with pytest.raises(StoreRefused, match=code):
            await store.put("k", b"body", ABOUT)


async def test_the_real_store_refuses_another_body_than_was_signed(s3: S3Access) -> None:
    async with opened(access(s3)) as store:
        with pytest.raises(StoreUnavailable, match="XAmzContentSHA256Mismatch"):
            await store._request("PUT", "other", b"body", ABOUT, hashlib.sha256(b"bodY").hexdigest())


async def test_the_real_store_keeps_nothing_of_a_body_that_ends_too_soon(s3: S3Access) -> None:
    """A process that dies in the middle of a request leaves the old object as it was."""
    key, body = "assets/posts/instagram/short.jpg", b"x" * 200_000
    async with opened(access(s3)) as store:
        await store.put(key, b"old", ABOUT)
        path = store._place.path(key)
        sha256 = hashlib.sha256(body).hexdigest()
        signed = store._signer.sign(Keys(s3.access_key, s3.secret_key), ("PUT", path), ABOUT, sha256, utc_now())
    place = urlsplit(s3.endpoint_url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    head = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    writer.write(f"PUT {path} HTTP/1.1\r\n{head}content-length: {len(body)}\r\n\r\n".encode() + body[:100_000])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await reader.read()
    assert s3.client().get_object(Bucket=s3.bucket, Key=key)["Body"].read() == b"old"


async def test_a_clock_that_is_wrong_is_named(s3: S3Access, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_store, "utc_now", lambda: utc_now() - timedelta(hours=1))
    async with opened(access(s3)) as store:
        with pytest.raises(StoreRefused, match="RequestTimeTooSkewed"):
            await store.put("k", b"body", ABOUT)


def test_the_circuit_takes_longer_than_a_burst_of_failures() -> None:
    assert RULE.threshold > ATTEMPTS
