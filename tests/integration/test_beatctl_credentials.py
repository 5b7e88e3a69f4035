"""The operator's credential commands, run as programs."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import asyncpg
import pytest

from credentials.vault import Vault, new_key
from tests.support.beatctl import Ran, Run, runner
from tests.support.sandbox import Sandbox

TOKEN = "EAAplantedgraphtoken00000001"
KEYS = json.dumps({"token": TOKEN, "user_id": "17841400000000001"})


@pytest.fixture
def beatctl(program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`beatctl credentials ...`, with a ring of one key."""
    ran = runner({**program_env, "BEAT_KEYS": new_key("first")}, monkeypatch, capsys, "credentials")

    async def run(*arguments: str, **more: str) -> Ran:
        found = await ran(*arguments, **more)
        assert TOKEN not in found.out + found.err
        return found

    return run


async def test_it_runs_as_a_program(program_env: dict[str, str], pg: asyncpg.Connection) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.beatctl", "credentials", "add", "graphapi"),
        cwd=Path(__file__).parents[2],
        env={**program_env, "BEAT_KEYS": new_key("first")},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(KEYS.encode())
    assert (process.returncode, err) == (0, b"")
    assert b"credential 1 of graphapi is stored" in out
    assert TOKEN.encode() not in out
    assert await pg.fetchval("select count(*) from credential") == 1


async def test_a_credential_is_added_listed_disabled_and_enabled(beatctl: Run, pg: asyncpg.Connection) -> None:
    added = await beatctl("add", "graphapi", "--handle", "Creator", stdin=KEYS)
    assert (added.code, added.err) == (0, "")
    assert "…0001" in added.out
    listed = await beatctl("list", "graphapi")
    assert all(word in listed.out for word in ("graphapi", "creator", "usable", "17841400000000001"))
    assert (await beatctl("disable", "1")).code == 0
    assert "disabled" in (await beatctl("list")).out
    assert (await beatctl("enable", "1")).code == 0
    assert await pg.fetchval("select enabled from credential where id = 1")


async def test_keys_can_come_from_a_file(beatctl: Run, pg: asyncpg.Connection, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text(KEYS, encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    assert (await beatctl("add", "graphapi", "--file", str(file))).code == 0
    assert await pg.fetchval("select count(*) from credential") == 1
    missing = await beatctl("add", "graphapi", "--file", str(tmp_path / "none.json"))
    assert (missing.code, "No such file" in missing.err) == (1, True)


async def test_a_rotation_moves_every_row_to_the_new_key(beatctl: Run, pg: asyncpg.Connection) -> None:
    first = new_key("a")
    await beatctl("add", "graphapi", stdin=KEYS, BEAT_KEYS=first)
    second = (await beatctl("key", "--id", "b")).out.strip()
    Vault.from_ring(second)
    rotated = await beatctl("rotate", BEAT_KEYS=f"{second},{first}")
    assert (rotated.code, rotated.out.partition(" ")[0]) == (0, "1")
    assert await pg.fetchval("select credentials->>'kid' from credential") == "b"
    lost = await beatctl("rotate", BEAT_KEYS=new_key("c"))
    assert (lost.code, "credentials 1:" in lost.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "said"),
    [
        (("add", "graphapi"), json.dumps({"token": TOKEN}), 1, "needs user_id"),
        (("add", "graphapi"), f'{{"token": "{TOKEN}', 1, "no JSON"),
        (("add", "graphapi"), json.dumps([TOKEN]), 1, "must be a JSON object with token, user_id"),
        (("add", "graphapi"), "[" * 100_000, 1, "no JSON"),
        (("add", "graph"), KEYS, 2, "invalid choice"),
        (("disable", "77"), "", 1, "there is no credential 77"),
        (("rotate", "--batch", "0"), "", 1, "at least 1"),
        (("key", "--id", "a:b"), "", 1, "a key id is"),
    ],
)
async def test_wrong_use_is_one_clear_line(
    beatctl: Run, arguments: tuple[str, ...], stdin: str, code: int, said: str
) -> None:
    ran = await beatctl(*arguments, stdin=stdin)
    assert ran.code == code
    assert said in ran.err


async def test_a_missing_ring_or_database_is_named(beatctl: Run) -> None:
    assert "BEAT_KEYS is empty" in (await beatctl("list", BEAT_KEYS="")).err
    away = await beatctl("list", PG_URL="postgresql://beat:planted-password@127.0.0.1:1/beat")
    assert (away.code, "PG_URL" in away.err, "planted-password" in away.err) == (1, True, False)
    assert "DEMO_LIMIT_FACTOR" in (await beatctl("list", DEMO_LIMIT_FACTOR="x")).err


async def test_a_stored_token_is_tested_and_nothing_changed(
    beatctl: Run, pg: asyncpg.Connection, sandbox: Sandbox
) -> None:
    good = sandbox.credentials["graphapi"][0].credentials["token"]
    for number, token in enumerate((good, f"{good}:expired", TOKEN), start=1):
        keys = json.dumps({"token": token, "user_id": str(number)})
        assert (await beatctl("add", "graphapi", stdin=keys)).code == 0
    before = await pg.fetch("select * from credential order by id")
    ran = [await beatctl("test", str(number), PROVIDER_SANDBOX_URL=sandbox.url) for number in range(1, 5)]
    assert [one.code for one in ran] == [0, 1, 1, 1]
    said = ("can be used", "Data access expired", "Token is invalid", "there is no enabled credential 4 of graphapi")
    assert all(words in one.out + one.err for words, one in zip(said, ran, strict=True))
    await sandbox.fault("graphapi", "server_error")
    away = await beatctl("test", "1", PROVIDER_SANDBOX_URL=sandbox.url)
    assert (away.code, "Graph could not be asked" in away.err) == (1, True)
    assert good not in "".join(one.out + one.err for one in (*ran, away))
    assert await pg.fetch("select * from credential order by id") == before
