"""The REST API: ``python server.py``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import uvicorn
from fastapi import FastAPI

from config import ConfigError, Settings, load_settings
from core.api.app import create_app
from core.api.deps import TokenRefused
from core.crawler.provider import SourceCredentials
from core.runtime import Runtime
from credentials.keys import SOURCES, CredentialRefused, checked_keys
from credentials.manager import CredentialManager
from credentials.runtime import build_runtime
from credentials.validator import GraphTokens
from credentials.vault import Vault, VaultError
from scripts.migrate import load_migrations
from utils.garbage import settle
from utils.leave import end_quietly, stop_signals
from utils.logging import configure

GRAPH = "graphapi"
POOL_SIZE = 20
WAIT_S = 30.0
"""Behind a database that stalls a request is answered, with 503, before its caller gives up."""

DRAIN_S = 10


class Tokens:
    """The credential manager and Graph's word on tokens, with refusals in the API's words."""

    def __init__(self, runtime: Runtime) -> None:
        self._manager = cast("CredentialManager", runtime.credentials)
        providers = runtime.settings.providers
        self._graph = GraphTokens.at_version(runtime.http, providers.graph_app_token, providers.graph_version)

    async def insert_creds(self, source: str, credentials: Mapping[str, Any], *, handle: str | None = None) -> object:
        """Store the credential sealed.

        Raises:
            TokenRefused: no such source, or a key is missing.
        """
        try:
            return await self._manager.insert_creds(source, credentials, handle=handle)
        except CredentialRefused as error:
            raise TokenRefused("credentials" if source in SOURCES else "source", str(error)) from error

    async def per_source(self) -> Sequence[SourceCredentials]:
        """The credentials of each source, counted by state."""
        return await self._manager.per_source()

    async def check(self, source: str, credentials: Mapping[str, Any]) -> None:
        """Ask Graph about a user token.

        Raises:
            TokenRefused: tokens of this source cannot be checked, or a key is missing.
            CredentialInvalid: it lacks a scope, has run out or is none.
            ProviderError: Graph could not be asked.
        """
        if source != GRAPH:
            raise TokenRefused("type", f"only tokens of {GRAPH} can be checked")
        try:
            keys = checked_keys(source, credentials)
        except CredentialRefused as error:
            raise TokenRefused("credentials", str(error)) from error
        refused = (await self._graph.check(keys["token"])).as_error()
        if refused is not None:
            raise refused


def make_app(settings: Settings) -> FastAPI:
    """The application on real credentials."""
    return create_app(
        settings,
        build_runtime=partial(build_runtime, pool_size=POOL_SIZE, wait_s=WAIT_S),
        token_store=Tokens,
        schema_version=load_migrations()[-1].version,
    )


def main() -> int:
    """Serve until told to stop (exit code 0). Exit code 2: the settings are wrong, the message says which."""
    try:
        settings = load_settings()
        Vault.from_ring(settings.secrets.beat_keys.get_secret_value())
    except (ConfigError, VaultError) as error:
        print(f"server: {error}", file=sys.stderr)  # noqa: T201 - before there is a log
        return 2
    configure(settings.general.log_level, settings.general.log_format)
    end_quietly()  # uvicorn raises the signal that stopped it once more when it has drained
    if signal.SIGHUP in stop_signals():
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))  # which uvicorn knows
    app = make_app(settings)
    settle()
    uvicorn.run(
        app,
        host=settings.api.api_host,
        port=settings.api.api_port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
