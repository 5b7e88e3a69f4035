-- A task that waits for the object store is put off for as long as that takes: the rule HELD.
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
