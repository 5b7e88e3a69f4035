"""What all calls of the Graph API share: version, token, the account that the token belongs to, ids in paths."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from core.crawler.errors import Malformed, NotCovered, ProviderError, QuotaExhausted, RateLimited, Unsupported
from core.crawler.provider import Asked, Payload
from instagram.functions.retriever.checks import same_handle
from instagram.functions.retriever.graphapi.graphapi_numbers import GAPS
from instagram.functions.retriever.graphapi.graphapi_owner import is_account
from instagram.functions.retriever.graphapi.graphapi_usage import regain_s
from instagram.functions.retriever.interface import InstagramProvider, given
from utils.rate_limit import By, Limit
from utils.times import utc_now

DEFAULT_VERSION = "v15.0"
_ID = re.compile(r"[0-9]{1,30}")
_CURSOR = re.compile(r"[\w=+/.:-]{1,2000}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """One of several calls whose answers are put together; ``name`` is that of the gap which its failure leaves."""

    name: str
    call: Awaitable[Payload]


class GraphBase(InstagramProvider):
    """The account that a user token belongs to asks. Errors come with any status, so their code decides."""

    source = "graphapi"
    base_url = "https://graph.facebook.com"
    version: ClassVar[str] = DEFAULT_VERSION
    limits = (Limit(200, 3600, By.CREDENTIAL),)

    def headers(self) -> dict[str, str]:
        """None: the token travels in the query."""
        return {}

    @classmethod
    def judge(cls, status: int, headers: Mapping[str, str], data: Any) -> ProviderError | None:
        """By the code; how long a limit stays used up is said in a header of Graph's own."""
        failure = super().judge(status, headers, data)
        limited = isinstance(failure, RateLimited) and not isinstance(failure, QuotaExhausted)
        if failure is not None and limited and "retry-after" not in headers:
            failure.retry_after_s = regain_s(headers)
        return failure

    @classmethod
    def has(cls, version: str) -> bool:
        """Whether the version in use is this one or a later one."""
        return _numbers(cls.version) >= _numbers(version)

    @classmethod
    def needs(cls, what: str, *, since: str | None = None, until: str | None = None) -> None:
        """Refuse a call that the version in use lacks.

        Raises:
            Unsupported: it came with ``since``, or was gone with ``until``.
        """
        if since is not None and not cls.has(since):
            raise Unsupported(f"{what} needs Graph API {since}, {cls.version} is set")
        if until is not None and cls.has(until):
            raise Unsupported(f"{what} is gone since Graph API {until}, {cls.version} is set")

    async def node(self, function: str, asked: Asked, path: str, **params: str | int | None) -> Payload:
        """GET below the version, with the token."""
        query = given(**params, access_token=self.key("token"))
        return await self.get(function, asked, f"/{self.version}/{path}", query)

    async def own(self, function: str, asked: Asked, edge: str, **params: str | int | None) -> Payload:
        """GET an edge of the token's own account. The answer is held against that account's Graph id.

        Raises:
            NotCovered: another account is asked for; nothing is sent.
        """
        owned = self.owned(asked)
        return await self.node(function, owned, f"{owned.profile_id}/{edge}", **params)

    def owned(self, asked: Asked) -> Asked:
        """The same question with the account's Graph id, the only id that answers about it carry.

        Raises:
            NotCovered: another account is asked for, or nobody can tell.
        """
        return replace(asked, profile_id=self.own_account(asked))

    def own_account(self, asked: Asked) -> str:
        """The Graph id of the token's account, when it is the one asked for.

        Raises:
            NotCovered: it is not, or nobody can tell.
        """
        user_id = self.key("user_id")
        by_id = asked.profile_id is not None and is_account(user_id, asked.profile_id)
        if by_id or same_handle(self.credential.handle, asked.handle):
            return user_id
        raise NotCovered("the token belongs to another account")

    async def join(self, function: str, asked: Asked, parts: Sequence[Part]) -> Payload:
        """The lists of several answers as one. What failed while something else did not is noted beside it.

        Raises:
            ProviderError: nothing came; the error of the first call.
        """
        answers = await asyncio.gather(*(part.call for part in parts), return_exceptions=True)
        items: list[Any] = []
        failed: dict[str, ProviderError] = {}
        for part, answer in zip(parts, answers, strict=True):
            try:
                items += _listed(answer)
            except ProviderError as error:
                failed[part.name] = error
        if len(failed) == len(parts):
            raise next(iter(failed.values()))
        noted = {name: f"{error.word}: {error.message}" for name, error in failed.items()}
        return Payload(self.source, function, asked, {"data": items, **({GAPS: noted} if noted else {})}, utc_now())


def _listed(answer: Payload | BaseException) -> list[Any]:
    if isinstance(answer, BaseException):
        raise answer
    items = answer.data.get("data") if isinstance(answer.data, dict) else None
    if not isinstance(items, list):
        raise Malformed("data: expected a list", path="data")
    return items


def path_id(value: str | None, what: str) -> str:
    """An id that may stand in a path: digits. Of ``<media>_<user>`` the first.

    Raises:
        Unsupported: it is none of Graph's.
    """
    plain = (value or "").partition("_")[0]
    if not _ID.fullmatch(plain):
        raise Unsupported(f"this is no Graph id of a {what}")
    return plain


def checked_cursor(asked: Asked) -> str | None:
    """The cursor asked for.

    Raises:
        Unsupported: it cannot have come from this source.
    """
    if asked.cursor and not _CURSOR.fullmatch(asked.cursor):
        raise Unsupported("the cursor is not one of this source")
    return asked.cursor or None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("v").split("."))
