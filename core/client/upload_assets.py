"""What the asset flows need of this package."""

from core.client.errors import (
    MediaError,
    MediaRefused,
    MediaUnavailable,
    StoreRefused,
    StoreUnavailable,
    UrlExpired,
)
from core.client.media import MediaClient, MediaRequest, Uploaded
from core.client.places import same_file

__all__ = [
    "MediaClient",
    "MediaError",
    "MediaRefused",
    "MediaRequest",
    "MediaUnavailable",
    "StoreRefused",
    "StoreUnavailable",
    "Uploaded",
    "UrlExpired",
    "same_file",
]
