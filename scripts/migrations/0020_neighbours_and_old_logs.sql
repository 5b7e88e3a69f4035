-- A service that may only insert tasks can do so: what the trigger reads and writes for it is its owner's right. Triggers of one's
-- own cannot be made of the function, or they would announce whatever their maker likes. A caller's search_path names nothing.
do $$
begin
    execute format('alter function srl_after_insert() security definer set search_path to pg_catalog, %I, pg_temp',
                   current_schema());
    execute format('alter function srl_before_insert() set search_path to pg_catalog, %I, pg_temp', current_schema());
end
$$;
revoke execute on function srl_after_insert() from public;

-- Copies whose object is gone have no URL, and are not shown.
create or replace view asset_log as
select distinct on (entity_id) id, entity_id, entity_type, platform, asset_type, asset_url, original_url, updated_at, created_at
from asset
where asset_url <> ''
order by entity_id, updated_at desc, id desc;

-- How far profile_relationship_log and post_activity_log, which have no partitions to drop, have been looked through for old rows.
create table log_retention (
    log       text primary key,
    keep_from timestamptz not null,                 -- rows last seen before are deleted
    pruned_to bigint                                -- ids up to here have been looked at; null: all
);
