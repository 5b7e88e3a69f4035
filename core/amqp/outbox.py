"""The outbox: events are written with the data they speak of, and wait until the broker has confirmed them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import asyncpg

from utils.db import Fetch, fetch_in

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from core.amqp.events import Event


def adding(first: int, condition: str = "true") -> str:
    """SQL that adds events: parameters from ``$first`` on are those of ``columns_of``.

    ``condition`` may name other steps of the same statement, which have to lock first what the events speak of. jsonb
    refuses what the relay could not read back (NUL, half surrogate pairs): here, and not there.
    """
    return f"""
insert into event_outbox (exchange, routing_key, entity_key, payload)
select e.exchange, e.routing_key, e.entity_key, e.payload::jsonb
from unnest(${first}::text[], ${first + 1}::text[], ${first + 2}::text[], ${first + 3}::text[])
     with ordinality e(exchange, routing_key, entity_key, payload, position)
where {condition} order by e.position"""  # noqa: S608 - a constant of the caller


ADD = adding(1)

# The first three: a host that vanishes gives its lock back after 25 s, not two hours. The others: a list of what is
# held back looks very selective to the planner, which then reads and sorts the whole table instead of its first rows.
_PREPARE = """
select set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
       set_config('tcp_keepalives_count', '3', false),
       set_config('enable_seqscan', 'off', false), set_config('max_parallel_workers_per_gather', '0', false)
"""

# Always from the oldest row: a transaction that took its id early may commit late. `$2` holds whole exchanges, routes
# (exchange, routing key) and keys (exchange, routing key, entity key) that are held back, joined as `scope_text` does.
UNSENT = r"""
select id, exchange, routing_key, entity_key, payload::text as body, payload->>'event_id' as event_id, created_at
from event_outbox
where id <> all($1::bigint[])
  and exchange <> all($2::text[])
  and exchange || e'\x1f' || routing_key <> all($2::text[])
  and exchange || e'\x1f' || routing_key || e'\x1f' || entity_key <> all($2::text[])
order by id
limit $3
"""

_FORGET = """
with gone as (delete from event_outbox where id = any($1::bigint[]) returning routing_key)
insert into event_confirmed as c (routing_key, confirmed, last_at)
select routing_key, count(*), now() from gone group by routing_key order by routing_key
on conflict (routing_key) do update set confirmed = c.confirmed + excluded.confirmed, last_at = excluded.last_at
"""

# Counts the oldest rows only, so that asking costs little when millions wait.
_LAG = """
select routing_key, count(*) as waiting, extract(epoch from now() - min(created_at))::float8 as oldest_s
from (select routing_key, created_at from event_outbox order by id limit $1) oldest
group by routing_key order by routing_key
"""
LAG_COUNTED = 100_000

Scope = tuple[str, ...]
"""What is held back: (exchange,), (exchange, routing key) or (exchange, routing key, entity key)."""


class Row(NamedTuple):
    """An unsent event; ``body`` is the JSON text exactly as stored."""

    id: int
    exchange: str
    routing_key: str
    entity_key: str
    body: str
    event_id: str | None
    created_at: datetime

    @property
    def key(self) -> Scope:
        """Rows with equal keys are sent one after the other."""
        return self.exchange, self.routing_key, self.entity_key

    @property
    def message_id(self) -> str:
        """The same at each attempt, so that receivers can tell a repetition."""
        return self.event_id or f"outbox-{self.id}"


@dataclass(frozen=True, slots=True)
class RouteLag:
    """Unsent events of one routing key and the age of the oldest."""

    rows: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class OutboxLag:
    """How far the broker is behind the data; counts stop at ``LAG_COUNTED`` rows."""

    rows: int
    oldest_s: float
    routes: dict[str, RouteLag]


async def add(session: AsyncSession, events: Sequence[Event]) -> None:
    """Announce, in the session's transaction: the events are published if and when it commits, in the order given.

    Call it after the transaction has locked (written) the row of each entity that the events are about: then ids grow
    in the order of the commits, per entity, and nobody sees an older state after a newer one.
    """
    if events:
        await fetch_in(session, ADD, *columns_of(events))


def columns_of(events: Sequence[Event]) -> tuple[list[str], list[str], list[str], list[str]]:
    """The parameters of ``adding``.

    Raises:
        ValueError: a payload is no JSON.
    """
    return (
        [event.exchange for event in events],
        [event.routing_key for event in events],
        [event.entity_key for event in events],
        [event.body() for event in events],
    )


async def prepare(conn: asyncpg.Connection) -> None:
    """Settings of the session that reads the outbox (a direct one: they stay with it)."""
    await conn.execute(_PREPARE)


async def unsent(
    conn: asyncpg.Connection, *, besides: Collection[int], held: Collection[Scope], limit: int
) -> list[Row]:
    """The oldest unsent rows except those in hand and those held back, in id order."""
    rows = await conn.fetch(UNSENT, list(besides), [scope_text(scope) for scope in held], limit)
    return [Row(*row) for row in rows]


async def forget(conn: asyncpg.Connection, ids: Collection[int]) -> None:
    """Delete confirmed rows and count them, both or neither; ids that are gone already do not count."""
    if ids:
        await conn.execute(_FORGET, list(ids))


async def outbox_lag(fetch: Fetch) -> OutboxLag:
    """What waits for the broker, in all and per routing key."""
    found = await fetch(_LAG, LAG_COUNTED)
    routes = {row["routing_key"]: RouteLag(row["waiting"], row["oldest_s"]) for row in found}
    return OutboxLag(
        rows=sum(route.rows for route in routes.values()),
        oldest_s=max((route.oldest_s for route in routes.values()), default=0.0),
        routes=routes,
    )


def scope_text(scope: Scope) -> str:
    """A scope as the statement compares it."""
    return "\x1f".join(scope)
