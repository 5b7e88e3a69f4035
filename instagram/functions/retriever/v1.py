"""The dialect of Instagram's mobile API (``pk``, ``media_type``, ``like_count``), which many sources pass through."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core.crawler.provider import Payload
from core.enums import Platform, PostType, ProfileType
from core.models.logs import PostLog, ProfileLog
from instagram.functions.retriever.checks import check_named, check_owner, check_profile, entries
from instagram.functions.retriever.reader import Reader, said
from instagram.models import keys as k
from instagram.models.pages import PostsPage, posts_page

_PROFILE_TYPES = {1: ProfileType.PERSONAL, 2: ProfileType.BUSINESS, 3: ProfileType.CREATOR}
_USER_IDS = ("pk", "pk_id", "id")
"""Names of one number: where an account is only mentioned, one of them is enough."""
_VIDEO, _CAROUSEL = 2, 8
_POST_TYPES = {1: PostType.IMAGE, _VIDEO: PostType.REELS, _CAROUSEL: PostType.CAROUSEL}


def profile(user: Reader, payload: Payload) -> ProfileLog:
    """A user object -> ProfileLog. Mandatory: ``pk``, ``username``."""
    account_type = user.count("account_type")
    latitude, longitude = user.number("latitude"), user.number("longitude")
    nowhere = not latitude and not longitude
    log = ProfileLog(
        platform=Platform.INSTAGRAM,
        profile_id=user.need_id("pk"),
        source=payload.source,
        timestamp=payload.fetched_at,
        dimensions=said(
            {
                k.PROFILE_ID: user.need_id("pk"),
                k.HANDLE: user.need_word("username"),
                k.FULL_NAME: user.text("full_name"),
                k.BIO: user.text("biography"),
                k.PROFILE_PIC_URL: user.word("profile_pic_url"),
                k.PROFILE_TYPE: None if account_type is None else _PROFILE_TYPES.get(account_type),
                k.FBID: user.id("fbid_v2"),
                k.CATEGORY: user.word("category"),
                k.CATEGORY_ID: user.id("category_id"),
                k.EXTERNAL_URL: user.word("external_url"),
                k.CITY: user.word("city_name"),
                k.LOCATION_LAT: None if nowhere else latitude,
                k.LOCATION_LONG: None if nowhere else longitude,
                k.PUBLIC_EMAIL: user.word("public_email"),
                k.CONTACT_PHONE: user.word("contact_phone_number"),
                k.IS_PRIVATE: user.flag("is_private"),
                k.IS_VERIFIED: user.flag("is_verified"),
                k.IS_BUSINESS: user.flag("is_business"),
                k.IS_BUSINESS_OR_CREATOR: _is_professional(user.flag("is_business"), account_type),
            }
        ),
        metrics=said(
            {
                k.FOLLOWERS: user.count("follower_count"),
                k.FOLLOWING: user.count("following_count"),
                k.MEDIA_COUNT: user.count("media_count"),
            }
        ),
    )
    return check_profile(log, payload.asked)


def _is_professional(is_business: bool | None, account_type: int | None) -> bool | None:
    if is_business is None and account_type is None:
        return None
    return bool(is_business) or account_type in (2, 3)


def media(item: Reader, payload: Payload) -> PostLog:
    """A media object -> PostLog. Mandatory: ``pk``. Nested media, users and audio are other entities: not read.

    The account stands under ``user``, in single posts of some sources under ``owner``.
    """
    kind = item.count("media_type")
    picture = _picture(item)
    account = item.object("user") or item.object("owner") or Reader(None)
    owner = account.first_id(_USER_IDS)
    return PostLog(
        platform=Platform.INSTAGRAM,
        shortcode=item.word("code"),
        profile_id=owner,
        source=payload.source,
        timestamp=payload.fetched_at,
        dimensions=said(
            {
                k.MEDIA_PK: item.need_id("pk"),
                k.PROFILE_ID: owner,
                k.HANDLE: account.word("username"),
                k.POST_TYPE: _post_type(item, kind),
                k.PRODUCT_TYPE: item.word("product_type"),
                k.TAKEN_AT: item.epoch("taken_at"),
                k.CAPTION: item.word("caption.text"),
                k.DISPLAY_URL: picture,
                k.THUMBNAIL: picture,
                k.VIDEO_DURATION: item.number("video_duration"),
                k.IS_PAID_PARTNERSHIP: item.flag("is_paid_partnership"),
                **_place(item),
                **_people(item),
            }
        ),
        metrics=said(
            {
                k.LIKES: None if item.flag("like_and_view_counts_disabled") else item.count("like_count"),
                k.COMMENTS: item.count("comment_count"),
                k.PLAY_COUNT: item.count("play_count") if kind == _VIDEO else None,
                k.VIEW_COUNT: item.count("view_count") if kind == _VIDEO else None,
                k.RESHARE_COUNT: item.count("reshare_count"),
            }
        ),
    )


def _post_type(item: Reader, kind: int | None) -> PostType | None:
    if item.word("product_type") == "story" or item.flag("is_reel_media"):
        return PostType.STORY
    return None if kind is None else _POST_TYPES.get(kind)


def _picture(item: Reader) -> str | None:
    """The largest picture; a carousel has none of its own, so its first child's."""
    largest = "image_versions2.candidates.0.url"
    return item.word(largest) or item.word(f"carousel_media.0.{largest}")


