"""Every statement of the consumer side of the queue, as SQL to read and to paste into psql.

Rules that all of them keep. A claim is held by (worker, picked_at): a report that names another pair changes no row.
Whoever takes a row away nulls the pair, in the same statement that writes the event and the new status. Time is the
database's. Rows are locked with SKIP LOCKED wherever a stranger may hold them.
"""

from __future__ import annotations

from core.flows.registry import ASSET_FLOWS, ASSET_POOL

ROUTING_KEY = "scrape_request_log_events"

_SAY = f"""insert into event_outbox (routing_key, entity_key, payload)
    select '{ROUTING_KEY}', e.id::text, task_event(row(e.*)::scrape_request_log) from {{rows}} e"""

_ASSET_FLOWS = ", ".join(f"'{flow}'" for flow in sorted(ASSET_FLOWS))
_BACKOFF = "least(300, 2 * 2 ^ greatest(0, least(t.retry_count, 10))) * (0.5 + random() / 2) * interval '1 second'"

COMPLETE = f"""
with done as (
    update scrape_request_log t
    set status = 'COMPLETE', scraped_at = now(), worker = null, data = coalesce(d.data, 'None'), result = d.result,
        error_code = null
    from unnest($4::bigint[], $5::timestamptz[], $6::text[], $7::jsonb[]) d(id, token, data, result)
    where t.id = any(array[d.id]) and t.picked_at = d.token and t.worker = $3
    returning t.*),
said as ({_SAY.format(rows="done")})
select array_agg(id) from done"""
"""Store what finished: ``$3 worker, $4 ids, $5 tokens, $6 data (null: the text None), $7 results``; the last two may be
empty, for nothing but nulls. A reported id that is missing from the answer had lost its claim. ``any(array[...])`` stands
for ``=`` because that could become a join that reads all of the index, planned while the table is small and kept."""


def _claim(order: str) -> str:
    """Claim what fits: ``$1 flows, $2 free slots, $3 worker``. Reads srl_claim or srl_fifo, which hold the expiry too, so that
    expired rows are passed over in the index. ``took`` asks for an array of ids because a join with ``pick``, whose size
    the planner cannot know, reads the whole table."""
    return f"""
with pick as materialized (
    select p.id from unnest($1::text[], $2::int[]) w(flow, free) cross join lateral (
        select s.id from scrape_request_log s
        where s.flow = w.flow and s.status = 'PENDING' and s.run_after is null
            and coalesce(s.expires_at, 'infinity') > now()
        order by {order} limit w.free for update skip locked) p),
took as (
    update scrape_request_log t set status = 'PROCESSING', picked_at = clock_timestamp(), worker = $3
    where t.id = any(array(select id from pick))
    returning t.*),
said as ({_SAY.format(rows="took")})
select null::bigint[] as done, id, flow, platform, params, retry_count, picked_at, created_at from took"""


CLAIM = _claim("s.priority desc, s.id")
CLAIM_OLDEST_FIRST = _claim("s.id + 0")
"""Every tenth step: a tenth of the capacity goes by age alone, so that no priority starves the tail. ``+ 0`` as in srl_fifo: the
primary key has the same order and holds every finished row."""

STEP = f"""
#variable_conflict use_column
begin
    if cardinality($4) > 0 then{COMPLETE} into done;
    end if;
    return next;
    if $8 then return query{CLAIM_OLDEST_FIRST};
    else return query{CLAIM};
    end if;
end
"""
"""Function worker_step: one call, one commit. Parameters as above, ``$8`` whether to go by age; gives one row with the
ids of the accepted reports, then one per claimed task. Completing comes first: claiming first could lock a row that another
process completes while it waits for ours. It is a statement of its own, so that the claim sees the queue as it is then:
rows that others had claimed since a common statement began would be locked, found taken, and stay locked until the commit."""

