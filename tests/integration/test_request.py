"""The outbound client against real servers: what goes out and what comes back."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from urllib.parse import unquote

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from fastapi.responses import Response as Reply
from starlette.middleware.gzip import GZipMiddleware

from tests.support.http_client import client
from tests.support.raw_server import Seen, always, http, raw_server, until
from utils.request import (
    ConnectFailed,
    Exchange,
)

GREETING = {"text": "नमस्ते 🌍", "pk": 3776832898280228145}


def application() -> FastAPI:
    app = FastAPI()
    app.add_middleware(GZipMiddleware, minimum_size=1000)

    @app.get("/json")
    async def give_json() -> JSONResponse:
        return JSONResponse(GREETING)

    @app.get("/large")
    async def give_large() -> JSONResponse:
        return JSONResponse([GREETING] * 1000)

    @app.get("/chunked")
    async def give_chunks() -> StreamingResponse:
        return StreamingResponse(iter([b'{"a":', b" 1", b"}"]))

    @app.get("/nothing")
    async def give_nothing() -> Reply:
        return Reply(status_code=204)

    @app.get("/charset")
    async def give_odd_charset() -> Reply:
        return Reply(b"{}", media_type="application/json; charset=hex")

    @app.api_route("/echo", methods=["GET", "HEAD", "POST", "PUT", "DELETE"])
    async def echo(request: Request) -> JSONResponse:
        body = (await request.body()).decode()
        return JSONResponse(
            {
                "method": request.method,
                "query": request.url.query,
                "body": body,
                "type": request.headers.get("content-type"),
                "agent": request.headers["user-agent"],
            }
        )

    @app.get("/missing")
    async def give_404() -> PlainTextResponse:
        return PlainTextResponse("no", status_code=404)

    return app


@pytest.fixture(scope="module")
async def web() -> AsyncIterator[str]:
    """Base URL of a real uvicorn server."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(), log_level="critical", lifespan="off", ws="none"))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await until(lambda: server.started)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    await task
    listener.close()


async def test_ordinary_answers_are_read(web: str) -> None:
    async with client() as http_client:
        plain = await http_client.request("GET", f"{web}/json")
        large = await http_client.request("GET", f"{web}/large")
        assert plain.json() == GREETING
        assert plain.headers["content-type"] == "application/json"
        assert plain.url == f"{web}/json"
        assert large.headers["content-encoding"] == "gzip"
        assert large.json() == [GREETING] * 1000
        assert (await http_client.request("GET", f"{web}/chunked")).json() == {"a": 1}
        assert (await http_client.request("GET", f"{web}/charset")).json() == {}
        assert (await http_client.request("GET", f"{web}/missing")).status == 404
        nothing = await http_client.request("GET", f"{web}/nothing")
        assert (nothing.status, nothing.body) == (204, b"")
        head = await http_client.request("HEAD", f"{web}/echo")
        assert (head.status, head.body) == (200, b"")


async def test_a_json_cursor_and_a_json_body_of_a_get_arrive_as_given(web: str) -> None:
    cursor = json.dumps({"next": "a+b/c==", "é": [" ", "%41"]})
    async with client(user_agent="beat/test") as http_client:
        seen = (await http_client.request("GET", f"{web}/echo", params={"cursor": cursor}, json={"id": "1"})).json()
        form = (await http_client.request("POST", f"{web}/echo", data={"a": "b c&d", "n": 1})).json()
    assert unquote(seen["query"]) == f"cursor={cursor}"
    assert (seen["body"], seen["type"], seen["agent"]) == ('{"id":"1"}', "application/json", "beat/test")
    assert (form["body"], form["type"]) == ("a=b%20c%26d&n=1", "application/x-www-form-urlencoded")


async def test_odd_but_valid_headers_are_taken() -> None:
    answer = http(X_Name="Zo\xeb", Set_Cookie="no-value-here", Link="<a>").replace(
        b"\r\n\r\n", b"\r\nLink: <b>\r\n\r\n"
    )
    async with raw_server(always(answer)) as server, client() as http_client:
        response = await http_client.request("GET", server.url)
    assert (response.headers["x-name"], response.headers["link"]) == ("Zo\xeb", "<a>, <b>")


async def test_behind_a_sandbox_path_and_query_stay_and_the_host_travels_in_a_header() -> None:
    async def hop(seen: Seen, writer: asyncio.StreamWriter) -> bool:
        away = "https://other.example:8443/there?x=1"
        writer.write(http(302, Location=away) if seen.headers["x-provider-host"] == "graph.example" else http())
        return True

    async with raw_server(hop) as server, client(sandbox_url=server.url) as http_client:
        url = "https://graph.example/v17.0/me?fields=a%2Cb"
        response = await http_client.request("GET", url, params={"access_token": "5ecr3t"})
        assert response.url == "https://other.example:8443/there?x=1"
    assert [(seen.target, seen.headers["x-provider-host"]) for seen in server.seen] == [
        ("/v17.0/me?fields=a%2Cb&access_token=5ecr3t", "graph.example"),
        ("/there?x=1", "other.example:8443"),
    ]
    assert server.connections == 2  # a connection belongs to one upstream host, as in production


async def test_every_exchange_is_told_without_secrets() -> None:
    told: list[Exchange] = []
    headers = {"Authorization": "Bearer 5ecr3t", "X-RapidAPI-Key": "5ecr3t", "X-RapidAPI-Host": "h.example"}
    async with raw_server(always(http(404, b"abc"))) as server, client(on_exchange=told.append) as http_client:
        await http_client.request("POST", f"{server.url}/p", params={"token": "5ecr3t"}, headers=headers, data=b"x")
    async with client(on_exchange=told.append) as http_client:
        with pytest.raises(ConnectFailed):
            await http_client.request("GET", f"{server.url}/p")
    done, failed = told
    assert (done.method, done.status, done.size_bytes, done.error) == ("POST", 404, 3, None)
    assert done.url == f"{server.url}/p?token=***"
    assert (done.headers["x-rapidapi-key"], done.headers["x-rapidapi-host"]) == ("***", "h.example")
    assert "5ecr3t" not in repr(told)
    assert (failed.status, failed.error) == (None, "ConnectFailed")


async def test_an_exchange_that_was_cancelled_is_told_as_such() -> None:
    told: list[Exchange] = []
    async with raw_server(always(b"")) as server, client(on_exchange=told.append) as http_client:
        asking = asyncio.create_task(http_client.request("GET", server.url))
        await until(lambda: bool(server.seen))
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert [(one.status, one.error) for one in told] == [(None, "Cancelled")]


async def test_a_large_answer_is_read_to_its_end() -> None:
    body = b"x" * 8_000_000  # more than a connection keeps before it stops reading
    async with raw_server(always(http(body=body))) as server, client() as http_client:
        assert (await http_client.request("GET", server.url)).body == body


async def test_a_wrong_call_is_refused_before_anything_is_sent_and_quotes_no_value() -> None:
    async with client() as http_client:
        for headers in (
            {"authorization": "5ecr3t\r\nx: y"},
            {"x-key": "5ecr3té"},
            {"Content-Length": "5"},
            {"a b": "c"},
        ):
            with pytest.raises(ValueError, match="header") as refused:
                await http_client.request("GET", "http://127.0.0.1:1/", headers=headers)
            assert "5ecr3t" not in str(refused.value)
        with pytest.raises(ValueError, match="either"):
            await http_client.request("POST", "http://127.0.0.1:1/", json={}, data="x")
    with pytest.raises(RuntimeError, match="closed"):
        await http_client.request("GET", "http://127.0.0.1:1/")
