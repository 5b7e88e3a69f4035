"""What every data provider is made of: a credential, a client for one host, and a table of functions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from core.crawler.errors import ProviderError, QuotaExhausted, Retry, Unavailable
from utils.rate_limit import Limit
from utils.request import HttpClient, NotJson, RequestFailed, Response
from utils.times import utc_now, wait_s

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Credential:
    """A usable credential. ``keys`` is secret: it is kept out of every text form."""

    id: int
    source: str
    handle: str | None
    keys: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unusable:
    """No credential of a source can be used now; ``reopens_at`` when one of them is only resting."""

    source: str
    reopens_at: datetime | None


@dataclass(frozen=True, slots=True)
class SourceCredentials:
    """How many credentials of a source there are, by state. ``back_at``: when the first of the resting ones is back."""

    source: str
    usable: int
    resting: int
    back_at: datetime | None
    refused: int
    expired: int
    disabled: int


class CredentialSource(Protocol):
    """Who may call a source now, and what became of it."""

    async def pick(
        self, source: str, *, handle: str | None = None, exclude: Collection[int] = ()
    ) -> Credential | Unusable:
        """A random usable credential of the source (of that handle, when given), none of ``exclude``."""

    async def usable(self, credential: Credential) -> bool:
        """Whether one that was picked a while ago may still be used: others may have learnt something meanwhile."""

    async def rest(self, credential: Credential, *, reason: str, retry_after_s: float | None = None) -> datetime:
        """Disable for a while, longer each time in a row; returns when it may be used again."""

    async def invalidate(self, credential: Credential, *, reason: str, data_access_expired: bool = False) -> None:
        """Disable until it is replaced."""

    async def worked(self, credential: Credential) -> None:
        """It answered: the next rest starts from the shortest again."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a function is asked for; a parser checks the answer's identity against it."""

    profile_id: str | None = None
    handle: str | None = None
    shortcode: str | None = None
    post_id: str | None = None
    comment_id: str | None = None
    hashtag: str | None = None
    highlight_id: str | None = None
    cursor: str | None = None
    beside: Mapping[str, Any] | None = None
    """What the page before gave together with its cursor, for sources that want it back."""
    post_type: str | None = None
    product_type: str | None = None
    """What is known about the post, for sources that ask each kind for other numbers."""


@dataclass(frozen=True, slots=True)
class Payload:
    """A decoded answer, unread: ``data`` is the JSON as the provider sent it."""

    source: str
    function: str
    asked: Asked
    data: Any
    fetched_at: datetime
    status: int = 200


@dataclass(frozen=True, slots=True)
class Function(Generic[T_co]):
    """The name of something that sources can be asked for, and the type of what its parsers give."""

    name: str


Parser = Callable[[Payload], Any]


class Provider:
    """One provider with one credential. A subclass is tables (host, limits, parsers) and one method per function.

    A method named like its function takes an ``Asked`` and returns a ``Payload``; retries, waiting, parsing and the
    database belong to others.
    """

    source: ClassVar[str]
    base_url: ClassVar[str]
    limits: ClassVar[tuple[Limit, ...]] = ()
    parsers: ClassVar[Mapping[str, Parser]] = {}

    def __init__(self, credential: Credential, http: HttpClient) -> None:
        self.credential = credential
        self.http = http
        self._last: tuple[str, Asked, Response] | None = None

    def headers(self) -> Mapping[str, str]:
        """Headers that carry the credential: by default the whole credential is a set of headers."""
        return self.credential.keys

    @classmethod
    def judge(cls, status: int, headers: Mapping[str, str], data: Any) -> ProviderError | None:
        """The error that a decoded answer means, or None when it holds data."""
        raise NotImplementedError

    async def get(self, function: str, asked: Asked, path: str, params: Mapping[str, Any]) -> Payload:
        """GET and judge; the body is returned unread.

        Raises:
            ProviderError: whatever the answer, or the lack of one, means.
        """
        request = self.http.request("GET", self.base_url + path, params=params, headers=self.headers())
        return await self._answer(function, asked, request)

    async def post(self, function: str, asked: Asked, path: str, body: Mapping[str, Any]) -> Payload:
        """POST a JSON body and judge; the answer is returned unread.

        Raises:
            ProviderError: whatever the answer, or the lack of one, means.
        """
        request = self.http.request("POST", self.base_url + path, json=body, headers=self.headers())
        return await self._answer(function, asked, request)

    async def _answer(self, function: str, asked: Asked, request: Awaitable[Response]) -> Payload:
        try:
            response = await request
        except RequestFailed as error:
            raise Unavailable(str(error)) from error
        self._last = (function, asked, response)
        return Payload(self.source, function, asked, self.decode(response, function), utc_now(), response.status)

    def last_answer(self) -> Payload | None:
        """The newest answer, whatever it was judged to be; None when there is none, or it is not JSON."""
        if self._last is None:
            return None
        function, asked, response = self._last
        try:
            return Payload(self.source, function, asked, response.json(), utc_now(), response.status)
        except NotJson:
            return None

    @classmethod
    def judge_call(cls, function: str, failure: ProviderError, data: Any) -> ProviderError:  # noqa: ARG003
        """A second look at what ``judge`` found, for sources where an error depends on the function asked."""
        return failure

    @classmethod
    def decode(cls, response: Response, function: str = "") -> Any:
        """The JSON of an answer that holds data.

        Raises:
            ProviderError: it is not JSON, or it is an error by status or body.
        """
        try:
            data = response.json()
        except NotJson as error:
            failure = cls.judge(response.status, response.headers, None) or Unavailable(str(error))
            failure.__cause__ = error
        else:
            found = cls.judge(response.status, response.headers, data)
            if found is None:
                return data
            failure = cls.judge_call(function, found, data)
        if failure.retry is Retry.LATER and failure.retry_after_s is None:
            failure.retry_after_s = _retry_after_s(response.headers, quota=isinstance(failure, QuotaExhausted))
        raise failure


def _retry_after_s(headers: Mapping[str, str], *, quota: bool) -> float | None:
    """What the answer says about when to come back; RapidAPI's ``reset`` is that of the plan's quota, not of a rate."""
    text = headers.get("retry-after", "").strip() or (headers.get("x-ratelimit-requests-reset", "") if quota else "")
    return wait_s(text)
