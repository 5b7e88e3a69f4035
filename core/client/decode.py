"""Decodes a picture to see that it is one: what a hash of the bytes cannot say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import IO

from PIL import Image

from core.client.errors import MediaRefused
from core.client.sniff import AVIF, GIF, JPEG, PNG, WEBP, Kind

MAX_PIXELS = 50_000_000
"""More is refused before it is decoded: 1 MiB of PNG can hold a picture of gigabytes."""

_FORMATS = {JPEG: "JPEG", PNG: "PNG", WEBP: "WEBP", GIF: "GIF", AVIF: "AVIF"}


class Decoder:
    """One picture at a time, in a thread: a decoded one takes up to 200 MB."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "decode")

    async def check(self, opened: Callable[[], IO[bytes]], kind: Kind) -> None:
        """Decode the first frame of the file that ``opened`` gives, in its turn: those that wait are not copied yet.

        HEIC, for which there is no decoder here, and videos pass.

        Raises:
            MediaRefused: NOT_DECODABLE: it cannot be decoded, or is too large to be tried.
        """
        name = _FORMATS.get(kind)
        if name is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, _decode, opened, name)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _decode(opened: Callable[[], IO[bytes]], name: str) -> None:
    try:
        with Image.open(opened(), formats=(name,)) as picture:
            pixels = picture.width * picture.height
            if pixels <= MAX_PIXELS:
                picture.load()
    except Exception as error:  # noqa: BLE001 - Pillow's plugins raise whatever a broken file makes them
        raise MediaRefused("NOT_DECODABLE", f"{name} cannot be decoded: {type(error).__name__}") from None
    if pixels > MAX_PIXELS:
        raise MediaRefused("NOT_DECODABLE", f"more than {MAX_PIXELS} pixels")
