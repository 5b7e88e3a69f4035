"""SQL of the schedules, on direct connections. Tasks themselves are inserted by core/queue/bulk.py."""

from __future__ import annotations

from typing import LiteralString

_FIELDS: LiteralString = """name, cron, flow, platform, params::text as params, candidates, max_rows, dedup_window, expires_in,
    priority, enabled, next_run_at, begun_for, attempts, now() as now"""

TRY_LOCK = "select pg_try_advisory_lock(hashtext('scrape_schedule'), 0)"
"""For as long as the session lasts, by the one supervisor that runs schedules."""

END_WHEN_IDLE = """
select set_config('idle_session_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $1, false)"""
"""The server ends a session that says nothing for ``$1``."""

TRY_LOCK_ONE = "select pg_try_advisory_lock(hashtext('scrape_schedule'), hashtext($1))"
UNLOCK_ONE = "select pg_advisory_unlock(hashtext('scrape_schedule'), hashtext($1))"
"""Around one run of ``$1 schedule``, which an operator may start too."""

NEXT_DUE = f"""
select {_FIELDS} from scrape_schedule
where enabled and (next_run_at is null or next_run_at <= now()) and name <> all($1::text[])
order by next_run_at nulls first, name limit 1"""
"""The schedule that has waited longest, besides ``$1 names``."""

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
