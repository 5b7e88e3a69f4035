-- An id of two random numbers, one of them mixed with the task's id, which tells sessions of one seed apart: gen_random_uuid() asks
-- OpenSSL, a tenth of what an INSERT costs.
create or replace function task_event(r scrape_request_log) returns json language sql volatile as $$
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

-- Fires for each row: a condition of the trigger would be parsed anew by each INSERT. What nothing is wrong with leaves at once,
-- before the path is set, so its names are the catalog's.
create or replace function srl_before_insert() returns trigger language plpgsql as $$
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

drop trigger srl_before_insert on scrape_request_log;
create trigger srl_before_insert before insert on scrape_request_log for each row execute function srl_before_insert();

-- Wakes the supervisors only when a flow's backlog goes from empty to not empty (a NOTIFY takes a lock that all commits share),
-- and announces every row, whoever inserts it. A single row takes one statement for both. Where a flow has a priority, that
-- statement announces nothing: rows with the usual one get their flow's first. Neither scans nor sorts, because the plan may be
-- made while the table is empty and outlives that: one look at srl_fifo per flow, one at the key per row.
create or replace function srl_after_insert() returns trigger language plpgsql security definer
    set enable_seqscan = off set enable_sort = off as $$
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

do $$
begin
    execute format('alter function srl_after_insert() set search_path to pg_catalog, %I, pg_temp', current_schema());
end
$$;
