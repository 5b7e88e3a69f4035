"""Lists: the own account's media, stories and tags, posts of a hashtag, comments of own posts."""

from __future__ import annotations

from core.crawler.errors import NotFoundHere, Unsupported
from core.crawler.provider import Asked, Payload
from instagram.functions.retriever.checks import container, entries
from instagram.functions.retriever.graphapi.graphapi_base import GraphBase, checked_cursor, path_id
from instagram.functions.retriever.reader import Reader

PAGE = 50
MEDIA_FIELDS = (
    "id,username,caption,comments_count,like_count,media_type,media_product_type,media_url,permalink,thumbnail_url,"
    "timestamp"
)
OWN_MEDIA_FIELDS = f"{MEDIA_FIELDS},ig_id,shortcode,owner"
HASHTAG_FIELDS = "id,caption,comments_count,like_count,media_type,media_url,permalink,timestamp"
REPLY_FIELDS = "id,text,timestamp,username,like_count"
COMMENT_FIELDS = f"{REPLY_FIELDS},replies"
_LONGEST_TAG = 100


class GraphEdges(GraphBase):
    """Calls that answer with a list and its next page."""

    async def fetch_profile_posts_by_id(self, asked: Asked) -> Payload:
        """A page of the token's own media."""
        fields, after = OWN_MEDIA_FIELDS, checked_cursor(asked)
        return await self.own("fetch_profile_posts_by_id", asked, "media", fields=fields, limit=PAGE, after=after)

    async def fetch_stories_posts(self, asked: Asked) -> Payload:
        """The token's own stories of the last day."""
        fields, after = OWN_MEDIA_FIELDS, checked_cursor(asked)
        return await self.own("fetch_stories_posts", asked, "stories", fields=fields, after=after)

    async def fetch_tagged_posts(self, asked: Asked) -> Payload:
        """A page of posts of others in which the token's account is tagged."""
        fields, after = MEDIA_FIELDS, checked_cursor(asked)
        return await self.own("fetch_tagged_posts", asked, "tags", fields=fields, limit=PAGE, after=after)

    async def fetch_hashtag_posts(self, asked: Asked) -> Payload:
        """A page of a hashtag's posts of the last day, newest first."""
        return await self._hashtag("fetch_hashtag_posts", asked, "recent_media")

    async def fetch_hashtag_top_posts(self, asked: Asked) -> Payload:
        """A page of a hashtag's most popular posts."""
        return await self._hashtag("fetch_hashtag_top_posts", asked, "top_media")

    async def _hashtag(self, function: str, asked: Asked, edge: str) -> Payload:
        """Two calls: the id of the hashtag, then its posts. An account may ask for 30 hashtags in 7 days."""
        after, tag, user_id = checked_cursor(asked), _tag(asked), self.key("user_id")
        found = await self.node(function, asked, "ig_hashtag_search", user_id=user_id, q=tag)
        path = f"{_first_id(found)}/{edge}"
        return await self.node(function, asked, path, user_id=user_id, fields=HASHTAG_FIELDS, limit=PAGE, after=after)

    async def fetch_post_comments(self, asked: Asked) -> Payload:
        """A page of comments of a post of the token's account, by its Graph media id."""
        path, after = f"{path_id(asked.post_id, 'post')}/comments", checked_cursor(asked)
        return await self.node("fetch_post_comments", asked, path, fields=COMMENT_FIELDS, limit=PAGE, after=after)

    async def fetch_post_comment_replies(self, asked: Asked) -> Payload:
        """A page of replies to a comment of a post of the token's account."""
        path, after = f"{path_id(asked.comment_id, 'comment')}/replies", checked_cursor(asked)
        return await self.node("fetch_post_comment_replies", asked, path, fields=REPLY_FIELDS, limit=PAGE, after=after)


def _tag(asked: Asked) -> str:
    tag = (asked.hashtag or "").strip().removeprefix("#")
    if not tag or len(tag) > _LONGEST_TAG or any(char.isspace() for char in tag):
        raise Unsupported("this is no hashtag")
    return tag


def _first_id(found: Payload) -> str:
    """The id of the one hashtag that a search gives.

    Raises:
        NotFoundHere: it gives none.
    """
    ids = entries(container(Reader(found.data), ""), "data")
    if not ids:
        raise NotFoundHere("the hashtag is not known")
    return path_id(ids[0].need_id("id"), "hashtag")
