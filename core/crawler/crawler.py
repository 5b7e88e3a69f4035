"""Asking a platform's sources, one after the other, until one of them has the data."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

from loguru import logger

from core.crawler.call import Fetched, PayloadSink, call
from core.crawler.circuit import Circuit, CircuitOpen, CircuitRule, Turn
from core.crawler.errors import (
    CredentialBusy,
    CredentialInvalid,
    Malformed,
    Next,
    Outcome,
    ProviderError,
    Rest,
    SourceBusy,
    Unavailable,
)
from core.crawler.provider import Asked, Credential, CredentialSource, Function, Unusable
from core.crawler.sources import SourceTable, levels
from core.crawler.verdict import concluded, of_credentials, settled
from core.metrics import COUNTS, CREDENTIAL_REQUESTS, PROVIDER_REQUESTS
from utils.rate_limit import LimitExceeded, RateLimiter
from utils.request import HttpClient
from utils.times import utc_now

__all__ = ["Crawler", "Fetched", "PayloadSink", "SourceTable"]

T = TypeVar("T")

Admission = Callable[[Credential, str, Asked], Awaitable[None]]
"""Asked before a credential is used for a function; raises CredentialBusy when it must not be, and nothing is sent."""

CREDENTIALS_PER_SOURCE = 3
"""So many credentials of a source are tried before the next source is."""

SOON_S = 0.05
"""After a longer wait for a rate window the credential is looked at once more."""


@dataclass(slots=True)
class _Ask(Generic[T]):
    """One fetch under way; ``wait_left_s`` is what it may still wait for rate windows."""

    function: Function[T]
    asked: Asked
    handle: str | None
    wait_left_s: float


class Crawler:
    """The fallback chain over a table of sources. One per process and platform: it remembers which sources are down."""

    def __init__(
        self,
        table: SourceTable,
        credentials: CredentialSource,
        http: HttpClient,
        limiter: RateLimiter,
        *,
        max_wait_s: float,
    ) -> None:
        self.table = table
        self.on_payload: PayloadSink | None = None
        self.admission: Admission | None = None
        self.circuit_rule = CircuitRule()
        self._credentials = credentials
        self._http = http
        self._limiter = limiter
        self._max_wait_s = max_wait_s
        self._circuits: dict[str, Circuit] = {}

    async def fetch(
        self,
        function: Function[T],
        asked: Asked,
        *,
        source: str | None = None,
        handle: str | None = None,
        max_wait_s: float | None = None,
        last: Collection[str] = (),
    ) -> Fetched[T]:
        """The first source's answer that can be read.

        ``source`` asks only the one that began the pages; ``handle`` uses only that account's own credential;
        ``max_wait_s`` bounds what all waits for rate windows take together; ``last`` are asked after all others.

        Raises:
            NotFound, Private, InsufficientData: the answer, from a source or by agreement.
            ChainFailed: no source had it; ``outcomes`` says why, source by source.
            NoSourceAvailable: no source has a credential.
            ValueError: the table knows no such function or source.
        """
        ask = _Ask(function, asked, handle, self._max_wait_s if max_wait_s is None else max_wait_s)
        outcomes: list[Outcome] = []
        for name in self.table.order(function.name, source, last):
            try:
                fetched = await self._ask_source(name, ask)
            except ProviderError as error:
                outcomes.append(Outcome(name, error))
                answer = settled(outcomes)
                if answer is not None:
                    raise answer from error
                continue
            if fetched is not None:
                return fetched
        raise concluded(function.name, outcomes)

    async def _ask_source(self, source: str, ask: _Ask[T]) -> Fetched[T] | None:
        """None when the source has no credential that could ever be used."""
        try:
            turn = self._circuit(source).enter()
        except CircuitOpen as circuit:
            error = Unavailable(f"{source} is left alone after repeated failures", retry_after_s=circuit.retry_after_s)
            _note(source, ask, error)
            raise error from None
        with turn:
            return await self._try_credentials(source, ask, turn)

    async def _try_credentials(self, source: str, ask: _Ask[T], turn: Turn) -> Fetched[T] | None:
        tried: list[int] = []
        errors: list[ProviderError] = []
        while len(tried) < CREDENTIALS_PER_SOURCE:
            credential = await self._credentials.pick(source, handle=ask.handle, exclude=tried)
            if isinstance(credential, Unusable):
                errors += _resting(credential, ask)
                break
            tried.append(credential.id)
            try:
                waited = await self._wait_for_limits(source, credential, ask)
                if waited and not await self._credentials.usable(credential):
                    tried.pop()  # a pick leaves it out by itself, and knows until when
                    continue
                await self._admit(credential, ask)
                return await self._use(credential, ask, turn)
            except ProviderError as error:
                if error.next is not Next.CREDENTIAL:
                    raise
                errors.append(error)
        if not errors:
            return None
        raise of_credentials(errors)

    async def _wait_for_limits(self, source: str, credential: Credential, ask: _Ask[T]) -> bool:
        """Whether it took so long that the credential may have been put to rest."""
        needed = levels(self.table.providers[source], credential)
        if not needed:
            return False
        began = time.monotonic()
        try:
            await self._limiter.acquire(needed, max_wait_s=ask.wait_left_s)
        except LimitExceeded as full:
            kind = SourceBusy if full.level_key == source else CredentialBusy
            error = kind(f"the request limit of {source} is used up for now", retry_after_s=full.retry_after_s)
            _note(source, ask, error, credential)
            raise error from full
        finally:
            waited_s = time.monotonic() - began
            ask.wait_left_s = max(0.0, ask.wait_left_s - waited_s)
        return waited_s > SOON_S

    async def _admit(self, credential: Credential, ask: _Ask[T]) -> None:
        if self.admission is None:
            return
        try:
            await self.admission(credential, ask.function.name, ask.asked)
        except CredentialBusy as error:
            _note(credential.source, ask, error, credential)
            raise

    async def _use(self, credential: Credential, ask: _Ask[T], turn: Turn) -> Fetched[T]:
        provider = self.table.providers[credential.source](credential, self._http)
        try:
            fetched = await call(provider, ask.function, ask.asked, self.on_payload)
        except ProviderError as error:
            _note(credential.source, ask, error, credential)
            self._count(credential.source, error, turn)
            await self._treat(credential, error)
            raise
        turn.answered()
        _note(credential.source, ask, None, credential)
        await self._credentials.worked(credential)
        return fetched

    async def _treat(self, credential: Credential, error: ProviderError) -> None:
        if error.rest is Rest.RESTING:
            wait_s = error.rest_s if error.retry_after_s is None else error.retry_after_s
            until = await self._credentials.rest(credential, reason=str(error), retry_after_s=wait_s)
            error.retry_after_s = max(0.0, (until - utc_now()).total_seconds())
        elif error.rest is Rest.INVALID:
            expired = isinstance(error, CredentialInvalid) and error.data_access_expired
            await self._credentials.invalidate(credential, reason=str(error), data_access_expired=expired)
        elif not isinstance(error, (Unavailable, Malformed)):
            await self._credentials.worked(credential)

    def _count(self, source: str, error: ProviderError, turn: Turn) -> None:
        if not isinstance(error, Unavailable):
            turn.answered()
            return
        turn.failed()
        if self._circuit(source).is_open:
            logger.bind(source=source).warning("circuit opened")

    def _circuit(self, source: str) -> Circuit:
        circuit = self._circuits.get(source)
        if circuit is None:
            circuit = self._circuits[source] = Circuit(self.circuit_rule)
        return circuit


def _resting(unusable: Unusable, ask: _Ask[T]) -> list[ProviderError]:
    """One error when a credential of the source will be usable again, none when there is nothing to wait for."""
    if unusable.reopens_at is None:
        return []
    left_s = max(0.0, (unusable.reopens_at - utc_now()).total_seconds())
    error = SourceBusy(f"all credentials of {unusable.source} are resting", retry_after_s=left_s)
    _note(unusable.source, ask, error)
    return [error]


def _note(source: str, ask: _Ask[T], error: ProviderError | None, credential: Credential | None = None) -> None:
    """One log line per outcome."""
    outcome = "ok" if error is None else error.word
    COUNTS.add(PROVIDER_REQUESTS, source, outcome)
    if credential is not None:
        number = "account" if credential.handle else str(credential.id)
        COUNTS.add(CREDENTIAL_REQUESTS, source, number, outcome)
    fields = {"source": source, "function": ask.function.name, "credential": credential and credential.id}
    if error is None:
        logger.bind(outcome="ok", **fields).debug("source was asked")
        return
    level = "INFO" if error.code == 404 else "WARNING"
    logger.bind(outcome=error.word, status=error.code, reason=error.message, **fields).log(level, "source was asked")
