"""Whether a file of unannounced length came whole, by its own structure: a cut connection looks like its end."""

from __future__ import annotations

from typing import IO

from core.client import sniff
from core.client.sniff import Kind

_TAIL = 64
_PNG_END = b"IEND\xaeB`\x82"
_MOST_BOXES = 100_000


def is_whole(file: IO[bytes], size: int, kind: Kind) -> bool:
    """Whether nothing is missing at the end. Reads some bytes of the file; True where its kind does not tell."""
    if kind is sniff.WEBP:
        file.seek(4)
        return int.from_bytes(file.read(4), "little") + 8 <= size
    if kind in (sniff.JPEG, sniff.PNG, sniff.GIF):
        file.seek(max(0, size - _TAIL))
        return _ends(file.read(), kind)
    return _boxes_fit(file, size)


def _ends(tail: bytes, kind: Kind) -> bool:
    if kind is sniff.JPEG:
        return b"\xff\xd9" in tail
    return _PNG_END in tail if kind is sniff.PNG else tail.rstrip(b"\0").endswith(b";")


def _boxes_fit(file: IO[bytes], size: int) -> bool:
    """HEIC, AVIF and MP4 are rows of boxes, each with its length; 1 means a 64-bit one, 0 to the end."""
    at = 0
    for _ in range(_MOST_BOXES):
        if at >= size:
            break
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if len(head) < 8 or 0 < length < 8:
            return False
        if length == 0:
            return True
        at += length
    return at == size
