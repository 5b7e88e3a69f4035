"""Every statement of the uploader, as SQL to read and to paste into psql. Each is a transaction of its own, without
session state, so that it goes through a transaction pooler. ``= any(array[...])`` keeps the planner from joining by
reading all of an index that is small now, with a plan that outlives its smallness.
"""

from __future__ import annotations

from utils.db import call_of

FIND = """
select g.number, coalesce(a.asset_url, '') as asset_url, a.original_url,
    case when a.asset_url <> '' then a.hash::text end as hash, a.etag, a.last_modified, a.sha256,
    a.xmin::text as version
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality
        g(entity_id, entity_type, asset_type, platform, number)
    join asset a on a.entity_id = any(array[g.entity_id])
        and (a.entity_type, a.asset_type, a.platform) = (g.entity_type, g.asset_type, g.platform)"""
"""Rows that are there: ``$1 entities, $2 entity types, $3 asset types, $4 platforms``. Reads asset_key. A row whose
object is gone has no hash; ``version`` is the transaction that wrote it."""

RECORD = """
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
where b.asset_url <> g.asset_url or p.entity_id is null"""
"""Record finished copies, each key once: ``$1-$4`` as in FIND, ``$5 asset_url, $6 original_url, $7 hash, $8 etag,
$9 last_modified, $10 content_type, $11 bytes, $12 sha256, $13 seen``. Gives, for those whose object has another name
now, the old name.

A row of another version than was seen was written by a task that ran at the same time, and so was one that appears
between snapshot and insert, whose id is not the one to insert. Unless the bytes are the same it is left, and the answer
says ``crossed``: where two tasks overlap between look-up and record, the one that records later learns of the other.

Known rows are locked in the order of their ids and new ones, which get theirs after the sort, in the order of their
keys, so that two processes which record the same ones cannot deadlock.
"""

DOUBT = """
update asset set hash = null, etag = null, last_modified = null, bytes = null, sha256 = null
where (entity_id, entity_type, asset_type, platform) = ($1, $2, $3, $4)"""
"""Forget what is known of a copy's bytes, of which two tasks have put theirs: ``$1-$4`` as in FIND but one."""

VOID = """
update asset set asset_url = '', hash = null, etag = null, last_modified = null, bytes = null, sha256 = null
where (entity_id, entity_type, asset_type, platform) = ($1, $2, $3, $4) and asset_url = $5"""
"""Forget a copy whose object is gone: ``$1-$4`` as in FIND but one, ``$5 asset_url``."""

YOUNG_STORY = """
select g.number, p.profile_id, p.handle
from unnest($1::text[]) with ordinality g(shortcode, number) join instagram_post p using (shortcode)
where p.publish_time > now() - interval '24 hours' and p.profile_id <> '' and p.handle <> ''"""
"""Whose stories ``$1 shortcodes`` are, of those that can still be seen and have an owner."""

CALLS = {FIND: call_of("asset_state", FIND), RECORD: call_of("asset_upsert", RECORD)}
"""Calls of the functions of schema.sql that hold the same statements."""
