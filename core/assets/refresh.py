"""Whose data a dead media URL came from, and the task that fetches it anew."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from core.enums import Platform
from core.models.params import AssetParams

EXPIRES_IN = timedelta(hours=24)


def owner_refresh(platform: str, params: AssetParams) -> tuple[str, dict[str, Any]] | None:
    """Flow and params that bring fresh URLs of the owner; None on platforms whose media has no owner."""
    entity = params.entity_id
    match platform, params.entity_type:
        case Platform.INSTAGRAM, "PROFILE":
            return "refresh_profile_by_profile_id", {"profile_id": entity}
        case Platform.INSTAGRAM, _:
            return "refresh_post_by_shortcode", {"shortcode": entity}
        case Platform.YOUTUBE, "PROFILE":
            return "refresh_yt_profiles", {"channel_ids": [entity]}
        case Platform.YOUTUBE, _:
            return "refresh_yt_posts", {"post_ids": [entity]}
    return None


def story_refresh(profile_id: str, handle: str) -> tuple[str, dict[str, Any]]:
    """Stories have no page of their own: those of their profile are fetched."""
    return "refresh_story_posts_by_profile_id", {"profile_id": profile_id, "handle": handle}


def refresh_key(flow: str, entity_id: str, day: date) -> str:
    """One refresh of a flow per entity and UTC day, however many of its URLs are dead; of stories it is the profile."""
    return f"asset-refresh:{flow}:{entity_id}:{day.isoformat()}"
