"""Thousands of tasks in one round trip: what is wrong with a row, or whose key it repeats, is said row by row."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import asyncpg
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from core.enums import Platform
from core.flows.registry import ASSET_FLOWS, Flow, Registry
from core.flows.scraper import BadTask, built_flow
from core.models.params import MAX_PARAMS_BYTES
from utils.db import call_of
from utils.json_safe import storable
from utils.times import as_utc, utc_now

MAX_ROWS = 10_000

_INT32 = 2**31 - 1
_SLICE = 200
"""Rows validated before other work of the process gets its turn."""

Checked = tuple[
    int, str, str, str, int, str | None, str | None, datetime | None, datetime | None, int | None
]  # fmt: skip
"""A row as INSERT_MANY takes it: number, flow, platform, params as JSON, priority, account, idempotency key, expiry,
first start, max_retries."""

Outcome = Literal["created", "exists", "refused"]
CREATED: Outcome = "created"
EXISTS: Outcome = "exists"
REFUSED: Outcome = "refused"

INSERT_MANY = """
with given as materialized (
    select nextval('crawl_dump_id_seq') as id, g.* from unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::int[],
        $6::text[], $7::text[], $8::timestamptz[], $9::timestamptz[], $10::int[])
        g(row, flow, platform, params, priority, account_id, key, expires_at, run_after, max_retries) order by g.row),
put as (
    insert into scrape_request_log
        (id, flow, platform, params, priority, account_id, idempotency_key, expires_at, run_after, max_retries)
    select id, flow, platform, params::jsonb, priority, account_id, key, expires_at, run_after, max_retries
    from given order by key collate "C", row
    on conflict (idempotency_key) do nothing
    returning id, flow, params, idempotency_key as key)
select g.row, coalesce(p.id, twin.id, first.id) as id, p.id is not null as created,
    coalesce(twin.flow, first.flow) = g.flow and coalesce(twin.params, first.params) = g.params::jsonb as same
from given g left join put p on p.id = g.id
    left join put twin on p.id is null and twin.key = g.key
    left join lateral (select s.id, s.flow, s.params from scrape_request_log s
        where p.id is null and twin.id is null and s.idempotency_key = g.key offset 0) first on true
order by g.row"""
"""Insert ``$1 row numbers, $2 flows, $3 platforms, $4 params, $5 priorities, $6 accounts, $7 idempotency keys,
$8 expiries, $9 first starts, $10 max_retries``. Gives per row its id and whether it is new; for one that is not, the
task that has its key and whether it is the same. Events and wake-ups come from the insert trigger. Ids follow the row
numbers; rows go in by key, because two that insert the same keys in other orders would wait for each other.
"""

INSERT_CALL = call_of("tasks_insert", INSERT_MANY)
"""The function of schema.sql that holds the same statement: to plan it costs more than a few rows do."""

KEY_OWNERS = """
select idempotency_key as key, id, flow, params::text as params from scrape_request_log
where idempotency_key = any($1::text[])"""
"""For keys that another transaction took while INSERT_MANY ran, whose rows its snapshot did not hold."""


def _upper(value: object) -> object:
    return value.strip().upper() if isinstance(value, str) else value


Word = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(storable)]
Moment = Annotated[datetime, AfterValidator(as_utc)]


class BulkRow(BaseModel):
    """One task to queue. Only the flow and its params are needed."""

    model_config = ConfigDict(extra="forbid")

    flow: str = Field(min_length=1, max_length=255, description="Name of the flow")
    platform: Annotated[str | None, BeforeValidator(_upper)] = Field(None, description="The flow's, when left out")
    params: dict[str, Any] = Field(default_factory=dict, description="What the flow needs, at most 256 KB")
    priority: int | None = Field(None, ge=-_INT32, le=_INT32, description="Higher runs first; the flow's when left out")
    account_id: Word | None = Field(None, description="Account to list the task under")
    idempotency_key: Word | None = Field(None, description="A key that is there already queues nothing")
    expires_at: Moment | None = Field(None, description="Not started after this")
    run_after: Moment | None = Field(None, description="Not started before this")
    max_retries: int | None = Field(None, ge=1, le=_INT32, description="Attempts; the flow's when left out")


@dataclass(frozen=True, slots=True)
class RowResult:
    """What became of the row of this number, from 0. ``outcome``: created, exists (its key is that task's), refused."""

    row: int
    outcome: Outcome
    id: int | None = None
    field: str | None = None
    message: str | None = None


class _Refused(Exception):
    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


async def insert_many(
    on: AsyncSession | asyncpg.Connection,
    registry: Registry,
    rows: Sequence[Any],
    *,
    account_id: str | None = None,
    expires_in: timedelta | None = None,
) -> list[RowResult]:
    """Queue up to 10,000 tasks in the caller's transaction; gives a result per row, in order.

    Rows are objects as ``BulkRow`` describes them. ``account_id`` and ``expires_in`` count for rows that name none;
    without them a row belongs to nobody and never expires.

    Raises:
        ValueError: more than 10,000 rows.
    """
    if len(rows) > MAX_ROWS:
        raise ValueError(f"at most {MAX_ROWS} rows at a time, got {len(rows)}")
    results: dict[int, RowResult] = {}
    good: list[Checked] = []
    expires_at = utc_now() + expires_in if expires_in else None
    for number, row in enumerate(rows):
        if number % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)
        try:
            good.append(_columns(registry, number, row, account_id, expires_at))
        except _Refused as refused:
            results[number] = RowResult(number, REFUSED, field=refused.field, message=str(refused))
    if good:
        stored = [_result(row) for row in await insert_checked(on, good)]
        results |= {result.row: result for result in await _with_owners(on, stored, good)}
    return [results[number] for number in range(len(rows))]


