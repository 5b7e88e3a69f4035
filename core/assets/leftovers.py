"""Parts of large uploads whose process was killed: found and aborted by a process of its own, at start and hourly.

A process of its own, because the SDK that lists uploads takes 30 MB which no uploader of pictures needs.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress

from loguru import logger

from config import ConfigError, Settings, load_settings
from core.client.upload_assets import MediaClient, MediaError
from utils.logging import configure

EVERY_S = 3600.0


async def clean_up() -> None:
    """Run this module as a program again and again, until cancelled."""
    found_here = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}  # also from another directory
    while True:
        cleaner = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, stdin=asyncio.subprocess.DEVNULL, env=found_here
        )
        try:
            await cleaner.wait()
        finally:
            with suppress(ProcessLookupError):
                cleaner.kill()
        await asyncio.sleep(EVERY_S)


async def abort_leftovers(settings: Settings) -> int:
    """Abort what is left, once; how many uploads.

    Raises:
        MediaError: the store did not answer, or refused.
    """
    media = await MediaClient.open(settings)
    try:
        return await media.abort_leftovers()
    finally:
        await media.aclose()


def main() -> int:
    """Exit status 0 done, 1 could not."""
    try:
        settings = load_settings()
        configure(settings.general.log_level, settings.general.log_format)
        count = asyncio.run(abort_leftovers(settings))
    except (ConfigError, MediaError) as error:
        logger.bind(reason=str(error)).warning("unfinished uploads could not be looked for")
        return 1
    if count:
        logger.bind(uploads=count).info("unfinished uploads were aborted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
