drop index srl_claim, srl_fifo;
-- Expired rows stand in both until they are moved out: their expiry is a column, so that a claim passes over them in the index.
-- "id + 0": no planner may take the primary key, which holds every finished row, for the same order.
create index srl_claim on scrape_request_log (flow, priority desc, id, (coalesce(expires_at, 'infinity')))
    where status = 'PENDING' and run_after is null;
create index srl_fifo on scrape_request_log (flow, (id + 0), (coalesce(expires_at, 'infinity')))
    where status = 'PENDING' and run_after is null;

-- One index probe a row instead of a grouping; no sort.
create or replace function srl_after_insert() returns trigger language plpgsql set enable_seqscan = off as $$
begin
    perform pg_notify('beat', i.flow) from inserted i
    where i.status = 'PENDING' and i.run_after is null
        and i.id = (select s.id from scrape_request_log s
                    where s.flow = i.flow and s.status = 'PENDING' and s.run_after is null order by s.id + 0 limit 1);
    if exists (select from beat_flow where priority is not null) then
        update scrape_request_log t set priority = b.priority
        from inserted i join beat_flow b on b.flow = i.flow
        where t.id = i.id and i.status = 'PENDING' and i.priority = 1 and b.priority <> 1;
        insert into event_outbox (routing_key, entity_key, payload)
        select 'scrape_request_log_events', t.id::text, task_event(t) from inserted i
            join scrape_request_log t on t.id = i.id order by t.id;
        return null;
    end if;
    insert into event_outbox (routing_key, entity_key, payload)
    select 'scrape_request_log_events', i.id::text, task_event(row(i.*)::scrape_request_log) from inserted i;
    return null;
end
$$;

-- The worker's statement as functions, so that its plan is kept behind a pooler too. core/queue/statements.py holds the same text.
create function queue_step(
    flows text[], free integer[], worker bigint, ids bigint[], tokens timestamptz[], data text[], results jsonb[])
returns table (done bigint[], id bigint, flow text, platform text, params jsonb, retry_count integer,
               picked_at timestamptz, created_at timestamptz)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
begin
    return query
with done as (
    update scrape_request_log t
    set status = 'COMPLETE', scraped_at = now(), worker = null, data = coalesce(d.data, 'None'), result = d.result,
        error_code = null
    from unnest($4::bigint[], $5::timestamptz[], $6::text[], $7::jsonb[]) d(id, token, data, result)
    where t.id = d.id and t.picked_at = d.token and t.worker = $3
    returning t.*),
pick as materialized (
    select p.id from unnest($1::text[], $2::int[]) w(flow, free) cross join lateral (
        select s.id from scrape_request_log s
        where s.flow = w.flow and s.status = 'PENDING' and s.run_after is null
            and coalesce(s.expires_at, 'infinity') > now()
        order by s.priority desc, s.id limit w.free for update skip locked) p
    where (select count(*) from done) >= 0),
took as (
    update scrape_request_log t set status = 'PROCESSING', picked_at = clock_timestamp(), worker = $3
    where t.id = any(array(select id from pick))
    returning t.*),
said as (
    insert into event_outbox (routing_key, entity_key, payload)
    select 'scrape_request_log_events', e.id::text, task_event(row(e.*)::scrape_request_log) from (select * from done union all select * from took) e)
select (select array_agg(id) from done) as done,
    null::bigint as id, null as flow, null as platform, null::jsonb as params, null::int as retry_count,
    null::timestamptz as picked_at, null::timestamptz as created_at
union all
select null, id, flow, platform, params, retry_count, picked_at, created_at from took;
end
$$;

create function queue_step_oldest_first(
    flows text[], free integer[], worker bigint, ids bigint[], tokens timestamptz[], data text[], results jsonb[])
returns table (done bigint[], id bigint, flow text, platform text, params jsonb, retry_count integer,
               picked_at timestamptz, created_at timestamptz)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
begin
    return query
with done as (
    update scrape_request_log t
    set status = 'COMPLETE', scraped_at = now(), worker = null, data = coalesce(d.data, 'None'), result = d.result,
        error_code = null
    from unnest($4::bigint[], $5::timestamptz[], $6::text[], $7::jsonb[]) d(id, token, data, result)
    where t.id = d.id and t.picked_at = d.token and t.worker = $3
    returning t.*),
pick as materialized (
    select p.id from unnest($1::text[], $2::int[]) w(flow, free) cross join lateral (
        select s.id from scrape_request_log s
        where s.flow = w.flow and s.status = 'PENDING' and s.run_after is null
            and coalesce(s.expires_at, 'infinity') > now()
        order by s.id + 0 limit w.free for update skip locked) p
    where (select count(*) from done) >= 0),
took as (
    update scrape_request_log t set status = 'PROCESSING', picked_at = clock_timestamp(), worker = $3
    where t.id = any(array(select id from pick))
    returning t.*),
said as (
    insert into event_outbox (routing_key, entity_key, payload)
    select 'scrape_request_log_events', e.id::text, task_event(row(e.*)::scrape_request_log) from (select * from done union all select * from took) e)
select (select array_agg(id) from done) as done,
    null::bigint as id, null as flow, null as platform, null::jsonb as params, null::int as retry_count,
    null::timestamptz as picked_at, null::timestamptz as created_at
union all
select null, id, flow, platform, params, retry_count, picked_at, created_at from took;
end
$$;
