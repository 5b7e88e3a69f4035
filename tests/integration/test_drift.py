"""Changes in the answers of a source, seen by several processes, and what the operator is told of them."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from config import Settings
from core.crawler.errors import Malformed, NotFound, NotFoundHere
from core.crawler.provider import Asked, Payload
from core.drift.rule import BASELINE, LOOK, RUN, SAMPLES
from core.drift.watch import HAND_ON_AT, DriftWatch
from core.metrics import COUNTS, PAYLOAD_DRIFT
from credentials.manager import CredentialManager
from credentials.runtime import build_runtime
from instagram.functions.retriever.crawler import INSTAGRAM
from tests.sandbox.expected import JOTUCKER
from tests.sandbox.universe import OPEN_KINDS
from tests.support.beatctl import Run, runner
from tests.support.relay import until
from tests.support.sandbox import Sandbox, running_sandbox
from utils.db import Database, open_database
from utils.times import utc_now

FUNCTION = "fetch_profile_by_id"
KEY = (JOTUCKER, FUNCTION)


@pytest.fixture(scope="module")
async def boundless() -> AsyncIterator[Sandbox]:
    """A sandbox whose limits nobody meets."""
    async with running_sandbox(creators=400, limit_factor=1000) as running:
        yield running


@pytest.fixture
async def credentials(program_env: dict[str, str], settings: Settings, boundless: Sandbox) -> dict[str, str]:
    """The environment of processes that ask the source."""
    runtime = build_runtime(settings)
    assert isinstance(runtime.credentials, CredentialManager)
    for one in boundless.credentials[JOTUCKER]:
        await runtime.credentials.insert_creds(JOTUCKER, one.credentials, handle=one.handle)
    await runtime.aclose()
    more = {"PROVIDER_SANDBOX_URL": boundless.url, "DEMO_LIMIT_FACTOR": "1000", "DRIFT_SAMPLE": "1"}
    return {**program_env, **more}


@dataclass(frozen=True)
class Ran:
    """What a process said."""

    told: list[dict[str, Any]]
    counted: float
    ends: dict[str, int]


async def ask(env: dict[str, str], ids: Sequence[str]) -> Ran:
    """One process, from its start to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.drifting", *KEY, *ids,
        env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    said = json.loads(out)
    lines = [json.loads(line) for line in err.decode().splitlines()]
    told = [line for line in lines if line["event"] == "answers of a source have changed"]
    return Ran(told, sum(n for name, _, n in said["counts"] if name == PAYLOAD_DRIFT.name), said["ends"])


async def test_a_changed_key_is_reported_once_by_two_processes(
    credentials: dict[str, str], boundless: Sandbox, pg: asyncpg.Connection, beatctl: Run
) -> None:
    creators = (boundless.universe.creator(index) for index in range(boundless.universe.size))
    ids = [str(who.pk) for who in creators if who.kind in OPEN_KINDS][:120]
    before = await asyncio.gather(ask(credentials, ids), ask(credentials, ids))
    assert [(ran.told, ran.counted, ran.ends) for ran in before] == [([], 0, {"ok": len(ids)})] * 2
    await boundless.fault(JOTUCKER, "changed_key", function=FUNCTION)
    after = await asyncio.gather(ask(credentials, ids), ask(credentials, ids), ask(credentials, ids))
    assert [(ran.ends.get("ok", 0), sum(ran.ends.values())) for ran in after] == [(0, len(ids))] * 3
    told = sorted((line["path"], line["kind"]) for ran in after for line in ran.told)
    assert told == [("user.pk", "vanished"), ("user.pk_v2", "new")]
    assert sum(ran.counted for ran in after) == 2
    rows = await pg.fetch("select * from payload_drift order by path")
    assert [(row["source"], row["function"], row["path"]) for row in rows] == [
        (*KEY, "user.pk"),
        (*KEY, "user.pk_v2"),
    ]
    assert (rows[0]["now"], rows[0]["payloads"]) == ("nothing", 3 * len(ids))
    assert rows[1]["was"] == "nothing"
    listed = await beatctl("drift", "--json")
    found = [json.loads(line) for line in listed.out.splitlines()]
    assert [(one["path"], one["read_by_parser"], one["checked"]) for one in found] == [
        ("user.pk", True, 5 * len(ids)), ("user.pk_v2", False, 5 * len(ids))
    ]  # fmt: skip


