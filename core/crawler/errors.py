"""What a provider's answer can mean when it is not the data asked for.

    ProviderError                     next        credential   the task later
    ├── RateLimited                   credential  rests        again, when the window opens
    │   ├── QuotaExhausted            credential  rests long   again, when the quota is renewed
    │   ├── CredentialBusy (unsent)   credential  untouched    again, when the window opens
    │   └── SourceBusy (unsent)       source      untouched    again, when the window opens
    ├── CredentialInvalid             credential  disabled     back-off
    ├── NotCovered                    source      untouched    fails
    ├── NotFound (explicit)           final       untouched    fails
    │   └── NotFoundHere (inferred)   source      untouched    fails once two sources or all agree
    ├── Private                       final       untouched    fails
    ├── InsufficientData              final       untouched    fails
    ├── Unsupported                   source      untouched    fails
    ├── Unavailable                   source      untouched    again, soon
    └── Malformed                     source      untouched    back-off
    ChainFailed                       one of the above per source asked, after the last one
    NoSourceAvailable                 no credential that could have been used

A final answer carries in ``outcomes`` how the sources asked before it ended. The crawler and the worker read the class
attributes, never the text. ``str(error)`` is the form that other services match in ``scrape_request_log.data``:
``(429, 'message')``. Every error can be pickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar


class Next(Enum):
    """Where the crawler turns after an error."""

    CREDENTIAL = "another credential of the source, then the next source"
    SOURCE = "the next source"
    FINAL = "nowhere: this is the answer"


class Rest(Enum):
    """What an error does to the credential that met it."""

    NONE = "untouched"
    RESTING = "disabled for a while"
    INVALID = "disabled until replaced"


class Retry(Enum):
    """When a task that ended with the error runs again."""

    NEVER = "not at all"
    LATER = "when the source is open again, without using up attempts, for a day"
    HELD = "when what is Beat's own works again, without using up attempts, however long that takes"
    BACKOFF = "after a growing pause, up to max_retries"


class ProviderError(Exception):
    """An answer that is not the data: carries a status for the stored text and a word for operators."""

    status: ClassVar[int] = 500
    word: ClassVar[str] = "upstream"
    next: ClassVar[Next] = Next.SOURCE
    rest: ClassVar[Rest] = Rest.NONE
    retry: ClassVar[Retry] = Retry.BACKOFF
    rest_s: ClassVar[float | None] = None
    """How long the credential rests when the source did not say; None leaves it to the credential source."""

    def __init__(self, message: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = self.status if status is None else status
        self.retry_after_s = retry_after_s
        self.outcomes: tuple[Outcome, ...] = ()

    def __reduce__(self) -> tuple[object, ...]:
        return _blank, (type(self), self.message), self.__dict__

    def __str__(self) -> str:
        return str((self.code, self.message))


def _blank(kind: type[ProviderError], message: str) -> ProviderError:
    """An error whose attributes pickle fills in next, whatever its constructor takes."""
    return kind.__new__(kind, message)


class RateLimited(ProviderError):
    """Too many requests; ``retry_after_s`` when the source said how long."""

    status = 429
    word = "rate_limited"
    next = Next.CREDENTIAL
    rest = Rest.RESTING
    retry = Retry.LATER


class QuotaExhausted(RateLimited):
    """The plan's quota is used up: resting a credential for minutes would not help."""

    word = "quota_exhausted"
    rest_s = 6 * 3600.0


class CredentialBusy(RateLimited):
    """Beat's own limit of the credential is used up: nothing was sent."""

    rest = Rest.NONE


class SourceBusy(RateLimited):
    """Beat's own limit of the source is used up, or all its credentials rest: nothing was sent."""

    next = Next.SOURCE
    rest = Rest.NONE


class CredentialInvalid(ProviderError):
    """The key is refused, lacks a scope or its data access has run out."""

    status = 401
    word = "auth"
    next = Next.CREDENTIAL
    rest = Rest.INVALID

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        data_access_expired: bool = False,
    ) -> None:
        super().__init__(message, status=status, retry_after_s=retry_after_s)
        self.data_access_expired = data_access_expired


