"""Redirects: what is followed, with which method and body, and what never reaches another host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from tests.support.raw_server import Handler, RawServer, Seen, always, http, raw_server
from utils.redirects import follow
from utils.request import BadRedirect, HttpClient, HttpOptions, Response
from utils.transport import Incoming, Outgoing

CREDENTIALS = {
    "Authorization": "Bearer 5ecr3t",
    "Cookie": "sid=5ecr3t",
    "X-RapidAPI-Key": "5ecr3t",
    "x-access-key": "5ecr3t",
    "X-Shopify-Access-Token": "5ecr3t",
    "api-key": "5ecr3t",
    "X-RapidAPI-Host": "h.example",
}
QUERY = "access_token=5ecr3t&key=5ecr3t&access_key=5ecr3t&fields=a"


async def request(method: str, url: str, **arguments: object) -> Response:
    client = HttpClient(HttpOptions())
    try:
        return await client.request(method, url, **arguments)  # type: ignore[arg-type]
    finally:
        await client.aclose()


def redirecting(status: int, location: Callable[[Seen], str | None]) -> Handler:
    async def handle(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        there = location(seen)
        answer = http() if there is None else http(status, b"moved", Location=there)
        writer.write(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if seen.method == "HEAD" else answer)
        return True

    return handle


def once(status: int) -> Handler:
    return redirecting(status, lambda seen: "/there?x=1" if seen.target == "/here" else None)


@pytest.mark.parametrize(
    ("status", "method", "then", "with_body"),
    [
        (301, "POST", "GET", False),
        (302, "POST", "GET", False),
        (303, "POST", "GET", False),
        (303, "PUT", "GET", False),
        (307, "POST", "POST", True),
        (308, "POST", "POST", True),
        (301, "PUT", "PUT", True),
        (302, "DELETE", "DELETE", True),
        (301, "GET", "GET", True),
        (303, "HEAD", "HEAD", True),
    ],
)
async def test_method_and_body_follow_the_rules(status: int, method: str, then: str, with_body: bool) -> None:
    async with raw_server(once(status)) as server:
        response = await request(method, f"{server.url}/here", json={"a": 1}, headers={"x-mine": "1"})
        assert (response.status, response.url) == (200, f"{server.url}/there?x=1")
        last = server.seen[-1]
        assert (last.method, last.target, last.headers["x-mine"]) == (then, "/there?x=1", "1")
        assert (last.body, last.headers.get("content-type")) == (
            (b'{"a":1}', "application/json") if with_body else (b"", None)
        )
        assert server.connections == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_credentials_stay_with_the_host_they_are_for(status: int) -> None:
    async with raw_server(always(http())) as stranger:
        location = f"{stranger.url}/there?{QUERY}"
        async with raw_server(redirecting(status, lambda _seen: location)) as server:
            form = {"client_secret": "5ecr3t", "refresh_token": "5ecr3t", "grant": "x"}
            await request("POST", f"{server.url}/here?{QUERY}", data=form, headers=CREDENTIALS)
            assert server.seen[0].headers["authorization"] == "Bearer 5ecr3t"
    (seen,) = stranger.seen
    assert "5ecr3t" not in f"{seen}"
    assert seen.target == "/there?fields=a"
    assert seen.headers["x-rapidapi-host"] == "h.example"
    assert seen.body == (b"grant=x" if status in (307, 308) else b"")


async def test_credentials_travel_within_the_host() -> None:
    async with raw_server(once(302)) as server:
        await request("GET", f"{server.url}/here", headers=CREDENTIALS)
        for name, value in CREDENTIALS.items():
            assert server.seen[1].headers[name.lower()] == value


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ("http://h.example/", "https://h.example/", True),
        ("https://h.example/", "https://H.example:443/x", True),
        ("http://h.example:8080/", "https://h.example/", False),
        ("https://h.example/", "https://h.example:8443/", False),
        ("https://h.example/", "https://x.h.example/", False),
        ("https://h.example/", "//other.example/", False),
        ("http://h.example/", "https://other.example/", False),
    ],
)
def test_a_host_is_its_name_and_port(before: str, after: str, kept: bool) -> None:
    outgoing = Outgoing("GET", before, "/", {"authorization": "5ecr3t"}, b"")
    following = follow(outgoing, Incoming(302, {"location": after}, b"", True))
    assert following is not None
    assert ("authorization" in following.headers) is kept


@pytest.mark.parametrize(
    ("before", "location"),
    [
        ("https://h.example/", "http://h.example/"),
        ("http://h.example/", "ftp://h.example/"),
        ("http://h.example/", "file:///etc/passwd"),
        ("http://h.example/", "javascript:alert(1)"),
        ("http://h.example/", "http://user:5ecr3t@h.example/"),
        ("http://h.example/", "http://[::1/"),
        ("http://h.example/", "http://h.example:99999/"),
    ],
)
def test_a_redirect_to_a_place_of_another_kind_is_refused(before: str, location: str) -> None:
    outgoing = Outgoing("GET", before, "/", {}, b"")
    with pytest.raises(BadRedirect) as refused:
        follow(outgoing, Incoming(302, {"location": location}, b"", True))
    assert "5ecr3t" not in str(refused.value)


@pytest.mark.parametrize("location", ["", "Location: \r\n"])
@pytest.mark.parametrize("status", [300, 301, 302, 304, 305])
async def test_304_and_3xx_without_location_are_answers(status: int, location: str) -> None:
    answer = f"HTTP/1.1 {status} X\r\nETag: x\r\n{location}".encode()
    length = b"" if status == 304 else b"Content-Length: 0\r\n"
    async with raw_server(always(answer + length + b"\r\n")) as server:
        response = await request("GET", server.url)
        assert (response.status, response.headers["etag"], response.body) == (status, "x", b"")


async def test_loops_and_long_chains_end() -> None:
    async with raw_server(redirecting(302, lambda seen: "/b" if seen.target == "/a" else "/a")) as server:
        with pytest.raises(BadRedirect, match="loop"):
            await request("GET", f"{server.url}/a")
        assert len(server.seen) == 2

    def further(seen: Seen) -> str:
        return f"/{int(seen.target[1:]) + 1}"

    async with raw_server(redirecting(302, further)) as server:
        with pytest.raises(BadRedirect, match="more than 5"):
            await request("GET", f"{server.url}/0")
        assert len(server.seen) == 6


async def test_many_redirects_between_hosts_leave_no_connection_open() -> None:
    servers: list[RawServer] = []

    def other(seen: Seen) -> str | None:
        number = int(seen.target[1:])
        return None if number == 30 else f"{servers[(number + 1) % 2].url}/{number + 1}"

    async with raw_server(redirecting(302, other)) as one, raw_server(redirecting(302, other)) as two:
        servers += [one, two]
        client = HttpClient(HttpOptions(max_redirects=40))
        assert (await client.request("GET", f"{one.url}/0")).url == f"{one.url}/30"
        assert (one.connections, two.connections) == (1, 1)
        await client.aclose()
