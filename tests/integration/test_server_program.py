"""server.py as operators start it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.support.api import KEY_RING
from tests.support.ports import free_port
from utils.garbage import COLLECT

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "EAABsbCS1iHgBA-not-a-real-token"
TASK = b'{"flow": "refresh_profile_basic", "platform": "instagram", "params": {"handle": "natgeo"}}'
BARE = ("Content-Type",)


@asynccontextmanager
async def started(environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "server.py",
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def server_env(program_env: dict[str, str]) -> dict[str, str]:
    return {**program_env, "BEAT_KEYS": KEY_RING, "API_PORT": str(free_port()), "LOG_FORMAT": "json"}


async def test_what_the_server_is_made_of_is_no_garbage(server_env: dict[str, str]) -> None:
    code = (
        "import gc, server; "
        "server.uvicorn.run = lambda *_, **__: print(gc.get_freeze_count(), *gc.get_threshold()); "
        "server.main()"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=ROOT, env=server_env, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    frozen, *every = map(int, said.split())
    assert every == list(COLLECT)
    assert frozen > 50_000


async def answering(client: aiohttp.ClientSession) -> None:
    for _ in range(1200):
        try:
            await client.get("/livez")
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.1)
        else:
            return
    raise AssertionError("the server did not start")


@pytest.mark.usefixtures("hang_ups_count")
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP], ids=lambda sign: sign.name)
async def test_it_serves_until_terminated_and_its_log_holds_no_query(
    server_env: dict[str, str], sign: signal.Signals
) -> None:
    async with started(server_env) as process:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server_env['API_PORT']}") as client:
            await answering(client)
            assert (await client.get("/readyz")).status == 200
            for path, status in (("/heartbeat", 410), ("/livez", 200), ("/readyz", 200)):
                probe = await client.head(path)
                assert (probe.status, await probe.read()) == (status, b"")
            await client.get("/nowhere", params={"access_token": TOKEN})
            created = await client.post(
                "/scrape_request_log/flow/refresh_profile_basic", data=TASK, skip_auto_headers=BARE
            )
            assert (await created.json())["status"]["type"] == "SUCCESS"
        process.send_signal(sign)
        out, log = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, log
    lines = [json.loads(line) for line in log.decode().splitlines()]
    served = [(line["method"], line["path"], line["status"]) for line in lines if line["event"] == "request_served"]
    assert ("GET", "/nowhere", 404) in served
    assert lines[-1]["event"].startswith("Finished server process")
    assert out == b""
    assert TOKEN not in log.decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"API_KEYS": "1", "API_OPEN": "1"}, "API_KEYS and API_OPEN"),
        ({"BEAT_KEYS": ""}, "BEAT_KEYS"),
    ],
    ids=["open and closed", "no key ring"],
)
async def test_wrong_settings_stop_it_with_a_message_and_code_2(
    server_env: dict[str, str], change: dict[str, str], said: str
) -> None:
    async with started({**server_env, **change}) as process:
        _, log = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 2
    assert log.decode().startswith("server: ")
    assert said in log.decode()
    assert "Traceback" not in log.decode()
