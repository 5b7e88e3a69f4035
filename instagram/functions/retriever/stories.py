"""Stories of an account as the mobile API gives them: one tray per account, with its stories."""

from __future__ import annotations

from dataclasses import replace

from core.crawler.errors import NotFoundHere
from core.crawler.provider import Asked, Payload
from core.enums import PostType
from core.models.logs import PostLog
from instagram.functions.retriever import v1
from instagram.functions.retriever.checks import check_said, container, entries, same_handle
from instagram.functions.retriever.reader import Reader, said
from instagram.models import keys as k
from instagram.models.pages import Highlight, HighlightsPage, PostsPage

_CONTENT_TYPES = {1: "image", 2: "video"}


def page(body: Reader, payload: Payload) -> PostsPage:
    """``reels.<profile id>`` -> its stories; no tray of the account means that it has none now.

    Raises:
        NotFoundHere: there are no trays at all, or only those of others.
    """
    trays = _trays(container(body, ""), payload.asked)
    return PostsPage([story(item, tray, payload) for tray in trays for item in tray.array("items") or ()])


def highlights(payload: Payload) -> HighlightsPage:
    """``tray`` -> the highlights of an account. Mandatory: ``id``.

    Raises:
        NotFoundHere: there is no tray, or it is that of another account.
    """
    listed = entries(container(Reader(payload.data), ""), "tray")
    for one in listed:
        check_said(one.id("user.pk"), payload.asked.profile_id, "profile")
    return HighlightsPage([Highlight(one.need_word("id"), one.word("title")) for one in listed])


def highlight(payload: Payload) -> PostsPage:
    """``reels.<highlight id>`` -> its stories.

    Raises:
        NotFoundHere: the highlight is not there, or it is that of another account.
    """
    reels = container(container(Reader(payload.data), ""), "reels")
    asked = payload.asked
    mine = {name: tray for name, tray in reels.value.items() if asked.highlight_id in (None, name)}
    trays = [container(Reader(tray, reels.where(name)), "") for name, tray in mine.items()]
    if reels.value and not trays:
        raise NotFoundHere("the stories are those of another highlight")
    for tray in trays:
        check_said(tray.id("user.pk"), asked.profile_id, "profile")
    return PostsPage([story(item, tray, payload) for tray in trays for item in tray.array("items") or ()])


def _trays(body: Reader, asked: Asked) -> list[Reader]:
    reels, listed = body.object("reels"), body.array("reels_media")
    if reels is None and listed is None:
        raise NotFoundHere("the answer has no reels")
    trays = reels.by_id() if reels is not None else {tray.id("id") or "": tray for tray in listed or ()}
    mine = [tray for name, tray in trays.items() if _is_asked(name, tray, asked)]
    if trays and not mine:
        raise NotFoundHere("the stories are those of another profile")
    return mine


def _is_asked(name: str, tray: Reader, asked: Asked) -> bool:
    user = tray.object("user")
    said_id, handle = (user.id("pk"), user.word("username")) if user else (None, None)
    if asked.profile_id is not None:
        return name == asked.profile_id and said_id in (None, asked.profile_id)
    return asked.handle is None or handle is None or same_handle(handle, asked.handle)


def story(item: Reader, tray: Reader, payload: Payload) -> PostLog:
    """A story -> PostLog. Items name their account by id alone: the handle is that of the tray."""
    log = v1.media(item, payload)
    tray_id, tray_handle = tray.id("user.pk"), tray.word("user.username")
    owner = log.profile_id or tray_id
    kind = item.count("media_type")
    extra = {
        k.PROFILE_ID: owner,
        k.HANDLE: log.dimensions.get(k.HANDLE) or (tray_handle if owner == tray_id else None),
        k.POST_TYPE: PostType.STORY,
        k.CONTENT_TYPE: None if kind is None else _CONTENT_TYPES.get(kind),
        k.SHORT_CODE: log.shortcode,
        k.STORY_LINKS: _links(item),
        k.STORY_HASHTAGS: _hashtags(item),
        k.USER_TAGS: _mentions(item),
    }
    return replace(log, profile_id=owner, dimensions={**log.dimensions, **said(extra)})


def _links(item: Reader) -> list[str] | None:
    stickers, swipes = item.array("story_link_stickers"), item.array("story_cta")
    if stickers is None and swipes is None:
        return None
    found = [sticker.word("story_link.url") or sticker.word("story_link.display_url") for sticker in stickers or ()]
    found += [link.word("webUri") for swipe in swipes or () for link in swipe.array("links") or ()]
    return [link for link in found if link]


def _hashtags(item: Reader) -> list[str] | None:
    stickers = item.array("story_hashtags")
    return None if stickers is None else [name for sticker in stickers if (name := sticker.word("hashtag.name"))]


def _mentions(item: Reader) -> list[dict[str, str | None]] | None:
    mentions = item.array("reel_mentions")
    return None if mentions is None else [v1.short_person(user) for one in mentions if (user := one.object("user"))]
