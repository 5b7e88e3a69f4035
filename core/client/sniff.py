"""What a file is, by its first bytes. Neither its URL nor its headers are asked."""

from __future__ import annotations

from dataclasses import dataclass

ENOUGH = 64
"""So many first bytes decide, if there are as many."""

EXPIRED_TEXT = b"URL signature expired"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of media: what it is stored as."""

    extension: str
    content_type: str
    asset_type: str


JPEG = Kind("jpg", "image/jpeg", "IMAGE")
PNG = Kind("png", "image/png", "IMAGE")
WEBP = Kind("webp", "image/webp", "IMAGE")
GIF = Kind("gif", "image/gif", "IMAGE")
HEIC = Kind("heic", "image/heic", "IMAGE")
AVIF = Kind("avif", "image/avif", "IMAGE")
MP4 = Kind("mp4", "video/mp4", "VIDEO")
KINDS = (JPEG, PNG, WEBP, GIF, HEIC, AVIF, MP4)

_HEIC = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"})
_AVIF = frozenset({b"avif", b"avis"})
_EITHER = frozenset({b"mif1", b"msf1"})
"""Brands of the container: which codec is in it stands among the compatible brands."""


def sniff(head: bytes | bytearray | memoryview) -> Kind | None:
    """The kind of a file that begins with ``head``; None when it is none that is stored."""
    start = bytes(head[:ENOUGH])
    if start.startswith(b"\xff\xd8\xff"):
        return JPEG
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if start.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return WEBP
    return _by_brand(start) if start[4:8] == b"ftyp" and len(start) >= 12 else None


def _by_brand(start: bytes) -> Kind:
    end = min(int.from_bytes(start[:4], "big"), len(start))
    major = start[8:12]
    others = {start[at : at + 4] for at in range(16, end - 3, 4)}
    brands = others if major in _EITHER else {major}
    if brands & _AVIF:
        return AVIF
    if brands & _HEIC or major in _EITHER:
        return HEIC
    return MP4


def is_text(head: bytes | bytearray | memoryview) -> bool:
    """Whether it begins as a page, JSON or plain text does."""
    start = bytes(head[:ENOUGH]).removeprefix(b"\xef\xbb\xbf").lstrip()
    return bool(start) and all(byte >= 0x20 or byte in b"\t\r\n" for byte in start)
