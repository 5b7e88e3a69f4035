"""Sources that answer as a test tells them, over real HTTP, and credentials in memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from core.crawler import errors
from core.crawler.provider import Asked, Credential, Function, Payload, Provider, Unusable
from core.crawler.sources import SourceTable
from utils.rate_limit import Limit
from utils.times import utc_now

FIND: Function[str] = Function("find")

KINDS: Mapping[str, type[errors.ProviderError]] = {
    kind.__name__: kind
    for kind in (
        errors.RateLimited,
        errors.QuotaExhausted,
        errors.CredentialInvalid,
        errors.NotCovered,
        errors.NotFound,
        errors.NotFoundHere,
        errors.Private,
        errors.InsufficientData,
        errors.Unsupported,
        errors.Unavailable,
        errors.Malformed,
    )
}


@dataclass(frozen=True)
class Answer:
    """What a source says once. ``body`` None breaks the connection; ``delay_s`` comes before."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


def data(name: str) -> Answer:
    """The data asked for."""
    return Answer({"name": name})


def error(kind: str, message: str = "said so", **headers: str) -> Answer:
    """An error that the provider's judge reads as this class."""
    return Answer({"error": kind, "message": message}, headers={k.replace("_", "-"): v for k, v in headers.items()})


class Sources:
    """The server: per source a script, whose last answer repeats; a script of a credential's own comes first."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[Answer]] = {}
        self.calls: list[tuple[str, str]] = []
        self.reached = asyncio.Event()
        self.url = ""

    @property
    def counts(self) -> Counter[str]:
        """Calls by source."""
        return Counter(source for source, _ in self.calls)

    def say(self, who: str, *answers: Answer) -> None:
        """Script a source (``alpha``) or one credential of it (``alpha:1``)."""
        self.scripts[who] = list(answers)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one call by its script."""
        source, who = request.match_info["source"], request.headers["x-key"].rpartition("-")[2]
        self.calls.append((source, who))
        self.reached.set()
        script = self.scripts.get(f"{source}:{who}") or self.scripts[source]
        answer = script.pop(0) if len(script) > 1 else script[0]
        await asyncio.sleep(answer.delay_s)
        if answer.body is None and request.transport is not None:
            request.transport.abort()
        if isinstance(answer.body, str):
            return web.Response(text=answer.body, status=answer.status, headers=answer.headers)
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)


@asynccontextmanager
async def serving() -> AsyncIterator[Sources]:
    """The server on a free port of this machine."""
    sources = Sources()
    app = web.Application()
    app.router.add_get("/{source}/find", sources.handle)
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        sources.url = f"http://127.0.0.1:{port}"
        yield sources
    finally:
        await runner.cleanup()


def parse(payload: Payload) -> str:
    """The name; a body without one is a KeyError, as of a careless parser."""
    if payload.data.get("of") not in (None, payload.asked.handle):
        raise errors.NotFoundHere("answered about somebody else")
    return str(payload.data["name"])


class Scripted(Provider):
    """A provider over the server above."""

    parsers = {"find": parse}  # noqa: RUF012 - a ClassVar in the base

    @classmethod
    def judge(cls, status: int, headers: Mapping[str, str], data: Any) -> errors.ProviderError | None:
        """By the word in the body, else by status."""
        if isinstance(data, dict) and "error" in data:
            return KINDS[data["error"]](data["message"])
        if status >= 500:
            return errors.Unavailable(f"status {status}")
        return errors.RateLimited(f"status 429, {len(headers)} headers") if status == 429 else None

    async def find(self, asked: Asked) -> Payload:
        """The one function."""
        return await self.get("find", asked, "/find", {"handle": asked.handle})


def provider(source: str, url: str, limits: tuple[Limit, ...] = ()) -> type[Scripted]:
    """A provider class for one source of the server."""
    return type(f"Scripted_{source}", (Scripted,), {"source": source, "base_url": f"{url}/{source}", "limits": limits})


def table_of(*providers: type[Provider]) -> SourceTable:
    """A table that asks these in order."""
    by_source = {one.source: one for one in providers}
    return SourceTable("test", by_source, {"find": tuple(by_source)})


class Credentials:
    """A CredentialSource in memory: picks the first that may be used and writes down what happens to each."""

    def __init__(self, **counts: int) -> None:
        self.all = {
            source: [
                Credential(n, source, None, {"x-key": f"planted-secret-{source}-{n}"}) for n in range(1, count + 1)
            ]
            for source, count in counts.items()
        }
        self.resting: dict[tuple[str, int], datetime] = {}
        self.rests: list[tuple[str, int, float | None]] = []
        self.invalid: dict[tuple[str, int], bool] = {}
        self.worked_ones: list[tuple[str, int]] = []
        self.reasons: list[str] = []

    async def pick(
        self, source: str, *, handle: str | None = None, exclude: Collection[int] = ()
    ) -> Credential | Unusable:
        """The first usable one, of the handle when given."""
        here = [
            one for one in self.all.get(source, []) if one.id not in exclude and one.handle == (handle or one.handle)
        ]
        here = [one for one in here if (source, one.id) not in self.invalid]
        for one in here:
            if (source, one.id) not in self.resting:
                return one
        return Unusable(source, min((self.resting[source, one.id] for one in here), default=None))

    async def usable(self, credential: Credential) -> bool:
        """Neither resting nor refused."""
        key = (credential.source, credential.id)
        return key not in self.resting and key not in self.invalid

    async def rest(self, credential: Credential, *, reason: str, retry_after_s: float | None = None) -> datetime:
        """Ten minutes, or what the source said."""
        self.reasons.append(reason)
        self.rests.append((credential.source, credential.id, retry_after_s))
        till = utc_now() + timedelta(seconds=600 if retry_after_s is None else retry_after_s)
        self.resting[credential.source, credential.id] = till
        return till

    async def invalidate(self, credential: Credential, *, reason: str, data_access_expired: bool = False) -> None:
        """For good."""
        self.reasons.append(reason)
        self.invalid[credential.source, credential.id] = data_access_expired

    async def worked(self, credential: Credential) -> None:
        """Written down."""
        self.worked_ones.append((credential.source, credential.id))

    @property
    def untouched(self) -> bool:
        """Whether none rests and none was refused."""
        return not self.rests and not self.invalid
