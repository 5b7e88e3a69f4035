-- What stands in the answers of providers, by path; no values. The path $ counts the answers that were looked through.
create table payload_path (
    source         text not null,
    function       text not null,
    path           text not null,
    type           text not null,                   -- object, list, text, number, flag or nothing
    read_by_parser boolean not null,
    first_seen     timestamptz not null default now(),
    last_seen      timestamptz not null default now(),
    samples        bigint not null,                 -- answers looked through that had it
    since_sample   bigint not null,                 -- answers looked through before it first came up
    judged         boolean not null default false,  -- whether it has been settled if it is new
    primary key (source, function, path, type)
);

-- What stood at the paths that a parser reads, in all answers so far: path -> [{type: answers}, type, how often at last].
create table payload_read (
    source     text not null,
    function   text not null,
    payloads   bigint not null default 0,
    paths      jsonb not null default '{}',
    updated_at timestamptz not null default now(),
    primary key (source, function)
);

-- What changed in the answers of a source; unsettled until an operator acknowledges it.
create table payload_drift (
    id              bigint generated always as identity primary key,
    source          text not null,
    function        text not null,
    path            text not null,
    kind            text not null,                  -- vanished, retyped or new
    was             text not null,
    now             text not null,
    read_by_parser  boolean not null,
    payloads        bigint not null,                -- answers that had it so
    noticed_at      timestamptz not null default now(),
    last_seen       timestamptz not null default now(),
    acknowledged_at timestamptz,
    acknowledged_by text
);
create unique index payload_drift_unsettled on payload_drift (source, function, path, kind) where acknowledged_at is null;
