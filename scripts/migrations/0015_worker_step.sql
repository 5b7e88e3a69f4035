-- A worker's report and its claim become two statements of one call: the claim sees what other workers have taken meanwhile,
-- and locks none of it. The functions of before stay, for workers that still run.
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

create or replace function queue_step(
    flows text[], free integer[], worker bigint, ids bigint[], tokens timestamptz[], data text[], results jsonb[])
returns table (done bigint[], id bigint, flow text, platform text, params jsonb, retry_count integer,
               picked_at timestamptz, created_at timestamptz)
language sql as 'select * from worker_step($1, $2, $3, $4, $5, $6, $7, false)';

create or replace function queue_step_oldest_first(
    flows text[], free integer[], worker bigint, ids bigint[], tokens timestamptz[], data text[], results jsonb[])
returns table (done bigint[], id bigint, flow text, platform text, params jsonb, retry_count integer,
               picked_at timestamptz, created_at timestamptz)
language sql as 'select * from worker_step($1, $2, $3, $4, $5, $6, $7, true)';
