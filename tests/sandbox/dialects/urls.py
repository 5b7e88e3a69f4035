"""Media addresses with Instagram's form. The file name carries the pk, so a media host can tell what is asked for."""

from __future__ import annotations

_HOST = "scontent-xyz1-1.cdninstagram.com"
_EXPIRY = "7FFFFFFF"


def image_url(pk: int, width: int = 0, height: int = 0) -> str:
    """A still picture; a size asks for a scaled one."""
    size = f"_s{width}x{height}" if width else ""
    return _url(f"t51.2885-15/{_name(pk)}_n.jpg", f"stp=dst-jpg_e35{size}&", "AOQ1c0wBAAAA", pk)


def video_url(pk: int) -> str:
    """The file of a video."""
    return _url(f"t50.2886-16/{_name(pk)}_n.mp4", "", "ALQROFkBAAAA", pk)


def avatar_url(pk: int, side: int = 150) -> str:
    """A profile picture."""
    return _url(f"t51.2885-19/{_name(pk)}_n.jpg", f"stp=dst-jpg_e35_s{side}x{side}&", "AOQ1c0wBAAAA", pk)


def _name(pk: int) -> str:
    return f"{pk % 1_000_000_007}_{pk % 999_999_999_989}_{pk}"


def _url(path: str, scale: str, edm: str, pk: int) -> str:
    mark = f"{pk * 2_654_435_761 % (1 << 48):012x}"
    return (
        f"https://{_HOST}/v/{path}?{scale}_nc_ht={_HOST}&_nc_cat={100 + pk % 10}&_nc_ohc={mark}"
        f"&edm={edm}&ccb=7-5&oh=00_{mark}&oe={_EXPIRY}&_nc_sid=8b3546"
    )
