"""The bucket of the settings."""

from __future__ import annotations

from config import Settings
from utils.object_store import StoreAccess


def store_access(settings: Settings) -> StoreAccess | None:
    """Where the bucket of the settings is; None when they name none."""
    store = settings.store
    if store.aws_bucket is None:
        return None
    secret = store.aws_secret_access_key
    return StoreAccess(
        bucket=store.aws_bucket,
        endpoint_url=store.s3_endpoint_url,
        access_key=store.aws_access_key,
        secret_key=None if secret is None else secret.get_secret_value(),
        region=store.aws_region,
    )
