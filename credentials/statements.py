"""The SQL of the credential table. Time is the database's."""

from __future__ import annotations

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from utils.db import within_dates

LOOK = """
select c.* from unnest($1::text[]) s(source) cross join lateral (
    (select 'usable' as what, id, source, handle, credentials, rest_count, null::timestamptz as disabled_till
    from credential t where t.source = s.source and ($2::text is null or handle = $2)
        and enabled and not data_access_expired and (disabled_till is null or disabled_till <= now())
    order by random() limit $3)
    union all
    (select 'resting', id, source, null, null, 0, disabled_till
    from credential t where t.source = s.source and ($2::text is null or handle = $2)
        and enabled and not data_access_expired and disabled_till > now() and disabled_till < $4
    order by disabled_till limit $3)) c
"""
"""Of each source ``$1`` (and the handle ``$2``, unless null) at most ``$3`` credentials that can be used, by chance,
and as many of those that come back by themselves (before ``$4``), soonest first."""

REST = text(f"""
update credential set
    rest_count = rest_count + case when disabled_till > now() then 0 else 1 end,
    disabled_till = greatest(disabled_till, now() + make_interval(secs => coalesce(
        cast(:wait_s as double precision),
        case when disabled_till > now() then 0
             else (cast(:pauses_s as double precision[]))[least(rest_count + 1, :most)]
        end))),
    last_error = :reason,
    updated_at = now()
where id = :id
returning {within_dates("disabled_till")} as disabled_till
""")  # noqa: S608 - constants
"""Rests of one burst count once (the row lock lets the second see the first); a longer rest is never shortened."""

USABLE = text("""
select exists (select from credential
    where id = :id and enabled and not data_access_expired and (disabled_till is null or disabled_till <= now()))
""")

WORKED = text("""
update credential set rest_count = 0
where id = :id and rest_count > 0 and (disabled_till is null or disabled_till <= now())
""")
"""A call that began before a rest and succeeds during it says nothing about the next one."""

STORED = text("""
select id, source, handle, credentials from credential
where source = :source and enabled and (id = cast(:id as bigint) or handle = cast(:handle as text))
order by id
""").columns(credentials=JSONB)

LOCK = text("""
select id, source, credentials, data_access_expired or disabled_till is not distinct from :replaced as refused
from credential where id = :id for update
""").columns(credentials=JSONB)

INVALIDATE = text("""
update credential set
    data_access_expired = data_access_expired or :expired,
    disabled_till = case when :expired then disabled_till else :replaced end,
    last_error = :reason,
    updated_at = now()
where id = :id
""")

SAY = text("update credential set last_error = :reason where id = :id and last_error is distinct from :reason")

RESERVE = text("""
insert into credential (idempotency_key, source, credentials, handle)
values (:idempotency_key, :source, '{}', :handle)
on conflict (idempotency_key) do nothing
returning id
""")

LOCK_SAME = text("""
select id, source, handle, credentials from credential where idempotency_key = :idempotency_key for update
""").columns(credentials=JSONB)

_SEALED = "cast(:sealed as jsonb) || jsonb_strip_nulls(jsonb_build_object('said_at', credentials->'said_at'))"
"""Other keys, or the same under another lock: what is remembered of them stays."""

SEAL = text(f"""
update credential set credentials = {_SEALED}, handle = coalesce(:handle, handle), updated_at = now() where id = :id
""").bindparams(bindparam("sealed", type_=JSONB))  # noqa: S608 - constants

REVIVE = text("""
update credential set disabled_till = null, data_access_expired = false, rest_count = 0, last_error = null
where id = :id
""")

SAID_AT = text("""
update credential set credentials = credentials || jsonb_build_object('said_at', cast(:said_at as text)) where id = :id
""")

RESEAL = text(f"""
update credential set credentials = {_SEALED} where id = :id
""").bindparams(bindparam("sealed", type_=JSONB))  # noqa: S608 - constants

NOT_ON_KEY = text("""
select id, source, credentials from credential
where credentials->>'kid' is distinct from :kid and id > :after
order by id limit :batch
for update
""").columns(credentials=JSONB)

ENABLE = text("update credential set enabled = :enabled, updated_at = now() where id = :id returning source")

PER_SOURCE = text("""
with c as (select source, enabled, disabled_till, enabled and not data_access_expired as open,
        coalesce(disabled_till <= now(), true) as rested, disabled_till >= :replaced as refused from credential)
select source, count(*) filter (where open and rested) as usable,
    count(*) filter (where open and not rested and not refused) as resting,
    min(disabled_till) filter (where open and not rested and not refused) as back_at,
    count(*) filter (where open and refused) as refused,
    count(*) filter (where enabled and not open) as expired, count(*) filter (where not enabled) as disabled
from c group by source order by source
""")

ALL = text(f"""
select id, source, handle, credentials->'mask' as mask, enabled, data_access_expired, rest_count, last_error,
       {within_dates("updated_at")} as updated_at,
       case when disabled_till > now() then {within_dates("disabled_till")} end as disabled_till
from credential
where cast(:source as text) is null or source = :source
order by source, id
""").columns(mask=JSONB)  # noqa: S608 - constants
