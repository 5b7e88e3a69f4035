"""Keys of stored media."""

from __future__ import annotations

import re
from urllib.parse import quote

from core.client.errors import MediaRefused

_PLAIN = re.compile(r"[A-Za-z0-9._-]+")
_LONGEST = 1024
"""Bytes of a key, as S3 has it."""


def asset_key(entity_type: str, platform: str, entity_id: str, extension: str) -> str:
    """``assets/<entity_type>s/<platform>/<entity_id>.<extension>``, type and platform in lower case.

    Characters of the id other than letters, digits and ``._-`` are percent-encoded in the key itself, so that no id
    can name another one's object; in a URL such a key is encoded once more.

    Raises:
        MediaRefused: BAD_ENTITY: a part is empty, ``.`` or ``..``, or the key is too long.
    """
    key = f"assets/{_segment(entity_type.lower())}s/{_segment(platform.lower())}/{_segment(entity_id)}.{extension}"
    if len(key) > _LONGEST:
        raise MediaRefused("BAD_ENTITY", f"the id makes a key of more than {_LONGEST} bytes")
    return key


def _segment(text: str) -> str:
    if text in ("", ".", ".."):
        raise MediaRefused("BAD_ENTITY", f"{text!r} cannot be part of a key")
    if _PLAIN.fullmatch(text):
        return text
    return quote(text, safe="", errors="replace").replace("~", "%7E")