def _place(item: Reader) -> dict[str, Any]:
    if item.raw("location") is None:
        return {}
    return {
        k.LOCATION: item.word("location.name"),
        k.LOCATION_CITY: item.word("location.city"),
        k.LOCATION_LAT: item.number("location.lat"),
        k.LOCATION_LONG: item.number("location.lng"),
    }


def _people(item: Reader) -> dict[str, Any]:
    tagged = item.array("usertags.in")
    sponsors = item.array("sponsor_tags")
    return {
        k.USER_TAGS: None if tagged is None else [short_person(user) for tag in tagged if (user := tag.object("user"))],
        k.USER_SPONSORS: [short_person(tag.object("sponsor") or tag) for tag in sponsors] if sponsors else None,
        k.IS_SPONSOR: None if sponsors is None else bool(sponsors),
    }


def short_person(user: Reader) -> dict[str, str | None]:
    """Somebody named in a post."""
    return {k.PROFILE_ID: user.first_id(_USER_IDS), k.HANDLE: user.word("username")}


def page(items: list[Reader], payload: Payload, cursor: str | None, more: bool | None) -> PostsPage:
    """Media objects -> one page of the account asked for."""
    items = [bare(item) for item in items]
    found = _feed(items, payload, cursor, more=more)
    owners = [_accounts(item, log) for item, log in zip(items, found.posts, strict=True)]
    check_owner(found.posts, owners, payload.asked)
    return found


def feed(items: list[Reader], payload: Payload, cursor: str | None, more: bool | None) -> PostsPage:
    """Media objects of anybody -> one page."""
    return _feed([bare(item) for item in items], payload, cursor, more=more)


def _feed(items: list[Reader], payload: Payload, cursor: str | None, *, more: bool | None) -> PostsPage:
    posts = [media(item, payload) for item in items]
    check_named(posts, "code")
    pinned = (log.dimensions[k.MEDIA_PK] for item, log in zip(items, posts, strict=True) if _is_pinned(item))
    return replace(posts_page(posts, cursor, more=more), pinned=frozenset(pinned))


def _is_pinned(item: Reader) -> bool:
    """Whether somebody keeps the post on top of the posts or of the reels."""
    return any(item.raw(f"{tab}_pinned_user_ids") for tab in ("timeline", "clips_tab"))


def bare(item: Reader) -> Reader:
    """The media object of a list item, which some feeds wrap."""
    if item.raw("pk") is not None or item.raw("id") is not None:
        return item
    return item.object("media") or item.object("media_or_ad") or item


def sections(body: Reader, payload: Payload) -> PostsPage:
    """A hashtag's ``sections[].layout_content`` -> one page; the source wants ``beside`` back with the cursor."""
    items = [media for section in entries(body, "sections") for media in _section(section)]
    found = feed(items, payload, body.cursor("next_max_id"), more=body.flag("more_available"))
    beside = {"next_page": body.count("next_page"), "next_media_ids": body.ids("next_media_ids")}
    return replace(found, beside=beside)


_LAYOUTS = ("one_by_two_item.clips.items", "fill_items", "medias")


def _section(section: Reader) -> list[Reader]:
    """The media of one block of a grid: one large reel and small ones, or small ones alone."""
    layout = section.object("layout_content") or Reader({})
    slots = [slot for path in _LAYOUTS for slot in layout.array(path) or ()]
    return [slot.need_object("media") for slot in slots]


def _accounts(item: Reader, log: PostLog) -> frozenset[str]:
    coauthors = {author.first_id(_USER_IDS) for author in item.array("coauthor_producers") or ()}
    return frozenset(account for account in {log.profile_id, *coauthors} if account is not None)