FAIL = f"""
with failed as (
    update scrape_request_log t
    set status = case when n.gone then 'EXPIRED' when n.again then 'PENDING' else 'FAILED' end,
        retry_count = t.retry_count + case when n.again and f.rule = 'BACKOFF' then 1 else 0 end,
        run_after = case when n.again then n.due end,
        scraped_at = now(), worker = null, picked_at = case when n.again then null else t.picked_at end,
        data = case when f.rule = 'LATER' and not n.again then regexp_replace(f.data, '^[(][0-9]+, ', '(429, ') else f.data end,
        result = f.result, error_code = f.code
    from unnest($2::bigint[], $3::timestamptz[], $4::text[], $5::jsonb[], $6::text[], $7::text[], $8::float8[], $9::int[])
            f(id, token, data, result, code, rule, delay_s, max_retries)
        join scrape_request_log o on o.id = any(array[f.id])
        left join beat_flow b on b.flow = o.flow
        cross join lateral (select case
            when f.rule in ('LATER', 'HELD') then now() + f.delay_s * (1 + random() / 4) * interval '1 second'
            when f.rule = 'BACKOFF' then now() + {_BACKOFF.replace("t.", "o.")} end as due) w
        cross join lateral (select
            w.due,
            (f.rule = 'HELD' or f.rule = 'BACKOFF'
                    and o.retry_count < coalesce(o.max_retries, b.max_retries, f.max_retries))
                and w.due >= o.expires_at as gone,
            case f.rule
                when 'LATER' then w.due < coalesce(o.expires_at, least(o.created_at, now()) + interval '24 hours')
                when 'HELD' then o.expires_at is null or w.due < o.expires_at
                when 'BACKOFF' then o.retry_count < coalesce(o.max_retries, b.max_retries, f.max_retries)
                    and (o.expires_at is null or w.due < o.expires_at)
                else false end as again) n
    where t.id = any(array[f.id]) and t.picked_at = f.token and t.worker = $1
    returning t.*),
said as ({_SAY.format(rows="failed")})
select id, flow, status from failed"""
"""End or postpone failed tasks: ``$1 worker, $2 ids, $3 tokens, $4 data, $5 results, $6 error codes, $7 rules, $8 delays
in seconds, $9 the registry's max_retries``.

Rule NEVER fails at once. LATER waits for a source without using up attempts, until expiry or for a day; what fails then
says 429, which its readers take for passing. HELD waits so for what is Beat's own, as long as it takes. BACKOFF uses up an
attempt and waits longer each time. Under these two what would start too late is EXPIRED. Missing ids had lost their claim."""

RELEASE = f"""
with freed as (
    update scrape_request_log t set status = 'PENDING', worker = null, picked_at = null
    from unnest($2::bigint[], $3::timestamptz[]) h(id, token)
    where t.id = any(array[h.id]) and t.picked_at = h.token and t.worker = $1
    returning t.*),
said as ({_SAY.format(rows="freed")})
select pg_notify('beat', flow) from (select distinct flow from freed) f"""
"""Hand unfinished tasks back, attempts unchanged: ``$1 worker, $2 ids, $3 tokens``. Wakes the flows' other workers."""

HELD = "select id, flow, platform, params, retry_count, picked_at, created_at from scrape_request_log where worker = $1 and status = 'PROCESSING'"
"""What the database thinks ``$1`` is running: after a lost connection a claim may have been committed but never heard of."""


def _rescue(dead: str) -> str:
    """Take the tasks of dead workers away: ``$1`` says which (see callers), ``$2 flows, $3 their max_retries``.

    The loss counts as an attempt. The first one runs again at once, later ones back off, and the cap fails the task, so
    that a task which kills its process does not kill workers for ever. Forgets the workers too."""
    return f"""
with dead as ({dead}),
lost as (
    update scrape_request_log t
    set status = case when n.again then 'PENDING' else 'FAILED' end,
        retry_count = t.retry_count + case when n.again then 1 else 0 end,
        run_after = case when n.again and o.error_code = 'WORKER_LOST' then now() + {_BACKOFF} end,
        scraped_at = case when n.again then t.scraped_at else now() end,
        data = case when n.again then t.data
            else 'worker lost: the process running the task died, ' || t.retry_count || ' times out of ' || n.most end,
        error_code = 'WORKER_LOST', worker = null, picked_at = null
    from (select s.id, s.error_code, s.retry_count, s.max_retries, s.flow from scrape_request_log s join dead on s.worker = dead.id
            where s.status = 'PROCESSING' for update of s skip locked) o
        left join beat_flow b on b.flow = o.flow
        left join unnest($2::text[], $3::int[]) r(flow, max_retries) on r.flow = o.flow
        cross join lateral (select coalesce(o.max_retries, b.max_retries, r.max_retries, 3) as most,
            o.retry_count < coalesce(o.max_retries, b.max_retries, r.max_retries, 3) as again) n
    where t.id = o.id and t.status = 'PROCESSING'
    returning t.*),
said as ({_SAY.format(rows="lost")}),
forgotten as (delete from beat_worker w using dead where w.id = dead.id),
woken as (select pg_notify('beat', flow) from (select distinct flow from lost where status = 'PENDING' and run_after is null) f)
select (select count(*) from lost) as tasks, (select count(*) from dead) as workers, (select count(*) from woken) as flows"""

