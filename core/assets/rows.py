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
    """A copy made earlier; ``asset_url`` is empty when its object is gone. ``hash`` is the producer's number for the
    URL it was made from, None when that is not known. ``version`` changes whenever the row is written."""

    asset_url: str
    original_url: str | None
    hash: int | None
    etag: str | None
    last_modified: str | None
    sha256: str | None
    version: str


@dataclass(frozen=True, slots=True)
class NewAsset:
    """A copy to record; ``content_type`` and ``size_bytes`` None leave what is stored, which has not changed.

    ``sha256`` is that of the bytes, also when they came earlier. ``seen`` is the version of the row that was looked up,
    empty when there was none; None records over whatever is there.
    """

    key: AssetKey
    asset_url: str
    original_url: str
    hash: int
    etag: str | None
    last_modified: str | None
    content_type: str | None
    size_bytes: int | None
    sha256: str | None
    seen: str | None


class Recorded(NamedTuple):
    """What became of a copy to record. ``before`` is the name that the row had, if that is another one; ``crossed``: it
    was not recorded, because another one has been since the look-up."""

    before: str | None = None
    crossed: bool = False
