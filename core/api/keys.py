"""Which key a route wants, where the server wants keys."""

from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from starlette.exceptions import HTTPException

from core.api.deps import ResourcesDep
from core.api.key_ring import ADMIN, ANYBODY, READ, WRITE, Caller

_LONGEST = 200

_bearer = HTTPBearer(auto_error=False, description="A key of `beatctl keys add`, where the server asks for one")


async def caller_of(
    needed: SecurityScopes,
    resources: ResourcesDep,
    given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller:
    """Who asks.

    Raises:
        HTTPException: 401, there is no good key; 403, its scope does not include what the route needs.
    """
    if not resources.settings.api.wants_keys:
        return ANYBODY
    if given is None:
        raise _stranger("send 'Authorization: Bearer KEY' with a key of beatctl keys add")
    caller = await resources.keys.caller(given.credentials) if len(given.credentials) <= _LONGEST else None
    if caller is None:
        raise _stranger("there is no such key, or it has expired or was revoked")
    for scope in needed.scopes:
        caller.demand(scope)
    return caller


def _stranger(reason: str) -> HTTPException:
    return HTTPException(401, f"Authorization: {reason}", headers={"WWW-Authenticate": "Bearer"})


Reader = Annotated[Caller, Security(caller_of, scopes=[READ])]
Writer = Annotated[Caller, Security(caller_of, scopes=[WRITE])]
NEEDS_READ = Security(caller_of, scopes=[READ])
NEEDS_WRITE = Security(caller_of, scopes=[WRITE])
NEEDS_ADMIN = Security(caller_of, scopes=[ADMIN])
