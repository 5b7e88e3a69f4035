"""Media addresses with Instagram's form. The file name carries the pk, so a media host can tell what is asked for."""

from __future__ import annotations

import hashlib
import re
import time

HOST = "scontent-xyz1-1.cdninstagram.com"
_DAY = 86_400
_LIFE_DAYS = 5
_SECRET = b"media of the sandbox"
_OH = re.compile(rb"[?&]oh=00_([^&]*)")
_OE = re.compile(rb"[?&]oe=([0-9A-Fa-f]+)(?=&|$)")


def image_url(pk: int, width: int = 0, height: int = 0, *, expires: int | None = None, form: str = "jpg") -> str:
    """A still picture; a size asks for a scaled one. ``expires``: epoch seconds, by default in four to five days;
    ``form``: what the address asks for, jpg, webp, png or gif."""
    size = f"_s{width}x{height}" if width else ""
    return _url(f"t51.2885-15/{_name(pk)}_n.jpg", f"stp=dst-{form}_e35{size}&", "AOQ1c0wBAAAA", pk, expires)


def video_url(pk: int, *, expires: int | None = None) -> str:
    """The file of a video."""
    return _url(f"t50.2886-16/{_name(pk)}_n.mp4", "", "ALQROFkBAAAA", pk, expires)


def avatar_url(pk: int, side: int = 150, *, expires: int | None = None) -> str:
    """A profile picture."""
    return _url(f"t51.2885-19/{_name(pk)}_n.jpg", f"stp=dst-jpg_e35_s{side}x{side}&", "AOQ1c0wBAAAA", pk, expires)


def signature_of(path: bytes, query: bytes) -> str:
    """What must stand in ``oh`` for this path and query, which are taken as they are, to the byte."""
    return hashlib.sha1(_SECRET + path + b"?" + _OH.sub(b"", query)).hexdigest()


def signed_with(query: bytes) -> tuple[str, int | None]:
    """The signature in a query and the time at which it runs out; empty and None where there is none."""
    oh, oe = _OH.search(b"&" + query), _OE.search(b"&" + query)
    return oh[1].decode("latin-1") if oh else "", int(oe[1], 16) if oe else None


def _name(pk: int) -> str:
    return f"{pk % 1_000_000_007}_{pk % 999_999_999_989}_{pk}"


def _url(path: str, scale: str, edm: str, pk: int, expires: int | None) -> str:
    """The time limit is counted from the real present, as that is what a client counts with; it is the same all day."""
    mark = f"{pk * 2_654_435_761 % (1 << 48):012x}"
    ends = (int(time.time()) // _DAY + _LIFE_DAYS) * _DAY + pk % 3600 if expires is None else expires
    head = f"{scale}_nc_ht={HOST}&_nc_cat={100 + pk % 10}&_nc_ohc={mark}&edm={edm}&ccb=7-5"
    tail = f"&oe={ends:08X}&_nc_sid=8b3546"
    signature = signature_of(f"/v/{path}".encode(), (head + tail).encode())
    return f"https://{HOST}/v/{path}?{head}&oh=00_{signature}{tail}"
