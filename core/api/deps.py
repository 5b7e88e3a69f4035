"""What routes work with: made once when the server starts, reached through one dependency."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

from fastapi import Depends, Request
from redis.asyncio import Redis

from config import Settings
from core.api.key_ring import KeyRing
from core.api.single_flight import SingleFlight
from core.crawler.provider import SourceCredentials
from core.flows.registry import Registry
from core.runtime import Runtime
from utils.rate_limit import RateLimiter


class TokenRefused(Exception):
    """A credential that its source could not use; ``field`` of the request is at fault, the text shows no value."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class TokenStore(Protocol):
    """Where POST /tokens puts credentials."""

    async def insert_creds(self, source: str, credentials: Mapping[str, Any], *, handle: str | None = None) -> object:
        """Store the credential sealed; one that is there already is replaced.

        Raises:
            TokenRefused: no such source, or a key is missing.
        """

    async def per_source(self) -> Sequence[SourceCredentials]:
        """The credentials of each source, counted by state; nothing that they hold."""

    async def check(self, source: str, credentials: Mapping[str, Any]) -> None:
        """Ask the source whether a credential can be used for all that Beat reads; nothing is stored.

        Raises:
            TokenRefused: the source has no such check, or a key is missing.
            CredentialInvalid: it cannot be used.
            ProviderError: the source could not be asked.
        """


@dataclass(slots=True)
class Resources:
    """Clients and state of the API process; ``limiter`` counts callers, the runtime's counts calls to sources.

    ``newer_migrations`` are those that the log has named.
    """

    settings: Settings
    runtime: Runtime
    registry: Registry
    redis: Redis
    limiter: RateLimiter
    tokens: TokenStore
    keys: KeyRing
    schema_version: int | None
    newer_migrations: tuple[str, ...] = ()
    heartbeat: bool = False
    flights: SingleFlight[Any] = field(default_factory=SingleFlight)

    @property
    def begin(self) -> Callable[[], Any]:
        """``async with resources.begin() as session``: one transaction, committed at the end."""
        return self.runtime.database.sessions.begin


def resources_of(request: Request) -> Resources:
    """The resources of the running server."""
    resources: Resources = request.app.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(resources_of)]
