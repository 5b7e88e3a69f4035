"""Kept answers read again: what the parsers of then got wrong is shown, and mended where nothing newer was said."""

from __future__ import annotations

import json
from typing import Any

import asyncpg
import pytest

from core.models.params import ProfileIdParams
from instagram.flows.refresh_profile import refresh_profile_by_profile_id
from tests.sandbox.expected import ARRAYBOBO, JOTUCKER
from tests.sandbox.universe import Creator, Kind
from tests.support.beatctl import Run, runner
from tests.support.flow_runtime import flow_context
from tests.support.s3 import S3Access
from tests.support.sandbox import Sandbox

PROFILE = ("--source", JOTUCKER, "--function", "fetch_profile_by_id", "--since", "2024-01-01")
POSTS = ("--source", JOTUCKER, "--function", "fetch_profile_posts_by_id", "--since", "2024-01-01")


@pytest.fixture
def env(program_env: dict[str, str], s3: S3Access) -> dict[str, str]:
    store = {
        "S3_ENDPOINT_URL": s3.endpoint_url, "AWS_ACCESS_KEY": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_REGION": s3.region, "AWS_BUCKET": s3.bucket, "RAW_SAMPLE": "1",
    }  # fmt: skip
    return {**program_env, **store}


@pytest.fixture
async def who(
    sandbox: Sandbox, env: dict[str, str], pg: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> Creator:
    """An account that was just refreshed, and whose answers were kept."""
    creators = (sandbox.universe.creator(index) for index in range(sandbox.universe.size))
    found = next(one for one in creators if one.kind is Kind.PERSONAL and one.trait == "plain")
    async with flow_context(sandbox, env, monkeypatch, [JOTUCKER, ARRAYBOBO]) as ctx:
        await refresh_profile_by_profile_id(ProfileIdParams(profile_id=str(found.pk)), ctx)
    await pg.execute("delete from event_outbox")
    return found


@pytest.fixture
def reparse(env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(env, monkeypatch, capsys, "reparse")


async def state(pg: asyncpg.Connection) -> list[list[asyncpg.Record]]:
    tables = ("instagram_account", "instagram_post", "profile_log", "post_log", "event_outbox")
    return [await pg.fetch(f"select * from {table} order by id") for table in tables]


async def misread(pg: asyncpg.Connection, log: str, kind: str, key: str, value: Any) -> None:
    """The audit rows as if a parser had read a key wrongly."""
    changed = "case when e->>'key' = $1 then jsonb_build_object('key', $1::text, 'value', $2::jsonb) else e end"
    await pg.execute(
        f"update {log} set {kind} = (select jsonb_agg({changed}) from jsonb_array_elements({kind}) e)",
        key,
        json.dumps(value),
    )


async def test_what_is_read_the_same_is_left_alone(pg: asyncpg.Connection, who: Creator, reparse: Run) -> None:
    before = await state(pg)
    for which in (PROFILE, POSTS):
        code, out, err = await reparse(*which, "--apply")
        assert (code, out, err) == (0, "1 answers: 1 the same\n", "")
    assert await state(pg) == before


async def test_a_misread_column_is_shown_then_mended_and_announced_and_a_second_run_changes_nothing(
    pg: asyncpg.Connection, who: Creator, reparse: Run
) -> None:
    await misread(pg, "profile_log", "dimensions", "bio", "misread")
    await pg.execute("update instagram_account set biography = 'misread'")
    before = await state(pg)
    code, out, _ = await reparse(*PROFILE)
    assert (code, "misread" in out, "changes" in out, "1 answers: 1 different" in out) == (0, True, True, True)
    assert await state(pg) == before

    assert "1 mended" in (await reparse(*PROFILE, "--apply"))[1]
    [account], _, audits, _, [event] = await state(pg)
    assert account["biography"] == who.biography
    assert {**account, "biography": None} == {**before[0][0], "biography": None}
    assert [row["timestamp"] for row in audits] == [before[2][0]["timestamp"]] * 2
    told = json.loads(event["payload"])
    assert (event["routing_key"], told["dimensions"], told["metrics"]) == (
        "profile_log_events", {"bio": who.biography}, {},
    )  # fmt: skip
    mended = await state(pg)
    assert "1 the same" in (await reparse(*PROFILE, "--apply"))[1]
    assert await state(pg) == mended


async def test_a_column_of_which_something_newer_was_said_stays(
    pg: asyncpg.Connection, who: Creator, reparse: Run
) -> None:
    await misread(pg, "profile_log", "dimensions", "bio", "misread")
    await misread(pg, "profile_log", "metrics", "following", 1)
    await pg.execute("update instagram_account set biography = 'newer', following = 1")
    await pg.execute(
        """insert into profile_log (profile_id, platform, dimensions, source, timestamp)
        select profile_id, platform, '[{"key": "bio", "value": "newer"}]', 'lama', timestamp + interval '1 hour'
        from profile_log"""
    )
    out = (await reparse(*PROFILE, "--apply"))[1]
    assert ("has newer" in out, "changes" in out) == (True, True)
    row = await pg.fetchrow("select biography, following from instagram_account")
    assert row is not None
    assert tuple(row) == ("newer", who.following)
    [event] = await pg.fetch("select payload from event_outbox")
    assert json.loads(event["payload"])["dimensions"] == {}
    assert "1 the same" in (await reparse(*PROFILE, "--apply"))[1]


async def test_posts_are_mended_with_the_averages_of_their_account(
    pg: asyncpg.Connection, who: Creator, reparse: Run
) -> None:
    right = {row["shortcode"]: row["likes"] for row in await pg.fetch("select shortcode, likes from instagram_post")}
    stamps = await pg.fetch("select shortcode, updated_at from instagram_post order by shortcode")
    await misread(pg, "post_log", "metrics", "likes", 7)
    await pg.execute("update instagram_post set likes = 7 where likes is not null")
    await pg.execute("update instagram_account set avg_likes = 7")
    assert "1 mended" in (await reparse(*POSTS, "--apply"))[1]
    mine = await pg.fetchval("select array_agg(platform_post_id) from post_log where source = $1", JOTUCKER)
    found = {row["shortcode"]: row["likes"] for row in await pg.fetch("select shortcode, likes from instagram_post")}
    assert mine
    assert {code: found[code] for code in mine} == {code: right[code] for code in mine}
    assert await pg.fetch("select shortcode, updated_at from instagram_post order by shortcode") == stamps
    assert await pg.fetchval("select avg_likes from instagram_account") > 7


async def test_a_post_whose_owner_was_said_anew_keeps_that_one_when_its_numbers_are_mended(
    pg: asyncpg.Connection, who: Creator, reparse: Run
) -> None:
    await misread(pg, "post_log", "metrics", "likes", 7)
    await pg.execute("update instagram_post set profile_id = 'new', likes = 7 where likes is not null")
    await pg.execute(
        """insert into post_log (platform_post_id, profile_id, platform, dimensions, source, timestamp)
        select platform_post_id, 'new', platform, '[{"key": "profile_id", "value": "new"}]', 'lama',
            timestamp + interval '1 hour' from post_log"""
    )
    assert "1 mended" in (await reparse(*POSTS, "--apply"))[1]
    mended = await pg.fetch("select profile_id from instagram_post where likes <> 7")
    assert {row["profile_id"] for row in mended} == {"new"}


async def test_an_answer_that_could_not_be_read_then_is_stored_now(
    pg: asyncpg.Connection, who: Creator, reparse: Run
) -> None:
    await pg.execute("delete from instagram_account; delete from instagram_post; delete from profile_log")
    await pg.execute("update raw_payload set class = 'malformed'")
    assert "1 mended" in (await reparse(*PROFILE, "--apply"))[1]
    at = await pg.fetchval("select fetched_at from raw_payload where function = 'fetch_profile_by_id'")
    row = await pg.fetchrow("select handle, followers, updated_at from instagram_account")
    assert row is not None
    assert tuple(row) == (who.handle, who.followers, at)
    assert "1 the same" in (await reparse(*PROFILE, "--apply"))[1]


async def test_followers_that_would_jump_are_not_brought_back(
    pg: asyncpg.Connection, who: Creator, reparse: Run
) -> None:
    await misread(pg, "profile_log", "metrics", "followers", 5)
    await pg.execute("update instagram_account set followers = 2000000000")
    assert "1 the same" in (await reparse(*PROFILE, "--apply"))[1]
    assert await pg.fetchval("select followers from instagram_account") == 2_000_000_000


async def test_an_answer_that_is_gone_is_named_and_the_others_are_read(
    pg: asyncpg.Connection, who: Creator, reparse: Run
) -> None:
    await pg.execute(
        """insert into raw_payload (sha256, s3_key, source, function, request, class, fetched_at, parser_version)
        select sha256, 'raw/gone', source, function, request, class, fetched_at, parser_version from raw_payload"""
    )
    code, out, err = await reparse(*PROFILE)
    assert (code, out) == (1, "2 answers: 1 lost, 1 the same\n")
    assert err.startswith("raw/gone: get_object: NoSuchKey")


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "said"),
    [
        (("--source", "nobody", *PROFILE[2:]), {}, 1, "there is no source nobody"),
        ((*PROFILE[:3], "fetch_nothing", *PROFILE[4:]), {}, 1, f"{JOTUCKER} has no fetch_nothing"),
        ((*PROFILE[:5], "yesterday"), {}, 2, "'yesterday' is no time"),
        (PROFILE, {"AWS_BUCKET": ""}, 1, "AWS_BUCKET is not set"),
        ((*PROFILE[:5], "2999-01-01"), {}, 0, ""),
    ],
)
async def test_wrong_use_is_one_clear_line(
    clean_db: str, reparse: Run, arguments: tuple[str, ...], variables: dict[str, str], code: int, said: str
) -> None:
    ran = await reparse(*arguments, **variables)
    assert (ran[0], said in ran[2]) == (code, True)