async def insert_checked(on: AsyncSession | asyncpg.Connection, rows: Sequence[Checked]) -> Sequence[Any]:
    """Queue rows that need no check, in one statement; gives what INSERT_MANY says of each, in order."""
    statement = INSERT_CALL if isinstance(on, asyncpg.Connection) else INSERT_MANY
    return await _fetch(on, statement, *map(list, zip(*rows, strict=True))) if rows else []


def _columns(registry: Registry, number: int, row: Any, account_id: str | None, expires_at: datetime | None) -> Checked:
    if not isinstance(row, dict):
        raise _Refused("row", "is no JSON object")
    try:
        task = BulkRow.model_validate(row)
    except ValidationError as error:
        raise _first(error) from None
    flow, platform, params = _checked(registry, task)
    if task.expires_at is not None and task.expires_at <= utc_now():
        raise _Refused("expires_at", "is in the past: the task could never start")
    until = task.expires_at or expires_at
    if task.run_after is not None and until is not None and task.run_after >= until:
        end = "expires_at" if task.expires_at else f"{until:%Y-%m-%d %H:%M} UTC, when it expires for want of expires_at"
        raise _Refused("run_after", f"is not before {end}: the task could never start")
    return (
        number,
        flow.name,
        platform,
        params,
        1 if task.priority is None else task.priority,
        task.account_id or account_id,
        task.idempotency_key,
        until,
        task.run_after,
        task.max_retries,
    )


def _checked(registry: Registry, task: BulkRow) -> tuple[Flow, str, str]:
    try:
        flow = built_flow(registry, task.flow)
    except BadTask as error:
        raise _Refused("flow", str(error).removeprefix("flow: ")) from None
    platform = task.platform or flow.platform.value
    if platform != flow.platform and flow.name not in ASSET_FLOWS:
        raise _Refused("platform", f"{flow.name} is a flow of {flow.platform}")
    if platform not in Platform.__members__:
        raise _Refused("platform", f"must be one of {', '.join(Platform)}")
    try:
        params = flow.params.model_validate(storable(task.params)).model_dump(mode="json", exclude_unset=True)
        text = json.dumps(params)
    except ValidationError as error:
        raise _first(error, "params") from None
    except (ValueError, RecursionError) as error:
        raise _Refused("params", str(error)) from None
    if len(text) > MAX_PARAMS_BYTES < (size := len(json.dumps(params, ensure_ascii=False).encode())):
        raise _Refused("params", f"at most {MAX_PARAMS_BYTES} bytes of JSON, got {size}")
    return flow, platform, text


def _first(error: ValidationError, *under: str) -> _Refused:
    """The first wrong field, without its value."""
    entry = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return _Refused(".".join(map(str, (*under, *entry["loc"]))) or "row", entry["msg"].removeprefix("Value error, "))


def _result(row: Any) -> RowResult:
    number = row["row"]
    if row["created"]:
        return RowResult(number, CREATED, row["id"])
    if row["id"] is None or row["same"]:
        return RowResult(number, EXISTS, row["id"])
    return _reused(number, row["id"])


def _reused(number: int, owner: int) -> RowResult:
    return RowResult(
        number, REFUSED, owner, "idempotency_key", f"belongs to task {owner}, which has another flow or other params"
    )


async def _with_owners(
    on: AsyncSession | asyncpg.Connection, results: list[RowResult], good: Sequence[Checked]
) -> list[RowResult]:
    """The results, with the owners of keys that were taken by others at the same moment."""
    sent = {row[0]: row for row in good}
    unknown = {result.row: sent[result.row] for result in results if result.id is None}
    if not unknown:
        return results
    owners = {row["key"]: row for row in await _fetch(on, KEY_OWNERS, [row[6] for row in unknown.values()])}
    return [_owned(result, sent[result.row], owners) if result.id is None else result for result in results]


def _owned(result: RowResult, row: Checked, owners: Mapping[str, Any]) -> RowResult:
    owner = owners.get(str(row[6]))
    if owner is None:
        return RowResult(result.row, REFUSED, None, "idempotency_key", "was taken and given up just now: send it again")
    same = owner["flow"] == row[1] and json.loads(owner["params"] or "null") == json.loads(row[3])
    return RowResult(result.row, EXISTS, owner["id"]) if same else _reused(result.row, owner["id"])


async def _fetch(on: AsyncSession | asyncpg.Connection, statement: str, *args: Any) -> Sequence[Any]:
    if isinstance(on, AsyncSession):
        connection = await on.connection()
        return (await connection.exec_driver_sql(statement, tuple(args))).mappings().all()
    return await on.fetch(statement, *args)


def parse_rows(text: str) -> Iterator[Any]:
    """The rows of a JSON list, or of one JSON value a line; what cannot be read becomes a row that is refused.

    Raises:
        ValueError: it begins as a list and is none.
    """
    if text.lstrip()[:1] == "[":
        try:
            yield from json.loads(text)
        except RecursionError:
            raise ValueError("nested too deeply") from None
        return
    for line in text.split("\n"):
        if line.strip():
            try:
                yield json.loads(line.strip())
            except (ValueError, RecursionError):
                yield "no JSON"
