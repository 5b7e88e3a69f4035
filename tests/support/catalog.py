"""What pg_catalog says of a database, as lines that two databases can be compared by."""

from __future__ import annotations

import asyncpg

_MINE = "c.relnamespace = 'public'::regnamespace and not c.relispartition"

_FACTS = f"""
select 'column ' || c.relname || '.' || a.attname,
       concat_ws(' ', format_type(a.atttypid, a.atttypmod), case when a.attnotnull then 'not null' end,
                 'default ' || pg_get_expr(d.adbin, d.adrelid), 'identity ' || nullif(a.attidentity::text, ''))
from pg_class c join pg_attribute a on a.attrelid = c.oid
left join pg_attrdef d on (d.adrelid, d.adnum) = (c.oid, a.attnum)
where {_MINE} and c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped
union all
select 'table ' || c.relname, concat_ws(' ', c.relkind::text, pg_get_partkeydef(c.oid), c.reloptions::text)
from pg_class c where {_MINE} and c.relkind in ('r', 'p')
union all
select 'constraint ' || c.relname || '.' || k.conname, pg_get_constraintdef(k.oid)
from pg_constraint k join pg_class c on c.oid = k.conrelid where {_MINE}
union all
select 'index ' || i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
from pg_index i join pg_class c on c.oid = i.indrelid where {_MINE}
union all
select 'view ' || c.relname, pg_get_viewdef(c.oid) from pg_class c where {_MINE} and c.relkind = 'v'
union all
select 'sequence ' || c.relname,
       concat_ws(' ', format_type(s.seqtypid, null), 'owned by ' || o.refobjid::regclass::text)
from pg_sequence s join pg_class c on c.oid = s.seqrelid
left join pg_depend o on o.objid = c.oid and o.classid = 'pg_class'::regclass and o.deptype in ('a', 'i')
where {_MINE}
union all
select 'trigger ' || c.relname || '.' || t.tgname, t.tgenabled::text || ' ' || pg_get_triggerdef(t.oid)
from pg_trigger t join pg_class c on c.oid = t.tgrelid where {_MINE} and not t.tgisinternal
union all
select 'function ' || p.oid::regprocedure::text, concat_ws(' ', pg_get_functiondef(p.oid), p.proacl::text)
from pg_proc p where p.pronamespace = 'public'::regnamespace
union all
select 'database', unnest(setconfig) from pg_db_role_setting s
join pg_database d on d.oid = s.setdatabase where d.datname = current_database()
"""


async def schema_facts(connection: asyncpg.Connection) -> set[tuple[str, str]]:
    """(kind and name, definition) of everything public but partitions; the order of columns does not count."""
    return {(name, definition) for name, definition in await connection.fetch(_FACTS)}


def of_kind(facts: set[tuple[str, str]], *kinds: str) -> set[tuple[str, str]]:
    """The facts whose name begins with one of these words."""
    return {fact for fact in facts if fact[0].split(" ", 1)[0] in kinds}
