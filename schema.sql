-- The whole current schema of Beat, to read and to compare with: a database is made by `python -m scripts.migrate`, and a test
-- holds this file against all migrations applied from empty. All times are timestamptz; the database's time zone is UTC.

do $$
begin
    execute format('alter database %I set timezone to ''UTC''', current_database());
    execute format('alter database %I set jit to off', current_database());  -- compiling costs more than any statement here
end
$$;

create table schema_migration (
    version    integer primary key,
    name       text not null,
    checksum   text not null,                       -- sha256 of the file as it was applied
    applied_at timestamptz not null default now()
);


-- Sequences -----------------------------------------------------------------------------------------------------------

create sequence crawl_dump_id_seq;      -- scrape_request_log
create sequence profile_log_id_seq;
create sequence postlog_id_seq;         -- post_log
create sequence social_profile_id_seq;  -- instagram_account
create sequence social_post_id_seq;     -- instagram_post


-- Events on their way to the broker -------------------------------------------------------------------------------------

-- Written in the transaction of the data they speak of; the relay sends them in id order and deletes what was confirmed.
-- Rows are never updated, so pages are filled whole; vacuum comes early because the table turns over all the time.
create table event_outbox (
    id          bigint generated always as identity primary key,
    exchange    text not null default 'beat.dx',
    routing_key text not null,
    entity_key  text not null,                      -- order is kept per (routing_key, entity_key)
    payload     json not null,                      -- json: written once, read once, as text
    created_at  timestamptz not null default now()
) with (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_vacuum_insert_scale_factor = 0.1);

create table event_confirmed (
    routing_key text primary key,
    confirmed   bigint not null default 0,          -- messages the broker has confirmed since the beginning
    last_at     timestamptz
) with (fillfactor = 50);


-- The task queue --------------------------------------------------------------------------------------------------------

