"""beatctl assets: what is missing is queued once, in the order of its worth, and the bucket gets its rules."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from core.enums import Platform
from scripts.beatctl import bucket
from scripts.beatctl.bucket import APPLIED, UNSUPPORTED, apply_rules, our_rules
from scripts.beatctl.missing import SOURCES, Source, url_hash
from tests.integration.test_queue_plans import explain, rows_of
from tests.support.beatctl import Run, runner
from tests.support.moto import moto_bucket
from tests.support.s3 import S3Access
from utils.object_store import StoreAccess

DAY = 86400


@pytest.fixture
def beatctl(program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(program_env, monkeypatch, capsys)


def picture(name: str, *, lives_s: float = DAY) -> str:
    return f"https://scontent.cdninstagram.com/v/t51/{name}_n.jpg?oh=00_{name}&oe={int(time.time() + lives_s):08X}"


async def store_profiles(pg: asyncpg.Connection, urls: dict[str, str | None]) -> None:
    statement = "insert into instagram_account (profile_id, profile_pic_url) values ($1, $2)"
    await pg.executemany(statement, list(urls.items()))


async def store_post(
    pg: asyncpg.Connection, shortcode: str, url: str, kind: str = "image", age: str = "1 hour"
) -> None:
    await pg.execute(
        "insert into instagram_post (shortcode, thumbnail_url, post_type, publish_time)"
        " values ($1, $2, $3, now() - $4::text::interval)",
        shortcode, url, kind, age,
    )  # fmt: skip


async def queued(pg: asyncpg.Connection) -> list[tuple[str, str]]:
    rows = await pg.fetch("select flow, params->>'entity_id' as id from scrape_request_log order by priority desc, id")
    return [(row["flow"], row["id"]) for row in rows]


async def test_what_lacks_a_copy_is_queued_in_the_order_of_its_worth(beatctl: Run, pg: asyncpg.Connection) -> None:
    await store_post(pg, "POST1", picture("post"), "reels")
    await store_post(pg, "STORY", picture("story"), "story")
    await store_post(pg, "PAST", picture("past"), "story", "25 hours")
    await store_profiles(pg, {"1": picture("one"), "2": picture("two"), "3": None, "4": "None"})
    await pg.execute(
        "insert into asset (platform, entity_type, entity_id, asset_type, asset_url)"
        " values ('INSTAGRAM', 'PROFILE', '2', 'IMAGE', 'assets/profiles/instagram/2.jpg'),"
        " ('INSTAGRAM', 'POST', '1', 'IMAGE', 'assets/posts/instagram/1.jpg'),"
        " ('YOUTUBE', 'PROFILE', '1', 'IMAGE', 'assets/profiles/youtube/1.jpg'),"
        " ('INSTAGRAM', 'POST', 'POST1', 'IMAGE', '')"  # one whose object is gone
    )
    ran = await beatctl("assets", "backfill", "--platform", "instagram", "--missing")
    assert (ran.code, ran.err) == (0, "")
    assert await queued(pg) == [
        ("asset_upload_flow", "1"),
        ("asset_upload_flow_stories", "STORY"),
        ("asset_upload_flow", "POST1"),
    ]
    assert await pg.fetchval("select max(priority) from scrape_request_log") < 1  # a producer's tasks go first


@pytest.mark.parametrize("nothing", ["None", " ", "", None])
async def test_a_post_whose_thumbnail_is_no_url_has_its_picture_copied(
    beatctl: Run, pg: asyncpg.Connection, nothing: str | None
) -> None:
    url = picture("display")
    await pg.execute(
        "insert into instagram_post (shortcode, thumbnail_url, display_url) values ('P', $1, $2)", nothing, url
    )
    await beatctl("assets", "backfill", "--platform", "INSTAGRAM", "--missing")
    assert await pg.fetchval("select params->>'original_url' from scrape_request_log") == url


async def test_a_queued_upload_is_what_a_producer_would_send(beatctl: Run, pg: asyncpg.Connection) -> None:
    url = picture("ünïcode")
    await store_profiles(pg, {"787132": url})
    await beatctl("assets", "backfill", "--platform", "INSTAGRAM", "--missing")
    row = await pg.fetchrow("select platform, params::text, expires_at from scrape_request_log")
    assert row is not None
    assert (row["platform"], row["expires_at"]) == ("INSTAGRAM", None)
    assert json.loads(row["params"]) == {
        "entity_type": "PROFILE", "entity_id": "787132", "asset_type": "IMAGE", "original_url": url,
        "platform": "INSTAGRAM", "hash": url_hash(url),
    }  # fmt: skip


def test_the_hash_is_the_first_half_of_the_urls_md5_as_an_unsigned_number() -> None:
    assert url_hash("https://a.example/1.jpg") == 0xB00647C2D9A4735A  # md5sum


async def test_a_second_run_queues_only_what_is_new(beatctl: Run, pg: asyncpg.Connection) -> None:
    await store_profiles(pg, {"1": picture("one"), "2": picture("two")})
    await beatctl("assets", "backfill", "--platform", "INSTAGRAM", "--missing")
    await pg.execute("update instagram_account set profile_pic_url = $1 where profile_id = '2'", picture("newer"))
    ran = await beatctl("assets", "backfill", "--platform", "INSTAGRAM", "--missing")
    assert "profile pictures: 1 queued, 1 queued earlier today" in ran.out
    assert [name for _, name in await queued(pg)] == ["1", "2", "2"]
    of_a_day = r"select bool_and(idempotency_key ~ ':\d{4}-\d\d-\d\d$') from scrape_request_log"
    assert await pg.fetchval(of_a_day)


async def test_dead_urls_are_counted_and_left_out(beatctl: Run, pg: asyncpg.Connection) -> None:
    dead, dying = picture("dead", lives_s=-5), picture("dying", lives_s=30)
    await store_profiles(pg, {"1": dead, "2": dying, "3": picture("alive")})
    ran = await beatctl("assets", "backfill", "--platform", "INSTAGRAM", "--missing")
    assert "profile pictures: 1 queued, 0 queued earlier today, 2 left out because their URLs have expired" in ran.out
    assert [name for _, name in await queued(pg)] == ["3"]


@pytest.mark.parametrize("limit", [1, 4, 7])
async def test_small_batches_and_a_limit_bound_what_is_queued(beatctl: Run, pg: asyncpg.Connection, limit: int) -> None:
    await store_profiles(pg, {str(number): picture(str(number)) for number in range(5)})
    await store_post(pg, "P", picture("p"))
    ran = await beatctl(
        "assets", "backfill", "--platform", "INSTAGRAM", "--missing", "--batch", "2", "--limit", str(limit)
    )
    assert ran.code == 0
    names = [name for _, name in await queued(pg)]
    assert names == ["0", "1", "2", "3", "4", "P"][:limit]


@pytest.mark.parametrize("source", SOURCES[Platform.INSTAGRAM], ids=lambda source: source.name)
async def test_a_batch_looks_at_so_many_rows_however_rare_those_are_without_a_copy(
    pg: asyncpg.Connection, source: Source
) -> None:
    await pg.execute(
        """with numbers as (select i::text from generate_series(1, 5000) i),
        accounts as (insert into instagram_account (profile_id, profile_pic_url)
            select i, 'https://cdn.example/' || i from numbers),
        posts as (insert into instagram_post (shortcode, display_url, post_type, publish_time)
            select i, 'https://cdn.example/' || i, case when $1 then 'story' else 'image' end, now() from numbers)
        insert into asset (platform, entity_type, entity_id, asset_type, asset_url)
        select 'INSTAGRAM', kind, i, 'IMAGE', 'assets/' || i from numbers, unnest(array['PROFILE', 'POST']) kind
        where i <> '5000'""",
        source.name == "stories",
    )
    await pg.execute("analyze instagram_account, instagram_post, asset")
    statement = source.select
    for number, name in enumerate((":after", ":size", ":platform"), 1):
        statement = statement.replace(name, f"${number}")
    plan = await explain(pg, statement, 0, 100, "INSTAGRAM")
    media = [scan for scan in plan.scans if str(scan.get("Relation Name")).startswith("instagram_")]
    assert 0 < sum(map(rows_of, media)) <= 100
    found, after = [], 0
    while after is not None:
        rows = await pg.fetch(statement, after, 700, "INSTAGRAM")
        found += [row["entity_id"] for row in rows if row["url"]]
        after = rows[0]["at"]
    assert found == ["5000"]


async def test_a_platform_whose_rows_name_no_media_is_refused(beatctl: Run) -> None:
    ran = await beatctl("assets", "backfill", "--platform", "SHOPIFY", "--missing")
    assert (ran.code, ran.err) == (1, "beatctl: no rows of SHOPIFY name media yet: INSTAGRAM do\n")


# -- the bucket -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Access]:
    with moto_bucket() as access:
        yield access


def access_of(s3: S3Access) -> StoreAccess:
    return StoreAccess(s3.bucket, s3.endpoint_url, s3.access_key, s3.secret_key, s3.region)


def test_a_server_with_lifecycles_has_every_rule_afterwards_and_keeps_those_of_others(moto: S3Access) -> None:
    client = moto.client()
    others = {"ID": "of-somebody", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 3}}
    client.put_bucket_lifecycle_configuration(Bucket=moto.bucket, LifecycleConfiguration={"Rules": [others]})
    for _ in range(2):
        assert dict(apply_rules(access_of(moto), our_rules())) == {rule["ID"]: APPLIED for rule in our_rules()}
    rules = client.get_bucket_lifecycle_configuration(Bucket=moto.bucket)["Rules"]
    assert {rule["ID"]: rule for rule in rules} == {rule["ID"]: rule for rule in [others, *our_rules()]}
    assert len(rules) == 1 + len(our_rules())


def test_a_rule_that_a_server_refuses_does_not_keep_the_others_out(moto: S3Access) -> None:
    both = {"Days": 1, "ExpiredObjectDeleteMarker": True}
    strange = {"ID": "strange", "Status": "Enabled", "Filter": {"Prefix": "y/"}, "Expiration": both}
    answers = dict(apply_rules(access_of(moto), [strange, *our_rules()]))
    assert answers == {"strange": UNSUPPORTED} | {rule["ID"]: APPLIED for rule in our_rules()}


def test_a_server_that_shows_the_rules_of_before_for_a_moment_has_taken_them(
    moto: S3Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, shown = bucket._present, []

    def late(client: Any, name: str) -> list[bucket.Rule]:
        """Each answer as it would have been two looks earlier."""
        shown.append(real(client, name))
        return shown[max(len(shown) - 3, 0)]

    monkeypatch.setattr(bucket, "_present", late)
    monkeypatch.setattr(bucket, "_LOOK_S", 0.0, raising=False)
    client = moto.client()
    client.delete_bucket_lifecycle(Bucket=moto.bucket)
    assert dict(apply_rules(access_of(moto), our_rules())) == {rule["ID"]: APPLIED for rule in our_rules()}
    rules = client.get_bucket_lifecycle_configuration(Bucket=moto.bucket)["Rules"]
    assert {rule["ID"] for rule in rules} == {rule["ID"] for rule in our_rules()}


async def test_a_server_without_lifecycles_says_so_rule_by_rule(
    s3: S3Access, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = await runner(program_env | s3_env(s3), monkeypatch, capsys)("assets", "setup-bucket")
    assert ran.code == 0
    for rule in our_rules():
        assert f"{rule['ID']}: {UNSUPPORTED}" in ran.out


async def test_a_bucket_that_is_not_there_or_not_ours_is_named_as_a_failure(
    s3: S3Access, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for wrong, code in (({"AWS_BUCKET": "beat-none"}, "NoSuchBucket"), ({"AWS_SECRET_ACCESS_KEY": "no"}, "Signature")):
        ran = await runner(program_env | s3_env(s3) | wrong, monkeypatch, capsys)("assets", "setup-bucket")
        assert ran.code == 1
        assert code in ran.err


async def test_without_a_bucket_there_is_nothing_to_set_up(beatctl: Run) -> None:
    ran = await beatctl("assets", "setup-bucket")
    assert (ran.code, ran.err) == (1, "beatctl: AWS_BUCKET is not set: there is no bucket to set up\n")


def s3_env(s3: S3Access) -> dict[str, str]:
    return {
        "S3_ENDPOINT_URL": s3.endpoint_url, "AWS_ACCESS_KEY": s3.access_key, "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_REGION": s3.region, "AWS_BUCKET": s3.bucket,
    }  # fmt: skip
