-- Schedules, and the role that their candidate queries run under.

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

-- Who has connected an account, without what the credential holds.
create view connected_account as
select distinct source, handle from credential where handle is not null and enabled and not data_access_expired;

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
