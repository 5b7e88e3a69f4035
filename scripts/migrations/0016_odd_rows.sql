-- A row with a retry_count far below 0, or created thousands of years from now, no longer fails the statement that reports
-- it, and with it the reports of others.
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
            when 'BACKOFF' then now() + least(300, 2 * 2 ^ greatest(0, least(o.retry_count, 10))) * (0.5 + random() / 2) * interval '1 second' end as due) w
        cross join lateral (select
            w.due,
            f.rule = 'BACKOFF' and o.retry_count < coalesce(o.max_retries, b.max_retries, f.max_retries)
                and w.due >= o.expires_at as gone,
            case f.rule
                when 'LATER' then w.due < coalesce(o.expires_at, least(o.created_at, now()) + interval '24 hours')
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

-- Requests that queue the same keys in different orders no longer wait for each other until one of them is broken off.
create or replace function tasks_insert(
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

-- A row whose flow is too long a text to be indexed or announced is failed when it is inserted: one that was delayed stopped
-- all delayed tasks when it became due.
create or replace function srl_before_insert() returns trigger language plpgsql as $$
declare
    missing text;
begin
    new.id := coalesce(new.id, nextval('crawl_dump_id_seq'));
    new.status := coalesce(new.status, 'PENDING');
    new.priority := coalesce(new.priority, 1);
    new.retry_count := coalesce(new.retry_count, 1);
    new.created_at := coalesce(new.created_at, now());
    if new.status <> 'PENDING' then
        return new;
    end if;
    missing := concat_ws(' and ', case when new.platform is null then 'platform (such as INSTAGRAM)' end,
                         case when new.params is null or new.params = 'null' then 'params (a JSON object, at least {})' end);
    if missing <> '' then
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
    return new;
end
$$;

drop trigger srl_before_insert on scrape_request_log;
create trigger srl_before_insert before insert on scrape_request_log for each row
    when (new.id is null or new.status is null or new.priority is null or new.retry_count is null or new.created_at is null
          or new.platform is null or new.params is null or new.params = 'null' or new.run_after is not null
          or octet_length(new.flow) > 1000)
    execute function srl_before_insert();
