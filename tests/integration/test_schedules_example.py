"""Every schedule of the example file: it can be loaded, its query runs, and the flow takes what it makes."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from core.flows.registry import build_registry
from core.schedules.check import problems, sample_candidates
from core.schedules.cron import following, latest
from core.schedules.files import Entry, read_entries
from core.schedules.run import run_schedule, task_row
from scripts.migrate import migrate
from tests.support.beatctl import runner
from tests.support.scratch import scratch_database
from utils.db import connect

FILE = Path(__file__).parents[2] / "scripts" / "schedules.example.toml"
ENTRIES = read_entries(FILE.read_text(encoding="utf-8"))
REGISTRY = build_registry()
BUILT = {name: replace(flow, target=flow.target or "tests.support.flows:nap") for name, flow in REGISTRY.items()}
"""The registry as if every flow could run: what is checked here is what would be queued."""

STORY = {"profile_id", "handle", "story_ids", "profile_follower", "profile_er", "profile_static_er", "profile_reels_er"}
ASSET = {"entity_type", "asset_type", "platform", "entity_id", "original_url", "hash"}
GPT = "refresh_instagram_gpt_data_"
WANTED: list[tuple[str, str, set[str]]] = [
    ("*/10 * * * *", "refresh_profile_by_handle", {"handle"}),
    ("*/10 * * * *", "refresh_post_by_shortcode", {"shortcode"}),
    ("*/10 * * * *", "refresh_post_by_shortcode", {"shortcode"}),
    ("0 */3 * * *", "refresh_story_posts_by_profile_id", STORY),
    ("0 */5 * * *", "refresh_story_posts_by_profile_id", {"profile_id", "handle"}),
    ("30 * * * *", "refresh_stories_posts", {"handle"}),
    ("45 */2 * * *", "refresh_story_insights", {"handle", "story_id", "profile_id", "shortcode"}),
    ("0 2 * * *", "refresh_post_insights", {"handle", "post_id", "shortcode", "post_type"}),
    ("0 1 * * *", "refresh_profile_insights", {"handle"}),
    ("0 */3 * * *", "fetch_post_comments", {"shortcode", "max_comments"}),
    ("0 * * * *", "fetch_profile_followers", {"profile_id"}),
    ("*/10 * * * *", "fetch_profile_following", {"profile_id"}),
    ("0 */6 * * *", "fetch_hashtag_posts", {"hashtag", "max_posts"}),
    *[("*/10 * * * *", "asset_upload_flow", ASSET)] * 3,
    ("*/10 * * * *", "asset_upload_flow_stories", ASSET),
    ("*/30 * * * *", "refresh_yt_profiles", {"channel_ids"}),
    *[("0 0 * * *", "refresh_yt_profiles", {"channel_ids"})] * 2,
    ("*/10 * * * *", "refresh_yt_posts", {"post_ids"}),
    ("*/10 * * * *", "refresh_yt_posts_by_playlist_id", {"channel_id", "max_posts"}),
    ("*/10 * * * *", "refresh_yt_post_type", {"post_id"}),
    ("0 */3 * * *", "fetch_yt_post_comments", {"shortcode", "max_comments"}),
    ("*/10 * * * *", "refresh_yt_profile_relationship", {"channel_id"}),
    ("0 1 * * *", "refresh_yt_profile_insights", {"channel_id"}),
    ("0 0 * * 0", "refresh_yt_posts_by_genre", {"category", "language"}),
    ("0 */4 * * *", "refresh_orders_by_store", {"store", "limit", "updated_at_min"}),
    ("0 */8 * * *", f"{GPT}base_gender", {"data"}),
    ("0 */8 * * *", f"{GPT}base_location", {"data"}),
    ("0 */8 * * *", f"{GPT}base_categ_lang_topics", {"data"}),
    ("0 */8 * * *", f"{GPT}audience_age_gender", {"data"}),
    ("0 */8 * * *", f"{GPT}audience_cities", {"data"}),
    ("*/10 * * * *", f"{GPT}gender_location_lang", {"data"}),
]
"""When which flow is asked for, and with which params: what producers have asked Beat for by the clock so far."""

TABLES = """
create table if not exists youtube_account (channel_id text, uploads_playlist_id text, subscribers bigint,
    updated_at timestamptz);
create table if not exists youtube_post (shortcode text, comments bigint, post_type text, published_at timestamptz,
    updated_at timestamptz);
select prepare_candidates()"""
"""The columns that the queries need, while no migration makes these tables."""

ROWS = """
insert into credential (idempotency_key, source, credentials, handle) values
    ('graphapi:1', 'graphapi', '{}', 'natgeo'), ('ytapi:1', 'ytapi', '{}', 'UC1'),
    ('shopify:1', 'shopify', '{}', 'shop');
insert into instagram_account (profile_id, handle, full_name, biography, category, followers, avg_engagement,
    profile_pic_url, is_in_gcc_collection, on_gcc)
    values ('1', 'natgeo', 'National Geographic', null, 'Media', 100, 1.5, 'https://cdn.example/p.jpg', true, true);
insert into instagram_post (profile_id, shortcode, post_id, post_type, display_url, comments, publish_time, updated_at)
    values ('1', 'Cx1', '17', 'reels', 'https://cdn.example/r.jpg', 5, now() - interval '2 days',
            now() - interval '7 hours'),
        ('1', '99', '18', 'story', 'https://cdn.example/s.jpg', 0, now() - interval '2 hours', now());
insert into profile_relationship_log (relationship_type, platform, source_profile_id, target_profile_id,
    target_dimensions)
    values ('FOLLOWS', 'INSTAGRAM', '1', '2', '{"profile_pic_url": "https://cdn.example/f.jpg"}');
