"""The producer's side of the queue: create, re-queue, end and read tasks, over a session whose commit is the caller's.

The row and its event are one transaction: the insert trigger writes the PENDING event, the statements here write the
others. Time is the database's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import DateTime, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from core.entities.task import ScrapeRequestLog
from core.enums import TaskStatus
from core.queue.bulk import insert_checked
from core.queue.bulk import insert_many as insert_many  # noqa: PLC0414 - creating one task and many is one subject
from core.queue.statements import ROUTING_KEY
from utils.db import Database, fetch_on, within_dates
from utils.times import utc_now

SETTABLE = (TaskStatus.PENDING, TaskStatus.FAILED, TaskStatus.COMPLETE, TaskStatus.CANCELLED)
"""What a caller may set a task to: PROCESSING and EXPIRED are the queue's own words."""

ENDED = frozenset({TaskStatus.FAILED, TaskStatus.COMPLETE, TaskStatus.CANCELLED, TaskStatus.EXPIRED})


class TaskEnded(Exception):
    """A task that has ended can only be queued again; ``status`` is what it ended as."""

    def __init__(self, task_id: int, status: str) -> None:
        super().__init__(f"task {task_id} has ended as {status}: it can only be set to PENDING")
        self.status = status


class KeyReused(Exception):
    """The idempotency key belongs to a task with another flow or other params."""

    def __init__(self, task_id: int) -> None:
        super().__init__(f"the idempotency key belongs to task {task_id}, which has another flow or other params")
        self.task_id = task_id


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task to queue; ``expires_at`` None is an hour from now, ``reason`` shows in the PENDING event only.

    ``run_after`` None is now; it must be before ``expires_at``.
    """

    flow: str
    platform: str
    params: Mapping[str, Any]
    account_id: str | None = None
    priority: int = 1
    reason: str | None = None
    expires_at: datetime | None = None
    idempotency_key: str | None = None
    run_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class CreatedTask:
    """``created`` is False when the idempotency key named a task that was there already."""

    id: int
    created: bool


CREATE = """
insert into scrape_request_log (flow, platform, params, account_id, priority, expires_at, idempotency_key, run_after)
select $1::text, $2::text, $3::text::jsonb, $4::text, $5::integer, coalesce($6::timestamptz, now() + interval '1 hour'),
    $7::text, $8::timestamptz
where set_config('beat.reason', coalesce($9::text, ''), true) is not null
on conflict (idempotency_key) do nothing
returning id"""
"""Insert ``$1 flow, $2 platform, $3 params, $4 account, $5 priority, $6 expiry, $7 idempotency key, $8 first start,
$9 reason``. One row, or none when the key is taken. The insert trigger reads the reason, announces the task, wakes a
worker."""

FIRST_OF_KEY = """
select id, flow = $1::text and params = $2::text::jsonb as same
from scrape_request_log where idempotency_key = $3::text"""

COLUMNS = ", ".join(
    f"{within_dates(f't.{column.name}')} as {column.name}" if isinstance(column.type, DateTime) else f"t.{column.name}"
    for column in ScrapeRequestLog.__table__.columns
)
"""A whole row of ``scrape_request_log t``, as the entity reads it."""

LOCK = f"select {COLUMNS} from scrape_request_log t where t.id = :id for update"
"""Waits for a worker that is reporting the same task, so that the state machine sees how it ended."""

_SAY = f"""
    insert into event_outbox (routing_key, entity_key, payload)
    select '{ROUTING_KEY}', e.id::text, task_event(row(e.*)::scrape_request_log) from changed e"""

REQUEUE = f"""
with changed as (
    update scrape_request_log t
    set status = 'PENDING', retry_count = :retry_count, worker = null, picked_at = null, run_after = null,
        scraped_at = null, data = null, result = null, error_code = null,
        expires_at = case when t.expires_at <= now() then now() + interval '1 hour' else t.expires_at end
    where t.id = :id returning t.*),
said as ({_SAY})
select pg_notify('beat', flow) from changed"""
"""Start over: a task that has expired meanwhile gets another hour, or queueing it again would do nothing."""

END = f"""
with changed as (
    update scrape_request_log t
    set status = cast(:status as text), retry_count = :retry_count, worker = null, run_after = null, scraped_at = now(),
        picked_at = case when t.status = 'PROCESSING' then null else t.picked_at end,
        data = case when cast(:status as text) = 'COMPLETE' then t.data
            else coalesce(t.data, 'set to ' || cast(:status as text) || ' by request') end,
        error_code = case cast(:status as text) when 'COMPLETE' then null when 'CANCELLED' then 'CANCELLED'
            else coalesce(t.error_code, 'BY_REQUEST') end
    where t.id = :id returning t.*),
