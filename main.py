"""The worker pool: every built flow and listener in its own processes, and the event relay."""

import os
import socket
import sys

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy (under YAKE) must not start threads before the pool forks

import uvloop
from loguru import logger

from config import ConfigError, load_settings
from core.assets.leftovers import cleaned_up
from core.flows.registry import build_registry
from core.queue.direct import require_database
from core.queue.plan import plan, plan_listeners
from core.queue.pool import Pool
from credentials.vault import Vault, VaultError
from scripts.migrate import load_migrations
from utils.leave import end_quietly, leave
from utils.logging import configure
from utils.open_files import allow_open_files


def main() -> int:
    """Run the pool until it is told to stop; 2 when the settings are wrong."""
    try:
        settings = load_settings()
        registry = build_registry(settings.workers.beat_extra_flows)
        flows = plan(registry, settings.workers, bucket=settings.store.aws_bucket is not None)
        specs = [*flows, *plan_listeners(settings.workers)]
        Vault.from_ring(settings.secrets.beat_keys.get_secret_value())
    except (ConfigError, VaultError) as error:
        print(error, file=sys.stderr)  # noqa: T201  logging is not configured yet
        return 2
    configure(settings.general.log_level, settings.general.log_format)
    allow_open_files()
    end_quietly()
    host = settings.workers.beat_host_id or socket.gethostname()

    async def run() -> None:
        await require_database(settings.database.pg_url, load_migrations()[-1].version)
        async with cleaned_up(flow for spec in flows for flow in spec.flows):
            await Pool(settings, registry, specs, runtime="credentials.runtime:build_runtime", host=host).run()

    try:
        uvloop.run(run())
    except ConfigError as error:
        logger.bind(error=str(error)).error("pool cannot start")
        return 2
    return 0


if __name__ == "__main__":
    del __file__  # multiprocessing would have every child run this file again: 2.4 MB each
    leave(main())
