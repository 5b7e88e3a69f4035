"""Keys of stored media."""

from __future__ import annotations

import re
from urllib.parse import quote

from core.client.errors import MediaRefused

_PLAIN = re.compile(r"[A-Za-z0-9._-]+")
_LONGEST = 1019
"""Bytes of a key as S3 has it, 1024, without the longest extension."""


def asset_stem(entity_type: str, platform: str, entity_id: str) -> str:
    """``assets/<entity_type>s/<platform>/<entity_id>``, type and platform in lower case: a key but for its extension.

    Characters of the id other than letters, digits and ``._-`` are percent-encoded in the key itself, so that no id
    can name another one's object; in a URL such a key is encoded once more.

    Raises:
        MediaRefused: BAD_ENTITY: a part is empty, ``.`` or ``..``, or the key is too long.
    """
    stem = f"assets/{_segment(entity_type.lower())}s/{_segment(platform.lower())}/{_segment(entity_id)}"
    if len(stem) > _LONGEST:
        raise MediaRefused("BAD_ENTITY", "the id makes a key that is longer than the store allows")
    return stem


def _segment(text: str) -> str:
    if text in ("", ".", ".."):
        raise MediaRefused("BAD_ENTITY", f"{text!r} cannot be part of a key")
    if _PLAIN.fullmatch(text):
        return text
    return quote(text, safe="", errors="replace").replace("~", "%7E")
