-- Hashtags that a Graph user has asked for: 30 different ones are allowed in 7 days.
create table hashtag_budget (
    user_id text not null,
    hashtag text not null,                          -- lower case, without its sign
    used_at timestamptz not null default now(),
    primary key (user_id, hashtag)
);
