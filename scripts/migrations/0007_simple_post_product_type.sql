-- The view that neighbours read shows the product type, too.

create or replace view instagram_post_simple as
select id, profile_id, handle, post_id, media_pk, post_type, caption, likes, views, plays, comments, reach, saved, shares,
       impressions, interactions, engagement, shortcode, display_url, thumbnail_url, updated_at, created_at, publish_time,
       content_type, taps_forward, taps_back, exits, replies, navigation, profile_activity, profile_visits, follows, video_views,
       automatic_forward, swipe_back, swipe_down, swipe_forward, swipe_up, profile_follower, profile_er, profile_static_er,
       profile_reels_er, product_type
from instagram_post;
