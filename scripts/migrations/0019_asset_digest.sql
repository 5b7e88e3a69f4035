-- The SHA-256 of copies is recorded, and a copy that another task has made at the same time is not recorded over. The
-- functions of before stay, for uploaders that still run.
create function asset_state(
    entities text[], entity_types text[], asset_types text[], platforms text[])
returns table (number bigint, asset_url text, original_url text, hash text, etag text, last_modified text, sha256 text,
               version text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
begin
    return query
select g.number, coalesce(a.asset_url, '') as asset_url, a.original_url,
    case when a.asset_url <> '' then a.hash::text end as hash, a.etag, a.last_modified, a.sha256,
    a.xmin::text as version
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality
        g(entity_id, entity_type, asset_type, platform, number)
    join asset a on a.entity_id = any(array[g.entity_id])
        and (a.entity_type, a.asset_type, a.platform) = (g.entity_type, g.asset_type, g.platform);
end
$$;

create function asset_upsert(
    entities text[], entity_types text[], asset_types text[], platforms text[],
    asset_urls text[], original_urls text[], hashes text[], etags text[], last_modifieds text[], content_types text[],
    sizes bigint[], digests text[], versions text[])
returns table (number bigint, before text, crossed boolean)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
#variable_conflict use_column
begin
    return query
with given as materialized (
    select g.*, a.id as held from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
            $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[], $12::text[], $13::text[]) with ordinality
        g(entity_id, entity_type, asset_type, platform, asset_url, original_url, hash, etag, last_modified,
            content_type, bytes, sha256, seen, number)
        left join asset a on a.entity_id = any(array[g.entity_id])
            and (a.entity_type, a.asset_type, a.platform) = (g.entity_type, g.asset_type, g.platform)),
before as materialized (
    select a.id, a.asset_url, a.sha256, a.xmin::text as version
    from asset a where a.id = any(array(select held from given where held is not null))
    order by a.id for update),
put as (
    insert into asset as a (id, entity_id, entity_type, asset_type, platform, asset_url, original_url, hash, etag,
        last_modified, content_type, bytes, sha256)
    select coalesce(g.held, nextval('asset_id_seq')), g.entity_id, g.entity_type, g.asset_type, g.platform,
        g.asset_url, g.original_url, g.hash::numeric, g.etag, g.last_modified, g.content_type, g.bytes, g.sha256
    from given g left join before b on b.id = g.held
    where (select count(*) from before) >= 0
        and (g.held is null or g.seen is null or b.version = g.seen or b.sha256 = g.sha256)
    order by g.entity_id, g.entity_type, g.asset_type, g.platform
    on conflict on constraint asset_key do update
    set asset_url = excluded.asset_url, original_url = excluded.original_url, hash = excluded.hash,
        etag = excluded.etag, last_modified = excluded.last_modified,
        content_type = coalesce(excluded.content_type, a.content_type),
        bytes = coalesce(excluded.bytes, a.bytes), sha256 = excluded.sha256, updated_at = now()
    where a.id = excluded.id or a.sha256 = excluded.sha256
    returning a.entity_id, a.entity_type, a.asset_type, a.platform)
select g.number, b.asset_url as before, p.entity_id is null as crossed
from given g left join before b on b.id = g.held
    left join put p using (entity_id, entity_type, asset_type, platform)
where b.asset_url <> g.asset_url or p.entity_id is null;
end
$$;

create or replace function asset_record(
    entities text[], entity_types text[], asset_types text[], platforms text[],
    asset_urls text[], original_urls text[], hashes text[], etags text[], last_modifieds text[], content_types text[],
    sizes bigint[])
returns table (number bigint, before text)
language sql as
    'select number, before from asset_upsert($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, null, null) where before is not null';