class NotCovered(ProviderError):
    """The source cannot see this kind of account; another may."""

    status = 404
    word = "not_found"
    retry = Retry.NEVER


class NotFound(ProviderError):
    """A source that covers all accounts says in words that there is no such thing."""

    status = 404
    word = "not_found"
    next = Next.FINAL
    retry = Retry.NEVER


class NotFoundHere(NotFound):
    """An empty container or an answer about somebody else: final only when two sources, or all, agree."""

    next = Next.SOURCE


class Private(ProviderError):
    """The account is private."""

    status = 403
    word = "private"
    next = Next.FINAL
    retry = Retry.NEVER


class InsufficientData(ProviderError):
    """The platform keeps the number back because too few people are behind it."""

    status = 400
    word = "insufficient_data"
    next = Next.FINAL
    retry = Retry.NEVER


class Unsupported(ProviderError):
    """The source has no such call, or not in this version or for this kind of media."""

    status = 400
    word = "unsupported"
    retry = Retry.NEVER


class Unavailable(ProviderError):
    """5xx, a time-out, a broken connection, or an answer that is not JSON."""

    status = 503
    word = "upstream"
    retry = Retry.LATER


class Malformed(ProviderError):
    """JSON of another shape than documented; ``path`` is where it first differs."""

    status = 502
    word = "malformed"

    def __init__(
        self, message: str, *, status: int | None = None, retry_after_s: float | None = None, path: str = ""
    ) -> None:
        super().__init__(message, status=status, retry_after_s=retry_after_s)
        self.path = path


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one source of the chain ended."""

    source: str
    error: ProviderError

    def __post_init__(self) -> None:
        """Let go of the frames that the error went through: they hold the answer, and outcomes live until the end."""
        link: BaseException | None = self.error
        while link is not None and link.__traceback__ is not None:
            link.__traceback__ = None
            link = link.__cause__ or link.__context__

    def as_result(self) -> dict[str, object]:
        """The JSON form kept in ``scrape_request_log.result``."""
        return {
            "source": self.source,
            "class": self.error.word,
            "status": self.error.code,
            "message": self.error.message,
        }


class ChainFailed(ProviderError):
    """No source gave the data. Status: 429 if any was rate limited, else 404 if any found nothing, else that of the
    last source that has the call.

    ``retry_after_s`` is the soonest that any source may answer; None when one may at once.
    """

    def __init__(self, function: str, outcomes: tuple[Outcome, ...]) -> None:
        deciding = _deciding(outcomes)
        waits = [o.error.retry_after_s or 0.0 for o in outcomes if o.error.retry is Retry.LATER]
        super().__init__(deciding.message, status=deciding.code, retry_after_s=min(waits, default=0.0) or None)
        self.function = function
        self.outcomes = outcomes
        self.reason = deciding.word
        self.transient = bool(waits)
        self.hopeless = all(o.error.retry is Retry.NEVER for o in outcomes)


def _deciding(outcomes: tuple[Outcome, ...]) -> ProviderError:
    for wanted in (RateLimited, (NotFound, NotCovered)):
        for outcome in outcomes:
            if isinstance(outcome.error, wanted):
                return outcome.error
    able = [outcome.error for outcome in outcomes if not isinstance(outcome.error, Unsupported)]
    return able[-1] if able else outcomes[-1].error


class NoSourceAvailable(ProviderError):
    """No credential of any source in the chain could be used; the stored text is the bare message."""

    word = "auth"
    status = 503

    def __init__(self, message: str = "No source is available at the moment", **_: object) -> None:
        super().__init__(message)

    def __str__(self) -> str:
        return self.message


def retry_rule(error: ProviderError) -> Retry:
    """When a task that ended with ``error`` runs again."""
    if isinstance(error, ChainFailed):
        return Retry.LATER if error.transient else Retry.NEVER if error.hopeless else Retry.BACKOFF
    return error.retry
