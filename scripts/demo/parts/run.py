"""Runs the parts: queues the tasks of all, waits until they have ended, and lets each compare what it left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import asyncpg

from scripts.demo.check import Verdict
from scripts.demo.load import queue_through_rest
from scripts.demo.parts.base import Part, Scene, Task

AUDIT = {"profile_log_events": "profile_log", "post_log_events": "post_log"}
"""What every part adds to: one row per message."""


@dataclass(frozen=True)
class Ended:
    """A part that has been compared."""

    name: str
    tasks: int
    rows: int


def flows_of(parts: Sequence[Part]) -> tuple[str, ...]:
    """The flows of the parts, each once."""
    return tuple(dict.fromkeys(flow for part in parts for flow in part.FLOWS))


async def run_parts(
    scene: Scene, verdict: Verdict, parts: Sequence[Part], follow: Callable[[int], Awaitable[None]]
) -> list[Ended]:
    """All parts at once; ``follow`` waits until so many tasks have ended in all and no event is left unsent."""
    wanted = {part.NAME: list(part.tasks(scene.universe, scene.creators)) for part in parts}
    tasks = [task for found in wanted.values() for task in found]
    ids = await queue_through_rest(scene.world, [(task.flow, task.params) for task in tasks])
    total = await scene.pg.fetchval("select count(*) from scrape_request_log")
    await follow(total)
    await _compare_tasks(scene.pg, verdict, dict(zip(ids, tasks, strict=True)))
    ended = []
    for part in parts:
        before = verdict.rows
        await part.compare(scene, verdict)
        ended.append(Ended(part.NAME, len(wanted[part.NAME]), verdict.rows - before))
    await follow(total)
    await _compare_events(scene, verdict, parts)
    return ended


async def _compare_tasks(pg: asyncpg.Connection, verdict: Verdict, tasks: dict[int, Task]) -> None:
    rows = await pg.fetch("select id, status, data, result from scrape_request_log where id = any($1)", list(tasks))
    for row in rows:
        task = tasks[row["id"]]
        what = f"task {row['id']} {task.flow} {dict(task.params)}"
        verdict.rows += 1
        verdict.same(f"{what}: status", row["status"], "COMPLETE" if task.code is None else "FAILED")
        if task.code is not None and not (row["data"] or "").startswith(f"({task.code}, "):
            verdict.problems.append(f"{what}: data is {row['data']!r}, should begin with ({task.code}, ")
    verdict.same("tasks of the parts", len(rows), len(tasks))


async def _compare_events(scene: Scene, verdict: Verdict, parts: Sequence[Part]) -> None:
    """What was stored was announced once."""
    wanted = {key: await scene.pg.fetchval(f"select count(*) from {table}") for key, table in AUDIT.items()}
    for part in parts:
        wanted |= part.events(scene.universe, scene.creators)
    confirmed = {row["routing_key"]: row["confirmed"] for row in await scene.pg.fetch("select * from event_confirmed")}
    for key, count in wanted.items():
        verdict.same(f"{key} confirmed", confirmed.get(key, 0), count)
