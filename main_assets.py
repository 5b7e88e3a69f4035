"""The asset pool: copies media to the object store, in processes of its own, and an event relay that stands by.

While it is alive main.py leaves the asset flows to it; when it is not, main.py runs them.
"""

import socket
import sys

import uvloop
from loguru import logger

from config import ConfigError, load_settings
from core.assets.leftovers import cleaned_up
from core.flows.registry import ASSET_FLOWS, build_registry
from core.queue.direct import require_database
from core.queue.plan import plan_assets
from core.queue.pool import Pool
from credentials.vault import Vault, VaultError
from scripts.migrate import load_migrations
from utils.cores import usable_cores
from utils.leave import end_quietly, leave
from utils.logging import configure
from utils.open_files import allow_open_files


def main() -> int:
    """Run the pool until it is told to stop; 2 when the settings are wrong."""
    try:
        settings = load_settings()
        registry = build_registry(settings.workers.beat_extra_flows)
        specs = plan_assets(registry, settings, usable_cores())
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
        async with cleaned_up(ASSET_FLOWS):
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
