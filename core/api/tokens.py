"""Credentials for data sources, stored sealed."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from core.api.deps import ResourcesDep, TokenRefused
from core.api.envelope import Answer, done, envelopes
from core.api.errors import refuse
from core.api.json_body import JsonRoute

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


@router.post("/tokens", responses=envelopes(413, 422))
async def store_token(resources: ResourcesDep, token: Token) -> Answer:
    """Store a credential; one that is there already is replaced and its rest ends."""
    try:
        await resources.tokens.insert_creds(token.source, token.credentials, handle=token.handle)
    except TokenRefused as error:
        raise refuse("body", error.field, message=str(error)) from error
    return Answer(status=done("Inserted Successfully"))
