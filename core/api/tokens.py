"""Credentials for data sources, stored sealed."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from loguru import logger
from pydantic import BaseModel, ConfigDict, Field

from core.api.access import Access, UserId, access_to_check
from core.api.access import Token as AccessToken
from core.api.deps import Resources, ResourcesDep, TokenRefused
from core.api.envelope import Answer, ApiError, done, envelopes
from core.api.errors import refuse
from core.api.json_body import JsonRoute
from core.api.keys import NEEDS_ADMIN, NEEDS_WRITE
from core.api.owners import said_of
from core.api.upstream import Budget, ask, meaning
from core.crawler.errors import CredentialInvalid, ProviderError
from core.enums import Platform
from core.runtime import FlowContext
from utils.handles import bare_handle

router = APIRouter(tags=["tokens"], route_class=JsonRoute)


class Token(BaseModel):
    """A credential of one source. It is sealed before it is stored and never shown again."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "source": "graphapi",
                    "handle": "natgeo",
                    "credentials": {"user_id": "17841400573960012", "token": "..."},
                }
            ]
        }
    )

    source: str = Field(min_length=1, max_length=64, description="The data source it is for")
    credentials: dict[str, Any] = Field(description="The keys that the source asks for")
    handle: str | None = Field(None, max_length=255, description="The account it belongs to, if it is an account's own")


@router.post("/tokens", responses=envelopes(413, 422), dependencies=[NEEDS_ADMIN])
async def store_token(resources: ResourcesDep, token: Token) -> Answer:
    """Store a credential; one that is there already is replaced and its rest ends."""
    try:
        await resources.tokens.insert_creds(token.source, token.credentials, handle=token.handle)
    except TokenRefused as error:
        raise refuse("body", error.field, message=str(error)) from error
    return Answer(status=done("Inserted Successfully"))


class TokenCheck(BaseModel):
    """A token to ask its source about."""

    access_token: AccessToken = Field(max_length=4096, description="The user's access token", examples=["..."])
    social_user_id: UserId = Field(max_length=64, description="Whose it is", examples=["17841400573960012"])
    handle: str = Field(min_length=1, max_length=255, description="The account it belongs to", examples=["natgeo"])
    platform: str = Field(max_length=64, description="Platform, in any case", examples=["INSTAGRAM"])
    type: str = Field(max_length=64, description="The data source it is for", examples=["graphapi"])


class TokenValid(Answer):
    """The token can be used."""

    code: int = Field(200, description="Always 200", examples=[200])


ERRORS = envelopes(400, 401, 422, 429, 500, 502, 503)


@router.get("/token/validate", responses=ERRORS, dependencies=[NEEDS_WRITE])
async def validate_token(
    resources: ResourcesDep,
    access: Annotated[Access, Depends(access_to_check)],
    handle: Annotated[str, Query(min_length=1, max_length=255, description="The account it belongs to")],
    platform: Annotated[str, Query(max_length=64, description="Platform, in any case", examples=["INSTAGRAM"])],
    source: Annotated[
        str, Query(alias="type", max_length=64, description="The data source it is for", examples=["graphapi"])
    ],
) -> TokenValid:
    """Whether a token has all the scopes that Beat needs and its data access has not run out; nothing is stored."""
    wanted = TokenCheck(
        access_token=access.token, social_user_id=access.user_id, handle=handle, platform=platform, type=source
    )
    return await _validate(resources, wanted, "query")


@router.post("/token/validate", responses=ERRORS, dependencies=[NEEDS_WRITE])
async def validate_token_by_body(resources: ResourcesDep, body: TokenCheck) -> TokenValid:
    """As GET, with everything in the body."""
    return await _validate(resources, body, "body")


async def _validate(resources: Resources, wanted: TokenCheck, place: str) -> TokenValid:
    if wanted.platform.upper() != Platform.INSTAGRAM:
        raise ApiError(400, f"Platform not supported - {wanted.platform}")
    keys = {"token": wanted.access_token, "user_id": wanted.social_user_id}
    handle = bare_handle(wanted.handle).lower()

    async def work(_: FlowContext) -> None:
        await resources.tokens.check(wanted.type, keys)

    def explain(error: ProviderError) -> ApiError:
        logger.bind(handle=handle, reason=error.message).info("token_refused")
        if isinstance(error, CredentialInvalid):
            return said_of(error)
        return meaning(error, "Token is invalid", "Token is invalid")

    key = ("token", wanted.type, wanted.access_token)
    try:
        await ask(resources, key, Budget("token_validate", f"token_validate_per_handle_{handle}"), work, explain)
    except TokenRefused as error:
        raise refuse(place, error.field, message=str(error)) from error
    return TokenValid(status=done("Token is valid"))
