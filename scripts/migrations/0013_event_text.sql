-- An event is written once and read once, as text: jsonb took it apart and put it together again.
alter table event_outbox alter column payload type json using payload::json;

drop function task_event(scrape_request_log);

create type task_event_body as (
    event_id text, scl_id text, flow text, platform text, params jsonb, status text, priority integer, reason text,
    event_timestamp text, picked_at text, expires_at text, retry_count integer);

-- The task event of a row. Volatile, because gen_random_uuid() is: only so is the call inlined. Rows of a CTE or a transition
-- table are passed as `row(e.*)::scrape_request_log`. A row of a type of its own costs a third less than jsonb_build_object.
create function task_event(r scrape_request_log) returns json language sql volatile as $$
    select row_to_json(row(
        gen_random_uuid()::text,
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
