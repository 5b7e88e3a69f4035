"""Addresses of copied media."""

from __future__ import annotations

from urllib.parse import quote


def cdn_url(host: str, key: str) -> str:
    """Where ``ASSET_CDN_HOST`` serves the object of this key. A ``%`` of the key is one of the object's name."""
    return f"https://{host}/{quote(key.lstrip('/'), safe='/')}"
