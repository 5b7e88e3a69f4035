"""Real files, another one for each name and always the same one: a picture of a few sizes and colours with the name's
hash put where the format keeps remarks."""

from __future__ import annotations

import colorsys
import hashlib
import io
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache

from PIL import Image

CONTENT_TYPES = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "mp4": "video/mp4",
}
VIDEO_BYTES = 300_000
_COLOURS = 12
_FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "gif": "GIF"}


def file_of(name: str, form: str, side: int = 640, video_bytes: int = VIDEO_BYTES) -> bytes:
    """The file of a name: a picture that Pillow reads, or boxes that make an MP4."""
    mark = hashlib.sha256(name.encode()).digest()
    remark = mark.hex()[:32].encode()
    if form == "mp4":
        return _video(remark, video_bytes)
    return _WITH_REMARK[form](_picture(form, side, mark[0] % _COLOURS), remark)


@lru_cache(maxsize=256)
def _picture(form: str, side: int, colour: int) -> bytes:
    red, green, blue = (int(255 * part) for part in colorsys.hsv_to_rgb(colour / _COLOURS, 0.6, 0.9))
    ramp = Image.linear_gradient("L").resize((side, side))
    waves = Image.radial_gradient("L").resize((side, side))
    picture = Image.merge("RGB", (ramp.point([v * red // 255 for v in range(256)]), waves, ramp.rotate(90)))
    picture = Image.blend(picture, Image.new("RGB", (side, side), (red, green, blue)), 0.5)
    file = io.BytesIO()
    picture.save(file, _FORMATS[form])
    return file.getvalue()


def _jpeg(file: bytes, remark: bytes) -> bytes:
    return file[:2] + b"\xff\xfe" + struct.pack(">H", len(remark) + 2) + remark + file[2:]


def _png(file: bytes, remark: bytes) -> bytes:
    data = b"tEXt" + b"Comment\0" + remark
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    return file[:-12] + chunk + file[-12:]


def _webp(file: bytes, remark: bytes) -> bytes:
    chunk = b"note" + struct.pack("<I", len(remark)) + remark
    return b"RIFF" + struct.pack("<I", len(file) + len(chunk) - 8) + file[8:] + chunk


def _gif(file: bytes, remark: bytes) -> bytes:
    return file[:-1] + b"\x21\xfe" + bytes([len(remark)]) + remark + b"\0" + file[-1:]


_WITH_REMARK: dict[str, Callable[[bytes, bytes], bytes]] = {"jpg": _jpeg, "png": _png, "webp": _webp, "gif": _gif}


def _video(remark: bytes, size: int) -> bytes:
    head = _box(b"ftyp", b"isom\0\0\x02\0isomiso2avc1mp41") + _box(b"free", remark)
    tail = _box(b"moov", _box(b"mvhd", struct.pack(">IIIIIiH", 0, 0, 0, 1000, 10_000, 1 << 16, 1 << 8) + bytes(70)))
    room = max(size - len(head) - len(tail) - 8, 0)
    return head + _box(b"mdat", (remark * (room // len(remark) + 1))[:room]) + tail


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data) + 8) + kind + data
