"""Every statement of the uploader, as SQL to read and to paste into psql. Each is a transaction of its own, without
session state, so that it goes through a transaction pooler. ``= any(array[...])`` keeps the planner from joining by
reading all of an index that is small now, with a plan that outlives its smallness.
"""

from __future__ import annotations

from utils.db import call_of

FIND = """
select g.number, a.asset_url, a.original_url, a.hash::text as hash, a.etag, a.last_modified
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality
        g(entity_id, entity_type, asset_type, platform, number)
    join asset a on a.entity_id = any(array[g.entity_id])
        and (a.entity_type, a.asset_type, a.platform) = (g.entity_type, g.asset_type, g.platform)
where a.asset_url <> ''"""
"""Copies that are there: ``$1 entities, $2 entity types, $3 asset types, $4 platforms``. Reads asset_key."""

RECORD = """
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
where (select count(*) from put) >= 0 and b.asset_url <> g.asset_url"""
"""Record finished copies, each key once: ``$1-$4`` as in FIND, ``$5 asset_url, $6 original_url, $7 hash, $8 etag,
$9 last_modified, $10 content_type, $11 bytes``. Gives, for those whose object has another name now, the old name.

Known rows are locked in the order of their ids and new ones in the order of their keys, so that two processes which
record the same ones cannot deadlock.
"""

VOID = """
update asset set asset_url = '', hash = null, etag = null, last_modified = null
where (entity_id, entity_type, asset_type, platform) = ($1, $2, $3, $4) and asset_url = $5"""
"""Forget a copy whose object is gone: ``$1-$4`` as in FIND but one, ``$5 asset_url``."""

YOUNG_STORY = """
select g.number, p.profile_id, p.handle
from unnest($1::text[]) with ordinality g(shortcode, number) join instagram_post p using (shortcode)
where p.publish_time > now() - interval '24 hours' and p.profile_id <> '' and p.handle <> ''"""
"""Whose stories ``$1 shortcodes`` are, of those that can still be seen and have an owner."""

CALLS = {FIND: call_of("asset_find", FIND), RECORD: call_of("asset_record", RECORD)}
"""Calls of the functions of schema.sql that hold the same statements."""
