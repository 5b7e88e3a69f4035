"""Top-level comments in the mobile and the web dialect; replies are counted, not read."""

from __future__ import annotations

from instagram.functions.retriever.checks import entries
from instagram.functions.retriever.reader import Reader
from instagram.models.pages import Comment, CommentsPage


def v1_comment(item: Reader) -> Comment:
    """A comment object of the mobile API -> Comment. Mandatory: ``pk``."""
    return Comment(
        comment_id=item.need_id("pk"),
        text=item.text("text"),
        profile_id=item.first_id(("user.pk", "user_id")),
        handle=item.word("user.username"),
        likes=item.count("comment_like_count"),
        publish_time=item.epoch("created_at_utc") or item.epoch("created_at"),
        replies=item.count("child_comment_count"),
        profile_pic_url=item.word("user.profile_pic_url"),
        is_verified=item.flag("user.is_verified"),
    )


def web_comment(node: Reader) -> Comment:
    """A comment node of the web site -> Comment. Mandatory: ``id``."""
    return Comment(
        comment_id=node.need_id("id"),
        text=node.text("text"),
        profile_id=node.id("owner.id"),
        handle=node.word("owner.username"),
        likes=node.count("edge_liked_by.count"),
        publish_time=node.epoch("created_at"),
        replies=node.count("edge_threaded_comments.count"),
        profile_pic_url=node.word("owner.profile_pic_url"),
        is_verified=node.flag("owner.is_verified"),
    )


def v1_page(body: Reader) -> CommentsPage:
    """``{comments[], next_min_id}`` -> one page. The cursor decides alone, not ``has_more_comments``."""
    found = [v1_comment(item) for item in entries(body, "comments")]
    return comments_page(found, body.cursor("next_min_id"))


def web_page(connection: Reader) -> CommentsPage:
    """``{page_info, edges[].node}`` -> one page; the cursor may be JSON text and is passed on as it is."""
    found = [web_comment(edge.need_object("node")) for edge in entries(connection, "edges")]
    more = connection.flag("page_info.has_next_page")
    return comments_page(found, connection.cursor("page_info.end_cursor"), more=more)


def comments_page(found: list[Comment], cursor: str | None, *, more: bool | None = True) -> CommentsPage:
    """A page whose source gave ``cursor`` and a flag: both are needed, and a flag that was not given counts as true."""
    has_next = cursor is not None and more is not False
    return CommentsPage(found, has_next, cursor if has_next else None)
