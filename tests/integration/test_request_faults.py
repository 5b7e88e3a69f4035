"""Whatever a server does wrong ends in one named failure, in time, and without a descriptor left behind."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from pathlib import Path

import pytest

from tests.support.ports import silent_port
from tests.support.raw_server import Seen, always, http, raw_server, until
from utils.request import (
    BodyTooLarge,
    ConnectFailed,
    HttpClient,
    HttpOptions,
    NotJson,
    ProtocolFailed,
    RequestFailed,
    RequestTimeout,
    Timeouts,
)

GZIPPED = gzip.compress(b'{"a": 1}')
SECRET = {"access_token": "5ecr3t"}


async def ask(url: str, method: str = "GET", **options: object) -> RequestFailed:
    """The failure of one request on a client of its own."""
    client = HttpClient(HttpOptions(**options))  # type: ignore[arg-type]
    try:
        with pytest.raises(RequestFailed) as failed:
            await client.request(method, url, params=SECRET, headers={"authorization": "Bearer 5ecr3t"})
    finally:
        await client.aclose()
    assert "5ecr3t" not in f"{failed.value} {failed.value!r} {failed.value.__cause__!r} {failed.value.__context__!r}"
    return failed.value


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "without a response|ended"),
        (b"HTTP/1.1 200 OK\r\nContent-", "ended"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "ended"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "ended"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n", "not valid HTTP"),
        (b"5ecr3t garbage\r\n\r\n", "not valid HTTP"),
        (b"SSH-2.0-OpenSSH\r\n", "not valid HTTP|ended"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n{}", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "without length"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", "without a response|ended"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20 + http(), "interim responses without end"),
        (http(body=GZIPPED[:-6], Content_Encoding="gzip"), "truncated"),
        (http(body=b"5ecr3t", Content_Encoding="gzip"), "corrupt"),
        (http(body=b"abc", Content_Encoding="br"), "unknown content-encoding"),
    ],
    ids=lambda value: value[:30].decode("latin-1") if isinstance(value, bytes) else None,
)
async def test_an_answer_that_is_not_whole_http_is_a_protocol_failure(answer: bytes, reason: str) -> None:
    async with raw_server(always(answer, keep=False)) as server:
        failure = await ask(server.url)
        assert type(failure) is ProtocolFailed
        assert any(part in str(failure) for part in reason.split("|")), str(failure)
        assert f"GET {server.url}?access_token=***" in str(failure).replace("/?", "?")
        await until(lambda: server.open_now == 0)


async def test_interim_responses_are_passed_over() -> None:
    hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with raw_server(always(hints + http(body=b'{"a":1}'))) as server:
        client = HttpClient(HttpOptions())
        try:
            for _ in range(2):
                answer = await client.request("GET", server.url)
                assert (answer.status, answer.json()) == (200, {"a": 1})
            assert server.connections == 1
            assert "link" not in answer.headers
        finally:
            await client.aclose()


async def test_a_reset_is_a_protocol_failure() -> None:
    async def reset(_seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await writer.drain()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return False

    async with raw_server(reset) as server:
        for method in ("GET", "POST"):
            assert type(await ask(server.url, method)) is ProtocolFailed


async def test_nobody_there_is_a_connect_failure() -> None:
    with silent_port() as port:
        failure = await ask(f"http://127.0.0.1:{port}/")
    assert type(failure) is ConnectFailed
    assert "refused" in str(failure) or "Connect call failed" in str(failure)


async def test_a_tls_handshake_that_never_ends_is_a_connect_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        failure = await ask(url, timeouts=Timeouts(connect=0.1))
    assert isinstance(failure, RequestTimeout)
    assert (failure.phase, failure.limit_s) == ("connect", 0.1)


async def test_plain_http_on_a_tls_port_is_a_connect_failure() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        task = asyncio.create_task(ask(f"https://127.0.0.1:{listener.getsockname()[1]}/"))
        peer, _ = await loop.sock_accept(listener)
        with peer:
            await loop.sock_sendall(peer, b"HTTP/1.1 400 Bad Request\r\n\r\n")
            assert type(await task) is ConnectFailed


async def test_silence_is_a_read_timeout_and_chunks_in_time_are_none() -> None:
    async def drip(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n")
        for _ in range(8):
            await asyncio.sleep(0.3)
            writer.write(b"1")
        return True

    async with raw_server(drip) as server:
        client = HttpClient(HttpOptions(timeouts=Timeouts(read=2.0)))
        assert (await client.request("GET", server.url)).json() == 11111111
        with pytest.raises(RequestTimeout) as failed:
            await client.request("GET", server.url, timeouts=Timeouts(read=0.03))
        assert failed.value.phase == "read"
        with pytest.raises(RequestTimeout) as failed:
            await client.request("GET", server.url, timeouts=Timeouts(read=2.0, total=0.5))
        assert failed.value.phase == "total"
        await client.aclose()


async def test_waiting_for_a_free_connection_counts_into_the_total() -> None:
    async with raw_server(always(b"")) as server:
        client = HttpClient(HttpOptions(connections=1))
        limits = [1.0, *[0.2] * 4]  # the first one holds the connection for as long as the others wait
        asked = (client.request("GET", server.url, timeouts=Timeouts(total=total)) for total in limits)
        ends = await asyncio.gather(*asked, return_exceptions=True)
        assert [end.phase for end in ends if isinstance(end, RequestTimeout)] == ["total"] * 5
        assert len(server.seen) == 1
        await client.aclose()


async def test_a_server_that_does_not_read_is_a_read_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        client = HttpClient(HttpOptions())
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        with pytest.raises(RequestTimeout) as failed:
            await client.request("POST", url, data=b"x" * 20_000_000, timeouts=Timeouts(read=0.1))
        assert failed.value.phase == "read"
        await client.aclose()


async def test_a_connection_that_breaks_during_an_upload_is_a_protocol_failure() -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(50_000)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    server = await asyncio.start_server(leave, "127.0.0.1", 0)
    client = HttpClient(HttpOptions())
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    with pytest.raises(ProtocolFailed):
        await client.request("POST", url, data=b"x" * 20_000_000)
    await client.aclose()
    server.close()
    await server.wait_closed()


async def test_an_early_refusal_of_a_large_upload_is_still_read() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(413, b"too much"))
        await writer.drain()
        while await reader.read(1 << 16):
            pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = HttpClient(HttpOptions())
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    response = await client.request("POST", url, data=b"x" * 5_000_000)
    assert (response.status, response.body) == (413, b"too much")
    await client.aclose()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize(
    "answer",
    [
        http(body=b"x" * 2000),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"3e8\r\n" + b"x" * 1000 + b"\r\n") * 2
        + b"0\r\n\r\n",
        http(body=gzip.compress(b"x" * 2000), Content_Encoding="gzip"),
        http(body=gzip.compress(b"x" * 600) * 3, Content_Encoding="gzip"),
    ],
    ids=["plain", "chunked", "gzip", "gzip members"],
)
async def test_a_body_past_the_cap_is_refused(answer: bytes) -> None:
    async with raw_server(always(answer)) as server:
        failure = await ask(server.url, max_body_bytes=1500)
        assert isinstance(failure, BodyTooLarge)
        assert failure.limit_bytes == 1500
        client = HttpClient(HttpOptions(max_body_bytes=1500))
        assert len((await client.request("GET", server.url, max_body_bytes=2000)).body) in (1800, 2000)
        await client.aclose()


async def test_an_endless_body_stops_at_the_cap() -> None:
    async def flood(_seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()
        return False

    async with raw_server(flood) as server:
        assert type(await ask(server.url, max_body_bytes=1_000_000)) is BodyTooLarge
        await until(lambda: server.open_now == 0)


@pytest.mark.parametrize(
    ("body", "look"),
    [(b"", "an empty body"), (b'{"data": {"id": "5ecr3t', "truncated JSON"), (b"<html>5ecr3t</html>", "HTML")],
)
async def test_a_whole_answer_that_is_not_json_says_what_it_is(body: bytes, look: str) -> None:
    async with raw_server(always(http(502, body))) as server:
        client = HttpClient(HttpOptions())
        response = await client.request("GET", server.url, params=SECRET)
        with pytest.raises(NotJson, match=f"status 502 with {look}") as failed:
            response.json()
        assert "5ecr3t" not in str(failed.value)
        await client.aclose()


async def test_a_thousand_faults_leave_no_descriptor() -> None:
    answers = [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"junk\r\n\r\n", http(body=b"x" * 99)]

    async def rotate(_seen: Seen, writer: asyncio.StreamWriter) -> bool:
        number = len(server.seen) % len(answers)
        writer.write(answers[number])
        return number > 1  # here it is the client that must leave

    def open_files() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    async with raw_server(rotate) as server:
        before = open_files()
        client = HttpClient(HttpOptions(max_body_bytes=50))
        for _ in range(10):
            ends = await asyncio.gather(
                *(client.request("POST", server.url) for _ in range(100)), return_exceptions=True
            )
            assert all(isinstance(end, ProtocolFailed | BodyTooLarge) for end in ends)
        await until(lambda: server.open_now == 0 and open_files() <= before)
        await client.aclose()
