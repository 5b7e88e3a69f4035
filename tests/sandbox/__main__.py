"""``python -m tests.sandbox --port N [--seed S] [--creators 1000]``: run the provider sandbox on loopback."""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import time

import uvicorn

from tests.sandbox.app import Sandbox
from tests.sandbox.control import build
from tests.sandbox.posts import DAY
from tests.sandbox.universe import Universe


def main() -> None:
    """Serve until SIGTERM or Ctrl-C; one line on standard output when requests are accepted."""
    options = _options()
    sandbox = Sandbox(Universe(options.seed, options.now, options.creators), options.limit_factor)
    sandbox.control = build(sandbox)
    config = uvicorn.Config(
        sandbox,
        host="127.0.0.1",
        port=options.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level="critical",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
        backlog=4096,
    )
    told = f"seed={options.seed} creators={options.creators} now={options.now} limit_factor={options.limit_factor:g}"
    try:
        asyncio.run(_Server(config, told).serve())
    except KeyboardInterrupt:
        return
    except SystemExit as end:
        raise SystemExit(f"127.0.0.1:{options.port} cannot be listened on: choose another --port") from end


class _Server(uvicorn.Server):
    """Announces itself once the socket listens."""

    def __init__(self, config: uvicorn.Config, told: str) -> None:
        super().__init__(config)
        self._told = told

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(f"sandbox ready http://127.0.0.1:{self.config.port} {self._told}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--creators", type=int, default=1000)
    today = int(time.time()) // DAY * DAY
    parser.add_argument("--now", type=int, default=today, help="its present, epoch seconds (default: today 00:00 UTC)")
    factor = os.environ.get("DEMO_LIMIT_FACTOR") or "1"
    parser.add_argument("--limit-factor", type=float, default=factor, help="multiplies all limits (DEMO_LIMIT_FACTOR)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
