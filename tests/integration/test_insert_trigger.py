"""What the bench takes out of the insert trigger."""

from __future__ import annotations

import asyncpg

from scripts.bench.suites.inserters import TRIGGER, without_event

FLOW = "refresh_profile_by_handle"
ONE = "insert into scrape_request_log (flow, platform, params) values ($1, 'INSTAGRAM', '{}')"


async def test_the_bench_measures_the_wake_up_without_the_event(pg: asyncpg.Connection) -> None:
    whole = await pg.fetchval(TRIGGER)
    heard: list[object] = []
    await pg.add_listener("beat", lambda *args: heard.append(args[3]))
    try:
        await pg.execute(without_event(whole))
        await pg.execute(ONE, FLOW)
        assert await pg.fetchval("select count(*) from event_outbox") == 0
        assert heard == [FLOW]
    finally:
        await pg.execute(whole)
    await pg.execute(ONE, FLOW)
    assert await pg.fetchval("select count(*) from event_outbox") == 1
