-- Flow control at run time, retention, and counters of all processes.

alter table beat_flow add column priority integer;
alter table beat_flow add column pruned_to bigint;
alter table beat_worker add column slots jsonb not null default '{}';

-- Slots of flows that have a cap, leased to processes: what stands here never adds up to more than beat_flow.slots.
create table beat_slot (
    worker bigint not null references beat_worker on delete cascade,
    flow   text not null,
    slots  integer not null,
    primary key (worker, flow)
) with (fillfactor = 50);

-- What processes have counted (core/metrics.py), all hosts added up: `labels` is a JSON object with sorted keys.
create table beat_metric (
    name   text not null,
    labels text not null,
    value  double precision not null default 0,
    primary key (name, labels)
) with (fillfactor = 50);

create or replace function srl_after_insert() returns trigger language plpgsql set enable_seqscan = off as $$
begin
    perform pg_notify('beat', i.flow)
    from (select flow, min(id) as first from inserted where status = 'PENDING' and run_after is null group by flow) i
    where i.first <= (select s.id from scrape_request_log s
                      where s.flow = i.flow and s.status = 'PENDING' and s.run_after is null order by s.id limit 1);
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
    select 'scrape_request_log_events', i.id::text, task_event(row(i.*)::scrape_request_log) from inserted i order by i.id;
    return null;
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
