"""Everything that a worker imports, for the fork server: children share these pages instead of loading them again.

Nothing here may create an event loop, a connection or a thread: they would be copied into every child.
"""

import gc
import importlib

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.flows.registry import FLOWS

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
    "core.queue.child",
    "core.queue.pool",
    "credentials.runtime",
)


def preload() -> None:
    """Import it all and freeze it, so that the collector never writes to the shared pages."""
    gc.disable()
    for name in (*MODULES, *sorted({flow.target.partition(":")[0] for flow in FLOWS if flow.target})):
        importlib.import_module(name)
    AESGCM(bytes(32))  # OpenSSL sets itself up at first use: 3 MB that children share this way
    gc.collect()
    gc.freeze()
    gc.enable()


preload()
