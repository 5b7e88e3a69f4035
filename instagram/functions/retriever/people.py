"""Lists of people (followers, followed accounts, likers) in the mobile and the web dialect.

A container that is null or missing is for the source's own parser to refuse; an empty list is an answer.
"""

from __future__ import annotations

from instagram.functions.retriever.checks import entries
from instagram.functions.retriever.reader import Reader
from instagram.models.pages import PeoplePage, Person


def person(user: Reader, id_path: str = "pk") -> Person:
    """A short user object -> Person. Mandatory: the id, ``pk`` in the mobile dialect and ``id`` in that of the web.

    The mobile one says it as ``pk_id`` too.
    """
    return Person(
        profile_id=user.first_id((id_path, "pk_id")) or user.need_id(id_path),
        handle=user.word("username"),
        full_name=user.text("full_name"),
        is_private=user.flag("is_private"),
        is_verified=user.flag("is_verified"),
        profile_pic_url=user.word("profile_pic_url"),
    )


def v1_page(body: Reader) -> PeoplePage:
    """``{users[], next_max_id, big_list}`` -> one page; likers have neither cursor nor flag."""
    people = [person(user) for user in entries(body, "users")]
    more = body.flag("more_available")
    return people_page(people, body.cursor("next_max_id"), more=body.flag("big_list") if more is None else more)


def web_page(connection: Reader) -> PeoplePage:
    """``{page_info, edges[].node}`` -> one page."""
    people = [person(edge.need_object("node"), "id") for edge in entries(connection, "edges")]
    more = connection.flag("page_info.has_next_page")
    return people_page(people, connection.cursor("page_info.end_cursor"), more=more)


def people_page(people: list[Person], cursor: str | None, *, more: bool | None = True) -> PeoplePage:
    """A page whose source gave ``cursor`` and a flag: both are needed, and a flag that was not given counts as true."""
    has_next = cursor is not None and more is not False
    return PeoplePage(people, has_next, cursor if has_next else None)
