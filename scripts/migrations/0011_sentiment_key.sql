-- The sentiment of a comment is said once.
create unique index sentiment_log_comment on sentiment_log (platform_post_id, comment_id, platform);
