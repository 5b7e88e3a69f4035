"""Which connections the outbound client uses, and that it leaves none behind."""

from __future__ import annotations

import asyncio
import datetime
import gc
import gzip
import ipaddress
import json
import ssl
from functools import partial
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.http_client import client, open_files, settled, turns
from tests.support.raw_server import Seen, always, http, raw_server, stall, until
from utils.pool import Origin
from utils.request import (
    ConnectFailed,
    ProtocolFailed,
    RequestTimeout,
    Timeouts,
)
from utils.wire import Wire

GREETING = {"text": "नमस्ते 🌍", "pk": 3776832898280228145}


async def test_one_connection_serves_many_requests_in_turn() -> None:
    async with raw_server(always(http())) as server, client() as http_client:
        for _ in range(5):
            await http_client.request("GET", server.url)
        assert (len(server.seen), server.connections) == (5, 1)


async def test_no_more_connections_than_allowed_per_host() -> None:
    async def slow(_seen: Seen, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(0.005)
        writer.write(http())
        return True

    async with raw_server(slow) as one, raw_server(slow) as two, client(connections=4) as http_client:
        await asyncio.gather(*(http_client.request("GET", server.url) for server in (one, two) for _ in range(40)))
        assert (one.most_open, two.most_open) == (4, 4)
        assert (one.connections, two.connections) == (4, 4)


async def test_idle_connections_are_capped_over_all_hosts_and_expire() -> None:
    servers = raw_server(always(http())), raw_server(always(http()))
    async with servers[0] as one, servers[1] as two, client(max_idle=3, idle_ttl_s=1.0) as http_client:
        await asyncio.gather(*(http_client.request("GET", server.url) for server in (one, two) for _ in range(5)))
        await until(lambda: one.open_now + two.open_now <= 3)
        assert one.open_now + two.open_now == 3
        await until(lambda: one.open_now + two.open_now == 0)  # nobody asks again, and yet they are closed


async def test_a_connection_closed_while_idle_is_not_used_again() -> None:
    async with raw_server(always(http(), keep=False)) as server, client() as http_client:
        for method in ("GET", "POST", "POST"):
            assert (await http_client.request(method, server.url)).status == 200
            await until(lambda: server.open_now == 0)
            await turns()
        assert server.connections == 3


async def test_a_stale_connection_is_replaced_once_for_idempotent_methods_only() -> None:
    async def once_then_cut(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        first = sum(other.connection == seen.connection for other in server.seen) == 1
        if first:
            writer.write(http())
        return first

    async with raw_server(once_then_cut) as server, client() as http_client:
        await http_client.request("GET", server.url)
        assert (await http_client.request("GET", server.url)).status == 200
        assert (server.connections, len(server.seen)) == (2, 3)
        with pytest.raises(ProtocolFailed):
            await http_client.request("POST", server.url)
        assert (server.connections, len(server.seen)) == (2, 4)


async def test_a_request_is_not_repeated_on_a_new_connection_or_after_the_first_byte() -> None:
    async def cut(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        if len(server.seen) == 1:
            writer.write(http())
            return True
        writer.write(b"HTTP/1.1 200 OK\r\n")
        return False

    async with raw_server(cut) as server, client() as http_client:
        await http_client.request("GET", server.url)
        with pytest.raises(ProtocolFailed):
            await http_client.request("GET", server.url)
        assert len(server.seen) == 2
    async with raw_server(always(b"", keep=False)) as server, client() as http_client:
        with pytest.raises(ProtocolFailed):
            await http_client.request("GET", server.url)
        assert len(server.seen) == 1


async def test_a_request_that_was_not_answered_in_time_is_not_repeated() -> None:
    """The server may have counted it, and may be working on it still."""

    async def answer_once(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        if len(server.seen) > 1:
            return await stall(seen)
        writer.write(http())
        return True

    async with raw_server(answer_once) as server, client() as http_client:
        await http_client.request("GET", server.url)
        with pytest.raises(RequestTimeout):
            await http_client.request("GET", server.url, timeouts=Timeouts(read=0.1))
        assert (len(server.seen), server.connections) == (2, 1)


async def test_leftovers_of_one_answer_are_never_taken_for_the_next() -> None:
    poisoned = http(body=b'"mine"') + http(body=b'"5ecr3t of another"')
    async with raw_server(always(poisoned)) as server, client() as http_client:
        for _ in range(3):
            assert (await http_client.request("POST", server.url)).json() == "mine"
        assert server.connections == 3


async def test_data_that_comes_while_nobody_asked_ends_the_connection() -> None:
    said = 0

    async def talkative(_seen: Seen, writer: asyncio.StreamWriter) -> bool:
        nonlocal said
        writer.write(http(body=b'"mine"'))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(http(body=b'"5ecr3t of another"'))
        said += 1
        return True

    async with raw_server(talkative) as server, client() as http_client:
        for number in range(1, 4):
            assert (await http_client.request("POST", server.url)).json() == "mine"
            await until(partial(lambda wanted: said == wanted, number))
            await turns()
        assert server.connections == 3


async def test_a_connection_keeps_little_of_what_nobody_reads_and_loses_nothing() -> None:
    sent = b"x" * 8_000_000
    async with raw_server(always(sent, keep=False)) as server:
        _, wire = await asyncio.get_running_loop().create_connection(Wire, "127.0.0.1", server.port)
        wire.begin(10.0)
        try:
            await wire.send(b"GET / HTTP/1.1\r\n\r\n")
            await until(lambda: wire._paused)
            await turns()
            assert len(wire._buffer) < 3_000_000
            received = 0
            while data := await wire.receive():
                received += len(data)
            assert received == wire.received == len(sent)
        finally:
            wire.abort()
            await wire.closed.wait()


async def test_connection_close_and_http_1_0_are_respected() -> None:
    old = b"HTTP/1.0 200 OK\r\n\r\n{}"
    for answer in (http(Connection="Close"), old, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}"):
        async with raw_server(always(answer, keep=False)) as server, client() as http_client:
            assert (await http_client.request("GET", server.url)).json() == {}
            assert (await http_client.request("POST", server.url)).json() == {}
            assert server.connections == 2


def remembered() -> int:
    """Connections, and hosts with a place, that some pool of this process holds."""
    gc.collect()
    return sum(isinstance(thing, Wire | Origin) for thing in gc.get_objects())


async def test_neither_connections_nor_hosts_are_remembered_when_they_are_done_with() -> None:
    async with raw_server(always(http(), keep=False)) as server, client(sandbox_url=server.url) as http_client:
        before = remembered()
        for number in range(20):
            await http_client.request("GET", f"http://h{number}.example/")
        await until(lambda: server.open_now == 0)
        await turns()
        assert remembered() <= before + 2


async def test_cancelled_and_timed_out_requests_leave_no_descriptor_and_a_usable_client() -> None:
    async def stall_first(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        if seen.target == "/stall":
            return await stall(seen)
        writer.write(http())
        return True

    async with raw_server(stall_first) as server, client(connections=10) as http_client:
        before = await settled()
        tasks = [asyncio.create_task(http_client.request("GET", f"{server.url}/stall")) for _ in range(100)]
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        assert all(
            isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*tasks, return_exceptions=True)
        )
        short = Timeouts(read=0.05)
        ends = await asyncio.gather(
            *(http_client.request("GET", f"{server.url}/stall", timeouts=short) for _ in range(30)),
            return_exceptions=True,
        )
        assert all(isinstance(end, RequestTimeout) for end in ends)
        await until(lambda: server.open_now == 0)
        assert (await http_client.request("GET", server.url)).status == 200
        await until(lambda: open_files() <= before + 2)  # the one idle connection has two ends here


async def test_closing_the_client_ends_what_is_under_way_and_what_waits_for_its_turn() -> None:
    async with raw_server(always(b"")) as server, client(connections=1) as http_client:
        requests = [asyncio.create_task(http_client.request("GET", server.url)) for _ in range(3)]
        await until(lambda: bool(server.seen))
        await http_client.aclose()
        ends = await asyncio.gather(*requests, return_exceptions=True)
        assert [type(end) for end in ends] == [ProtocolFailed, ConnectFailed, ConnectFailed]
        await until(lambda: server.open_now == 0)


def make_certificates(directory: Path) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for 127.0.0.1 and a server context with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
    certificate = directory / "certificate.pem"
    certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = directory / "key.pem"
    plain = serialization.NoEncryption()
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return certificate, context


async def test_tls_is_pooled_and_an_untrusted_certificate_is_refused(tmp_path: Path) -> None:
    certificate, context = make_certificates(tmp_path)
    async with raw_server(always(http()), tls=context) as server:
        url = f"https://127.0.0.1:{server.port}/"
        async with client(ca_file=str(certificate)) as http_client:
            for _ in range(3):
                assert (await http_client.request("GET", url)).status == 200
            assert server.connections == 1
        async with client() as http_client:
            with pytest.raises(ConnectFailed, match="certificate not trusted"):
                await http_client.request("GET", url)


async def test_all_of_it_works_on_uvloop(tmp_path: Path) -> None:
    """The loop that workers run on: pooling, TLS, timeouts, cancelling, and no descriptor left."""
    certificate, context = make_certificates(tmp_path)
    body = gzip.compress(json.dumps(GREETING).encode())

    async def handle(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        if seen.target == "/stall":
            return await stall(seen)
        writer.write(http(body=body, Content_Encoding="gzip"))
        return seen.target != "/cut"

    async def scenario() -> None:
        async with raw_server(handle) as plain, raw_server(handle, tls=context) as secure:
            before = await settled()
            async with client(ca_file=str(certificate), connections=5) as http_client:
                for url in (plain.url, f"https://127.0.0.1:{secure.port}"):
                    answers = await asyncio.gather(*(http_client.request("GET", url) for _ in range(30)))
                    assert all(answer.json() == GREETING for answer in answers)
                    await http_client.request("GET", f"{url}/cut")
                    await turns()
                    assert (await http_client.request("POST", url)).json() == GREETING
                    with pytest.raises(RequestTimeout):
                        await http_client.request("GET", f"{url}/stall", timeouts=Timeouts(read=0.05))
                    stalled = [asyncio.create_task(http_client.request("GET", f"{url}/stall")) for _ in range(20)]
                    await asyncio.sleep(0.05)
                    for task in stalled:
                        task.cancel()
                    await asyncio.gather(*stalled, return_exceptions=True)
                    with pytest.raises(ConnectFailed):
                        await http_client.request("GET", "http://127.0.0.1:1/")
            await until(lambda: plain.open_now + secure.open_now == 0)
            await until(lambda: open_files() <= before)

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(scenario())

    await asyncio.to_thread(run)
