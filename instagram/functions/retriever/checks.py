"""Whether an answer is about what was asked for: one about somebody else is none, and another source may know."""

from __future__ import annotations

from collections.abc import Sequence

from core.crawler.errors import Malformed, NotFoundHere
from core.crawler.provider import Asked
from core.models.logs import PostLog, ProfileLog
from instagram.functions.retriever.reader import Reader
from instagram.models.keys import HANDLE


def container(body: Reader, path: str) -> Reader:
    """The object that holds the data.

    Raises:
        NotFoundHere: it is null or missing, which is how sources say "no such thing" with status 200.
    """
    value = body.value if not path or body.value is None else body.raw(path)
    if value is None:
        raise NotFoundHere(f"the answer has no {path or 'content'}")
    if not isinstance(value, dict):
        raise body.wrong(path, "an object", value)
    return Reader(value, body.where(path) if path else body.at)


def entries(body: Reader, path: str) -> list[Reader]:
    """The objects of the list that holds the data; an empty list is an answer, a missing one is not."""
    found = container(body, "").array(path)
    if found is None:
        raise NotFoundHere(f"the answer has no {body.where(path)}")
    return found


def same_handle(one: str | None, other: str | None) -> bool:
    """Handles compare case-insensitively."""
    return one is not None and other is not None and one.casefold() == other.casefold()


def check_profile(log: ProfileLog, asked: Asked) -> ProfileLog:
    """The log, when it is about the account asked for: by id when an id was asked, else by handle."""
    if asked.profile_id is not None:
        if log.profile_id != asked.profile_id:
            raise NotFoundHere("the answer is about another profile")
    elif asked.handle is not None and not same_handle(log.dimensions.get(HANDLE), asked.handle):
        raise NotFoundHere("the answer is about another handle")
    return log


def check_post(log: PostLog, asked: Asked) -> PostLog:
    """The log, when it is the post asked for.

    Raises:
        Malformed: the answer does not say which post it is.
        NotFoundHere: it is another one.
    """
    if asked.shortcode is not None and log.shortcode != asked.shortcode:
        if log.shortcode is None:
            raise Malformed("the answer does not say which post it is", path="shortcode")
        raise NotFoundHere("the answer is about another post")
    return log


def check_said(said: str | None, asked: str | None, what: str) -> None:
    """Refuse an answer whose container names another one than asked for; most containers name none.

    Raises:
        NotFoundHere: it does.
    """
    if said is not None and asked is not None and said != asked:
        raise NotFoundHere(f"the answer is about another {what}")


def check_owner(posts: Sequence[PostLog], owners: Sequence[frozenset[str]], asked: Asked) -> None:
    """Refuse a page on which no post belongs to the account asked for, as owner or as coauthor.

    ``owners`` holds the ids of the accounts of each post. Single posts of others are collaborations and stay.

    Raises:
        NotFoundHere: every post is somebody else's.
    """
    known = [ids for ids in owners if ids]
    if asked.profile_id is not None and known:
        if not any(asked.profile_id in ids for ids in known):
            raise NotFoundHere("the posts are those of another profile")
        return
    handles = [log.dimensions[HANDLE] for log in posts if HANDLE in log.dimensions]
    by_handle = asked.profile_id is None and asked.handle is not None and bool(handles)
    if by_handle and not any(same_handle(handle, asked.handle) for handle in handles):
        raise NotFoundHere("the posts are those of another handle")


def check_named(posts: Sequence[PostLog], path: str) -> None:
    """Refuse a page on which no post says which one it is (one alone may).

    Raises:
        Malformed: ``path`` is where they should.
    """
    if len(posts) > 1 and not any(log.shortcode for log in posts):
        raise Malformed(f"{path}: no post says which one it is", path=path)
