"""Injected faults as a client meets them, the broken connections seen from a raw socket."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass

import pytest

from tests.sandbox.universe import Kind
from tests.support.sandbox import Sandbox

GRAPH, A, J = "graphapi", "rapidapi-arraybobo", "rapidapi-jotucker"
SOURCES = [GRAPH, A, J]


@dataclass
class Raw:
    """What came over the socket until it ended."""

    head: bytes
    body: bytes
    was_reset: bool

    @property
    def status(self) -> int:
        """HTTP status, 0 when nothing came."""
        return int(self.head.split(b" ")[1]) if self.head else 0

    @property
    def headers(self) -> dict[str, str]:
        """Header names in lower case."""
        lines = self.head.decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}

    def json(self) -> object:
        """The decoded body."""
        return json.loads(self.body)


def request(sandbox: Sandbox, source: str, number: int = 0) -> bytes:
    """A profile request for the first business account."""
    universe = sandbox.universe
    who = next(universe.creator(i) for i in range(99) if universe.creator(i).kind is Kind.BUSINESS)
    pair = sandbox.credentials[source][number].credentials
    headers = dict(pair) if source != GRAPH else {}
    host = {
        GRAPH: "graph.facebook.com",
        A: "instagram-scraper-2022.p.rapidapi.com",
        J: "instagram-scraper2.p.rapidapi.com",
    }
    if source == GRAPH:
        fields = f"business_discovery.username({who.handle})%7Big_id,username,followers_count%7D"
        path = f"/v15.0/{pair['user_id']}?access_token={pair['token']}&fields={fields}"
    else:
        path = f"/ig/info_username/?user={who.handle}" if source == A else f"/user_info_by_id?user_name={who.handle}"
    lines = [f"GET {path} HTTP/1.1", "Host: sandbox", "Connection: close", f"X-Provider-Host: {host[source]}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def talk(sandbox: Sandbox, source: str, number: int = 0, timeout_s: float = 60) -> Raw:
    """One request over a plain socket, read to its end."""
    host, port = sandbox.url.removeprefix("http://").split(":")
    received, was_reset = bytearray(), False
    with socket.create_connection((host, int(port)), timeout=timeout_s) as link:
        link.sendall(request(sandbox, source, number))
        try:
            while chunk := link.recv(1 << 20):
                received += chunk
        except ConnectionResetError:
            was_reset = True
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    return Raw(head, body, was_reset)


def profile_id(source: str, raw: Raw) -> int:
    body = json.loads(raw.body)
    return int(body["business_discovery"]["ig_id"] if source == GRAPH else body["user"]["pk"])


ERRORS = [
    (A, "rate_limit", 429),
    (A, "quota", 429),
    (A, "unauthorized", 401),
    (A, "forbidden", 403),
    (A, "not_found", 404),
    (A, "server_error", 504),
    (A, "error_in_200", 200),
    (GRAPH, "rate_limit", 403),
    (GRAPH, "unauthorized", 400),
    (GRAPH, "forbidden", 403),
    (GRAPH, "not_found", 400),
    (GRAPH, "server_error", 500),
    (GRAPH, "error_in_200", 200),
]


@pytest.mark.parametrize(("source", "kind", "status"), ERRORS)
async def test_provider_errors_have_the_providers_status_and_body(
    sandbox: Sandbox, source: str, kind: str, status: int
) -> None:
    await sandbox.fault(source, kind)
    raw = talk(sandbox, source)
    assert raw.status == status
    assert set(json.loads(raw.body)) & {"error", "message", "messages"}


async def test_a_rate_limit_says_when_to_come_back_and_a_quota_does_not_say_soon(sandbox: Sandbox) -> None:
    await sandbox.fault(J, "rate_limit", seconds=7, times=1)
    await sandbox.fault(J, "quota")
    limited, quota = talk(sandbox, J), talk(sandbox, J)
    assert limited.headers["retry-after"] == "7"
    assert b"rate limit per second" in limited.body
    assert "retry-after" not in quota.headers
    assert b"MONTHLY quota" in quota.body


@pytest.mark.parametrize("source", SOURCES)
async def test_reset_ends_the_connection_with_rst_and_no_byte(sandbox: Sandbox, source: str) -> None:
    await sandbox.fault(source, "reset")
    raw = talk(sandbox, source)
    assert raw.was_reset
    assert raw.head == b""


@pytest.mark.parametrize("source", SOURCES)
async def test_half_body_promises_more_than_it_sends(sandbox: Sandbox, source: str) -> None:
    whole = talk(sandbox, source)
    await sandbox.fault(source, "half_body")
    raw = talk(sandbox, source)
    assert raw.status == 200
    assert int(raw.headers["content-length"]) == len(whole.body)
    assert raw.body == whole.body[: len(whole.body) // 2]


async def test_hang_says_nothing_until_the_client_leaves(sandbox: Sandbox) -> None:
    await sandbox.fault(J, "hang", times=1)
    with pytest.raises(TimeoutError):
        talk(sandbox, J, timeout_s=0.5)
    assert talk(sandbox, J).status == 200


async def test_hang_with_seconds_ends_by_itself_without_an_answer(sandbox: Sandbox) -> None:
    await sandbox.fault(J, "hang", seconds=0.2)
    raw = talk(sandbox, J)
    assert raw.was_reset
    assert raw.head == b""


async def test_slow_answers_late_and_in_full(sandbox: Sandbox) -> None:
    await sandbox.fault(J, "slow", seconds=0.5)
    with pytest.raises(TimeoutError):
        talk(sandbox, J, timeout_s=0.1)
    assert profile_id(J, talk(sandbox, J))


async def test_a_request_of_before_is_not_counted_after_clearing(sandbox: Sandbox) -> None:
    await sandbox.fault(J, "slow", seconds=0.4)
    with pytest.raises(TimeoutError):
        talk(sandbox, J, timeout_s=0.1)
    await sandbox.clear()
    await sandbox.fault(J, "slow", seconds=0.5)
    assert talk(sandbox, J).status == 200
    assert (await sandbox.stats())["total"] == 1


async def test_html_and_empty_come_with_200(sandbox: Sandbox) -> None:
    await sandbox.fault(J, "html", times=1)
    await sandbox.fault(J, "empty")
    html, empty = talk(sandbox, J), talk(sandbox, J)
    assert (html.status, html.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (empty.status, empty.headers["content-length"], empty.body) == (200, "0", b"")


async def test_truncated_json_is_a_whole_response_with_a_cut_body(sandbox: Sandbox) -> None:
    await sandbox.fault(J, "truncated_json")
    raw = talk(sandbox, J)
    assert int(raw.headers["content-length"]) == len(raw.body)
    with pytest.raises(json.JSONDecodeError):
        raw.json()


@pytest.mark.parametrize("source", SOURCES)
async def test_a_changed_key_is_gone_and_a_retyped_one_holds_an_object(sandbox: Sandbox, source: str) -> None:
    await sandbox.fault(source, "changed_key", times=1)
    await sandbox.fault(source, "retyped_key")
    changed, retyped = json.loads(talk(sandbox, source).body), json.loads(talk(sandbox, source).body)
    part, key = ("business_discovery", "ig_id") if source == GRAPH else ("user", "pk")
    assert key not in changed[part]
    assert isinstance(retyped[part][key], dict)


@pytest.mark.parametrize("source", SOURCES)
async def test_wrong_user_is_a_good_answer_about_somebody_else(sandbox: Sandbox, source: str) -> None:
    right = profile_id(source, talk(sandbox, source))
    await sandbox.fault(source, "wrong_user")
    wrong = profile_id(source, talk(sandbox, source))
    assert wrong != right
    assert sandbox.universe.by_pk(wrong) is not None


async def test_a_huge_body_is_50_megabytes_of_unannounced_length(sandbox: Sandbox) -> None:
    await sandbox.fault(J, "huge_body")
    raw = talk(sandbox, J)
    assert "content-length" not in raw.headers
    assert len(raw.body) > 50 << 20


async def test_faults_hit_only_what_they_are_aimed_at(sandbox: Sandbox) -> None:
    await sandbox.fault(J, "server_error", only_credential=f"{J}#2")
    assert [talk(sandbox, J, number).status for number in (0, 1, 2)] == [200, 504, 200]
    assert talk(sandbox, A).status == 200
    await sandbox.clear()
    await sandbox.fault(J, "server_error", function="fetch_profile_posts_by_id")
    assert talk(sandbox, J).status == 200


async def test_times_end_a_fault_and_probability_repeats_after_clear(sandbox: Sandbox) -> None:
    await sandbox.fault(J, "server_error", times=2)
    assert [talk(sandbox, J).status for _ in range(3)] == [504, 504, 200]
    runs = []
    for _ in range(2):
        await sandbox.clear()
        await sandbox.fault(A, "server_error", probability=0.5)
        runs.append([talk(sandbox, A).status for _ in range(30)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 504}


async def test_faults_are_counted_by_name(sandbox: Sandbox) -> None:
    await sandbox.fault(J, "reset", times=1)
    talk(sandbox, J)
    (row,) = (await sandbox.stats())["rows"]
    assert (row["status"], row["fault"], row["count"]) == ("reset", "reset", 1)