create table scrape_request_log (
    id              bigint default nextval('crawl_dump_id_seq') constraint crawl_dump_pkey primary key,
    idempotency_key text constraint scrape_request_log_idempotency_key unique,
    platform        text,
    source          text,
    account_id      text,
    flow            text not null,
    status          text not null default 'PENDING'
                    check (status in ('PENDING', 'PROCESSING', 'COMPLETE', 'FAILED', 'EXPIRED', 'CANCELLED')),
    priority        integer not null default 1,     -- highest first
    params          jsonb,
    data            text,                           -- text of the result or of the error
    created_at      timestamptz not null default now(),
    scraped_at      timestamptz,                    -- when it ended
    expires_at      timestamptz,                    -- not started after this; null: never expires
    picked_at       timestamptz,                    -- with worker: the fencing token of the claim
    retry_count     integer not null default 1,     -- number of the attempt
    worker          bigint,                         -- beat_worker.id of the holder
    run_after       timestamptz,                    -- null: now; set only for a delayed retry
    max_retries     integer,                        -- null: beat_flow's, else the registry's
    error_code      text,
    result          jsonb
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
alter sequence crawl_dump_id_seq owned by scrape_request_log.id;

-- No index of the queue holds a finished row, and delayed rows stand outside the two that a claim reads.
-- Expired rows stand in both until they are moved out: their expiry is a column, so that a claim passes over them in the index.
-- "id + 0": no planner may take the primary key, which holds every finished row, for the same order.
create index srl_claim on scrape_request_log (flow, priority desc, id, (coalesce(expires_at, 'infinity')))
    where status = 'PENDING' and run_after is null;
create index srl_fifo on scrape_request_log (flow, (id + 0), (coalesce(expires_at, 'infinity')))
    where status = 'PENDING' and run_after is null;
create index srl_later on scrape_request_log (run_after) where status = 'PENDING' and run_after is not null;
create index srl_expiry on scrape_request_log (expires_at) where status = 'PENDING' and expires_at is not null;
create index srl_running on scrape_request_log (worker) where status = 'PROCESSING';
-- Readers: one account's tasks, and the last days (BRIN: some bytes per 128 pages).
create index srl_account on scrape_request_log (account_id, created_at desc) where account_id is not null;
create index srl_created on scrape_request_log using brin (created_at);

create table beat_worker (
    id      bigint generated always as identity primary key,
    host    text not null,
    pid     integer not null,
    flow    text,                                   -- name of the process
    beat_at timestamptz not null default now(),
    slots   jsonb not null default '{}'             -- its slots per flow; "*": all it has, where its flows share them
) with (fillfactor = 50);                           -- heartbeats stay HOT

-- An operator's word on a flow; null leaves it to the registry.
create table beat_flow (
    flow        text primary key,
    paused      boolean not null default false,
    slots       integer,                            -- running at a time, on all hosts together
    max_retries integer,
    timeout_s   integer,
    retain      interval,                           -- finished rows are deleted when older; null: kept
    priority    integer,                            -- of rows whose sender left the usual one
    pruned_to   bigint                              -- ids up to here have been looked at by retention
);

-- Slots of flows that have a cap, leased to processes: what stands here never adds up to more than beat_flow.slots.
create table beat_slot (
    worker bigint not null references beat_worker on delete cascade,
    flow   text not null,
    slots  integer not null,
    primary key (worker, flow)
) with (fillfactor = 50);

-- What processes have counted (core/metrics.py), all hosts added up; `labels` is a JSON list in the order of the metric.
create table beat_metric (
    name   text not null,
    labels text not null,
    value  double precision not null default 0,
    primary key (name, labels)
) with (fillfactor = 50);

-- Tasks that are queued by the clock (core/schedules).
create table scrape_schedule (
    name          text primary key check (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    cron          text not null,                      -- five fields, UTC
    flow          text not null,
    platform      text,                               -- null: the flow's
    params        jsonb not null default '{}' check (jsonb_typeof(params) = 'object'),  -- "$column" stands for a candidate's value
    candidates    text,                               -- a SELECT, one task per row; null: one task a run
    max_rows      integer not null default 1000 check (max_rows between 1 and 100000),
    dedup_window  interval check (dedup_window >= interval '1 second'),  -- a candidate's next task comes in the next one; null: with the next run
    expires_in    interval default interval '1 hour' check (expires_in >= interval '1 second'),  -- of its tasks; null: never
    priority      integer,                            -- null: the flow's
    enabled       boolean not null default false,
    next_run_at   timestamptz,                        -- null: a supervisor works it out
    begun_for     timestamptz,                        -- when the run was due that has begun and not ended
    attempts      integer not null default 0,         -- times that run was begun
    last_run_at   timestamptz,                        -- when the last run was due
    last_ended_at timestamptz,
    last_outcome  text check (last_outcome in ('ok', 'partial', 'failed')),
    last_created  integer,
    last_existing integer,
    last_refused  integer,
    last_error    text
);

-- A schedule that was changed or switched on counts from now: nothing that it missed before is made up for.
create function scrape_schedule_changed() returns trigger language plpgsql as $$
begin
    new.next_run_at := null;
    new.begun_for := null;
    new.attempts := 0;
    return new;
end
$$;

create trigger scrape_schedule_changed before update of cron, enabled on scrape_schedule for each row
    when (old.cron is distinct from new.cron or old.enabled is distinct from new.enabled)
    execute function scrape_schedule_changed();

create type task_event_body as (
    event_id text, scl_id text, flow text, platform text, params jsonb, status text, priority integer, reason text,
    event_timestamp text, picked_at text, expires_at text, retry_count integer);

-- The task event of a row. Volatile, because random() is: only so is the call inlined. Rows of a CTE or a transition table are
-- passed as `row(e.*)::scrape_request_log`. A row of a type of its own costs a third less than jsonb_build_object. The event's id
-- is a UUID of version 4 from two random numbers, one of them mixed with the task's id, which tells sessions of one seed apart:
-- gen_random_uuid() asks OpenSSL, a tenth of what an INSERT costs.
create function task_event(r scrape_request_log) returns json language sql volatile as $$
    select row_to_json(row(
        (to_hex(((random() * 4611686018427387904)::bigint & -61441) | -9223372036854759424)
            || to_hex(((random() * 4611686018427387904)::bigint # r.id) & 4611686018427387903 | -9223372036854775808))::uuid::text,
        r.id::text,
        r.flow,
        r.platform,
        r.params,
        case when r.status in ('EXPIRED', 'CANCELLED') then 'FAILED' else r.status end,
        r.priority,
        case when r.status in ('EXPIRED', 'CANCELLED') then r.status
             when r.status = 'FAILED' and r.error_code = 'BAD_INPUT' then r.error_code
             else nullif(current_setting('beat.reason', true), '') end,
        to_char(now() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
        to_char(r.picked_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
        to_char(r.expires_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
        r.retry_count)::task_event_body)
$$;

-- Explicit NULLs become the defaults (a NULL priority would sort first). A row that can never run is stored with its reason,
-- so that the sender finds it where he looks; the INSERT is not refused.
-- It fires for each row, because a condition of the trigger would be parsed anew by each INSERT: what nothing is wrong with leaves
-- at once, before the path is set, so its names are the catalog's.
create function srl_before_insert() returns trigger language plpgsql as $$
declare
    missing text;
    callers_path text;
begin
    if pg_catalog.int4eq(pg_catalog.num_nulls(new.id, new.status, new.priority, new.retry_count, new.created_at, new.platform,
                                              new.params), 0)
       and new.run_after is null and not pg_catalog.jsonb_eq(new.params, 'null')
       and pg_catalog.int4le(pg_catalog.octet_length(new.flow), 1000) then
        return new;
    end if;
    callers_path := pg_catalog.current_setting('search_path');
    perform pg_catalog.set_config('search_path', pg_catalog.format('pg_catalog, %I, pg_temp', tg_table_schema), true);
    new.id := coalesce(new.id, nextval('crawl_dump_id_seq'));
    new.status := coalesce(new.status, 'PENDING');
    new.priority := coalesce(new.priority, 1);
    new.retry_count := coalesce(new.retry_count, 1);
    new.created_at := coalesce(new.created_at, now());
    missing := concat_ws(' and ', case when new.platform is null then 'platform (such as INSTAGRAM)' end,
                         case when new.params is null or new.params = 'null' then 'params (a JSON object, at least {})' end);
    if new.status <> 'PENDING' then
        null;
    elsif missing <> '' then
        new.status := 'FAILED';
        new.error_code := 'BAD_INPUT';
        new.data := format('missing %s: insert the task again with it set', missing);
        new.scraped_at := now();
    elsif octet_length(new.flow) > 1000 then           -- no index and no notification could hold it
        new.status := 'FAILED';
        new.error_code := 'UNKNOWN_FLOW';
        new.data := format('flow: there is no flow %s; see docs/flows.md for the names', left(new.flow, 100));
        new.scraped_at := now();
    elsif new.run_after >= new.expires_at then
        new.status := 'EXPIRED';
        new.error_code := 'EXPIRED';
        new.data := 'expired: run_after is not before expires_at, so the task could never start';
        new.scraped_at := now();
    end if;
    perform set_config('search_path', callers_path, true);
    return new;
end
$$;

create trigger srl_before_insert before insert on scrape_request_log for each row execute function srl_before_insert();

-- Wakes the supervisors only when a flow's backlog goes from empty to not empty (a NOTIFY takes a lock that all commits share),
-- and announces every row, whoever inserts it. A single row takes one statement for both. Where a flow has a priority, that
-- statement announces nothing: rows with the usual one get their flow's first. Neither scans nor sorts, because the plan may be
-- made while the table is empty and outlives that: one look at srl_fifo per flow, one at the key per row.
create function srl_after_insert() returns trigger language plpgsql set enable_seqscan = off set enable_sort = off as $$
declare
    announced bigint;
begin
    insert into event_outbox (routing_key, entity_key, payload)
    select 'scrape_request_log_events', i.id::text, task_event(row(i.*)::scrape_request_log) from inserted i
    where not exists (select from beat_flow where priority is not null)
        and case when exists (select from inserted offset 1) then true
            when i.id = (select s.id from scrape_request_log s where s.flow = i.flow and s.status = 'PENDING'
                         and s.run_after is null order by s.id + 0 limit 1)
            then pg_notify('beat', i.flow) is not null else true end;
    get diagnostics announced = row_count;
    if announced = 1 then
        return null;
    end if;
    perform pg_notify('beat', i.flow)
    from (select flow, min(id) as id from inserted where status = 'PENDING' and run_after is null group by flow) i
    where i.id = (select s.id from scrape_request_log s
                  where s.flow = i.flow and s.status = 'PENDING' and s.run_after is null order by s.id + 0 limit 1);
    if announced = 0 then
        update scrape_request_log t set priority = b.priority
        from inserted i join beat_flow b on b.flow = i.flow
        where t.id = any(array[i.id]) and i.status = 'PENDING' and i.priority = 1 and b.priority <> 1;
        insert into event_outbox (routing_key, entity_key, payload)
        select 'scrape_request_log_events', t.id::text, task_event(t) from inserted i
            join scrape_request_log t on t.id = any(array[i.id]);
    end if;
    return null;
end
$$;

create trigger srl_after_insert after insert on scrape_request_log referencing new table as inserted for each statement
    execute function srl_after_insert();

-- A service that may only insert tasks can do so: what the trigger reads and writes for it is its owner's right. Triggers of one's
-- own cannot be made of the function, or they would announce whatever their maker likes. A caller's search_path names nothing.
do $$
begin
    execute format('alter function srl_after_insert() security definer set search_path to pg_catalog, %I, pg_temp',
                   current_schema());
end
$$;
revoke execute on function srl_after_insert() from public;

-- What workers call to report and to claim (core/queue/statements.py explains it). PL/pgSQL keeps the plans.
create function worker_step(
    flows text[], free integer[], worker bigint, ids bigint[], tokens timestamptz[], data text[], results jsonb[],
    oldest_first boolean)
returns table (done bigint[], id bigint, flow text, platform text, params jsonb, retry_count integer,
               picked_at timestamptz, created_at timestamptz)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off as $$
#variable_conflict use_column
begin
    if cardinality($4) > 0 then
with done as (
    update scrape_request_log t
    set status = 'COMPLETE', scraped_at = now(), worker = null, data = coalesce(d.data, 'None'), result = d.result,
        error_code = null
    from unnest($4::bigint[], $5::timestamptz[], $6::text[], $7::jsonb[]) d(id, token, data, result)
    where t.id = any(array[d.id]) and t.picked_at = d.token and t.worker = $3
    returning t.*),
said as (insert into event_outbox (routing_key, entity_key, payload)
    select 'scrape_request_log_events', e.id::text, task_event(row(e.*)::scrape_request_log) from done e)
select array_agg(id) from done into done;
    end if;
    return next;
    if $8 then return query
with pick as materialized (
    select p.id from unnest($1::text[], $2::int[]) w(flow, free) cross join lateral (
        select s.id from scrape_request_log s
        where s.flow = w.flow and s.status = 'PENDING' and s.run_after is null
            and coalesce(s.expires_at, 'infinity') > now()
        order by s.id + 0 limit w.free for update skip locked) p),
took as (
    update scrape_request_log t set status = 'PROCESSING', picked_at = clock_timestamp(), worker = $3
    where t.id = any(array(select id from pick))
    returning t.*),
said as (insert into event_outbox (routing_key, entity_key, payload)
    select 'scrape_request_log_events', e.id::text, task_event(row(e.*)::scrape_request_log) from took e)
select null::bigint[] as done, id, flow, platform, params, retry_count, picked_at, created_at from took;
    else return query
with pick as materialized (
    select p.id from unnest($1::text[], $2::int[]) w(flow, free) cross join lateral (
        select s.id from scrape_request_log s
        where s.flow = w.flow and s.status = 'PENDING' and s.run_after is null
            and coalesce(s.expires_at, 'infinity') > now()
        order by s.priority desc, s.id limit w.free for update skip locked) p),
took as (
    update scrape_request_log t set status = 'PROCESSING', picked_at = clock_timestamp(), worker = $3
    where t.id = any(array(select id from pick))
    returning t.*),
said as (insert into event_outbox (routing_key, entity_key, payload)
    select 'scrape_request_log_events', e.id::text, task_event(row(e.*)::scrape_request_log) from took e)
select null::bigint[] as done, id, flow, platform, params, retry_count, picked_at, created_at from took;
    end if;
end
$$;

-- For workers of the version before, which may still run while this schema is there.
create function queue_step(
    flows text[], free integer[], worker bigint, ids bigint[], tokens timestamptz[], data text[], results jsonb[])
returns table (done bigint[], id bigint, flow text, platform text, params jsonb, retry_count integer,
               picked_at timestamptz, created_at timestamptz)
language sql as 'select * from worker_step($1, $2, $3, $4, $5, $6, $7, false)';

create function queue_step_oldest_first(
    flows text[], free integer[], worker bigint, ids bigint[], tokens timestamptz[], data text[], results jsonb[])
returns table (done bigint[], id bigint, flow text, platform text, params jsonb, retry_count integer,
               picked_at timestamptz, created_at timestamptz)
language sql as 'select * from worker_step($1, $2, $3, $4, $5, $6, $7, true)';

create function queue_fail(
    worker bigint, ids bigint[], tokens timestamptz[], data text[], results jsonb[], codes text[], rules text[],
    delays double precision[], max_retries integer[])
returns table (id bigint, flow text, status text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off as $$
#variable_conflict use_column
begin
    return query
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
            when f.rule = 'BACKOFF' then now() + least(300, 2 * 2 ^ greatest(0, least(o.retry_count, 10))) * (0.5 + random() / 2) * interval '1 second' end as due) w
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
said as (insert into event_outbox (routing_key, entity_key, payload)
    select 'scrape_request_log_events', e.id::text, task_event(row(e.*)::scrape_request_log) from failed e)
select id, flow, status from failed;
end
$$;

-- Queues tasks (core/queue/bulk.py explains it), for the same connections.
create function tasks_insert(
    numbers integer[], flows text[], platforms text[], params text[], priorities integer[], accounts text[],
    keys text[], expiries timestamptz[], starts timestamptz[], max_retries integer[])
returns table ("row" integer, id bigint, created boolean, same boolean)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
begin
    return query
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
order by g.row;
end
$$;


-- Credentials -----------------------------------------------------------------------------------------------------------

create table credential (
    id                  integer generated always as identity primary key,
    idempotency_key     text not null constraint credential_idempotency_key unique,  -- <source>:<user_id or key>
    source              text not null,
    credentials         jsonb not null,             -- sealed: key id, nonce, ciphertext, and a mask to show
    handle              text,
    created_at          timestamptz not null default now(),
    updated_at          timestamptz not null default now(),
    disabled_till       timestamptz,                -- resting until
    enabled             boolean not null default true,       -- an operator's word
    data_access_expired boolean not null default false,      -- never selected until its owner logs in again
    rest_count          integer not null default 0, -- rests in a row, for the progressive back-off
    last_error          text
);
create index credential_usable on credential (source, handle) where enabled;

-- Who has connected an account, without what the credential holds.
create view connected_account as
select distinct source, handle from credential where handle is not null and enabled and not data_access_expired;


-- Callers of the API ----------------------------------------------------------------------------------------------------

-- Of a key only its SHA-256 is kept.
create table api_key (
    name        text primary key check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    digest      bytea not null unique check (length(digest) = 32),
    scope       text not null check (scope in ('read', 'write', 'admin')),
    account_id  text,                               -- null: tasks of all accounts
    created_at  timestamptz not null default now(),
    expires_at  timestamptz
);


-- Audit trail and logs --------------------------------------------------------------------------------------------------

create table profile_log (
    id         bigint not null default nextval('profile_log_id_seq'),
    profile_id text not null,
    platform   text not null,
    dimensions jsonb,
    metrics    jsonb,
    source     text,
    timestamp  timestamptz not null default now(),
    primary key (id, timestamp)
) partition by range (timestamp);
alter sequence profile_log_id_seq owned by profile_log.id;
create index profile_log_profile on profile_log (profile_id, platform, timestamp desc);
create table profile_log_default partition of profile_log default;

create table post_log (
    id               bigint not null default nextval('postlog_id_seq'),
    platform         text not null,
    platform_post_id text not null,
    metrics          jsonb,
    dimensions       jsonb,
    profile_id       text,
    source           text,
    timestamp        timestamptz not null default now(),
    primary key (id, timestamp)
) partition by range (timestamp);
alter sequence postlog_id_seq owned by post_log.id;
create index post_log_post on post_log (platform_post_id, platform, timestamp desc);
create table post_log_default partition of post_log default;

-- Makes the monthly partitions of both logs from this month to `months_ahead` after it and returns the names of the new ones.
-- Rows that strayed into the default partition meanwhile move over. Two callers at once are safe; one that cannot have the
-- default partition within 2 s gives up with an error and is called again at the next upkeep.
create function make_log_partitions(months_ahead integer default 3) returns setof text language plpgsql
    set timezone to 'UTC' set lock_timeout to '2s' as $$
declare
    parent  text;
    first   timestamptz;
    part    text;
begin
    perform pg_advisory_xact_lock(hashtext('make_log_partitions'));
    foreach parent in array array['profile_log', 'post_log'] loop
        for first in select generate_series(date_trunc('month', now()), date_trunc('month', now()) + months_ahead * interval '1 month',
                                            interval '1 month') loop
            part := parent || to_char(first, '_YYYY_MM');
            continue when to_regclass(part) is not null;
            execute format('lock table %I in access exclusive mode', parent || '_default');
            execute format('create table %I (like %I including defaults including indexes)', part, parent);
            execute format('with moved as (delete from %I where timestamp >= %L and timestamp < %L returning *) '
                           'insert into %I select * from moved', parent || '_default', first, first + interval '1 month', part);
            execute format('alter table %I attach partition %I for values from (%L) to (%L)', parent, part, first,
                           first + interval '1 month');
            return next part;
        end loop;
    end loop;
end
$$;
-- Drops the monthly partitions of both logs that ended more than `keep_months` whole months ago and returns their names.
create function drop_log_partitions(keep_months integer) returns setof text language plpgsql
    set timezone to 'UTC' set lock_timeout to '2s' as $$
declare
    part    regclass;
begin
    perform pg_advisory_xact_lock(hashtext('make_log_partitions'));
    for part in select i.inhrelid from pg_inherits i
                where i.inhparent in ('profile_log'::regclass, 'post_log'::regclass)
                  and i.inhrelid::regclass::text ~ '_\d{4}_\d{2}$'
                  and to_date(right(i.inhrelid::regclass::text, 7), 'YYYY_MM') < date_trunc('month', now()) - keep_months * interval '1 month'
                order by 1 loop
        return next part::text;
        execute format('drop table %s', part);
    end loop;
end
$$;

select make_log_partitions();

-- Values that were kept out of a profile's row because they could hardly be true.
create table profile_quarantine (
    id          bigint generated always as identity primary key,
    platform    text not null,
    profile_id  text not null,
    source      text not null,
    "column"    text not null,
    old         bigint,
    new         bigint,
    reason      text not null,
    seen_at     timestamptz not null default now(),
    resolved_at timestamptz,
    resolution  text                                -- accepted, rejected or superseded, and by whom
);
create unique index profile_quarantine_open on profile_quarantine (profile_id, platform, "column", source)
    where resolved_at is null;
create index profile_quarantine_seen on profile_quarantine (seen_at desc);

-- Answers of providers that were kept in the object store.
create table raw_payload (
    id             bigint generated always as identity primary key,
    sha256         text not null,                   -- of the JSON before it was compressed
    s3_key         text not null,
    source         text not null,
    function       text not null,
    request        jsonb not null,                  -- what was asked for
    status         integer,
    class          text not null,                   -- ok, or the word of the error: malformed
    fetched_at     timestamptz not null,
    parser_version text not null                    -- hash of the code that read it
);
create index raw_payload_fetched on raw_payload (source, function, fetched_at);
create index raw_payload_sha256 on raw_payload (sha256);

-- What stands in the answers of providers, by path; no values. The path $ counts the answers that were looked through.
create table payload_path (
    source         text not null,
    function       text not null,
    path           text not null,
    type           text not null,                   -- object, list, text, number, flag or nothing
    read_by_parser boolean not null,
    first_seen     timestamptz not null default now(),
    last_seen      timestamptz not null default now(),
    samples        bigint not null,                 -- answers looked through that had it
    since_sample   bigint not null,                 -- answers looked through before it first came up
    judged         boolean not null default false,  -- whether it has been settled if it is new
    primary key (source, function, path, type)
);

-- What stood at the paths that a parser reads, in all answers so far: path -> [{type: answers}, type, how often at last].
create table payload_read (
    source     text not null,
    function   text not null,
    payloads   bigint not null default 0,
    paths      jsonb not null default '{}',
    updated_at timestamptz not null default now(),
    primary key (source, function)
);

-- What changed in the answers of a source; unsettled until an operator acknowledges it.
create table payload_drift (
    id              bigint generated always as identity primary key,
    source          text not null,
    function        text not null,
    path            text not null,
    kind            text not null,                  -- vanished, retyped or new
    was             text not null,
    now             text not null,
    read_by_parser  boolean not null,
    payloads        bigint not null,                -- answers that had it so
    noticed_at      timestamptz not null default now(),
    last_seen       timestamptz not null default now(),
    acknowledged_at timestamptz,
    acknowledged_by text
);
create unique index payload_drift_unsettled on payload_drift (source, function, path, kind) where acknowledged_at is null;

create table profile_relationship_log (
    id                bigint generated by default as identity primary key,
    relationship_type text not null,
    platform          text not null,
    source_profile_id text not null,
    target_profile_id text not null,
    source_dimensions jsonb,
    source_metrics    jsonb,
    target_dimensions jsonb,
    target_metrics    jsonb,
    source            text,
    timestamp         timestamptz not null default now(),
    constraint profile_relationship_log_key unique (source_profile_id, target_profile_id, relationship_type, platform)
);

-- comment_id is null for a like, and two nulls are equal: one like per actor, any number of comments.
create table post_activity_log (
    id               bigint generated by default as identity primary key,
    activity_type    text not null,
    platform         text not null,
    platform_post_id text not null,
    actor_profile_id text,
    comment_id       text,
    dimensions       jsonb,
    metrics          jsonb,
    source           text,
    timestamp        timestamptz not null default now(),
    constraint post_activity_log_key
        unique nulls not distinct (platform_post_id, actor_profile_id, comment_id, activity_type, platform)
);

-- How far the two logs above, which have no partitions to drop, have been looked through for old rows.
create table log_retention (
    log       text primary key,
    keep_from timestamptz not null,                 -- rows last seen before are deleted
    pruned_to bigint                                -- ids up to here have been looked at; null: all
);

create table sentiment_log (
    id               bigint generated by default as identity primary key,
    platform         text,
    platform_post_id text,
    comment          text,
    sentiment        text,
    score            double precision,
    dimensions       jsonb,
    metrics          jsonb,
    source           text,
    timestamp        timestamptz not null default now(),
    comment_id       text
);
-- The sentiment of a comment is said once.
create unique index sentiment_log_comment on sentiment_log (platform_post_id, comment_id, platform);

-- Announced as events only; nothing is written to the five below.
create table order_log (
    id                bigint generated by default as identity primary key,
    platform          text,
    platform_order_id text,
    store             text,
    dimensions        jsonb,
    metrics           jsonb,
    source            text,
    timestamp         timestamptz not null default now()
);

create table profile_activity_log (
    id               bigint generated by default as identity primary key,
    activity_id      text,
    activity_type    text,
    actor_channel_id text,
    platform         text,
    source           text,
    dimensions       jsonb,
    metrics          jsonb
);

create table profile_subscription_log (
    id                bigint generated by default as identity primary key,
    relationship_id   text,
    relationship_type text,
    source_channel_id text,
    target_channel_id text,
    platform          text,
    source            text,
    source_dimensions jsonb,
    source_metrics    jsonb,
    target_dimensions jsonb,
    target_metrics    jsonb,
    subscribed_on     text
);

create table task_log (
    id         bigint generated by default as identity primary key,
    name       text,
    arguments  jsonb,
    source     text,
    status     text,
    created_at timestamptz not null default now()
);

create table "order" (
    id                bigint generated by default as identity primary key,
    status            text,
    name              text,
    landing_site      text,
    utm_params        text,
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    store             text,
    platform_order_id text not null constraint order_platform_order_id unique,
    order_data        jsonb,
    platform          text,
    store_name        text
);


-- Media copies ----------------------------------------------------------------------------------------------------------

create table asset (
    id            bigint generated by default as identity primary key,
    entity_id     text not null,
    entity_type   text not null,
    platform      text not null,
    asset_type    text not null,
    asset_url     text,
    original_url  text,
    updated_at    timestamptz not null default now(),
    created_at    timestamptz not null default now(),
    hash          numeric(20),                      -- unsigned 64 bits, as the producer sent it
    etag          text,
    last_modified text,                             -- the origin's header, word for word
    content_type  text,
    bytes         bigint,
    sha256        text,
    constraint asset_key unique (entity_id, entity_type, asset_type, platform)
);
create index asset_newest on asset (entity_id, updated_at desc, id desc);

-- The relation neighbours read: one row per entity. Copies whose object is gone have no URL, and are not shown.
create view asset_log as
select distinct on (entity_id) id, entity_id, entity_type, platform, asset_type, asset_url, original_url, updated_at, created_at
from asset
where asset_url <> ''
order by entity_id, updated_at desc, id desc;

-- The uploader's statements (core/assets/statements.py explains them), for connections through a pooler.
create function asset_state(
    entities text[], entity_types text[], asset_types text[], platforms text[])
returns table (number bigint, asset_url text, original_url text, hash text, etag text, last_modified text, sha256 text,
               version text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
begin
    return query
select g.number, coalesce(a.asset_url, '') as asset_url, a.original_url,
    case when a.asset_url <> '' then a.hash::text end as hash, a.etag, a.last_modified, a.sha256,
    a.xmin::text as version
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality
        g(entity_id, entity_type, asset_type, platform, number)
    join asset a on a.entity_id = any(array[g.entity_id])
        and (a.entity_type, a.asset_type, a.platform) = (g.entity_type, g.asset_type, g.platform);
end
$$;

create function asset_upsert(
    entities text[], entity_types text[], asset_types text[], platforms text[],
    asset_urls text[], original_urls text[], hashes text[], etags text[], last_modifieds text[], content_types text[],
    sizes bigint[], digests text[], versions text[])
returns table (number bigint, before text, crossed boolean)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
begin
    return query
with given as materialized (
    select g.*, a.id as held from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
            $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::text[], $13::text[]) with ordinality
        g(entity_id, entity_type, asset_type, platform, asset_url, original_url, hash, etag, last_modified,
            content_type, bytes, sha256, seen, number)
        left join asset a on a.entity_id = any(array[g.entity_id])
            and (a.entity_type, a.asset_type, a.platform) = (g.entity_type, g.asset_type, g.platform)),
before as materialized (
    select a.id, a.asset_url, a.sha256, a.xmin::text as version
    from asset a where a.id = any(array(select held from given where held is not null))
    order by a.id for update),
put as (
    insert into asset as a (id, entity_id, entity_type, asset_type, platform, asset_url, original_url, hash, etag,
        last_modified, content_type, bytes, sha256)
    select coalesce(g.held, nextval('asset_id_seq')), g.entity_id, g.entity_type, g.asset_type, g.platform,
        g.asset_url, g.original_url, g.hash::numeric, g.etag, g.last_modified, g.content_type, g.bytes, g.sha256
    from given g left join before b on b.id = g.held
    where (select count(*) from before) >= 0
        and (g.held is null or g.seen is null or b.version = g.seen or b.sha256 = g.sha256)
    order by g.entity_id, g.entity_type, g.asset_type, g.platform
    on conflict on constraint asset_key do update
    set asset_url = excluded.asset_url, original_url = excluded.original_url, hash = excluded.hash,
        etag = excluded.etag, last_modified = excluded.last_modified,
        content_type = coalesce(excluded.content_type, a.content_type),
        bytes = coalesce(excluded.bytes, a.bytes), sha256 = excluded.sha256, updated_at = now()
    where a.id = excluded.id or a.sha256 = excluded.sha256
    returning a.entity_id, a.entity_type, a.asset_type, a.platform)
select g.number, b.asset_url as before, p.entity_id is null as crossed
from given g left join before b on b.id = g.held
    left join put p using (entity_id, entity_type, asset_type, platform)
where b.asset_url <> g.asset_url or p.entity_id is null;
end
$$;

-- The same for uploaders of before sha256 was recorded, which may still run.
create function asset_find(
    entities text[], entity_types text[], asset_types text[], platforms text[])
returns table (number bigint, asset_url text, original_url text, hash text, etag text, last_modified text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
begin
    return query
select g.number, a.asset_url, a.original_url, a.hash::text as hash, a.etag, a.last_modified
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality
        g(entity_id, entity_type, asset_type, platform, number)
    join asset a on a.entity_id = any(array[g.entity_id])
        and (a.entity_type, a.asset_type, a.platform) = (g.entity_type, g.asset_type, g.platform)
where a.asset_url <> '';
end
$$;

create function asset_record(
    entities text[], entity_types text[], asset_types text[], platforms text[],
    asset_urls text[], original_urls text[], hashes text[], etags text[], last_modifieds text[], content_types text[],
    sizes bigint[])
returns table (number bigint, before text)
language sql as
    'select number, before from asset_upsert($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, null, null) where before is not null';


-- Instagram -------------------------------------------------------------------------------------------------------------

-- Handles are recycled: lower case, not unique, the newest updated_at wins.
create table instagram_account (
    id                     bigint default nextval('social_profile_id_seq') primary key,
    profile_id             text not null constraint instagram_account_profile_id unique,
    handle                 text constraint instagram_account_handle_lower check (handle = lower(handle)),
    full_name              text,
    profile_type           text,
    biography              text,
    followers              bigint,
    following              bigint,
    profile_pic_url        text,
    category               text,
    category_id            text,
    fbid                   text,
    media_count            bigint,
    is_business_or_creator boolean,
    is_creator             boolean,
    is_in_gcc_collection   boolean,
    is_private             boolean,
    is_verified            boolean,
    on_gcc                 boolean,
    created_at             timestamptz not null default now(),
    refreshed_at           timestamptz,
    updated_at             timestamptz not null default now(),
    avg_comments           double precision,
    avg_engagement         double precision,
    avg_impressions        double precision,
    avg_likes              double precision,
    avg_reach              double precision,
    avg_reels_plays        double precision
);
alter sequence social_profile_id_seq owned by instagram_account.id;
create index instagram_account_handle on instagram_account (handle, updated_at desc);
create index instagram_account_refreshed on instagram_account (refreshed_at nulls first);

create table instagram_post (
    id                bigint default nextval('social_post_id_seq') primary key,
    profile_id        text,
    handle            text,
    post_id           text,                         -- the Graph media id once known
    media_pk          text,                         -- the number behind the shortcode
    post_type         text,
    caption           text,
    likes             bigint,
    views             bigint,
    plays             bigint,
    comments          bigint,
    reach             bigint,
    saved             bigint,
    shares            bigint,
    impressions       bigint,
    interactions      bigint,
    engagement        double precision,
    shortcode         text not null constraint instagram_post_shortcode unique,
    display_url       text,
    thumbnail_url     text,
    updated_at        timestamptz not null default now(),
    created_at        timestamptz not null default now(),
    publish_time      timestamptz,
    content_type      text,
    taps_forward      bigint,
    taps_back         bigint,
    exits             bigint,
    replies           bigint,
    navigation        bigint,
    profile_activity  bigint,
    profile_visits    bigint,
    follows           bigint,
    video_views       bigint,
    automatic_forward bigint,
    swipe_back        bigint,
    swipe_down        bigint,
    swipe_forward     bigint,
    swipe_up          bigint,
    keywords          text,
    story_links       text[],
    story_hashtags    text[],
    profile_follower  bigint,
    profile_er        double precision,
    profile_static_er double precision,
    profile_reels_er  double precision,
    product_type      text                          -- FEED, REELS, clips, ...: in Instagram's own words
);
alter sequence social_post_id_seq owned by instagram_post.id;
create index instagram_post_newest on instagram_post (profile_id, publish_time desc);
create index instagram_post_post_id on instagram_post (post_id) where post_id is not null;
create index instagram_post_media_pk on instagram_post (media_pk) where media_pk is not null;

create table instagram_profile_insights (
    id                         bigint generated by default as identity primary key,
    profile_id                 text not null constraint instagram_profile_insights_profile_id unique,
    handle                     text,
    created_at                 timestamptz not null default now(),
    updated_at                 timestamptz not null default now(),
    audience_country           jsonb,
    audience_city              jsonb,
    audience_gender_age        jsonb,
    audience_locale            jsonb,
    reached_audience_country   jsonb,
    reached_audience_city      jsonb,
    reached_audience_gender_age jsonb,
    engaged_audience_country   jsonb,
    engaged_audience_city      jsonb,
    engaged_audience_gender_age jsonb
);

create table instagram_account_request (
    id         bigint generated by default as identity primary key,
    updated_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    handle     text,
    status     text
);

-- Who had a handle, and when.
create table handle_history (
    platform   text not null,
    handle     text not null constraint handle_history_handle_lower check (handle = lower(handle)),
    profile_id text not null,
    first_seen timestamptz not null default now(),
    last_seen  timestamptz not null default now(),
    primary key (platform, handle, profile_id)
);
create index handle_history_profile on handle_history (profile_id, platform);

-- Hashtags that a Graph user has asked for: 30 different ones are allowed in 7 days.
create table hashtag_budget (
    user_id text not null,
    hashtag text not null,                          -- lower case, without its sign
    used_at timestamptz not null default now(),
    primary key (user_id, hashtag)
);

-- Time series kept for readers of old rows; writes are disabled.
create table instagram_account_ts (
    id                     bigint generated by default as identity primary key,
    profile_id             text,
    handle                 text,
    full_name              text,
    profile_type           text,
    biography              text,
    followers              bigint,
    following              bigint,
    profile_pic_url        text,
    category               text,
    category_id            text,
    fbid                   text,
    is_business_or_creator boolean,
    is_private             boolean,
    is_verified            boolean,
    media_count            bigint,
    created_at             timestamptz not null default now()
);

create table instagram_post_ts (
    id               bigint generated by default as identity primary key,
    profile_id       text,
    handle           text,
    post_id          text,
    post_type        text,
    caption          text,
    likes            bigint,
    views            bigint,
    plays            bigint,
    comments         bigint,
    reach            bigint,
    saved            bigint,
    shares           bigint,
    impressions      bigint,
    interactions     bigint,
    engagement       double precision,
    shortcode        text,
    display_url      text,
    thumbnail_url    text,
    created_at       timestamptz not null default now(),
    publish_time     timestamptz,
    content_type     text,
    taps_forward     bigint,
    taps_back        bigint,
    exits            bigint,
    replies          bigint,
    navigation       bigint,
    profile_activity bigint,
    profile_visits   bigint,
    follows          bigint,
    video_views      bigint
);


-- Views for neighbours --------------------------------------------------------------------------------------------------

-- instagram_post without keywords, story_links and story_hashtags.
create view instagram_post_simple as
select id, profile_id, handle, post_id, media_pk, post_type, caption, likes, views, plays, comments, reach, saved, shares,
       impressions, interactions, engagement, shortcode, display_url, thumbnail_url, updated_at, created_at, publish_time,
       content_type, taps_forward, taps_back, exits, replies, navigation, profile_activity, profile_visits, follows, video_views,
       automatic_forward, swipe_back, swipe_down, swipe_forward, swipe_up, profile_follower, profile_er, profile_static_er,
       profile_reels_er, product_type
from instagram_post;

-- Tasks of the last 7 days.
create view recent_scrape_request_log as
select id, idempotency_key, platform, source, account_id, flow, status, priority, params, data, created_at, scraped_at, expires_at,
       picked_at, retry_count
from scrape_request_log
where created_at > now() - interval '7 days';


-- Candidates of schedules ---------------------------------------------------------------------------------------------

-- Makes what candidate queries need: the role beat_candidates, its right to read what is listed here and nothing else, and
-- candidate_rows(), which runs a query as that role. May be called again, by the owner of the tables or by a superuser:
-- after tables were added, or because the owner must not make roles.
create function prepare_candidates() returns void language plpgsql as $prepare$
declare
    owner    text := (select relowner::regrole from pg_class where oid = 'scrape_schedule'::regclass);
    relation text;
begin
    begin
        if not exists (select from pg_roles where rolname = 'beat_candidates') then
            create role beat_candidates nologin;
        end if;
    exception when duplicate_object or unique_violation then
        null;                                         -- for another database of this server, just now
    end;
    if not pg_has_role(current_user, 'beat_candidates', 'member') then
        execute format('grant beat_candidates to %I', current_user);
    end if;
    grant usage on schema public to beat_candidates;
    foreach relation in array array['scrape_request_log', 'recent_scrape_request_log', 'connected_account', 'profile_log',
            'post_log', 'profile_relationship_log', 'post_activity_log', 'sentiment_log', 'order_log', '"order"', 'asset',
            'asset_log', 'instagram_account', 'instagram_post', 'instagram_post_simple', 'instagram_profile_insights',
            'instagram_account_request', 'handle_history', 'youtube_account', 'youtube_post', 'youtube_post_simple',
            'youtube_profile_insights'] loop
        if to_regclass(relation) is not null then
            execute format('grant select on %s to beat_candidates', relation);
        end if;
    end loop;

    -- The query stands inside a SELECT and behind a cursor: it is one statement and can only read. SECURITY DEFINER is what
    -- keeps it from becoming its caller again, by RESET ROLE or set_config('role', ...).
    create or replace function candidate_rows(query text, max_rows integer) returns setof text language plpgsql
        stable security definer set search_path = public, pg_temp as $$
    declare
        candidate text;
        bytes     bigint := 0;
    begin
        for candidate in execute format(E'select to_jsonb(c)::text from (%s\n) c limit %s', query, max_rows) loop
            bytes := bytes + octet_length(candidate);
            if bytes > 64 * 1024 * 1024 then
                raise program_limit_exceeded using message = 'the candidates take more than 64 MB';
            end if;
            return next candidate;
        end loop;
    end
    $$;
    revoke all on function candidate_rows(text, integer) from public;
    grant create on schema public to beat_candidates; -- wanted of who becomes the owner of a function
    alter function candidate_rows(text, integer) owner to beat_candidates;
    revoke create on schema public from beat_candidates;
    execute format('grant execute on function candidate_rows(text, integer) to %s', owner);
end
$prepare$;

do $$
begin
    perform prepare_candidates();
exception when insufficient_privilege then
    raise warning 'schedules cannot have candidate queries yet: %', sqlerrm using hint =
        'A superuser runs SELECT prepare_candidates() in this database.';
end
$$;