@pytest.fixture
async def db(clean_db: str, pgbouncer_url: str) -> AsyncIterator[Database]:
    opened = open_database(pgbouncer_url)
    yield opened
    await opened.dispose()


@pytest.fixture
def beatctl(program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(program_env, monkeypatch, capsys)


class Watched:
    """A watch that is shown made-up answers."""

    def __init__(self, db: Database, share: float = 1.0) -> None:
        self.watch = DriftWatch(db, share)
        self.provider: Any = INSTAGRAM.providers[JOTUCKER].__new__(INSTAGRAM.providers[JOTUCKER])

    async def show(self, times: int, data: Any, error: Any = None) -> None:
        payload = Payload(JOTUCKER, FUNCTION, Asked(), data, utc_now())
        for _ in range(times):
            await self.watch(payload, self.provider, error)


def user(**changed: Any) -> dict[str, Any]:
    return {"user": {"pk": 1, "username": "a", "follower_count": 5, "is_private": False, "biography": "", **changed}}


async def kinds(pg: asyncpg.Connection) -> list[tuple[str, str, str, str]]:
    rows = await pg.fetch("select path, kind, was, now from payload_drift order by id")
    return [tuple(row) for row in rows]


async def learnt(db: Database) -> Watched:
    """A watch that knows how the source answers."""
    watched = Watched(db)
    await watched.show(BASELINE, user())
    await watched.watch.settle()
    return watched


async def test_a_retyped_key_a_new_one_and_a_new_branch_are_reported(db: Database, pg: asyncpg.Connection) -> None:
    watched = await learnt(db)
    COUNTS.take()
    await watched.show(RUN, user(follower_count={"value": 5}, badge="gold", ring={"colour": "red", "width": 2}))
    await watched.watch.settle()
    assert sorted(await kinds(pg)) == [
        ("user.badge", "new", "nothing", "text"),
        ("user.follower_count", "retyped", "number", "object"),
        ("user.ring", "new", "nothing", "object"),
    ]
    counted = {tuple(json.loads(labels)): n for name, labels, n in COUNTS.take() if name == PAYLOAD_DRIFT.name}
    assert counted == {(*KEY, "new"): 2, (*KEY, "retyped"): 1}


async def test_keys_that_are_left_out_at_times_are_not_reported(db: Database, pg: asyncpg.Connection) -> None:
    watched = Watched(db)
    for turn in range(BASELINE):
        more = {"biography": "x"} if turn % 3 else {}
        less = {key: value for key, value in user(**more)["user"].items() if turn % 5 or key != "follower_count"}
        await watched.show(2, {"user": less})
        if turn % 40 == 0:
            await watched.watch.settle()
    await watched.show(RUN - 10, {"user": {"pk": 1, "username": "a"}})
    await watched.watch.settle()
    assert await kinds(pg) == []
    assert await pg.fetchval("select payloads from payload_read") == 2 * BASELINE + RUN - 10


async def test_answers_that_say_no_such_account_are_not_a_change(db: Database, pg: asyncpg.Connection) -> None:
    watched = await learnt(db)
    await watched.show(500, {"user": None, "status": "ok"}, NotFoundHere("the answer has no user"))
    await watched.show(500, {"message": "User not found"}, NotFound("User not found"))
    await watched.watch.settle()
    assert await kinds(pg) == []


async def test_a_renamed_container_is_a_change_although_it_reads_as_no_such_account(
    db: Database, pg: asyncpg.Connection
) -> None:
    watched = await learnt(db)
    await watched.show(RUN, {"account": user()["user"]}, NotFoundHere("the answer has no user"))
    await watched.watch.settle()
    assert sorted(await kinds(pg)) == [
        ("account", "new", "nothing", "object"), ("user", "vanished", "object", "nothing")
    ]  # fmt: skip


async def test_without_samples_only_what_parsers_read_is_watched(db: Database, pg: asyncpg.Connection) -> None:
    watched = Watched(db, share=0.0)
    await watched.show(BASELINE, user())
    await watched.show(RUN, user(badge=1, username=None), Malformed("user.username: expected text, got nothing"))
    await watched.watch.settle()
    assert await kinds(pg) == [("user.username", "vanished", "text", "nothing")]
    assert await pg.fetchval("select count(*) from payload_path") == 0


async def test_no_value_of_an_answer_is_stored(db: Database, pg: asyncpg.Connection) -> None:
    watched = Watched(db)
    secret = "EAABw0secret"
    people = {"maria.silva": {"pk": 987654321}, "someone_else": {"pk": 78}, "third": {"pk": 79}}
    await watched.show(3, user(biography=secret, by_name=people, tokens={"1234567890": secret}))
    await watched.watch.settle()
    stored = await pg.fetch("select p::text from payload_path p union all select r::text from payload_read r")
    text = " ".join(row[0] for row in stored)
    assert "user.by_name{}.pk" in text
    assert [word for word in (secret, "maria", "someone_else", "1234567890", "987654321") if word in text] == []


async def test_answers_are_handed_on_in_the_background_and_a_dead_database_harms_nothing(
    db: Database, pg: asyncpg.Connection
) -> None:
    watched = Watched(db)
    await watched.show(HAND_ON_AT + 1, user())
    await watched.watch.settle()
    assert await pg.fetchval("select payloads from payload_read") == HAND_ON_AT + 1
    dead = Watched(open_database("postgresql://beat@127.0.0.1:1/none"))
    await dead.show(HAND_ON_AT * 4, user())
    await dead.watch.settle()
    assert sum(len(seen.answers) for seen in dead.watch._seen.values()) <= 2 * HAND_ON_AT


async def test_a_process_that_is_asked_nothing_more_hands_on_what_it_has(
    db: Database, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.drift.watch.HAND_ON_S", 0.05)
    watched = Watched(db)
    await watched.show(3, user())
    assert await until(lambda: pg.fetchval("select payloads from payload_read")) == 3
    await watched.show(2, user())
    assert await until(lambda: pg.fetchval("select payloads = 5 from payload_read"))


async def test_what_is_acknowledged_leaves_the_list_and_a_later_change_is_listed_again(
    db: Database, pg: asyncpg.Connection, beatctl: Run
) -> None:
    assert (await beatctl("drift")).out == "nothing has changed that was not acknowledged\n"
    watched = await learnt(db)
    await watched.show(BASELINE + RUN, user(biography=None))
    await watched.watch.settle()
    listed = await beatctl("drift")
    for word in ("vanished", JOTUCKER, FUNCTION, "user.biography", "text", "nothing", "yes", f"{BASELINE + RUN} of"):
        assert word in listed.out
    wrong = await beatctl("drift", "--acknowledge", "1", "99")
    assert (wrong.code, "not on the list: 99" in wrong.err) == (1, True)
    assert await pg.fetchval("select count(*) from payload_drift where acknowledged_at is null") == 1
    assert (await beatctl("drift", "--acknowledge", "1", "--by", "ann")).out == "1 acknowledged by ann\n"
    assert (await beatctl("drift")).out == "nothing has changed that was not acknowledged\n"
    assert "ann" in (await beatctl("drift", "--all")).out
    await watched.show(BASELINE, user())
    await watched.watch.settle()
    await watched.show(RUN, user(biography=None))
    await watched.watch.settle()
    assert [kind for _, kind, *_ in await kinds(pg)] == ["vanished", "new", "vanished"]
    assert (await beatctl("drift", "--acknowledge", "all")).out.startswith("2 acknowledged by ")
    refused = await beatctl("drift", "--acknowledge", "x")
    assert (refused.code, "'x' is no id" in refused.err) == (2, True)


def test_new_paths_need_samples_of_their_own() -> None:
    """The tests above rely on it: what is learnt for reads is enough for what is looked through."""
    assert SAMPLES <= BASELINE
    assert LOOK <= RUN