RESCUE_WORKERS = _rescue("select unnest($1::bigint[]) as id")
"""``$1 ids of workers`` known to be dead."""

RESCUE_HOSTS = _rescue("""select w.id from beat_worker w where w.beat_at < now() - $1::float8 * interval '1 second'
        order by w.id limit 1000 for update skip locked""")
"""``$1 lease in seconds``: workers whose host has not been heard of for longer."""

RESCUE_ORPHANS = _rescue("""select distinct s.worker as id from scrape_request_log s
        where s.status = 'PROCESSING' and $1::bool and not exists (select from beat_worker w where w.id = s.worker)""")
"""``$1 true``: claims of workers that were declared dead and did not know it yet."""

TIME_OUT = f"""
with over as (
    update scrape_request_log t
    set status = 'FAILED', scraped_at = now(), worker = null, error_code = 'TIMEOUT',
        data = 'timed out: the task held its process for longer than ' || l.limit_s || ' s'
    from unnest($2::text[], $3::float8[]) l(flow, limit_s)
    where t.worker = $1 and t.status = 'PROCESSING' and l.flow = t.flow
        and t.picked_at < now() - l.limit_s * interval '1 second'
    returning t.*),
said as ({_SAY.format(rows="over")})
select count(*) from over"""
"""Fail what a wedged process held beyond its limit: ``$1 worker, $2 flows, $3 limits in seconds``."""

OVERDUE = """
select exists (select from scrape_request_log t join unnest($2::text[], $3::float8[]) l(flow, limit_s) on l.flow = t.flow
    where t.worker = $1 and t.status = 'PROCESSING' and t.picked_at < now() - l.limit_s * interval '1 second')"""
"""Whether ``$1 worker`` holds a task for longer than ``$2 flows, $3 seconds``."""

ADD_WORKER = "insert into beat_worker (host, pid, flow, slots) values ($1, 0, $2, $3::text::jsonb) returning id"
NAME_WORKER = "update beat_worker set pid = $2 where id = $1"
BEAT = "update beat_worker set beat_at = now() where id = any($1::bigint[]) returning id"

TICK = f"""
with o as (select exists (select from beat_worker w where w.flow = '{ASSET_POOL}' and w.pid > 0
    and w.beat_at > now() - $2::float8 * interval '1 second') as assets)
select o.assets,
    (select array_agg(f) from unnest($1::text[]) f cross join lateral (
        select 1 from scrape_request_log t
        where t.flow = f and t.status = 'PENDING' and t.run_after is null order by t.id + 0 limit 1) x) as pending,
    (select jsonb_agg(to_jsonb(b) - 'retain' || jsonb_build_object('workers', (
        select jsonb_agg(jsonb_build_array(w.id, s.slots,
            o.assets and w.flow is distinct from '{ASSET_POOL}' and b.flow in ({_ASSET_FLOWS})) order by w.id)
        from beat_worker w left join beat_slot s on s.worker = w.id and s.flow = b.flow
        where b.slots is not null and jsonb_exists(w.slots, b.flow)))) from beat_flow b) as flows,
    coalesce((select t.run_after from scrape_request_log t
        where t.status = 'PENDING' and t.run_after is not null order by t.run_after limit 1) <= now(), false) as promotable,
    coalesce((select t.expires_at from scrape_request_log t
        where t.status = 'PENDING' and t.expires_at is not null order by t.expires_at limit 1) <= now(), false) as expired,
    exists (select from beat_worker w where w.beat_at < now() - $2::float8 * interval '1 second') as lost,
    exists (select from beat_flow b where b.retain is not null) as retained,
    exists (select from scrape_schedule s where s.enabled and (s.next_run_at is null or s.next_run_at <= now())) as scheduled
from o"""
"""One look a second: ``$1 flows worth probing, $2 lease in seconds``. Flags say which upkeep is due, ``assets`` whether an
asset pool is alive. Flows with a cap come with their workers, what each holds of it, and whether it leaves the flow to
the asset pool. Every look at the queue asks for the first entry of an index, by its order: a planner who knows that most
rows wait expects to meet one soon, and would read the whole table when the first ones do not."""

