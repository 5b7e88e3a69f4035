"""Media, stories and comments in lama's own dialect: flat, times as ISO 8601 text, 0 for numbers nobody gave."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from core.crawler.provider import Payload
from core.enums import Platform, PostType
from core.models.logs import PostLog
from instagram.functions.retriever import v1, web
from instagram.functions.retriever.reader import Reader, said
from instagram.models import keys as k
from instagram.models.pages import Comment

_IMAGE, _VIDEO, _CAROUSEL = 1, 2, 8
_POST_TYPES = {_IMAGE: PostType.IMAGE, _VIDEO: PostType.REELS, _CAROUSEL: PostType.CAROUSEL}
_CONTENT_TYPES = {_IMAGE: "image", _VIDEO: "video"}
_IDS = ("pk", "pk_id", "id")


def any_media(item: Reader, payload: Payload) -> PostLog:
    """A media object in whichever dialect the call passed through: its own, the web site's or the mobile API's."""
    if _is_web(item):
        return web.media(item, payload)
    mobile = "caption_text" not in item.value and ("image_versions2" in item.value or "caption" in item.value)
    return v1.media(item, payload) if mobile else media(item, payload)


def _is_web(item: Reader) -> bool:
    return "__typename" in item.value or ("shortcode" in item.value and "pk" not in item.value)


def media(item: Reader, payload: Payload) -> PostLog:
    """A media object -> PostLog. Mandatory: ``pk`` or ``id``. Nested media are other entities: not read."""
    kind = item.count("media_type")
    owner = item.first_id(f"user.{name}" for name in _IDS)
    product_type = item.word("product_type")
    return PostLog(
        platform=Platform.INSTAGRAM,
        shortcode=item.word("code"),
        profile_id=owner,
        source=payload.source,
        timestamp=payload.fetched_at,
        dimensions=said(
            {
                k.MEDIA_PK: _pk(item),
                k.PROFILE_ID: owner,
                k.HANDLE: item.word("user.username"),
                k.POST_TYPE: PostType.STORY if product_type == "story" else _post_type(kind),
                k.PRODUCT_TYPE: product_type,
                k.TAKEN_AT: moment(item, "taken_at_ts") or moment(item, "taken_at"),
                k.CAPTION: item.word("caption_text"),
                k.DISPLAY_URL: _picture(item),
                k.THUMBNAIL: _picture(item),
                k.VIDEO_DURATION: item.number("video_duration") or None,
                k.IS_PAID_PARTNERSHIP: item.flag("is_paid_partnership"),
                k.LOCATION: item.word("location.name"),
                k.LOCATION_CITY: item.word("location.city"),
                k.LOCATION_LAT: item.number("location.lat"),
                k.LOCATION_LONG: item.number("location.lng"),
                **_people(item),
            }
        ),
        metrics=_metrics(item, is_video=kind == _VIDEO),
    )


def story(item: Reader, payload: Payload) -> PostLog:
    """A story -> PostLog: as media, with its stickers. Mandatory: ``pk``. It has no caption and no counts."""
    log = media(item, payload)
    kind = item.count("media_type")
    log.dimensions |= said(
        {
            k.POST_TYPE: PostType.STORY,
            k.SHORT_CODE: log.shortcode,
            k.CONTENT_TYPE: None if kind is None else _CONTENT_TYPES.get(kind),
            k.USER_TAGS: _tagged(item, "mentions"),
            k.STORY_LINKS: _words(item, "links", "webUri"),
            k.STORY_HASHTAGS: _words(item, "hashtags", "hashtag.name"),
        }
    )
    return log


def comment(item: Reader) -> Comment:
    """A comment -> Comment. Mandatory: ``pk``."""
    likes = item.count("like_count")
    return Comment(
        comment_id=item.first_id(("pk", "id")) or item.need_id("pk"),
        text=item.text("text"),
        profile_id=item.first_id(f"user.{name}" for name in _IDS) or item.id("user_id"),
        handle=item.word("user.username"),
        likes=item.count("comment_like_count") if likes is None else likes,
        publish_time=moment(item, "created_at_utc") or moment(item, "created_at"),
        replies=item.count("child_comment_count"),
        profile_pic_url=item.word("user.profile_pic_url"),
        is_verified=item.flag("user.is_verified"),
    )


def moment(item: Reader, path: str) -> int | None:
    """A time as ISO 8601 text (UTC unless it says otherwise) or as a number -> epoch seconds."""
    value = item.raw(path)
    if not isinstance(value, str) or value == "" or value.isdigit():
        return item.epoch(path)
    try:
        read = datetime.fromisoformat(value)
        seconds = int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise item.wrong(path, "a time", value) from None
    if seconds < 0:
        raise item.wrong(path, "a time since 1970", value)
    return seconds or None


def accounts(item: Reader, log: PostLog) -> frozenset[str]:
    """The owner and the coauthors of a post."""
    authors = item.array("coauthor_producers") or ()
    ids = {log.profile_id, *(author.first_id(_IDS) for author in authors)}
    return frozenset(account for account in ids if account is not None)


def _pk(item: Reader) -> str:
    """``pk``, else the number before the owner's in ``id``."""
    value = item.id("pk") or (item.id("id") or "").partition("_")[0]
    return value or item.need_id("pk")


def _post_type(kind: int | None) -> PostType | None:
    return None if kind is None else _POST_TYPES.get(kind)


def _picture(item: Reader) -> str | None:
    """A carousel has no picture of its own, so its first child's."""
    return item.word("thumbnail_url") or item.word("resources.0.thumbnail_url")


def _metrics(item: Reader, *, is_video: bool) -> dict[str, Any]:
    """0 plays or views were not provided; 0 likes or comments were counted, unless counts are switched off."""
    hidden = item.flag("like_and_view_counts_disabled")
    comments = item.count("comment_count")
    return said(
        {
            k.LIKES: None if hidden else item.count("like_count"),
            k.COMMENTS: None if hidden and not comments else comments,
            k.PLAY_COUNT: (item.count("play_count") or None) if is_video else None,
            k.VIEW_COUNT: (item.count("view_count") or None) if is_video else None,
            k.RESHARE_COUNT: item.count("reshare_count"),
        }
    )


def _people(item: Reader) -> dict[str, Any]:
    sponsors = item.array("sponsor_tags")
    return {
        k.USER_TAGS: _tagged(item, "usertags"),
        k.USER_SPONSORS: [v1.short_person(tag.object("sponsor") or tag) for tag in sponsors] if sponsors else None,
        k.IS_SPONSOR: None if sponsors is None else bool(sponsors),
    }


def _tagged(item: Reader, path: str) -> list[dict[str, str | None]] | None:
    tags = item.array(path)
    return None if tags is None else [v1.short_person(user) for tag in tags if (user := tag.object("user"))]


def _words(item: Reader, path: str, word: str) -> list[str] | None:
    """One text of each object of a list; None when there are none."""
    found = [text for entry in item.array(path) or () if (text := entry.word(word)) is not None]
    return found or None
