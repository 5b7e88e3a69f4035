"""What other services say of credentials: a creator's new token, and that a stored one should be looked at."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Self, cast

from loguru import logger
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from core.amqp.models import Refused
from core.crawler.provider import Credential
from core.enums import Platform
from core.runtime import FlowContext
from credentials.keys import GRAPH, IDENTITY_NAMES, CredentialRefused
from credentials.manager import CredentialManager
from credentials.validator import GraphTokens
from utils.handles import bare_handle
from utils.times import as_utc

SOURCES = {name: source for source, name in IDENTITY_NAMES.items()}
"""What the identity service calls the sources whose tokens are stored, and what they are called here."""


def _instagram(value: str) -> str:
    if value.upper() != Platform.INSTAGRAM:
        raise ValueError(f"only tokens of {Platform.INSTAGRAM.value} are stored")
    return value.upper()


def _bare(value: object) -> object:
    return bare_handle(value) if isinstance(value, str) else value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("holds control characters")
    return value


Handle = Annotated[
    str, BeforeValidator(_bare), Field(min_length=1, max_length=255), AfterValidator(_printable),
]  # fmt: skip


class NewAccessToken(BaseModel):
    """An account that has connected itself, or is connected no more; what else is said of it is passed over.

    The identity service says it in two ways: flat, by its own names of columns, or as an event with ``source``,
    ``credentials`` and ``occurred_at``. ``token`` is None when it was withdrawn.
    """

    model_config = ConfigDict(populate_by_name=True, coerce_numbers_to_str=True)

    is_event: bool
    occurred_at: Annotated[datetime, AfterValidator(as_utc)] | None = None
    handle: Handle | None
    user_id: str = Field(alias="socialUserId", min_length=1, max_length=64)
    token: SecretStr | None = Field(alias="graphAccessToken", min_length=1, max_length=4096)
    platform: Annotated[str, AfterValidator(_instagram)]

    @model_validator(mode="before")
    @classmethod
    def _one_form(cls, said: Any) -> Any:
        if not isinstance(said, dict):
            return said
        if "event_id" not in said or "graphAccessToken" in said:
            return {**said, "is_event": False, "occurred_at": None}
        keys = said.get("credentials")
        if str(said.get("source")) not in SOURCES:
            raise ValueError("unknown_source")
        if not isinstance(keys, dict) or not keys:
            raise ValueError("missing_credentials")
        return {
            "is_event": True,
            "occurred_at": said.get("occurred_at"),
            "handle": said.get("handle"),
            "socialUserId": keys.get("user_id") or keys.get("graphapi_id") or said.get("profile_id"),
            "graphAccessToken": None if said.get("status") == "revoked" else keys.get("token"),
            "platform": Platform.INSTAGRAM.value,
        }

    @field_validator("handle", "token")
    @classmethod
    def _there(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and not info.data.get("is_event"):
            raise ValueError("must not be null")
        return value


class CredentialToCheck(BaseModel):
    """A stored credential, by its id or by its account."""

    source: str = GRAPH
    credential_id: int | None = Field(None, ge=1, lt=2**63)
    handle: Handle | None = None

    @model_validator(mode="after")
    def _one_name(self) -> Self:
        if (self.credential_id is None) is (self.handle is None):
            raise ValueError("name either credential_id or handle")
        return self


async def upsert_credential_from_identity(message: NewAccessToken, ctx: FlowContext) -> None:
    """Store the creator's token sealed. A new one ends the rest of the old; the same one again changes nothing.

    A token that was withdrawn is not used until it is replaced. Events that come late change nothing.

    Raises:
        Refused: the token or the id could not be sent to Graph.
    """
    manager, said_at = _manager(ctx), message.occurred_at
    keys = {"user_id": message.user_id}
    try:
        if message.token is None:
            withdrawn = await manager.withdraw(GRAPH, keys, reason="withdrawn by its account", said_at=said_at)
            logger.bind(credential=withdrawn, source=GRAPH).info("token of a connected account was withdrawn")
            return
        keys["token"] = message.token.get_secret_value()
        stored = await manager.insert_creds(GRAPH, keys, handle=message.handle, said_at=said_at)
    except CredentialRefused as error:
        raise Refused(str(error)) from None
    logger.bind(credential=stored, source=GRAPH).info("token of a connected account was stored")


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
