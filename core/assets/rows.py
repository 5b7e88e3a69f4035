"""Rows of table asset: what an uploader looks up and records, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class AssetKey(NamedTuple):
    """What an asset is of. ``platform`` in capitals, as its owner's row has it."""

    entity_id: str
    entity_type: str
    asset_type: str
    platform: str


@dataclass(frozen=True, slots=True)
class StoredAsset:
    """A copy made earlier. ``hash`` is the producer's number for the URL it was made from, None for an old row."""

    asset_url: str
    original_url: str | None
    hash: int | None
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True, slots=True)
class NewAsset:
    """A copy to record; ``content_type`` and ``size_bytes`` None leave what is stored, which has not changed."""

    key: AssetKey
    asset_url: str
    original_url: str
    hash: int
    etag: str | None
    last_modified: str | None
    content_type: str | None
    size_bytes: int | None
