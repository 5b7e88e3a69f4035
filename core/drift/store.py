"""What all processes have seen of a source's answers, in the database, and what was found in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.drift.rule import Finding, History, Known, Paths, note_reads, note_samples
from utils.json_safe import json_text

_OPEN = text("""
insert into payload_read (source, function) values (:source, :function) on conflict (source, function) do nothing
""")
# The lock of this row stands for all rows of the source and function: processes enter their counts one by one.
_READ = text("select paths from payload_read where source = :source and function = :function for update")
_WRITE = text("""
update payload_read set paths = cast(:paths as jsonb), payloads = payloads + :payloads, updated_at = now()
where source = :source and function = :function
""")
_PATHS = text("""
select path, type, samples, since_sample, judged from payload_path where source = :source and function = :function
""")
_WRITE_PATHS = text("""
insert into payload_path as p (source, function, path, type, read_by_parser, samples, since_sample, judged)
select :source, :function, r.path, r.type, r.read_by_parser, r.samples, r.since_sample, r.judged
from jsonb_to_recordset(cast(:rows as jsonb))
     as r(path text, type text, read_by_parser boolean, samples bigint, since_sample bigint, judged boolean)
on conflict (source, function, path, type) do update set
    last_seen = case when excluded.samples > p.samples then now() else p.last_seen end,
    samples = excluded.samples, judged = excluded.judged, read_by_parser = excluded.read_by_parser
""")
_FIND = text("""
insert into payload_drift (source, function, path, kind, was, now, read_by_parser, payloads)
values (:source, :function, :path, :kind, :was, :now, :read_by_parser, :payloads)
on conflict (source, function, path, kind) where acknowledged_at is null do nothing returning id
""")
_UNSETTLED = text("""
select id, path, kind, now from payload_drift
where source = :source and function = :function and acknowledged_at is null
""")
_STILL = text("update payload_drift set payloads = :payloads, last_seen = now() where id = :id")


@dataclass(slots=True)
class Seen:
    """What a process saw of one source and function since it last said so."""

    paths: tuple[str, ...]
    answers: list[bytes] = field(default_factory=list)
    samples: int = 0
    found: Counter[tuple[str, str]] = field(default_factory=Counter)


async def enter(session: AsyncSession, source: str, function: str, seen: Seen) -> list[Finding]:
    """Add what was seen to what is known, in the session's transaction; returns what nobody has found before."""
    key = {"source": source, "function": function}
    await session.execute(_OPEN, key)
    stored = await session.scalar(_READ, key)
    declared = set(seen.paths)
    histories = {path: History.of(one) for path, one in stored.items() if path in declared}
    findings = note_reads(histories, seen.paths, seen.answers)
    known = await _enter_samples(session, key, seen, findings) if seen.samples else {}
    paths = json_text({path: history.stored() for path, history in histories.items()})
    await session.execute(_WRITE, {**key, "paths": paths, "payloads": len(seen.answers)})
    fresh = []
    for finding in findings:
        row = {**key, "path": finding.path, "kind": finding.kind, "was": finding.was, "now": finding.now}
        more = {"read_by_parser": finding.path in declared, "payloads": finding.payloads}
        if await session.scalar(_FIND, {**row, **more}) is not None:
            fresh.append(finding)
    await _confirm(session, key, histories, known)
    return fresh


async def _enter_samples(session: AsyncSession, key: dict[str, str], seen: Seen, findings: list[Finding]) -> Paths:
    rows = (await session.execute(_PATHS, key)).all()
    known = {(row.path, row.type): Known(row.samples, row.since_sample, row.judged) for row in rows}
    before = {place: (one.samples, one.judged) for place, one in known.items()}
    findings += note_samples(known, seen.found, seen.samples)
    declared = set(seen.paths)
    changed = [
        {
            "path": path,
            "type": kind,
            "read_by_parser": path in declared,
            "samples": one.samples,
            "since_sample": one.since,
            "judged": one.judged,
        }
        for (path, kind), one in sorted(known.items())
        if before.get((path, kind)) != (one.samples, one.judged)
    ]
    await session.execute(_WRITE_PATHS, {**key, "rows": json_text(changed)})
    return known


async def _confirm(session: AsyncSession, key: dict[str, str], histories: dict[str, History], known: Paths) -> None:
    """Say of findings that nobody has acknowledged how long they have lasted."""
    for row in (await session.execute(_UNSETTLED, key)).all():
        history, sampled = histories.get(row.path), known.get((row.path, row.now))
        if history is not None and history.run == row.now:
            await session.execute(_STILL, {"id": row.id, "payloads": history.length})
        elif history is None and sampled is not None:
            await session.execute(_STILL, {"id": row.id, "payloads": sampled.samples})
