"""Parts of large uploads whose process was killed: found and aborted by a process of its own, at start and hourly.

A process of its own, because the SDK that lists uploads takes 30 MB which no uploader of pictures needs.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from loguru import logger

from config import ConfigError, Settings, load_settings
from core.client.errors import MediaError
from core.flows.registry import ASSET_FLOWS
from utils.logging import configure

EVERY_S = 3600.0


@asynccontextmanager
async def cleaned_up(flows: Iterable[str]) -> AsyncIterator[None]:
    """Abort what is left for as long as the block runs, where one of the flows copies media."""
    if ASSET_FLOWS.isdisjoint(flows):
        yield
        return
    cleaning = asyncio.create_task(clean_up())
    try:
        yield
    finally:
        cleaning.cancel()
        await asyncio.wait({cleaning})


async def clean_up() -> None:
    """Run this module as a program again and again, until cancelled."""
    while True:
        try:
            await _run()
        except OSError as error:  # this host has no room for a process just now
            logger.bind(reason=str(error)).warning("unfinished uploads could not be looked for")
        await asyncio.sleep(EVERY_S)


async def _run() -> None:
    found_here = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}  # also from another directory
    cleaner = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stdin=asyncio.subprocess.DEVNULL, env=found_here
    )
    try:
        await cleaner.wait()
    finally:
        with suppress(ProcessLookupError):
            cleaner.kill()
            await cleaner.wait()


async def abort_leftovers(settings: Settings) -> int:
    """Abort what is left, once; how many uploads.

    Raises:
        MediaError: the store did not answer, or refused.
    """
    from core.client.media import MediaClient  # noqa: PLC0415 - the supervisors of pools have no use for it

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