said as ({_SAY})
select id from changed"""

CANCEL = "select pg_notify('beat_cancel', cast(:worker as bigint)::text || ':' || cast(:id as bigint)::text)"
"""Told at commit to the supervisor of the process that holds the claim; its report would be refused anyway."""

GET = f"select {COLUMNS} from scrape_request_log t where t.id = :id"
LIST = f"""
select {COLUMNS} from scrape_request_log t where t.account_id = :account_id
order by t.created_at desc, t.id desc limit :size"""
"""An account's newest tasks; reads srl_account."""

NEWEST = f"""
select {COLUMNS} from scrape_request_log t
where (cast(:flow as text) is null or t.flow = :flow) and (cast(:status as text) is null or t.status = :status)
    and (cast(:account_id as text) is null or t.account_id = :account_id)
order by t.id desc limit :size"""


async def create(on: AsyncSession | Database, task: NewTask) -> CreatedTask:
    """Queue a task, by a database in a transaction of its own; the same idempotency key gives the first one again.

    Raises:
        KeyReused: the key belongs to a different task.
    """
    params = json.dumps(task.params)
    values = (
        task.flow, task.platform, params, task.account_id, task.priority, task.expires_at, task.idempotency_key,
        task.run_after, task.reason,
    )  # fmt: skip
    if rows := await fetch_on(on, CREATE, *values):
        return CreatedTask(rows[0]["id"], created=True)
    first = await fetch_on(on, FIRST_OF_KEY, task.flow, params, task.idempotency_key)
    if not first:  # retention has deleted it this moment, and the key is free
        return await create(on, task)
    if not first[0]["same"]:
        raise KeyReused(first[0]["id"])
    return CreatedTask(first[0]["id"], created=False)


async def create_all(session: AsyncSession, tasks: Sequence[NewTask]) -> int:
    """Queue many tasks and return how many are new: one whose idempotency key is taken is left out.

    A task's ``reason`` is not announced: it belongs to the transaction, not to a row.
    """
    soon = utc_now() + timedelta(hours=1)
    rows = [
        (
            number, task.flow, task.platform, json.dumps(task.params), task.priority, task.account_id,
            task.idempotency_key, task.expires_at or soon, task.run_after, None,
        )
        for number, task in enumerate(tasks)
    ]  # fmt: skip
    return sum(row["created"] for row in await insert_checked(session, rows))


async def update(session: AsyncSession, task_id: int, status: TaskStatus, retry_count: int) -> ScrapeRequestLog | None:
    """Queue a task again or end it, and return it as it is then; None when there is no such task.

    A running task loses its claim and its process is told to cancel it. Ending a task the way it has ended already
    changes nothing.

    Raises:
        TaskEnded: it has ended in another way.
    """
    task = await _one(session, LOCK, task_id)
    if task is None or (task.status == status and status in ENDED):
        return task
    if task.status in ENDED and status is not TaskStatus.PENDING:
        raise TaskEnded(task_id, task.status)
    if task.status == TaskStatus.PROCESSING and task.worker is not None:
        await session.execute(text(CANCEL), {"worker": task.worker, "id": task_id})
    if status is TaskStatus.PENDING:
        await session.execute(text(REQUEUE), {"id": task_id, "retry_count": retry_count})
    else:
        await session.execute(text(END), {"id": task_id, "retry_count": retry_count, "status": status.value})
    return await get(session, task_id)


async def get(session: AsyncSession, task_id: int) -> ScrapeRequestLog | None:
    """One task, as the database has it now."""
    return await _one(session, GET, task_id)


async def list_for_account(session: AsyncSession, account_id: str, size: int) -> Sequence[ScrapeRequestLog]:
    """The newest tasks of an account, newest first."""
    query = select(ScrapeRequestLog).from_statement(text(LIST))
    return (await session.scalars(query, {"account_id": account_id, "size": size})).all()


async def list_newest(
    session: AsyncSession, size: int, *, flow: str | None, status: str | None, account_id: str | None
) -> Sequence[ScrapeRequestLog]:
    """The newest tasks of a flow, a status and an account, or of any, newest first."""
    query = select(ScrapeRequestLog).from_statement(text(NEWEST))
    wanted = {"flow": flow, "status": status, "account_id": account_id, "size": size}
    return (await session.scalars(query, wanted)).all()


async def _one(session: AsyncSession, statement: str, task_id: int) -> ScrapeRequestLog | None:
    query = select(ScrapeRequestLog).from_statement(text(statement)).execution_options(populate_existing=True)
    return (await session.scalars(query, {"id": task_id})).one_or_none()
