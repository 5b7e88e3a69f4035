"""What other services say of credentials: a creator's new token, and that a stored one should be looked at."""

from __future__ import annotations

from typing import Annotated, Self, cast

from loguru import logger
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from core.amqp.models import Refused
from core.crawler.provider import Credential
from core.enums import Platform
from core.runtime import FlowContext
from credentials.keys import CredentialRefused
from credentials.manager import CredentialManager
from credentials.validator import GraphTokens

GRAPH = "graphapi"


def _instagram(value: str) -> str:
    if value.upper() != Platform.INSTAGRAM:
        raise ValueError(f"only tokens of {Platform.INSTAGRAM.value} are stored")
    return value.upper()


Handle = Annotated[
    str, BeforeValidator(lambda value: value.strip().removeprefix("@") if isinstance(value, str) else value),
    Field(min_length=1, max_length=255),
]  # fmt: skip


class NewAccessToken(BaseModel):
    """An account that has connected itself, in the identity service's own words; what else it says is passed over."""

    model_config = ConfigDict(populate_by_name=True, coerce_numbers_to_str=True)

    handle: Handle
    user_id: str = Field(alias="socialUserId", min_length=1, max_length=64)
    token: SecretStr = Field(alias="graphAccessToken", min_length=1, max_length=4096)
    platform: Annotated[str, AfterValidator(_instagram)]


class CredentialToCheck(BaseModel):
    """A stored credential, by its id or by its account."""

    source: str = GRAPH
    credential_id: int | None = None
    handle: Handle | None = None

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.credential_id is None) is (self.handle is None):
            raise ValueError("name either credential_id or handle")
        return self


async def upsert_credential_from_identity(message: NewAccessToken, ctx: FlowContext) -> None:
    """Store the creator's token sealed. A new one ends the rest of the old; the same one again changes nothing.

    Raises:
        Refused: the token or the id could not be sent to Graph.
    """
    keys = {"user_id": message.user_id, "token": message.token.get_secret_value()}
    try:
        credential_id = await _manager(ctx).insert_creds(GRAPH, keys, handle=message.handle)
    except CredentialRefused as error:
        raise Refused(str(error)) from None
    logger.bind(credential=credential_id, source=GRAPH).info("token of a connected account was stored")


async def validate_credential(message: CredentialToCheck, ctx: FlowContext) -> None:
    """Ask Graph about stored tokens; one that lacks a scope, has run out or is none is not used until it is replaced.

    Raises:
        Refused: credentials of this source cannot be checked.
        LookupError: it is not stored, or not yet.
        ProviderError: Graph could not be asked.
    """
    if message.source != GRAPH:
        raise Refused(f"source: only credentials of {GRAPH} can be checked")
    manager = _manager(ctx)
    stored = await manager.stored(GRAPH, credential_id=message.credential_id, handle=message.handle)
    if not stored:
        raise LookupError(f"there is no enabled credential of {GRAPH} by that id or handle")
    providers = ctx.runtime.settings.providers
    graph = GraphTokens.at_version(ctx.runtime.http, providers.graph_app_token, providers.graph_version)
    for credential in stored:
        await _check(manager, graph, credential)


async def _check(manager: CredentialManager, graph: GraphTokens, credential: Credential) -> None:
    refused = (await graph.check(credential.keys["token"])).as_error()
    if refused is not None:
        expired = refused.data_access_expired
        await manager.invalidate(credential, reason=refused.message, data_access_expired=expired)
    said = refused.message if refused else "usable"
    logger.bind(credential=credential.id, source=GRAPH, reason=said).info("stored token was checked")


def _manager(ctx: FlowContext) -> CredentialManager:
    return cast("CredentialManager", ctx.runtime.credentials)
