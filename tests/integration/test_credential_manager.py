"""Picking, resting, refusing and renewing credentials over the real table, through the transaction pooler."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import asyncpg
import pytest
from loguru import logger

from core.crawler.provider import Credential, Unusable
from credentials.keys import CredentialRefused
from credentials.manager import CACHE_S, CredentialManager
from credentials.store import UNTIL_REPLACED
from credentials.vault import Vault, new_key
from utils.db import Database, fetch_in, open_database

OLD, NEW = new_key("old"), new_key("new")
GRAPH = {"token": "EAAplantedgraphtoken0001", "user_id": "17841400000000001"}


def lama(number: int) -> dict[str, str]:
    return {"x-access-key": f"planted-access-key-{number:04d}"}


@pytest.fixture
async def sessions(clean_db: str, pgbouncer_url: str) -> AsyncIterator[Database]:
    opened = open_database(pgbouncer_url, pool_size=5)
    yield opened
    await opened.dispose()


def manager_of(opened: Database, ring: str = OLD) -> CredentialManager:
    """As one process would have it: its own memory, the shared table."""
    return CredentialManager(opened.sessions, Vault.from_ring(ring))


@pytest.fixture
def manager(sessions: Database) -> CredentialManager:
    return manager_of(sessions)


async def picked(manager: CredentialManager, source: str = "lama", **options: Any) -> Credential:
    found = await manager.pick(source, **options)
    assert isinstance(found, Credential)
    return found


async def row(pg: asyncpg.Connection, credential_id: int) -> asyncpg.Record:
    found = await pg.fetchrow("select *, disabled_till - now() as left from credential where id = $1", credential_id)
    assert found is not None
    return found


def minutes(left: timedelta) -> int:
    return round(left.total_seconds() / 60)


async def end_rest(pg: asyncpg.Connection, credential_id: int) -> None:
    await pg.execute("update credential set disabled_till = now() - interval '1 second' where id = $1", credential_id)


async def test_an_added_credential_is_picked_with_its_keys(manager: CredentialManager) -> None:
    credential_id = await manager.insert_creds("graphapi", GRAPH, handle="Some.Creator")
    assert await picked(manager, "graphapi") == Credential(credential_id, "graphapi", "some.creator", GRAPH)


async def test_the_table_holds_no_secret_in_any_column(manager: CredentialManager, pg: asyncpg.Connection) -> None:
    await manager.insert_creds("graphapi", GRAPH, handle="creator")
    await manager.insert_creds("lama", lama(1))
    await manager.insert_creds("ytapitoken", {"key": "planted-key-of-youtube"})
    stored = str(await pg.fetch("select * from credential"))
    for secret in (GRAPH["token"], lama(1)["x-access-key"], "planted-key-of-youtube"):
        assert secret not in stored
    assert "graphapi:17841400000000001" in stored


async def test_the_same_keys_again_change_nothing(manager: CredentialManager, pg: asyncpg.Connection) -> None:
    first = await manager.insert_creds("graphapi", GRAPH, handle="creator")
    before = await row(pg, first)
    assert await manager.insert_creds("graphapi", GRAPH) == first
    after = await row(pg, first)
    assert {**after, "left": None} == {**before, "left": None}


async def test_two_processes_that_add_the_same_credential_get_one_row(
    sessions: Database, pg: asyncpg.Connection
) -> None:
    ids = await asyncio.gather(*(manager_of(sessions).insert_creds("graphapi", GRAPH) for _ in range(8)))
    assert len(set(ids)) == 1
    assert await pg.fetchval("select count(*) from credential") == 1


async def test_a_credential_without_its_keys_is_refused_and_not_stored(
    manager: CredentialManager, pg: asyncpg.Connection
) -> None:
    with pytest.raises(CredentialRefused, match="user_id"):
        await manager.insert_creds("graphapi", {"token": "planted"})
    assert await pg.fetchval("select count(*) from credential") == 0


async def test_every_usable_credential_gets_its_turn_but_those_excluded(manager: CredentialManager) -> None:
    ids = [await manager.insert_creds("lama", lama(number)) for number in range(4)]
    seen = {(await picked(manager, exclude=ids[:1])).id for _ in range(200)}
    assert seen == set(ids[1:])
    assert await manager.pick("lama", exclude=ids) == Unusable("lama", None)


async def test_a_handle_gets_only_its_own_credential(manager: CredentialManager) -> None:
    await manager.insert_creds("graphapi", {**GRAPH, "user_id": "1"}, handle="other")
    own = await manager.insert_creds("graphapi", {**GRAPH, "user_id": "2"}, handle="creator")
    assert {(await picked(manager, "graphapi", handle="CREATOR")).id for _ in range(50)} == {own}
    assert await manager.pick("graphapi", handle="nobody") == Unusable("graphapi", None)


@pytest.mark.parametrize("gone", ["enabled = false", "data_access_expired = true"])
async def test_nobody_waits_for_the_rest_of_a_credential_that_will_not_come_back(
    manager: CredentialManager, pg: asyncpg.Connection, gone: str
) -> None:
    await manager.insert_creds("lama", lama(1))
    await pg.execute(f"update credential set disabled_till = now() + interval '1 minute', {gone}")
    manager._snapshots.clear()
    assert await manager.pick("lama") == Unusable("lama", None)


async def test_a_source_without_credentials_has_nothing_to_wait_for(manager: CredentialManager) -> None:
    assert await manager.pick("lama") == Unusable("lama", None)


async def test_rests_in_a_row_take_10_30_60_and_60_minutes(manager: CredentialManager, pg: asyncpg.Connection) -> None:
    credential_id = await manager.insert_creds("lama", lama(1))
    taken = []
    for _ in range(4):
        await manager.rest(await picked(manager), reason="(429, 'slow down')")
        taken.append(minutes((await row(pg, credential_id))["left"]))
        await end_rest(pg, credential_id)
        manager = CredentialManager(manager._sessions, Vault.from_ring(OLD))
    assert taken == [10, 30, 60, 60]


async def test_a_resting_credential_is_not_picked_and_says_when_it_comes_back(manager: CredentialManager) -> None:
    await manager.insert_creds("lama", lama(1))
    till = await manager.rest(await picked(manager), reason="429", retry_after_s=90)
    found = await manager.pick("lama")
    assert found == Unusable("lama", till)
    assert 80 < (till - datetime.now(UTC)).total_seconds() < 91


async def test_the_soonest_of_several_resting_ones_is_named(manager: CredentialManager) -> None:
    ids = [await manager.insert_creds("lama", lama(number)) for number in range(3)]
    tills = {}
    for wait_s in (300, 60, 900):
        credential = await picked(manager)
        tills[credential.id] = await manager.rest(credential, reason="429", retry_after_s=wait_s)
    assert set(tills) == set(ids)
    assert await manager.pick("lama") == Unusable("lama", min(tills.values()))


async def test_retry_after_wins_over_the_usual_rest(manager: CredentialManager, pg: asyncpg.Connection) -> None:
    credential_id = await manager.insert_creds("lama", lama(1))
    await manager.rest(await picked(manager), reason="429", retry_after_s=7200)
    assert minutes((await row(pg, credential_id))["left"]) == 120


@pytest.mark.parametrize(("said_s", "kept_s"), [(0.0, 1), (-5.0, 1), (1e12, 31 * 86400)])
async def test_an_absurd_retry_after_is_bounded(
    manager: CredentialManager, pg: asyncpg.Connection, said_s: float, kept_s: int
) -> None:
    credential_id = await manager.insert_creds("lama", lama(1))
    before = await pg.fetchval("select now()")
    await manager.rest(await picked(manager), reason="429", retry_after_s=said_s)
    till = (await row(pg, credential_id))["disabled_till"]
    assert kept_s <= (till - before).total_seconds() < kept_s + 60


async def test_a_longer_rest_is_never_shortened(manager: CredentialManager, pg: asyncpg.Connection) -> None:
    credential_id = await manager.insert_creds("lama", lama(1))
    credential = await picked(manager)
    long = await manager.rest(credential, reason="429", retry_after_s=7200)
    assert await manager.rest(credential, reason="429", retry_after_s=5) == long
    assert await manager.rest(credential, reason="429") == long
    stored = await row(pg, credential_id)
    assert (stored["rest_count"], stored["last_error"]) == (1, "429")


async def test_rests_by_several_processes_at_once_count_once(sessions: Database, pg: asyncpg.Connection) -> None:
    managers = [manager_of(sessions) for _ in range(20)]
    credential_id = await managers[0].insert_creds("lama", lama(1))
    credentials = [await picked(manager) for manager in managers]
    await asyncio.gather(
        *(one.rest(credential, reason="429") for one, credential in zip(managers, credentials, strict=True))
    )
    stored = await row(pg, credential_id)
    assert (stored["rest_count"], minutes(stored["left"])) == (1, 10)


async def test_an_answer_after_a_rest_starts_from_the_shortest_again(
    manager: CredentialManager, pg: asyncpg.Connection
) -> None:
    credential_id = await manager.insert_creds("lama", lama(1))
    await manager.rest(await picked(manager), reason="429")
    await end_rest(pg, credential_id)
    manager._snapshots.clear()
    await manager.worked(await picked(manager))
    assert (await row(pg, credential_id))["rest_count"] == 0


async def test_an_answer_during_a_rest_does_not_end_it(sessions: Database, pg: asyncpg.Connection) -> None:
    first, second = manager_of(sessions), manager_of(sessions)
    credential_id = await first.insert_creds("lama", lama(1))
    await pg.execute("update credential set rest_count = 1")
    credential = await picked(first)
    await second.rest(await picked(second), reason="429")
    await first.worked(credential)
    stored = await row(pg, credential_id)
    assert (stored["rest_count"], minutes(stored["left"])) == (2, 30)


async def test_an_answer_of_a_rested_credential_writes_nothing(
    manager: CredentialManager, pg: asyncpg.Connection
) -> None:
    credential_id = await manager.insert_creds("lama", lama(1))
    credential = await picked(manager)
    version = await pg.fetchval("select xmin::text from credential where id = $1", credential_id)
    manager._sessions = cast(Any, None)  # not even a look
    await manager.worked(credential)
    assert await pg.fetchval("select xmin::text from credential where id = $1", credential_id) == version


async def test_a_refused_credential_comes_back_only_with_other_keys(
    manager: CredentialManager, pg: asyncpg.Connection
) -> None:
    credential_id = await manager.insert_creds("graphapi", GRAPH)
    await manager.invalidate(await picked(manager, "graphapi"), reason="(401, 'no')")
    assert await manager.pick("graphapi") == Unusable("graphapi", None)
    stored = await row(pg, credential_id)
    assert (stored["disabled_till"], stored["enabled"], stored["last_error"]) == (UNTIL_REPLACED, True, "(401, 'no')")
    await manager.insert_creds("graphapi", GRAPH)
    assert await manager.pick("graphapi") == Unusable("graphapi", None)
    renewed = {**GRAPH, "token": "EAArenewedtoken000002"}
    assert await manager.insert_creds("graphapi", renewed) == credential_id
    assert (await picked(manager, "graphapi")).keys == renewed
    assert (await row(pg, credential_id))["last_error"] is None


async def test_a_renewed_credential_keeps_its_account_and_rests_from_the_shortest_again(
    manager: CredentialManager, pg: asyncpg.Connection
) -> None:
    credential_id = await manager.insert_creds("graphapi", GRAPH, handle="creator")
    await pg.execute("update credential set rest_count = 2, data_access_expired = true")
    await manager.insert_creds("graphapi", {**GRAPH, "token": "EAArenewedtoken000002"})
    await manager.rest(await picked(manager, "graphapi", handle="creator"), reason="429")
    stored = await row(pg, credential_id)
    assert (stored["rest_count"], minutes(stored["left"])) == (1, 10)


async def blocked(pg: asyncpg.Connection, work: asyncio.Task[Any]) -> None:
    """Come back when the work waits for what this connection has locked."""
    mine = await pg.fetchval("select pg_backend_pid()")
    while not await pg.fetchval(
        "select exists (select from pg_locks where not granted and $1 = any(pg_blocking_pids(pid)))", mine
    ):
        assert not work.done()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("late", ["a refusal of the old token", "an older token", "an older withdrawal"])
async def test_what_crosses_a_newer_token_does_not_undo_it(
    manager: CredentialManager, pg: asyncpg.Connection, late: str
) -> None:
    credential_id = await manager.insert_creds("graphapi", GRAPH)
    old = await picked(manager, "graphapi")
    renewed = {**GRAPH, "token": "EAArenewedtoken000002"}
    said = {"said_at": "2024-05-10T12:00:00+00:00"}
    async with pg.transaction():
        await pg.execute(
            "update credential set credentials = $1::text::jsonb",
            json.dumps(manager.seal(credential_id, "graphapi", renewed) | said),
        )
        older, said_at = {**GRAPH, "token": "EAAoldertoken000003"}, datetime(2024, 5, 10, 11, tzinfo=UTC)
        work: asyncio.Task[Any]
        if late == "an older token":
            work = asyncio.create_task(manager.insert_creds("graphapi", older, said_at=said_at))
        elif late == "an older withdrawal":
            work = asyncio.create_task(manager.withdraw("graphapi", GRAPH, reason="gone", said_at=said_at))
        else:
            work = asyncio.create_task(manager.invalidate(old, reason="(401, 'no')"))
        await blocked(pg, work)
    await work
    assert (await picked(manager, "graphapi")).keys == renewed


async def test_an_account_that_was_renamed_is_known_by_its_new_name(manager: CredentialManager) -> None:
    await manager.insert_creds("graphapi", GRAPH, handle="creator")
    assert (await picked(manager, "graphapi")).handle == "creator"
    await manager.insert_creds("graphapi", GRAPH, handle="renamed")
    assert (await picked(manager, "graphapi")).handle == "renamed"
    assert (await picked(manager, "graphapi", handle="renamed")).handle == "renamed"


async def test_an_account_whose_token_is_refused_is_announced_once(
    manager: CredentialManager, pg: asyncpg.Connection
) -> None:
    await manager.insert_creds("graphapi", GRAPH, handle="creator")
    credential = await picked(manager, "graphapi")
    await manager.rest(credential, reason="(429, 'later')")
    for _ in range(2):
        await manager.invalidate(credential, reason="(190, 'expired')", data_access_expired=True)
    await manager.invalidate(credential, reason="(401, 'no')")
    (said,) = await pg.fetch("select exchange, routing_key, entity_key, payload::text from event_outbox")
    assert tuple(said)[:3] == ("identity.dx", "token_invalid_notice", f"instagram_graph:{GRAPH['user_id']}")
    event = json.loads(said["payload"])
    assert str(UUID(event.pop("event_id")))
    assert datetime.fromisoformat(event.pop("occurred_at")).utcoffset() == timedelta()
    assert event == {
        "event": "access_token_expired", "version": 1, "source": "instagram_graph", "handle": "creator",
        "profile_id": GRAPH["user_id"], "reason": "(190, 'expired')", "detected_by": "beat",
    }  # fmt: skip
    await manager.insert_creds("graphapi", {**GRAPH, "token": "EAArenewedtoken000002"})
    await manager.invalidate(await picked(manager, "graphapi"), reason="(401, 'no')")
    assert await pg.fetchval("select count(*) from event_outbox") == 2


async def test_a_token_that_several_tasks_found_refused_is_announced_once(
    manager: CredentialManager, pg: asyncpg.Connection
) -> None:
    await manager.insert_creds("graphapi", GRAPH, handle="creator")
    credential = await picked(manager, "graphapi")
    await asyncio.gather(*(manager.invalidate(credential, reason="(401, 'no')") for _ in range(3)))
    assert await pg.fetchval("select count(*) from event_outbox") == 1


async def test_keys_that_nobody_gave_by_connecting_are_not_announced(
    manager: CredentialManager, pg: asyncpg.Connection
) -> None:
    await manager.insert_creds("lama", lama(1))
    await manager.invalidate(await picked(manager), reason="(403, 'no')")
    assert await pg.fetchval("select count(*) from event_outbox") == 0


async def test_a_credential_that_was_deleted_during_a_call_is_no_error(
    manager: CredentialManager, pg: asyncpg.Connection
) -> None:
    await manager.insert_creds("graphapi", GRAPH)
    credential = await picked(manager, "graphapi")
    await pg.execute("delete from credential")
    assert not await manager.usable(credential)
    await manager.rest(credential, reason="429")
    await manager.invalidate(credential, reason="401")
    assert await manager.pick("graphapi") == Unusable("graphapi", None)
    assert await pg.fetchval("select count(*) from event_outbox") == 0


async def test_expired_data_access_ends_with_a_new_token(manager: CredentialManager, pg: asyncpg.Connection) -> None:
    credential_id = await manager.insert_creds("graphapi", GRAPH, handle="creator")
    await manager.invalidate(await picked(manager, "graphapi"), reason="(190, 'expired')", data_access_expired=True)
    stored = await row(pg, credential_id)
    assert (stored["data_access_expired"], stored["disabled_till"]) == (True, None)
    assert await manager.pick("graphapi", handle="creator") == Unusable("graphapi", None)
    await manager.insert_creds("graphapi", {**GRAPH, "token": "EAArenewedtoken000002"})
    assert (await picked(manager, "graphapi", handle="creator")).id == credential_id


async def test_keys_that_were_renewed_while_the_old_ones_were_refused_stay_usable(manager: CredentialManager) -> None:
    await manager.insert_creds("graphapi", GRAPH)
    old = await picked(manager, "graphapi")
    await manager.insert_creds("graphapi", {**GRAPH, "token": "EAArenewedtoken000002"})
    await manager.invalidate(old, reason="(401, 'no')")
    assert (await picked(manager, "graphapi")).keys["token"] == "EAArenewedtoken000002"


async def test_keys_that_were_renewed_with_a_key_not_yet_on_the_ring_stay_usable(sessions: Database) -> None:
    behind, ahead = manager_of(sessions, OLD), manager_of(sessions, f"{NEW},{OLD}")
    await behind.insert_creds("graphapi", GRAPH)
    old = await picked(behind, "graphapi")
    await ahead.insert_creds("graphapi", {**GRAPH, "token": "EAArenewedtoken000002"})
    await behind.invalidate(old, reason="(401, 'no')")
    assert await behind.pick("graphapi") == Unusable("graphapi", None)
    assert (await picked(ahead, "graphapi")).keys["token"] == "EAArenewedtoken000002"


async def test_a_disabled_credential_is_not_picked_and_new_keys_do_not_enable_it(manager: CredentialManager) -> None:
    credential_id = await manager.insert_creds("graphapi", GRAPH)
    assert await manager.enable(credential_id, enabled=False)
    await manager.insert_creds("graphapi", {**GRAPH, "token": "EAArenewedtoken000002"})
    assert await manager.pick("graphapi") == Unusable("graphapi", None)
    assert not await manager.enable(credential_id + 1)


async def test_picking_remembers_what_it_read_until_that_is_too_old(
    manager: CredentialManager, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    credential_id = await manager.insert_creds("lama", lama(1))
    monkeypatch.setattr("credentials.manager.CACHE_S", 3600.0)
    await asyncio.gather(*(picked(manager) for _ in range(50)))
    await pg.execute("update credential set enabled = false")
    assert (await picked(manager)).id == credential_id
    monkeypatch.setattr("credentials.manager.CACHE_S", 0.0)
    assert await manager.pick("lama") == Unusable("lama", None)


async def test_a_look_for_one_source_tells_about_all_that_are_asked_for(
    manager: CredentialManager, pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await manager.insert_creds("lama", lama(1))
    graph = await manager.insert_creds("graphapi", GRAPH)
    assert {(await picked(manager)).source, (await picked(manager, "graphapi")).source} == {"lama", "graphapi"}
    await pg.execute("update credential set enabled = false where source = 'lama'")
    monkeypatch.setattr("credentials.manager.CACHE_S", 0.0)
    assert (await picked(manager, "graphapi")).id == graph
    monkeypatch.setattr("credentials.manager.CACHE_S", 3600.0)
    await pg.execute("update credential set enabled = true")
    assert await manager.pick("lama") == Unusable("lama", None)
    manager._asked["lama"] -= 3600
    monkeypatch.setattr("credentials.manager.CACHE_S", 0.0)
    await manager.pick("graphapi")
    assert manager._wanted("graphapi") == ["graphapi"]


async def test_a_credential_that_another_process_put_away_is_not_picked_again_from_memory(
    sessions: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("credentials.manager.CACHE_S", 3600.0)
    here, elsewhere = manager_of(sessions), manager_of(sessions)
    await here.insert_creds("graphapi", GRAPH, handle="creator")
    credential = await picked(here, "graphapi")
    assert await picked(here, "graphapi", handle="creator") == credential
    assert await here.usable(credential)
    till = await elsewhere.rest(credential, reason="429")
    assert await picked(here, "graphapi") == credential
    assert not await here.usable(credential)
    assert await here.pick("graphapi") == await here.pick("graphapi", handle="creator") == Unusable("graphapi", till)


async def test_a_token_that_was_withdrawn_here_is_not_picked_again_from_memory(
    manager: CredentialManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("credentials.manager.CACHE_S", 3600.0)
    credential_id = await manager.insert_creds("graphapi", GRAPH)
    await picked(manager, "graphapi")
    assert await manager.withdraw("graphapi", {"user_id": GRAPH["user_id"]}, reason="gone") == credential_id
    assert await manager.pick("graphapi") == Unusable("graphapi", None)
    assert await manager.withdraw("graphapi", {"user_id": "1"}, reason="gone") is None


async def test_a_source_that_waited_long_for_its_look_is_looked_at(
    manager: CredentialManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    credential_id = await manager.insert_creds("lama", lama(1))
    monkeypatch.setattr("credentials.manager._FORGET_S", 0.0)
    async with asyncio.timeout(5):
        assert (await picked(manager)).id == credential_id


@pytest.mark.parametrize("learnt", ["rest", "invalidate", "insert_creds"])
async def test_what_is_learnt_during_a_look_is_not_forgotten_over_it(
    manager: CredentialManager, monkeypatch: pytest.MonkeyPatch, learnt: str
) -> None:
    first = await manager.insert_creds("lama", lama(1))
    credential = await picked(manager)
    monkeypatch.setattr("credentials.manager.CACHE_S", 0.0)
    looked: list[str] = []

    async def slow(*args: Any) -> list[asyncpg.Record]:
        rows = await fetch_in(*args)
        looked.append(learnt)
        if len(looked) == 1:
            match learnt:
                case "rest":
                    await manager.rest(credential, reason="429", retry_after_s=90)
                case "invalidate":
                    await manager.invalidate(credential, reason="403")
                case _:
                    await manager.insert_creds("lama", lama(2))
        return rows

    monkeypatch.setattr("credentials.manager.fetch_in", slow)
    found = await manager.pick("lama", exclude=[first] if learnt == "insert_creds" else [])
    if learnt == "insert_creds":
        assert isinstance(found, Credential)
    else:
        assert isinstance(found, Unusable)
    assert len(looked) == 2


def test_nothing_is_remembered_for_more_than_a_second() -> None:
    assert CACHE_S <= 1.0


@pytest.mark.parametrize(
    "damage",
    [
        "'{}'",
        "'[]'",
        "'null'",
        'credentials || \'{"kid": "lost"}\'',
        "(select credentials from credential where id = 2)",
    ],
)
async def test_a_row_that_cannot_be_opened_is_skipped_and_says_so_once(
    manager: CredentialManager, pg: asyncpg.Connection, damage: str
) -> None:
    ids = [await manager.insert_creds("lama", lama(number)) for number in range(2)]
    await pg.execute(f"update credential set credentials = {damage}, updated_at = now() where id = $1", ids[0])
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message} {extra}")
    try:
        for _ in range(3):
            manager._snapshots.clear()
            assert (await picked(manager)).id == ids[1]
    finally:
        logger.remove(sink)
    assert len(lines) == 1
    assert f"'credential': {ids[0]}" in lines[0]
    assert (await row(pg, ids[0]))["last_error"]
    assert not any("planted" in line for line in lines)


async def test_rotation_seals_every_row_with_the_first_key(sessions: Database, pg: asyncpg.Connection) -> None:
    for number in range(7):
        await manager_of(sessions, OLD).insert_creds("lama", lama(number))
    both = manager_of(sessions, f"{NEW},{OLD}")
    done = await both.rotate(batch=3)
    assert (done.resealed, done.unreadable) == (7, [])
    assert await pg.fetchval("select count(*) from credential where credentials->>'kid' = 'new'") == 7
    assert (await both.rotate()).resealed == 0
    only_new = manager_of(sessions, NEW)
    assert {(await picked(only_new)).keys["x-access-key"] for _ in range(200)} == {
        lama(n)["x-access-key"] for n in range(7)
    }


async def test_rotation_passes_over_rows_that_no_key_opens_and_names_them(
    sessions: Database, pg: asyncpg.Connection
) -> None:
    ids = [await manager_of(sessions, OLD).insert_creds("lama", lama(number)) for number in range(5)]
    await pg.execute("update credential set credentials = '{}' where id = $1", ids[0])
    await pg.execute('update credential set credentials = credentials || \'{"kid": "lost"}\' where id = $1', ids[2])
    done = await manager_of(sessions, f"{NEW},{OLD}").rotate(batch=1)
    assert (done.resealed, done.unreadable) == (3, [ids[0], ids[2]])


async def test_rotation_keeps_rests(sessions: Database, pg: asyncpg.Connection) -> None:
    manager = manager_of(sessions, OLD)
    credential_id = await manager.insert_creds("lama", lama(1))
    till = await manager.rest(await picked(manager), reason="429")
    await manager_of(sessions, f"{NEW},{OLD}").rotate()
    assert (await row(pg, credential_id))["disabled_till"] == till


async def test_rotation_keeps_when_a_token_was_said(sessions: Database, pg: asyncpg.Connection) -> None:
    said_at = datetime(2024, 5, 10, 12, tzinfo=UTC)
    await manager_of(sessions, OLD).insert_creds("graphapi", GRAPH, said_at=said_at)
    both = manager_of(sessions, f"{NEW},{OLD}")
    assert (await both.rotate()).resealed == 1
    older = {**GRAPH, "token": "EAAoldertoken000003"}
    await both.insert_creds("graphapi", older, said_at=said_at - timedelta(hours=1))
    assert (await picked(both, "graphapi")).keys == GRAPH


async def test_a_host_is_shown_and_a_key_is_not(manager: CredentialManager) -> None:
    await manager.insert_creds("rapidapi-igapi", {"X-RapidAPI-Key": "planted-key-of-a-gateway", "X-RapidAPI-Host": "h"})
    (listed,) = await manager.list()
    assert listed.keys == {"X-RapidAPI-Key": "…eway", "X-RapidAPI-Host": "h"}


async def test_the_list_shows_states_and_masks(manager: CredentialManager, pg: asyncpg.Connection) -> None:
    ids = [await manager.insert_creds("lama", lama(number)) for number in range(5)]
    by_id = {
        (credential := await picked(manager, exclude=[i for i in ids if i != wanted])).id: credential for wanted in ids
    }
    await manager.rest(by_id[ids[1]], reason="429")
    await manager.invalidate(by_id[ids[2]], reason="401")
    await manager.invalidate(by_id[ids[3]], reason="190", data_access_expired=True)
    await manager.enable(ids[4], enabled=False)
    listed = {one.id: one for one in await manager.list()}
    assert [listed[i].state.split(" ")[0] for i in ids] == ["usable", "resting", "refused", "data", "disabled"]
    assert listed[ids[0]].keys == {"x-access-key": "…0000"}
    assert await manager.list("graphapi") == []


@pytest.mark.parametrize(
    "odd",
    [
        "credentials = '[]'",
        "credentials = 'null'",
        """credentials = '"text"'""",
        """credentials = '{"mask": "text"}'""",
        """credentials = '{"mask": [1]}'""",
        """credentials = '{"mask": {"token": 1}}'""",
        "disabled_till = '20000-01-01'",
        "disabled_till = 'infinity'",
        "disabled_till = '-infinity'",
        "disabled_till = '0044-03-15 BC'",
        "updated_at = '20000-01-01'",
    ],
)
async def test_a_row_that_somebody_wrote_by_hand_keeps_no_other_from_being_listed_rested_and_rotated(
    sessions: Database, pg: asyncpg.Connection, odd: str
) -> None:
    manager = manager_of(sessions)
    first, second = [await manager.insert_creds("lama", lama(number)) for number in range(2)]
    credential = await picked(manager, exclude=[second])
    await pg.execute(f"update credential set {odd} where id = $1", first)
    assert [one.id for one in await manager.list()] == [first, second]
    assert all(isinstance(value, str) for one in await manager.list() for value in one.keys.values())
    assert (await picked(manager_of(sessions), exclude=[first])).id == second
    assert await manager.rest(credential, reason="429") > datetime.now(UTC)
    assert (await manager_of(sessions, f"{NEW},{OLD}").rotate()).resealed >= 1


async def test_processes_that_cannot_open_the_same_rows_do_not_stand_in_each_others_way(sessions: Database) -> None:
    owner = manager_of(sessions)
    for number in range(40):
        await owner.insert_creds("lama", lama(number))
    without = [manager_of(sessions, NEW) for _ in range(5)]
    async with asyncio.timeout(20):
        assert await asyncio.gather(*(one.pick("lama") for one in without)) == [Unusable("lama", None)] * 5
    assert all("'old'" in str(one.last_error) for one in await owner.list())
