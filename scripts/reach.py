"""Whether the servers that /readyz asks for can be reached: ``python -m scripts.reach``, before a deploy stops any."""

from __future__ import annotations

import asyncio
import sys

from redis.exceptions import RedisError

from config import ConfigError, Settings, load_settings
from utils.db import FAILED, connect_kept, reason
from utils.rate_limit import redis_client

ANSWER_S = 10.0


async def unreachable(settings: Settings) -> list[str]:
    """One line per server that does not answer, beginning with its variable."""
    found = []
    database = settings.database
    try:
        connection = await connect_kept(database.pooled_url, name="beat reach", direct=False)
        await connection.fetchval("select 1", timeout=ANSWER_S)  # a pooler lets callers in without its database
        connection.terminate()
    except (OSError, *FAILED) as error:
        found.append(f"{'PGBOUNCER_URL' if database.pgbouncer_url else 'PG_URL'}: {reason(error)}")
    try:
        async with redis_client(settings.providers.redis_url.get_secret_value()) as redis:
            await redis.ping()
    except (OSError, RedisError) as error:
        found.append(f"REDIS_URL: {reason(error)}")
    return found


def main() -> int:
    """Exit code: 0 all answer, 1 one does not, 2 the settings are wrong."""
    try:
        found = asyncio.run(unreachable(load_settings()))
    except ConfigError as error:
        print(f"reach: {error}", file=sys.stderr)
        return 2
    for line in found:
        print(f"reach: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
