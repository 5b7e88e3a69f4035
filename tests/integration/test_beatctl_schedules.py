"""The operator's schedule commands on a real database."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from core.schedules import statements as sql
from tests.support.beatctl import Run, runner
from tests.support.relay import until
from tests.support.schedules import counted, plant, run_due

SLEEPS = """
select exists (select from pg_stat_activity
    where datname = current_database() and application_name = 'beat schedule candidates' and wait_event = 'PgSleep')"""
END_RUN = """
select bool_or(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and application_name = 'beatctl schedules'"""
GOOD = """
[[schedule]]
name = "naps"
cron = "*/10 * * * *"
flow = "test_nap"
params = { ms = "$ms" }
candidates = "select g as ms from generate_series(1, 3) g;"
max_rows = 2
dedup_window = "52w"
expires_in = "never"
priority = -3

[[schedule]]
name = "one-nap"
cron = "@daily"
flow = "test_nap"
params = { ms = 1 }
enabled = true
"""


@pytest.fixture
def beatctl(program_env: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner({**program_env, "BEAT_EXTRA_FLOWS": "tests.support.flows"}, monkeypatch, capsys)


@pytest.fixture
def good(tmp_path: Path) -> str:
    file = tmp_path / "good.toml"
    file.write_text(GOOD, encoding="utf-8")
    return str(file)


async def test_a_file_is_loaded_run_listed_shown_switched_and_removed(
    beatctl: Run, pg: asyncpg.Connection, good: str
) -> None:
    loaded = await beatctl("schedules", "load", good)
    assert (loaded.code, loaded.out) == (0, "naps is new and disabled\none-nap is new and enabled\n"), loaded.err
    shown = json.loads((await beatctl("schedules", "show", "naps")).out)
    assert shown["candidates"] == "select g as ms from generate_series(1, 3) g"
    assert (shown["max_rows"], shown["expires_in"], shown["priority"]) == (2, None, -3)
    assert (await beatctl("schedules", "run", "naps")).out == "naps: 2 created, 0 there already, 0 refused\n"
    assert (await beatctl("schedules", "run", "naps")).out == "naps: 0 created, 2 there already, 0 refused\n"
    tasks = await pg.fetch("select priority, expires_at, params->>'ms' from scrape_request_log order by id")
    assert [tuple(task) for task in tasks] == [(-3, None, "1"), (-3, None, "2")]
    assert (await beatctl("schedules", "enable", "naps")).out == "naps is enabled\n"
    assert (await beatctl("schedules", "load", good)).out.startswith("naps is replaced and enabled\n")
    assert (await beatctl("schedules", "disable", "naps", "one-nap")).out == "naps is disabled\none-nap is disabled\n"
    listed = (await beatctl("schedules", "list")).out
    assert all(word in listed for word in ("naps", "one-nap", "disabled", "*/10 * * * *", "@daily", "ok"))
    assert (await beatctl("schedules", "remove", "naps")).code == 0
    assert [row["name"] for row in await pg.fetch("select name from scrape_schedule")] == ["one-nap"]


async def test_a_run_by_hand_leaves_the_next_one_where_it_is(
    beatctl: Run, pg: asyncpg.Connection, clean_db: str
) -> None:
    await plant(pg)
    due = await pg.fetchval("select next_run_at from scrape_schedule")
    assert (await beatctl("schedules", "run", "s")).code == 0
    assert await pg.fetchval("select next_run_at from scrape_schedule") == due
    await run_due(clean_db)
    assert await counted(pg) == ("ok", 3, 0, 0), "without a window each run queues anew"


async def test_what_was_refused_is_said_and_stored(beatctl: Run, pg: asyncpg.Connection) -> None:
    await plant(pg, candidates="select * from (values ('1'), ('x'), ('y')) v(ms)")
    ran = await beatctl("schedules", "run", "s")
    assert (ran.code, ran.out) == (1, "s: 1 created, 0 there already, 2 refused\n")
    assert ran.err.startswith("params.ms: Input should be a valid integer")
    assert ran.err.endswith("(2 times)\n")
    assert "2 of 3 candidates were refused; params.ms" in (await beatctl("schedules", "list")).out
    await pg.execute("update scrape_schedule set candidates = 'select nothing'")
    ran = await beatctl("schedules", "run", "s")
    assert (ran.code, ran.err) == (1, 'beatctl: s: candidates: column "nothing" does not exist\n')
    assert await counted(pg) == ("failed", 0, 0, 0)


async def test_a_schedule_that_runs_now_is_not_run_a_second_time(beatctl: Run, pg: asyncpg.Connection) -> None:
    await plant(pg)
    assert await pg.fetchval(sql.TRY_LOCK_ONE, "s")
    ran = await beatctl("schedules", "run", "s")
    assert (ran.code, ran.err) == (1, "beatctl: s is being run at this moment: try again\n")


async def test_a_run_whose_database_goes_away_is_one_line(beatctl: Run, pg: asyncpg.Connection) -> None:
    await plant(pg, candidates="select pg_sleep(2)::text, 1 as ms")
    running = asyncio.ensure_future(beatctl("schedules", "run", "s"))
    await until(lambda: pg.fetchval(SLEEPS))
    assert await pg.fetchval(END_RUN)
    ran = await running
    assert (ran.code, ran.out, ran.err) == (1, "", "beatctl: PostgreSQL was lost in the middle: connection is closed\n")


WRONG = {
    "no TOML": ("[[schedule", "no TOML"),
    "nothing": ("", "file: schedule: Field required"),
    "another table": ("[[schedules]]", "file: schedules: Extra inputs"),
    "no entry": ("schedule = [1]", "entry 1: entry: Input should be"),
    "a bad name": ('name = "Häh"', "name: String should match pattern"),
    "a long name": (f'name = "{"n" * 64}"', "name: String should match pattern"),
    "a name like an option": ('name = "-n"', "-n: name: String should match pattern"),
    "a name used twice": ('name = "naps"', "naps: name: is used twice"),
    "a long word": (f'platform = "{"P" * 256}"', "s: platform: String should have at most 255 characters"),
    "a null byte in a word": ('platform = "P\\u0000"', "s: platform: a text holds a NUL"),
    "a null byte in params": ('params = { ms = "\\u0000" }', "s: params: a text holds a NUL"),
    "a missing flow": ('flow = ""', "s: flow: String should have at least 1 character"),
    "an unknown flow": ('flow = "typo"', "s: flow: there is no flow 'typo'"),
    "a bad cron": ('cron = "* * * * * *"', "s: cron: write five fields"),
    "a typo": ("max_row = 3", "s: max_row: Extra inputs"),
    "no rows": ("max_rows = 0", "s: max_rows: Input should be greater than or equal to 1"),
    "too many rows": ("max_rows = 100001", "s: max_rows: Input should be less than or equal to 100000"),
    "a bad window": ('dedup_window = "6 hours"', "s: dedup_window: write it as 12h, 30d or 8w"),
    "a window of no time": ("dedup_window = 0", "s: dedup_window: Input should be greater than or equal to 1 second"),
    "a life of no time": ("expires_in = -5", "s: expires_in: Input should be greater than or equal to 1 second"),
    "a life of ages": ("expires_in = 10000000000000", "s: expires_in: Input should be less than or equal to"),
    "a priority too low": ("priority = -2147483648", "s: priority: Input should be greater than"),
    "a priority too high": ("priority = 2147483648", "s: priority: Input should be less than 2147483648"),
    "no query": ('candidates = " ; "', "s: candidates: String should have at least 1 character"),
    "too deep": (f"params = {{ ms = {'[' * 3000}{']' * 3000} }}", "no TOML: nested too deeply"),
    "thousands of digits": (f"max_rows = {'1' * 5000}", "no TOML: a number has too many digits"),
    "thousands of hex digits": (f"params = {{ ms = 0x{'f' * 5000} }}", "s: params: a number has too many digits"),
    "a switch for a number of rows": ("max_rows = true", "s: max_rows: Input should be a valid integer"),
    "a switch for a priority": ("priority = false", "s: priority: Input should be a valid integer"),
    "a switch for a time": ("expires_in = true", "s: expires_in: write it as 12h, 30d or 8w, or as seconds"),
    "not a number": ("params = { ms = nan }", "s: params: a number is not finite"),
    "a null byte": ('candidates = "select \\u0000"', "s: candidates: "),
    "a bad query": ('candidates = "delete from credential"', "s: candidates: syntax error"),
    "credentials": ('candidates = "select * from credential"', "s: candidates: permission denied for table credential"),
    "an unknown column": ('params = { ms = "$x" }', "s: params.ms: the candidates have no column x, but ms"),
    "a column that none has": (
        'candidates = "select 1 as y where false"',
        "params.ms: the candidates have no column ms",
    ),
    "wrong params": ('params = { ms = "$ms", other = 1 }', "s: params.other: Extra inputs are not permitted"),
    "two mistakes": ('cron = "* * *"\ncandidates = "select nothing"', 'column "nothing" does not exist'),
    "the first of two mistakes": ('cron = "* * *"\ncandidates = "select nothing"', "s: cron: write five fields"),
    "an unknown flow and an unknown table": (
        'flow = "typo"\ncandidates = "select * from nowhere"',
        'relation "nowhere" does not exist',
    ),
    "params that no candidate mends": (
        "candidates = \"select * from (values (null, 1), ('x', 2)) v(ms, n)\"",
        "s: params.ms: Input should be a valid integer\n",
    ),
    "one candidate that the flow takes, behind those that are read": (
        "max_rows = 1\ncandidates = \"select * from (values ('x'), ('1')) v(ms)\"",
        "s: params.ms: Input should be a valid integer, unable to parse",
    ),
    "an unbuilt flow that is switched on": ('flow = "test_unbuilt"\nenabled = true', "flow: test_unbuilt is not built"),
}
BASE = {
    "name": '"s"',
    "cron": '"@daily"',
    "flow": '"test_nap"',
    "params": '{ ms = "$ms" }',
    "candidates": '"select 1 as ms"',
}


def as_toml(fields: dict[str, str]) -> str:
    """A schedule as a file has it."""
    return "[[schedule]]\n" + "".join(f"{name} = {value}\n" for name, value in fields.items())


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_file_changes_nothing_and_names_the_field(
    beatctl: Run, pg: asyncpg.Connection, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "wrong.toml"
    if "schedule" not in text and text:
        text = f"{GOOD}\n{as_toml(BASE | dict(line.split(' = ', 1) for line in text.splitlines()))}"
    file.write_text(text, encoding="utf-8")
    ran = await beatctl("schedules", "load", str(file))
    assert (ran.code, said in ran.err, "Traceback" in ran.err) == (1, True, False), ran.err
    assert await pg.fetchval("select count(*) from scrape_schedule") == 0


async def test_one_candidate_that_the_flow_takes_is_enough_and_what_is_left_out_has_its_default(
    beatctl: Run, pg: asyncpg.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "some.toml"
    query = "select * from (values ('x'), ('1'), ('y')) v(ms) ; "
    file.write_text(as_toml(BASE | {"candidates": f'"{query}"', "name": f'"{"n" * 63}"'}), encoding="utf-8")
    ran = await beatctl("schedules", "load", str(file))
    assert (ran.code, ran.err) == (0, "")
    row = await pg.fetchrow("select * from scrape_schedule")
    assert row is not None
    assert (row["candidates"], row["platform"], row["max_rows"]) == (query[:-3], None, 1000)
    assert (row["dedup_window"], row["expires_in"], row["priority"]) == (None, timedelta(hours=1), None)


async def test_params_are_looked_at_where_there_is_no_query(beatctl: Run, clean_db: str, tmp_path: Path) -> None:
    file = tmp_path / "plain.toml"
    without = {name: value for name, value in BASE.items() if name != "candidates"}
    file.write_text(as_toml(without | {"params": "{ other = 1 }"}), encoding="utf-8")
    ran = await beatctl("schedules", "load", str(file))
    assert (ran.code, "s: params.other: Extra inputs are not permitted" in ran.err) == (1, True)


async def test_an_unbuilt_flow_may_be_loaded_but_not_switched_on(
    beatctl: Run, pg: asyncpg.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "later.toml"
    file.write_text('[[schedule]]\nname = "later"\ncron = "@daily"\nflow = "test_unbuilt"\n', encoding="utf-8")
    assert (await beatctl("schedules", "load", str(file))).code == 0
    ran = await beatctl("schedules", "enable", "later")
    assert (ran.code, "later: flow: test_unbuilt is not built yet" in ran.err) == (1, True)
    assert not await pg.fetchval("select enabled from scrape_schedule")


async def test_a_file_may_begin_with_a_byte_order_mark_and_name_dates(
    beatctl: Run, pg: asyncpg.Connection, tmp_path: Path
) -> None:
    file = tmp_path / "dates.toml"
    params = 'params = { job_id = "7", keywords = ["a"], start_date = 2024-01-31, end_date = 2024-02-01 }'
    entry = '[[schedule]]\nname = "search"\ncron = "@daily"\nflow = "refresh_yt_posts_by_search"\n'
    file.write_text(f"\ufeff{entry}{params}\n", encoding="utf-8")
    ran = await beatctl("schedules", "load", str(file))
    assert (ran.code, ran.err) == (0, "")
    assert await pg.fetchval("select params->>'start_date' from scrape_schedule") == "2024-01-31"


async def test_a_schedule_that_cannot_be_read_is_listed_shown_switched_off_and_removed(
    beatctl: Run, pg: asyncpg.Connection
) -> None:
    await plant(pg)
    await pg.execute(
        """update scrape_schedule set params = ('{"ms":' || repeat('[', 3000) || repeat(']', 3000) || '}')::jsonb,
            next_run_at = '20000-01-01', last_run_at = '-infinity', expires_in = '100000000 years'"""
    )
    listed = (await beatctl("schedules", "list")).out
    assert all(word in listed for word in ("9999-12-31 23:59", "0001-01-01 00:00"))
    assert "9999-12-31 23:59" in (await beatctl("pool", "status")).out
    assert "unreadable: nested too deeply" in (await beatctl("schedules", "show", "s")).out
    for verb in ("run", "enable"):
        ran = await beatctl("schedules", verb, "s")
        assert (ran.code, ran.err.startswith("beatctl: s: params: unreadable")) == (1, True)
    assert (await beatctl("schedules", "disable", "s")).out == "s is disabled\n"
    assert (await beatctl("schedules", "remove", "s")).out == "s is removed\n"


@pytest.mark.parametrize("verb", ["show", "run", "enable", "disable", "remove"])
async def test_an_unknown_name_is_one_line(beatctl: Run, clean_db: str, verb: str) -> None:
    ran = await beatctl("schedules", verb, "nobody")
    assert (ran.code, ran.err) == (1, "beatctl: there is no schedule nobody\n")


async def test_a_file_that_is_not_there_is_one_line(beatctl: Run, clean_db: str) -> None:
    ran = await beatctl("schedules", "load", "none.toml")
    assert (ran.code, ran.err) == (1, "beatctl: cannot read none.toml: No such file or directory\n")
