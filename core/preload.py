"""Everything that a worker imports, for the fork server: children share these pages instead of loading them again.

Nothing here may create an event loop, a connection or a thread: they would be copied into every child.
"""

import gc
import importlib
import ssl
from contextlib import suppress

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import NullPool, select
from sqlalchemy.ext.asyncio import create_async_engine

from config import ConfigError, load_settings
from core.amqp.listeners import LISTENERS
from core.entities import ScrapeRequestLog
from core.flows.registry import FLOWS
from utils.logging import configure_children
from utils.sentiment import score

MODULES = (
    "aio_pika",
    "asks",
    "asyncpg",
    "redis.asyncio",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.ext.asyncio",
    "uvloop",
    "yake",
    "core.amqp.relay",
    "core.assets.uploader",
    "core.queue.child",
    "core.queue.pool",
    "credentials.runtime",
)

YOUNG_OBJECTS = 10_000
"""New objects between two looks of the collector, in every child. A hundred tasks under way are some thousands that
live for a moment: with Python's 700 it took a tenth of an uploader's time to find that none was to be freed."""


def preload() -> None:
    """Import it all and freeze it, so that the collector never writes to the shared pages."""
    gc.disable()
    called = {flow.target for flow in FLOWS} | {listener.handler for listener in LISTENERS}
    for name in (*MODULES, *sorted({path.partition(":")[0] for path in called if path})):
        importlib.import_module(name)
    _warm()
    gc.collect()
    gc.freeze()
    gc.enable()
    gc.set_threshold(YOUNG_OBJECTS, *gc.get_threshold()[1:])


def _warm() -> None:
    """Do once what every child would do first, so that the memory it takes is shared: some 4 MB a child."""
    AESGCM(bytes(32))  # OpenSSL sets itself up
    ssl.create_default_context()  # and reads the certificates
    engine = create_async_engine("postgresql+asyncpg://warm", poolclass=NullPool)  # connects to nothing
    select(ScrapeRequestLog).where(ScrapeRequestLog.id == 1).compile(engine)
    score("")  # reads the lexicon
    with suppress(ConfigError):
        general = load_settings().general
        configure_children(general.log_level, general.log_format)


preload()
