"""Which key a route wants, where the server wants keys."""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBasic, HTTPBasicCredentials, HTTPBearer, SecurityScopes
from starlette.exceptions import HTTPException

from core.api.deps import Resources, ResourcesDep
from core.api.key_ring import ADMIN, ANYBODY, READ, WRITE, Caller
from core.api.same_origin import same_origin

_LONGEST = 200
_BEARER, _BASIC = "Bearer", 'Basic realm="Beat"'
_HOW = {
    _BEARER: "send 'Authorization: Bearer KEY' with a key of beatctl keys add",
    _BASIC: "give a key of beatctl keys add as the password, or send 'Authorization: Bearer KEY'",
}

_bearer = HTTPBearer(auto_error=False, description="A key of `beatctl keys add`, where the server asks for one")
_basic = HTTPBasic(auto_error=False, realm="Beat", description="The same key as the password, for browsers; any user")

Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


async def caller_of(request: Request, needed: SecurityScopes, resources: ResourcesDep, given: Bearer) -> Caller:
    """Who asks.

    Raises:
        HTTPException: 401, there is no good key; 403, its scope does not include what the route needs, or where no
            keys are wanted the page of another site asks for a change.
    """
    if not resources.settings.api.wants_keys:
        same_origin(request)
    return await _caller(needed, resources, given.credentials if given else None, challenge=_BEARER)


async def operator_of(
    request: Request,
    needed: SecurityScopes,
    resources: ResourcesDep,
    given: Bearer,
    typed: Annotated[HTTPBasicCredentials | None, Depends(_basic)],
) -> Caller:
    """Who asks, where a browser may: it asks its user for the key, and sends it by itself from then on.

    Raises:
        HTTPException: as ``caller_of``; the page of another site may ask for no change, whatever key there is.
    """
    same_origin(request)
    key = given.credentials if given else typed.password if typed else None
    return await _caller(needed, resources, key, challenge=_BASIC)


async def _caller(needed: SecurityScopes, resources: Resources, key: str | None, *, challenge: str) -> Caller:
    if not resources.settings.api.wants_keys:
        return ANYBODY
    if key is None:
        raise _stranger(_HOW[challenge], challenge)
    caller = await resources.keys.caller(key) if len(key) <= _LONGEST else None
    if caller is None:
        raise _stranger("there is no such key, or it has expired or was revoked", challenge)
    for scope in needed.scopes:
        caller.demand(scope)
    return caller


def _stranger(reason: str, challenge: str) -> HTTPException:
    return HTTPException(401, f"Authorization: {reason}", headers={"WWW-Authenticate": challenge})


Reader = Annotated[Caller, Security(caller_of, scopes=[READ])]
Writer = Annotated[Caller, Security(caller_of, scopes=[WRITE])]
Operator = Annotated[Caller, Security(operator_of, scopes=[ADMIN])]
NEEDS_READ = Security(caller_of, scopes=[READ])
NEEDS_WRITE = Security(caller_of, scopes=[WRITE])
NEEDS_ADMIN = Security(caller_of, scopes=[ADMIN])