LEASE_LOCK = "select pg_advisory_xact_lock(hashtext('beat_slot'))"
LEASE = """
insert into beat_slot as h (worker, flow, slots)
select a.worker, a.flow, a.has + a.gain from (
    select w.id as worker, b.flow, coalesce(s.slots, 0) as has,
        least(a.slots - coalesce(s.slots, 0),
            b.slots - (select coalesce(sum(o.slots), 0) from beat_slot o where o.flow = b.flow)
            - coalesce(sum(a.slots - coalesce(s.slots, 0)) over before, 0)) as gain
    from unnest($1::bigint[], $2::text[], $3::int[]) a(worker, flow, slots)
        join beat_worker w on w.id = a.worker
        join beat_flow b on b.flow = a.flow and b.slots is not null
        left join beat_slot s on s.worker = a.worker and s.flow = a.flow
    where a.slots > coalesce(s.slots, 0)
    window before as (partition by b.flow order by w.id rows between unbounded preceding and 1 preceding)) a
where a.gain > 0
on conflict (worker, flow) do update set slots = excluded.slots
returning h.worker, h.flow, h.slots"""
"""Take free slots of capped flows: ``$1 workers, $2 flows, $3 slots wanted in all``. In a transaction after LEASE_LOCK, so
that its snapshot holds all leases; what is held never adds up to more than the cap."""

GIVE_BACK = """
update beat_slot s set slots = g.slots from unnest($1::bigint[], $2::text[], $3::int[]) g(worker, flow, slots)
where s.worker = g.worker and s.flow = g.flow and s.slots > g.slots"""
"""Slots that their workers no longer use: ``$1 workers, $2 flows, $3 slots they keep``."""

PROMOTE = """
with due as (
    select id from scrape_request_log where status = 'PENDING' and run_after is not null and run_after <= now()
    order by run_after limit 1000 for update skip locked),
ready as (
    update scrape_request_log t set run_after = null from due where t.id = due.id returning t.flow),
woken as (select pg_notify('beat', flow) from (select distinct flow from ready) f)
select (select count(*) from ready) as tasks, (select count(*) from woken) as flows"""
"""Delayed retries whose time has come join the claim index, a thousand at a time."""

EXPIRE = f"""
with due as (
    select id from scrape_request_log where status = 'PENDING' and expires_at is not null and expires_at <= now()
    order by expires_at limit 5000 for update skip locked),
gone as (
    update scrape_request_log t
    set status = 'EXPIRED', scraped_at = now(), error_code = 'EXPIRED', run_after = null,
        data = coalesce(t.data, 'expired: not started before expires_at')
    from due where t.id = due.id
    returning t.*),
said as ({_SAY.format(rows="gone")}),
head as (
    select c.id, o.id as oldest from (select distinct flow from gone) f
        cross join lateral (select s.id from scrape_request_log s where s.flow = f.flow
            and s.status = 'PENDING' and s.run_after is null order by s.priority desc, s.id limit 1) c
        cross join lateral (select s.id from scrape_request_log s where s.flow = f.flow
            and s.status = 'PENDING' and s.run_after is null order by s.id + 0 limit 1) o)
select (select count(*) from gone) as tasks, (select count(id) + count(oldest) from head) as heads"""
"""Tasks that nobody started in time, five thousand at a time. ``head`` reads past what went before, row by row, which marks
its index entries dead: a claim tells expired rows by the index alone, and would read those until the next vacuum."""

FAIL_UNKNOWN = f"""
with recursive pending(flow) as (
    (select flow from scrape_request_log where status = 'PENDING' and run_after is null order by flow, id + 0 limit 1)
    union all
    select (select s.flow from scrape_request_log s
        where s.status = 'PENDING' and s.run_after is null and s.flow > p.flow order by s.flow, s.id + 0 limit 1)
    from pending p where p.flow is not null),
strange as (
    select s.id from pending p cross join lateral (
        select s.id from scrape_request_log s where s.flow = p.flow and s.status = 'PENDING' and s.run_after is null
        order by s.id + 0 limit 5000 for update skip locked) s
    where p.flow is not null and not p.flow = any($1::text[]) limit 5000),
refused as (
    update scrape_request_log t
    set status = 'FAILED', scraped_at = now(),
        error_code = case when t.flow = any($2::text[]) then 'NOT_BUILT' else 'UNKNOWN_FLOW' end,
        data = case when t.flow = any($2::text[]) then 'flow: ' || t.flow || ' is not built yet'
            else 'flow: there is no flow ' || left(t.flow, 100) || '; see docs/flows.md for the names' end
    where t.id = any(array(select id from strange))
    returning t.*),
said as ({_SAY.format(rows="refused")})
select count(*) from refused"""
"""Fail rows that no worker will ever take: ``$1 flows that run, $2 flows that are known but not built``. Walks the
distinct flows of the index (a skip scan), so it costs a look-up per flow, not per row."""

MAKE_PARTITIONS = "select make_log_partitions()"