insert into youtube_account (channel_id, uploads_playlist_id, subscribers, updated_at)
    select 'UC' || g, 'UU' || g, g, now() - interval '3 days' from generate_series(1, 90) g;
insert into youtube_post (shortcode, comments, published_at, updated_at)
    select 'v' || g, g, now() - interval '2 days', now() - interval '7 hours' from generate_series(1, 90) g"""


@pytest.fixture(scope="module")
async def sample(stack_env: dict[str, str]) -> AsyncIterator[str]:
    """A database with a few rows that each query finds something in."""
    async with scratch_database(stack_env["PG_URL"]) as url:
        await migrate(url)
        pg = await connect(url, name="tests")
        await pg.execute(TABLES)
        await pg.execute(ROWS)
        await pg.close()
        yield url


@pytest.fixture
async def pg(sample: str) -> AsyncIterator[asyncpg.Connection]:
    conn = await connect(sample, name="test")
    await conn.execute("truncate scrape_request_log, event_outbox")
    yield conn
    await conn.close()


def test_everything_that_was_asked_for_by_the_clock_is_there_and_switched_off() -> None:
    found = [(entry.cron, entry.flow, set(entry.params)) for entry in ENTRIES]
    assert sorted(found, key=str) == sorted(WANTED, key=str)
    assert not any(entry.enabled for entry in ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
async def test_a_schedule_is_right_and_its_tasks_are_taken(entry: Entry, sample: str, pg: asyncpg.Connection) -> None:
    schedule, now = entry.schedule(), datetime.now(UTC)
    assert latest(schedule.cron, now) < following(schedule.cron, now)
    assert await problems(sample, BUILT, schedule, timeout_s=30) == []
    candidates = await sample_candidates(sample, schedule, timeout_s=30)
    assert candidates, "the sample holds nothing for this query, so nothing was shown"
    for candidate in candidates:
        params = task_row(schedule, candidate, now)["params"]
        assert REGISTRY[schedule.flow].params.model_validate(params)
    report = await run_schedule(pg, sample, BUILT, schedule, now, timeout_s=30)
    assert (report.outcome, report.text) == ("ok", None)
    assert report.created == len(candidates) + (140 if schedule.name == "yt-genres" else 0)


async def params_of(pg: asyncpg.Connection, sample: str, name: str) -> list[asyncpg.Record]:
    schedule = next(entry.schedule() for entry in ENTRIES if entry.name == name)
    await run_schedule(pg, sample, BUILT, schedule, datetime.now(UTC), timeout_s=30)
    return list(await pg.fetch("select flow, params::text as text, params from scrape_request_log order by id"))


async def test_channels_and_videos_go_in_batches_of_forty(pg: asyncpg.Connection, sample: str) -> None:
    await params_of(pg, sample, "yt-profiles")
    await params_of(pg, sample, "yt-posts")
    counts = await pg.fetch(
        """select flow, array_agg(jsonb_array_length(coalesce(params->'channel_ids', params->'post_ids'))) as n,
            count(distinct v) as different
        from scrape_request_log,
            jsonb_array_elements_text(coalesce(params->'channel_ids', params->'post_ids')) v
        group by flow order by flow"""
    )
    assert [(row["flow"], sorted(set(row["n"])), row["different"]) for row in counts] == [
        ("refresh_yt_posts", [10, 40], 90),
        ("refresh_yt_profiles", [10, 40], 90),
    ]


async def test_a_hash_is_the_first_half_of_the_urls_md5_as_an_unsigned_number(
    pg: asyncpg.Connection, sample: str
) -> None:
    highest = 0
    for number in range(8):
        picture = f"https://cdn.example/{number}.jpg"
        await pg.execute("update instagram_account set profile_pic_url = $1", picture)
        found = (await params_of(pg, sample, "media-profiles"))[-1]["text"]
        expected = int.from_bytes(hashlib.md5(picture.encode()).digest()[:8], "big")
        highest = max(highest, expected)
        assert f'"hash": {expected},' in found or f'"hash": {expected}}}' in found
        await pg.execute("truncate scrape_request_log, event_outbox")
    assert highest >= 2**63, "a number that a signed one could not hold was among them"


async def test_a_category_in_a_language_is_a_search_by_genre(pg: asyncpg.Connection, sample: str) -> None:
    rows = await params_of(pg, sample, "yt-genres")
    assert {row["flow"] for row in rows} == {"refresh_yt_posts_by_genre"}
    assert len(rows) == 20 * 12


async def test_the_file_is_loaded_as_it_is(
    sample: str, program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    beatctl = runner({**program_env, "PG_URL": sample}, monkeypatch, capsys)
    ran = await beatctl("schedules", "load", str(FILE))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [f"{entry.name} is new and disabled" for entry in ENTRIES]


async def test_the_file_is_loaded_before_the_tables_of_flows_that_are_not_built(
    program_env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the schema as it is migrated today; to switch such a schedule on is refused."""
    beatctl = runner(program_env, monkeypatch, capsys)
    ran = await beatctl("schedules", "load", str(FILE))
    assert (ran.code, ran.err, len(ran.out.splitlines())) == (0, "", len(ENTRIES))
    unbuilt = await beatctl("schedules", "enable", "yt-posts")
    assert (unbuilt.code, "flow: refresh_yt_posts is not built yet" in unbuilt.err) == (1, True)
    words = ('name = "s"', 'cron = "@daily"', 'flow = "fetch_hashtag_posts"', 'candidates = "select * from no_table"')
    file = tmp_path / "own.toml"
    file.write_text("\n".join(("[[schedule]]", *words)), encoding="utf-8")
    built = await beatctl("schedules", "load", str(file))
    assert (built.code, 'relation "no_table" does not exist' in built.err) == (1, True)
