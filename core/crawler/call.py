"""One call of one source: the provider's method, then its parser, and nothing but ProviderError out of either."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from loguru import logger

from core.crawler.errors import Malformed, ProviderError, Unavailable
from core.crawler.provider import Asked, Function, Payload, Provider
from core.crawler.scrub import scrub_error
from utils.request import RequestFailed

T = TypeVar("T")

PayloadSink = Callable[[Payload, Provider, ProviderError | None], Awaitable[None]]
"""May keep an answer, for reading it again: with what was wrong with it, or None when it was read.

It may hold personal data, and page links with tokens of the provider's credential.
"""


@dataclass(frozen=True, slots=True)
class Fetched(Generic[T]):
    """What a source gave: the parsed value, who gave it, and the payload it was read from."""

    value: T
    source: str
    payload: Payload


async def call(provider: Provider, function: Function[T], asked: Asked, sink: PayloadSink | None) -> Fetched[T]:
    """Ask and read, and show the answer to the sink. No secret of the credential is left in the text of an error.

    Raises:
        ProviderError: whatever the answer means; Malformed too when the provider or its parser stumbled over it.
    """
    payload: Payload | None = None
    try:
        payload = await getattr(provider, function.name)(asked)
        fetched: Fetched[T] = Fetched(provider.parsers[function.name](payload), provider.source, payload)
    except Exception as error:  # noqa: BLE001 - whatever a payload provokes is one source's failure, not the task's
        failure = as_provider_error(error, "ask" if payload is None else "read")
        if failure is not error:
            failure.__cause__ = error
        scrub_error(failure, provider.credential.keys)
    else:
        await _keep(sink, payload, provider, None)
        return fetched
    if payload is None and isinstance(failure, Malformed):
        payload = provider.last_answer()
    await _keep(sink, payload, provider, failure)
    raise failure


def as_provider_error(error: Exception, stage: str) -> ProviderError:
    """The error itself, or what an error of another kind means; never quotes the payload."""
    if isinstance(error, ProviderError):
        return error
    if isinstance(error, RequestFailed):
        return Unavailable(str(error))
    if isinstance(error, KeyError) and error.args:
        return Malformed(f"could not {stage}: no {error.args[0]!r}", path=str(error.args[0]))
    return Malformed(f"could not {stage}: {type(error).__name__}")  # its text may quote the payload


async def _keep(
    sink: PayloadSink | None, payload: Payload | None, provider: Provider, error: ProviderError | None
) -> None:
    if sink is None or payload is None:
        return
    try:
        await sink(payload, provider, error)
    except Exception as failure:  # noqa: BLE001 - the next source matters more than the evidence
        logger.bind(source=payload.source, function=payload.function, error=type(failure).__name__).warning(
            "payload was not kept"
        )
