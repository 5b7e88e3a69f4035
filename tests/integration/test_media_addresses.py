"""No URL, redirect or name server leads a download into the own network: the whole client, down to the sockets."""

from __future__ import annotations

import asyncio
import socket
from asyncio.selector_events import BaseSelectorEventLoop as Loop
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from core.client.addresses import is_public
from core.client.connector import PUBLIC, Reach, media_connector, resolver
from core.client.dns import DnsClient
from core.client.upload_assets import MediaClient, MediaRefused, MediaUnavailable
from tests.support.media import media_client, wanted
from tests.support.name_server import NameServer, name_server
from tests.support.raw_server import always, http, raw_server
from tests.support.s3 import S3Access
from tests.support.sandbox import Sandbox

PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255", "127.0.0.1",
    "127.255.255.254", "168.63.129.16", "169.254.0.1", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192",
    "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.168.0.1", "192.175.48.1", "198.18.0.1",
    "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:0:10.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "100::1", "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1",
    "2620:4f:8000::1",
    "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "4000::1",
]  # fmt: skip
HOSTS = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "0",
    "127.0.0.1.", "127.000.000.001", "0x7f.1", "169.254.43518", "2852039166", "0xA9FEA9FE", "[::1]", "[::]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:a9fe:a9fe]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]",
    "[2001:0:7f00:1::]", "[fe80::1]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[fd00:ec2::254]", "[::1%25lo]",
    "[2606:4700::1111%25eth0]",
    "localhost",
    "localhost.", "intranet", "metadata", "8.8.8.8.8", "134744072", "999.1.1.1", "1.2.3.0x4",
]  # fmt: skip
NO_URLS = [
    "ftp://cdn.example/x.jpg", "file:///etc/passwd", "gopher://cdn.example/", "//cdn.example/x.jpg", "x.jpg", "", "https://",
    "http://cdn.example:22/", "https://cdn.example:8443/x.jpg", "http://cdn.example:0/", "http://cdn.example:99999/",
    "https://user@cdn.example/x.jpg", "https://a:b@127.0.0.1/", "http://cdn.example\\@127.0.0.1/",
    "https://cdn..example/x",
    "http://127.0.0.1\t@cdn.example/", "http://１２７.０.０.１/", "http://ⓛocalhost/", "https://-cdn.example/", "http://[::1",
    "javascript:alert(1)", "data:image/png;base64,AAAA", "https://cdn.example%2f@127.0.0.1/",
    "https://" + "a" * 9000 + ".example/",
]  # fmt: skip


class Dials(list[tuple[str, int]]):
    """Every place that a socket was about to be connected to; none of them was."""


@pytest.fixture
def dials(monkeypatch: pytest.MonkeyPatch) -> Dials:
    found = Dials()

    connect = Loop.sock_connect

    async def refuse(loop: Loop, sock: socket.socket, address: tuple[str, int]) -> None:
        if sock.type is socket.SOCK_DGRAM:  # to the name server
            return await connect(loop, sock, address)
        found.append(address[:2])
        raise ConnectionRefusedError(111, "not in tests")

    monkeypatch.setattr(Loop, "sock_connect", refuse)
    return found


@pytest.fixture
async def names() -> AsyncIterator[NameServer]:
    async with name_server() as server:
        yield server


@pytest.fixture
async def client(s3: S3Access, names: NameServer) -> AsyncIterator[MediaClient]:
    async with media_client(s3, ASSET_DNS=names.place) as client:
        yield client


async def refused(client: MediaClient, url: str) -> str:
    with pytest.raises(MediaRefused) as caught:
        await client.upload(wanted(url))
    return caught.value.code


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_host_that_is_an_own_address_in_any_form_is_refused(
    client: MediaClient, names: NameServer, dials: Dials, scheme: str, host: str
) -> None:
    assert await refused(client, f"{scheme}://{host}/latest/meta-data") == "REFUSED_ADDRESS"
    assert (dials, names.asked) == ([], [])


@pytest.mark.parametrize("address", PRIVATE)
async def test_a_name_of_an_own_address_is_refused(
    client: MediaClient, names: NameServer, dials: Dials, address: str
) -> None:
    names.names["cdn.example"] = [address]
    assert await refused(client, "https://cdn.example/x.jpg") == "REFUSED_ADDRESS"
    assert dials == []
    assert len(names.asked) == 2


@pytest.mark.parametrize("url", NO_URLS)
async def test_what_is_no_plain_url_is_refused(client: MediaClient, dials: Dials, url: str) -> None:
    assert await refused(client, url) in ("BAD_URL", "REFUSED_ADDRESS")
    assert dials == []


@pytest.mark.parametrize("address", ["1.1.1.1", "31.13.66.35", "100.63.255.255", "172.32.0.1", "2606:4700::1111"])
@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
async def test_a_public_address_is_dialled(
    client: MediaClient, names: NameServer, dials: Dials, address: str, scheme: str, port: int
) -> None:
    names.names["cdn.example"] = [address]
    with pytest.raises(MediaUnavailable) as caught:
        await client.upload(wanted(f"{scheme}://cdn.example/x.jpg"))
    assert caught.value.code == "CONNECTION"
    assert dials == [(address, port)]


