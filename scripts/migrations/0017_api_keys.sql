-- Who may ask the API for what, once it listens beyond loopback. Of a key only its SHA-256 is kept.
create table api_key (
    name        text primary key check (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    digest      bytea not null unique check (length(digest) = 32),
    scope       text not null check (scope in ('read', 'write', 'admin')),
    account_id  text,                               -- null: tasks of all accounts
    created_at  timestamptz not null default now(),
    expires_at  timestamptz
);
