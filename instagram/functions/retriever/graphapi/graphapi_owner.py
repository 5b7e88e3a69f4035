"""Whether an answer about a token's own account is about the account that was asked for.

Graph names accounts by ids of its own (17841...), the rest of the world by the Instagram id. Old accounts have one that
is the sum of the other and a constant; of others only the caller knows which belong together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from core.crawler.errors import NotFoundHere
from core.crawler.provider import Asked
from core.models.logs import PostLog, ProfileLog
from instagram.functions.retriever.checks import check_profile, same_handle
from instagram.functions.retriever.reader import Reader
from instagram.models.keys import FBID, HANDLE

_CONSTANT = 17_841_400_000_000_000
_LONGEST_ID = 20


def is_account(graph_id: str, profile_id: str) -> bool:
    """Whether ``profile_id``, of either kind, is the account that Graph calls ``graph_id``."""
    if graph_id == profile_id:
        return True
    known = all(one.isascii() and one.isdigit() and len(one) <= _LONGEST_ID for one in (graph_id, profile_id))
    return known and int(graph_id) == _CONSTANT + int(profile_id)


def check_own_profile(log: ProfileLog, asked: Asked) -> ProfileLog:
    """The log, when it is about the account asked for by id of either kind, or by handle.

    Raises:
        NotFoundHere: it is about another.
    """
    if asked.profile_id is not None and asked.profile_id == log.dimensions.get(FBID):
        asked = replace(asked, profile_id=log.profile_id)
    return check_profile(log, asked)


def check_own_media(items: Sequence[Reader], posts: Sequence[PostLog], asked: Asked) -> None:
    """Refuse a page on which no post is of the account asked for. The handle decides where the ids cannot.

    Raises:
        NotFoundHere: every post is somebody else's.
    """
    handles = [log.dimensions[HANDLE] for log in posts if HANDLE in log.dimensions]
    if asked.handle is not None and any(same_handle(handle, asked.handle) for handle in handles):
        return
    owners = [owner for item in items if (owner := item.id("owner.id")) is not None]
    if asked.profile_id is not None and owners:
        if not any(is_account(owner, asked.profile_id) for owner in owners):
            raise NotFoundHere("the posts are those of another profile")
    elif asked.handle is not None and handles:
        raise NotFoundHere("the posts are those of another handle")


def check_insights_of(items: Iterable[Reader], wanted: str | None) -> None:
    """Refuse numbers about another object: an item's ``id`` is ``<object>/insights/<name>/<period>``.

    Raises:
        NotFoundHere: every item that names its object names another.
    """
    names = [name for item in items if isinstance(name := item.value.get("id"), str)]
    objects = [head for name in names for head, slash, _ in [name.partition("/insights/")] if slash]
    if wanted is not None and objects and not any(is_account(one, wanted) for one in objects):
        raise NotFoundHere("the numbers are about something else")
