"""The operator's commands for keys of the API."""

from __future__ import annotations

import asyncpg
import pytest

from core.api.key_ring import digest_of
from tests.support.beatctl import Run, runner


@pytest.fixture
def beatctl(program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(program_env, monkeypatch, capsys, "keys")


async def test_a_key_is_shown_once_and_its_hash_is_kept(beatctl: Run, pg: asyncpg.Connection) -> None:
    code, out, err = await beatctl("add", "dashboard", "--scope", "write", "--account", "42", "--expires", "30d")
    key = out.strip()
    assert (code, err, key[:5]) == (0, "", "beat_")
    row = await pg.fetchrow("select *, expires_at - created_at as lives from api_key")
    assert row is not None
    assert (row["name"], row["digest"], row["scope"]) == ("dashboard", digest_of(key), "write")
    assert (row["account_id"], row["lives"].days) == ("42", 30)
    code, out, _ = await beatctl("list")
    assert code == 0
    assert "dashboard" in out
    assert key not in out


async def test_an_account_is_listed_as_it_is_written(beatctl: Run, pg: asyncpg.Connection) -> None:
    await beatctl("add", "dashboard", "--account", "[/a] [b]c")
    code, out, err = await beatctl("list")
    assert (code, err, "[/a] [b]c" in out) == (0, "", True)


async def test_a_name_is_taken_once(beatctl: Run, pg: asyncpg.Connection) -> None:
    assert (await beatctl("add", "dashboard"))[0] == 0
    code, out, err = await beatctl("add", "dashboard", "--scope", "admin")
    assert (code, out) == (1, "")
    assert "there is a key dashboard already: revoke it first, or take another name" in err
    assert await pg.fetchval("select scope from api_key") == "read"


async def test_a_key_can_be_tried_and_revoked(beatctl: Run) -> None:
    key = (await beatctl("add", "deploy", "--scope", "write"))[1]
    assert await beatctl("test", stdin=key) == (0, "deploy: write\n", "")
    code, _, err = await beatctl("test", "--scope", "admin", stdin=key)
    assert code == 1
    assert "the key deploy has the scope write, not admin" in err
    assert (await beatctl("revoke", "deploy"))[0] == 0
    code, _, err = await beatctl("test", stdin=key)
    assert code == 1
    assert "there is no such key, or it has expired or was revoked" in err
    code, _, err = await beatctl("revoke", "deploy")
    assert code == 1
    assert "there is no key deploy: see beatctl keys list" in err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["Dash board"], "a-z, 0-9"),
        (["x" * 64], "63"),
        (["a", "--scope", "root"], "read"),
        (["a", "--expires", "0d"], "12h, 30d or 8w"),
        (["a", "--account", ""], "255"),
    ],
)
async def test_what_cannot_be_is_refused_with_the_reason(
    beatctl: Run, pg: asyncpg.Connection, arguments: list[str], reason: str
) -> None:
    code, out, err = await beatctl("add", *arguments)
    assert (code, out) == (2, "")
    assert reason in err
    assert await pg.fetchval("select count(*) from api_key") == 0
