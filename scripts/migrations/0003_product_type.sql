-- What Instagram itself calls a post (FEED, REELS, clips, igtv, ...): the numbers that its owner can ask for depend on it.
alter table instagram_post add column product_type text;