async def test_own_addresses_among_public_ones_are_passed_over(
    client: MediaClient, names: NameServer, dials: Dials
) -> None:
    names.names["cdn.example"] = ["127.0.0.1", "1.1.1.1", "::1", "10.0.0.1"]
    with pytest.raises(MediaUnavailable):
        await client.upload(wanted("https://cdn.example/x.jpg"))
    assert set(dials) == {("1.1.1.1", 443)}


async def test_an_alias_of_an_own_address_is_refused(client: MediaClient, names: NameServer, dials: Dials) -> None:
    names.aliases["cdn.example"] = "inside.example"
    names.names["inside.example"] = ["192.168.1.1"]
    assert await refused(client, "https://cdn.example/x.jpg") == "REFUSED_ADDRESS"
    assert dials == []


async def test_a_name_server_that_changes_its_mind_is_asked_once(
    client: MediaClient, names: NameServer, dials: Dials
) -> None:
    names.names["rebind.example"] = lambda before: ["127.0.0.1"] if before else ["1.1.1.1"]
    with pytest.raises(MediaUnavailable):
        await client.upload(wanted("http://rebind.example/x.jpg"))
    assert dials == [("1.1.1.1", 80)]
    assert names.asked.count(("rebind.example", "A")) == 1


async def test_the_address_that_was_checked_is_the_one_that_answers(names: NameServer) -> None:
    """With real sockets: 127.0.0.2 stands for a public address, 127.0.0.1 for an own one, one port on both."""
    names.names["rebind.example"] = lambda before: ["127.0.0.1"] if before else ["127.0.0.2"]
    async with raw_server(always(http(200, b"inside"))) as inside:
        outside = await asyncio.start_server(_answer_outside, "127.0.0.2", inside.port)
        reach = Reach(lambda address: address == "127.0.0.2" or is_public(address), frozenset({inside.port}))
        connector = media_connector(resolver(names.place), reach, limit=0, per_host=1)
        async with outside, aiohttp.ClientSession(connector=connector) as session:
            url = f"http://rebind.example:{inside.port}/"
            for _ in range(2):  # the answer is remembered, the connection is not kept
                async with session.get(url) as response:
                    assert await response.read() == b"outside"
            connector.clear_dns_cache()
            with pytest.raises(MediaRefused):
                await session.get(url)
    assert inside.connections == 0


async def _answer_outside(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(http(200, b"outside", Connection="close"))
    writer.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]"])
async def test_a_literal_that_no_resolver_sees_is_refused_at_the_socket(host: str) -> None:
    async with aiohttp.ClientSession(connector=media_connector(resolver(None), PUBLIC, limit=0, per_host=1)) as session:
        with pytest.raises(MediaRefused):
            await session.get(URL(f"http://{host}/", encoded=True))


async def test_a_port_beyond_the_two_is_refused_at_the_socket(dials: Dials) -> None:
    async with aiohttp.ClientSession(connector=media_connector(resolver(None), PUBLIC, limit=0, per_host=1)) as session:
        with pytest.raises(MediaRefused):
            await session.get("http://1.1.1.1:6379/")
    assert dials == []


@pytest.mark.parametrize("host", ["localhost", "2130706433", "127.1"])
async def test_the_systems_resolver_is_checked_too(host: str) -> None:
    connector = media_connector(resolver(None), PUBLIC, limit=0, per_host=1)
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises((MediaRefused, aiohttp.ClientError)) as caught:
            await session.get(URL(f"http://{host}/", encoded=True))
    assert not isinstance(caught.value, aiohttp.ClientConnectorError)


async def test_a_redirect_of_the_cdn_to_a_name_of_an_own_address_is_refused(
    s3: S3Access, sandbox: Sandbox, names: NameServer
) -> None:
    names.names["cdn.example"] = ["10.0.0.5"]
    await sandbox.fault("cdn", "redirect", location="https://cdn.example/x.jpg", times=1)
    async with media_client(s3, sandbox.url, ASSET_DNS=names.place) as client:
        with pytest.raises(MediaRefused) as caught:
            await client.upload(wanted("https://i.ytimg.com/vi/a/hqdefault.jpg"))
    assert caught.value.code == "REFUSED_ADDRESS"


async def test_an_unknown_name_may_be_known_later(client: MediaClient, dials: Dials) -> None:
    with pytest.raises(MediaUnavailable) as caught:
        await client.upload(wanted("https://nowhere.example/x.jpg"))
    assert (caught.value.code, dials) == ("DNS", [])


async def test_a_name_server_that_misses_a_question_is_asked_again(
    names: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.client.dns._WAIT_S", 0.05)
    host, _, port = names.place.rpartition(":")
    names.names["cdn.example"] = ["1.1.1.1", "2606:4700::1111"]
    names.deaf = 2
    assert sorted(await DnsClient((host, int(port))).addresses("cdn.example")) == ["1.1.1.1", "2606:4700::1111"]
    names.deaf = 100
    with pytest.raises(OSError, match="did not answer"):
        await DnsClient((host, int(port))).addresses("cdn.example")
