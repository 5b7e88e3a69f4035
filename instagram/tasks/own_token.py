"""Tokens that owners hand over: kept when none that works is there, or when they prove to be the account's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from loguru import logger

from core.crawler.call import call
from core.crawler.errors import CredentialInvalid, ProviderError
from core.crawler.provider import Asked, Credential, Unusable
from core.runtime import FlowContext
from credentials.manager import CredentialManager
from credentials.validator import GraphTokens
from instagram.functions.retriever.crawler import GRAPH
from instagram.functions.retriever.graphapi.graphapi import GraphApi
from instagram.models.functions import FETCH_PROFILE_BY_ID

_CANDIDATE = 0
"""Id of a credential that is not stored yet."""


async def adopt(ctx: FlowContext, handle: str, keys: Mapping[str, str]) -> bool:
    """Keep the account's token if it is new; returns whether it was kept.

    It takes the place of one that still works only when Graph says that it is this account's and may be used: a wrong
    one must not cost the account its access.
    """
    credentials = cast("CredentialManager", ctx.runtime.credentials)
    stored = await credentials.pick(GRAPH, handle=handle)
    if isinstance(stored, Credential) and dict(stored.keys) == dict(keys):
        return False
    absent = isinstance(stored, Unusable) and stored.reopens_at is None
    if not absent and not await _is_good(ctx, handle, keys):
        return False
    await credentials.insert_creds(GRAPH, keys, handle=handle)
    return True


async def _is_good(ctx: FlowContext, handle: str, keys: Mapping[str, str]) -> bool:
    providers = ctx.runtime.settings.providers
    source = GraphApi.at_version(providers.graph_version)(Credential(_CANDIDATE, GRAPH, handle, keys), ctx.runtime.http)
    try:
        await call(source, FETCH_PROFILE_BY_ID, Asked(handle=handle), None)
        refused = await _refused(ctx, keys["token"])
        if refused is not None:
            raise refused
    except ProviderError as error:
        logger.bind(handle=handle, reason=error.word, message=error.message).warning("token was not taken over")
        return False
    return True


async def blame_token(ctx: FlowContext, handle: str) -> None:
    """Look at the account's token when Graph does not find what is its own: it says so too when access has run out.

    Raises:
        CredentialInvalid: the token is at fault; it is not used again.
    """
    credential = await ctx.runtime.credentials.pick(GRAPH, handle=handle)
    if isinstance(credential, Unusable):
        return
    try:
        refused = await _refused(ctx, credential.keys["token"])
    except ProviderError as error:
        logger.bind(handle=handle, reason=error.word, message=error.message).warning("token could not be checked")
        return
    if refused is not None:
        expired = refused.data_access_expired
        await ctx.runtime.credentials.invalidate(credential, reason=refused.message, data_access_expired=expired)
        raise CredentialInvalid(refused.message, data_access_expired=expired)


async def _refused(ctx: FlowContext, token: str) -> CredentialInvalid | None:
    """What Graph has against a token.

    Raises:
        ProviderError: it could not be asked.
    """
    providers = ctx.runtime.settings.providers
    tokens = GraphTokens.at_version(ctx.runtime.http, providers.graph_app_token, providers.graph_version)
    return (await tokens.check(token)).as_error()
