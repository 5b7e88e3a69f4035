"""Profiles and posts of sources whose calls answer in either dialect, and in one of several envelopes."""

from __future__ import annotations

from core.crawler.errors import NotFoundHere
from core.crawler.provider import Payload
from core.models.logs import PostLog
from instagram.functions.retriever import v1, web
from instagram.functions.retriever.checks import check_post, container
from instagram.functions.retriever.reader import Reader
from instagram.models.pages import ProfilePage

_WEB_USER = ("edge_followed_by", "edge_follow", "edge_owner_to_timeline_media")
_WEB_MEDIA = ("__typename", "shortcode", "edge_media_to_caption", "taken_at_timestamp")


def profile(payload: Payload, *paths: str) -> ProfilePage:
    """The user object at the first of ``paths`` that holds one."""
    user = _first(payload, paths)
    if user.raw("pk") is None and any(key in user.value for key in _WEB_USER):
        return web.profile(user, payload)
    return ProfilePage(v1.profile(user, payload))


def post(payload: Payload, *paths: str) -> PostLog:
    """The single media object at the first of ``paths`` that holds one."""
    item = _first(payload, paths)
    is_web = item.raw("pk") is None and any(key in item.value for key in _WEB_MEDIA)
    return check_post((web.media if is_web else v1.media)(item, payload), payload.asked)


def _first(payload: Payload, paths: tuple[str, ...]) -> Reader:
    """The object at the first path that holds one; the last path decides how a lack of it is named.

    Raises:
        NotFoundHere: there is none anywhere, or it is empty.
    """
    body = container(Reader(payload.data), "")
    for path in paths[:-1]:
        found = body.object(path) if path.partition(".")[0] in body.value else None if path else body
        if found is not None and _is_filled(found := v1.bare(found)):
            return found
    found = v1.bare(container(body, paths[-1]))
    if not _is_filled(found):
        raise NotFoundHere(f"the answer has nothing at {found.where('')}")
    return found


def _is_filled(found: Reader) -> bool:
    return any(found.raw(key) is not None for key in ("pk", "id", "username", "code", "shortcode"))
