-- Plans that were made while the table was empty, and kept, no longer read or sort all of it once it is full: rows are asked for
-- by "id = any(array[...])", which no planner can turn into a join that reads the whole index, and sorts are off.
create or replace function srl_after_insert() returns trigger language plpgsql set enable_seqscan = off set enable_sort = off as $$
begin
    perform pg_notify('beat', i.flow)
    from (select flow, min(id) as id from inserted where status = 'PENDING' and run_after is null group by flow) i
    where i.id = (select s.id from scrape_request_log s
                  where s.flow = i.flow and s.status = 'PENDING' and s.run_after is null order by s.id + 0 limit 1);
    if exists (select from beat_flow where priority is not null) then
        update scrape_request_log t set priority = b.priority
        from inserted i join beat_flow b on b.flow = i.flow
        where t.id = any(array[i.id]) and i.status = 'PENDING' and i.priority = 1 and b.priority <> 1;
        insert into event_outbox (routing_key, entity_key, payload)
        select 'scrape_request_log_events', t.id::text, task_event(t) from inserted i
            join scrape_request_log t on t.id = any(array[i.id]);
        return null;
    end if;
    insert into event_outbox (routing_key, entity_key, payload)
    select 'scrape_request_log_events', i.id::text, task_event(row(i.*)::scrape_request_log) from inserted i;
    return null;
end
$$;

create or replace function queue_step(
    flows text[], free integer[], worker bigint, ids bigint[], tokens timestamptz[], data text[], results jsonb[])
returns table (done bigint[], id bigint, flow text, platform text, params jsonb, retry_count integer,
               picked_at timestamptz, created_at timestamptz)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off as $$
#variable_conflict use_column
begin
    return query
with done as (
    update scrape_request_log t
    set status = 'COMPLETE', scraped_at = now(), worker = null, data = coalesce(d.data, 'None'), result = d.result,
        error_code = null
    from unnest($4::bigint[], $5::timestamptz[], $6::text[], $7::jsonb[]) d(id, token, data, result)
    where t.id = any(array[d.id]) and t.picked_at = d.token and t.worker = $3
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

create or replace function queue_step_oldest_first(
    flows text[], free integer[], worker bigint, ids bigint[], tokens timestamptz[], data text[], results jsonb[])
returns table (done bigint[], id bigint, flow text, platform text, params jsonb, retry_count integer,
               picked_at timestamptz, created_at timestamptz)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_sort = off as $$
#variable_conflict use_column
begin
    return query
with done as (
    update scrape_request_log t
    set status = 'COMPLETE', scraped_at = now(), worker = null, data = coalesce(d.data, 'None'), result = d.result,
        error_code = null
    from unnest($4::bigint[], $5::timestamptz[], $6::text[], $7::jsonb[]) d(id, token, data, result)
    where t.id = any(array[d.id]) and t.picked_at = d.token and t.worker = $3
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

create or replace function queue_fail(
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
        cross join lateral (select case f.rule
            when 'LATER' then now() + f.delay_s * (1 + random() / 4) * interval '1 second'
            when 'BACKOFF' then now() + least(300, 2 * 2 ^ least(o.retry_count, 10)) * (0.5 + random() / 2) * interval '1 second' end as due) w
        cross join lateral (select
            w.due,
            f.rule = 'BACKOFF' and o.retry_count < coalesce(o.max_retries, b.max_retries, f.max_retries)
                and w.due >= o.expires_at as gone,
            case f.rule
                when 'LATER' then w.due < coalesce(o.expires_at, o.created_at + interval '24 hours')
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

create or replace function asset_find(
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

create or replace function asset_record(
    entities text[], entity_types text[], asset_types text[], platforms text[],
    asset_urls text[], original_urls text[], hashes text[], etags text[], last_modifieds text[], content_types text[],
    sizes bigint[])
returns table (number bigint, before text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
begin
    return query
with given as materialized (
    select g.*, a.id as held from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
            $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[]) with ordinality
        g(entity_id, entity_type, asset_type, platform, asset_url, original_url, hash, etag, last_modified,
            content_type, bytes, number)
        left join asset a on a.entity_id = any(array[g.entity_id])
            and (a.entity_type, a.asset_type, a.platform) = (g.entity_type, g.asset_type, g.platform)),
before as materialized (
    select a.id, a.asset_url from asset a where a.id = any(array(select held from given where held is not null))
    order by a.id for update),
put as (
    insert into asset as a (entity_id, entity_type, asset_type, platform, asset_url, original_url, hash, etag,
        last_modified, content_type, bytes)
    select entity_id, entity_type, asset_type, platform, asset_url, original_url, hash::numeric, etag, last_modified,
        content_type, bytes
    from given where (select count(*) from before) >= 0
    order by entity_id, entity_type, asset_type, platform
    on conflict on constraint asset_key do update
    set asset_url = excluded.asset_url, original_url = excluded.original_url, hash = excluded.hash,
        etag = excluded.etag, last_modified = excluded.last_modified,
        content_type = coalesce(excluded.content_type, a.content_type),
        bytes = coalesce(excluded.bytes, a.bytes), updated_at = now()
    returning 1)
select g.number, b.asset_url as before
from given g left join before b on b.id = g.held
where (select count(*) from put) >= 0 and b.asset_url <> g.asset_url;
end
$$;
