"""SQL of the schedules, on direct connections. Tasks themselves are inserted by core/queue/bulk.py."""

from __future__ import annotations

from utils.db import within_dates

_FIELDS = f"""name, cron, flow, platform, params::text as params, candidates, max_rows,
    case when dedup_window > '999999 days' then interval '999999 days' else dedup_window end as dedup_window,
    case when expires_in > '999999 days' then interval '999999 days' else expires_in end as expires_in,
    priority, enabled, {within_dates("next_run_at")} as next_run_at, {within_dates("begun_for")} as begun_for,
    attempts, now() as now"""

TRY_LOCK = "select pg_try_advisory_lock(hashtext('scrape_schedule'), 0)"
"""For as long as the session lasts, by the one supervisor that runs schedules."""

END_WHEN_IDLE = """
select set_config('idle_session_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $1, false)"""
"""The server ends a session that says nothing for ``$1``."""

TRY_LOCK_ONE = "select pg_try_advisory_lock(hashtext('scrape_schedule'), hashtext($1))"
UNLOCK_ONE = "select pg_advisory_unlock(hashtext('scrape_schedule'), hashtext($1))"
"""Around one run of ``$1 schedule``, which an operator may start too."""

NEXT_DUE = f"""
select {_FIELDS} from scrape_schedule s
where enabled and (next_run_at is null or next_run_at <= now()) and name <> all($1::text[])
order by s.next_run_at nulls first, name limit 1"""
"""The schedule that has waited longest, besides ``$1 names``."""

EXISTS = "select exists (select from scrape_schedule where name = $1)"
ONE = f"select {_FIELDS} from scrape_schedule where name = $1"

ARM = "update scrape_schedule set next_run_at = $3 where name = $1 and cron = $2 and next_run_at is null"
"""``$1 name`` is due for the first time at ``$3``, if its cron is still ``$2``."""

STOP = "update scrape_schedule set next_run_at = 'infinity', last_outcome = 'failed', last_error = $3, last_ended_at = now() where name = $1 and cron = $2"
"""``$1 name`` is never due until its cron is other than ``$2``; ``$3`` says why."""

BEGIN = """
update scrape_schedule set begun_for = $3, attempts = attempts + 1
where name = $1 and cron = $2 and enabled returning attempts"""
"""From here on the run that was due at ``$3`` is repeated until END, whoever dies."""

END = """
update scrape_schedule set last_run_at = $3, last_ended_at = now(), last_outcome = $4, last_created = $5, last_existing = $6,
    last_refused = $7, last_error = $8, attempts = 0, begun_for = null,
    next_run_at = case when cron = $2 and enabled then $9::timestamptz end
where name = $1"""
"""The run of ``$1 name``, whose cron was ``$2``, due at ``$3``, ended: ``$4 outcome, $5 created, $6 existing, $7 refused,
$8 error``; ``$9 next``. A cron that was changed meanwhile is worked out again."""

NOTE = """
update scrape_schedule set last_run_at = $2, last_ended_at = now(), last_outcome = $3, last_created = $4, last_existing = $5,
    last_refused = $6, last_error = $7
where name = $1"""
"""The same for a run that an operator asked for: when it is due by the clock stays."""

READER = """
select p.prosecdef and r.rolname = 'beat_candidates' and not r.rolsuper and not r.rolcreaterole and not r.rolcreatedb
    and not r.rolreplication and not r.rolbypassrls
    and not exists (select from pg_auth_members m where m.member = r.oid)
    and not has_table_privilege(r.oid, 'credential', 'select, insert, update, delete')
    and not has_any_column_privilege(r.oid, 'credential', 'select, insert, update')
from pg_proc p join pg_roles r on r.oid = p.proowner where p.oid = to_regprocedure('candidate_rows(text,integer)')"""
"""Whether candidate queries run as somebody who can do no harm; no row when they cannot run at all."""

CANDIDATES = "select * from candidate_rows($1, $2)"

PUT = """
insert into scrape_schedule as s (name, cron, flow, platform, params, candidates, max_rows, dedup_window, expires_in, priority,
    enabled)
values ($1, $2, $3, $4, $5::text::jsonb, $6, $7, $8, $9, $10, coalesce($11::boolean, false))
on conflict (name) do update set cron = excluded.cron, flow = excluded.flow, platform = excluded.platform,
    params = excluded.params, candidates = excluded.candidates, max_rows = excluded.max_rows,
    dedup_window = excluded.dedup_window, expires_in = excluded.expires_in, priority = excluded.priority,
    enabled = coalesce($11::boolean, s.enabled)
returning name, enabled, xmax = 0 as is_new"""
"""Store ``$1 name, $2 cron, $3 flow, $4 platform, $5 params, $6 candidates, $7 max_rows, $8 dedup_window, $9 expires_in,
$10 priority, $11 enabled``, where null leaves the switch as it is."""

SWITCH = "update scrape_schedule set enabled = $2 where name = $1 returning name"
REMOVE = "delete from scrape_schedule where name = $1 returning name"
LIST = f"""
select name, enabled, cron, flow, {within_dates("last_run_at")} as last_run_at, last_outcome, last_created, last_existing, last_refused, last_error,
    case when next_run_at < 'infinity' then {within_dates("next_run_at")} end as next_run_at,
    next_run_at = 'infinity' as stopped,
    begun_for is not null as running
from scrape_schedule order by name"""
SHOW = "select to_jsonb(s) - 'begun_for' - 'attempts' from scrape_schedule s where name = $1"
