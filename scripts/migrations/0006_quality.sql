-- Values that were kept out of a profile's row because they could hardly be true.
create table profile_quarantine (
    id          bigint generated always as identity primary key,
    platform    text not null,
    profile_id  text not null,
    source      text not null,
    "column"    text not null,
    old         bigint,
    new         bigint,
    reason      text not null,
    seen_at     timestamptz not null default now(),
    resolved_at timestamptz,
    resolution  text                                -- accepted, rejected or superseded, and by whom
);
create unique index profile_quarantine_open on profile_quarantine (profile_id, platform, "column", source)
    where resolved_at is null;
create index profile_quarantine_seen on profile_quarantine (seen_at desc);

-- Answers of providers that were kept in the object store.
create table raw_payload (
    id             bigint generated always as identity primary key,
    sha256         text not null,                   -- of the JSON before it was compressed
    s3_key         text not null,
    source         text not null,
    function       text not null,
    request        jsonb not null,                  -- what was asked for
    status         integer,
    class          text not null,                   -- ok, or the word of the error: malformed
    fetched_at     timestamptz not null,
    parser_version text not null                    -- hash of the code that read it
);
create index raw_payload_fetched on raw_payload (source, function, fetched_at);
create index raw_payload_sha256 on raw_payload (sha256);
