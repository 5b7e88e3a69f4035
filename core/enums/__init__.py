"""Words that are stored, published or matched by other services: spelled once."""

from enum import StrEnum


class Platform(StrEnum):
    """Platforms as stored and published (routes spell them in any case)."""

    INSTAGRAM = "INSTAGRAM"
    YOUTUBE = "YOUTUBE"
    SHOPIFY = "SHOPIFY"


class TaskStatus(StrEnum):
    """States of a row of scrape_request_log."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"


class PostType(StrEnum):
    """Kinds of an Instagram post."""

    IMAGE = "image"
    CAROUSEL = "carousel"
    REELS = "reels"
    STORY = "story"


class RelationshipType(StrEnum):
    """What one profile is to another."""

    FOLLOWS = "FOLLOWS"
    SIMILAR = "SIMILAR"


class ActivityType(StrEnum):
    """What somebody did to a post."""

    LIKE = "LIKE"
    COMMENT = "COMMENT"


class ProfileType(StrEnum):
    """Kinds of an Instagram account."""

    PERSONAL = "personal"
    BUSINESS = "business"
    CREATOR = "creator"
