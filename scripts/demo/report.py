"""What the demo shows: progress while it runs, and the table at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import asyncpg
from rich.console import Console
from rich.table import Table

from scripts.demo.check import Verdict
from scripts.demo.parts.media import links
from scripts.demo.parts.run import Ended
from scripts.demo.world import FLOWS, World

MOST_PROBLEMS = 20
TABLES = {
    "profiles": ("instagram_account",),
    "posts and stories": ("instagram_post",),
    "audit": ("profile_log", "post_log"),
    "insights": ("instagram_profile_insights",),
    "followers": ("profile_relationship_log",),
    "comments and likes": ("post_activity_log",),
    "sentiment": ("sentiment_log",),
    "media": ("asset",),
}
"""What the rows are, and where they are."""


@dataclass(frozen=True)
class Result:
    """What happened: ``seconds`` from the first of ``main_job`` tasks picked up to the last one ended."""

    statuses: Mapping[str, int]
    seconds: float
    main_job: int
    rows: Mapping[str, int]
    confirmed: Mapping[str, int]
    depths: Mapping[str, int]
    requests: Mapping[str, int]

    @property
    def tasks_per_s(self) -> float:
        """Tasks of the main job ended per second."""
        return self.main_job / self.seconds if self.seconds else 0.0


async def gather(pg: asyncpg.Connection, requests: Mapping[str, int], depths: Mapping[str, int]) -> Result:
    """Read the figures of a finished run."""
    statuses = await pg.fetch("select status, count(*) from scrape_request_log group by 1 order by 1")
    seconds = await pg.fetchval(
        "select extract(epoch from max(scraped_at) - min(picked_at)) from scrape_request_log where flow = $1", FLOWS[0]
    )
    main_job = await pg.fetchval("select count(*) from scrape_request_log where flow = $1", FLOWS[0])
    tables = [table for group in TABLES.values() for table in group]
    rows = {table: await pg.fetchval(f"select count(*) from {table}") for table in tables}
    confirmed = await pg.fetch("select routing_key, confirmed from event_confirmed order by 1")
    return Result(
        {row["status"]: row["count"] for row in statuses},
        float(seconds or 0),
        main_job,
        rows,
        {row["routing_key"]: row["confirmed"] for row in confirmed},
        depths,
        requests,
    )


def show(console: Console, result: Result, verdict: Verdict, parts: Sequence[Ended]) -> None:
    """The table."""
    table = Table(title="Beat demo", title_justify="left")
    table.add_column("what")
    table.add_column("which")
    table.add_column("count", justify="right")
    for status, count in result.statuses.items():
        table.add_row("tasks", status, f"{count:,}")
    table.add_row("tasks per second", FLOWS[0], f"{result.tasks_per_s:.1f}", end_section=True)
    for name, relations in TABLES.items():
        for relation in relations:
            table.add_row(name, relation, f"{result.rows[relation]:,}")
    table.add_section()
    for part in parts:
        table.add_row("tasks / rows compared", part.name, f"{part.tasks:,} / {part.rows:,}")
    table.add_section()
    for key, count in result.confirmed.items():
        table.add_row("events / at the broker", key, f"{count:,} / {result.depths.get(key, 0):,}")
    table.add_section()
    for source, count in result.requests.items():
        table.add_row("requests", source, f"{count:,}")
    table.add_section()
    table.add_row("compared with the simulator", "rows", f"{verdict.rows:,}")
    table.add_row("differences", "", f"{len(verdict.problems):,}")
    console.print(table)
    for problem in verdict.problems[:MOST_PROBLEMS]:
        console.print(f"  [red]differs[/red] {problem}", highlight=False)


def show_where(console: Console, world: World, handles: Sequence[str], *, kept: bool) -> None:
    """How to look further."""
    console.print("\nLook further:")
    psql = f"psql '{world.pg_url}' -c"
    console.print(f'  {psql} "select handle, followers, media_count from instagram_account limit 5"', soft_wrap=True)
    console.print(f"  {psql} \"select id, data from scrape_request_log where status = 'FAILED'\"", soft_wrap=True)
    console.print("  copied pictures, for a week while the servers are up:")
    for link in links(world.env, world.sandbox.universe, len(handles)):
        console.print(f"    {link}", soft_wrap=True, highlight=False)
    if kept:
        api = world.api_url
        console.print(f"  curl '{api}/profiles/instagram/byhandle/{handles[0]}?full_refresh=true'", soft_wrap=True)
        console.print(f"  curl '{api}/scrape_request_log/flow/1'", soft_wrap=True)
        console.print(f"  {api}/docs    {api}/readyz    {world.sandbox.url}/_sandbox/stats", soft_wrap=True)
    else:
        console.print("  scripts/demo.sh --keep    leaves the API and the workers running, too")
    console.print("  logs: .stack/logs/demo-*.log; the servers stay up until `scripts/stack down`")
