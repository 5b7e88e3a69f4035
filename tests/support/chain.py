"""The real chain against the provider sandbox: crawler, HTTP client, limits in Redis, credentials in Postgres."""

from __future__ import annotations

import json
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from core.crawler.crawler import Crawler, Fetched
from core.crawler.errors import ProviderError
from core.crawler.provider import Asked, Function
from core.crawler.sources import SourceTable
from core.flows.registry import build_registry
from core.flows.scraper import failed
from core.queue.queue import Claim, Failed
from credentials.manager import CredentialManager
from credentials.vault import Vault, new_key
from instagram.functions.retriever.crawler import GRAPH, INSTAGRAM
from instagram.models import functions
from tests.sandbox.hosts import all_hosts
from tests.sandbox.posts import posts_of, reels_of
from tests.sandbox.universe import OPEN_KINDS, Creator, Kind, Trait, Universe
from tests.support.sandbox import Sandbox
from utils.db import Database
from utils.rate_limit import RateLimiter, redis_client
from utils.request import HttpClient, HttpOptions, Timeouts

EACH = 2
"""Credentials of each source."""

SIMULATED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    host.source: host.mandatory for host in all_hosts(Universe()).values()
}
"""Source -> functions that the sandbox answers, with the path of the key that its faults change."""

_OPEN_TO_GRAPH = ("fetch_profile_by_handle", "fetch_profile_posts_by_handle")
_PUBLIC = (
    *_OPEN_TO_GRAPH,
    "fetch_profile_by_id",
    "fetch_profile_posts_by_id",
    "fetch_reels_posts",
    "fetch_post_by_shortcode",
    "fetch_tagged_posts",
    "fetch_hashtag_posts",
    "fetch_story_posts_by_profile_id",
    "fetch_followers",
    "fetch_following",
    "fetch_post_likes",
    "fetch_post_comments",
)


def _answers(source: str, function: str) -> bool:
    """Whether the sandbox answers for it, about any account."""
    return function in SIMULATED.get(source, ()) and (source != GRAPH or function in _OPEN_TO_GRAPH)


CHAINS: Mapping[str, tuple[str, ...]] = {
    function: simulated
    for function in _PUBLIC
    if (simulated := tuple(one for one in INSTAGRAM.chains.get(function, ()) if _answers(one, function)))
}
"""The chains of functions about public accounts, as far as the sandbox can answer for their sources."""

FUNCTIONS: Mapping[str, Function[Any]] = {
    one.name: one for one in vars(functions).values() if isinstance(one, Function) and one.name in CHAINS
}
TABLE = SourceTable("instagram", {source: INSTAGRAM.providers[source] for source in SIMULATED}, CHAINS)
PATIENT = Timeouts(connect=10, read=20, total=30)
HASTY = Timeouts(connect=10, read=0.3, total=30)
LARGEST = 1 << 20
RING = new_key("chain")

_RESET = text("""update credential
    set disabled_till = null, data_access_expired = false, enabled = true, rest_count = 0, last_error = null""")
_STATES = text("""select source, disabled_till, data_access_expired, rest_count, last_error,
    extract(epoch from disabled_till - now())::float8 as left_s from credential order by id""")
_CLAIM = Claim(7, "refresh_profile_by_handle", "INSTAGRAM", '{"handle": "x"}', 1, 0, None)


@dataclass
class Ended:
    """How one fetch ended: what came, or the error and the report that its task's row would get."""

    fetched: Fetched[Any] | None = None
    error: ProviderError | None = None

    @property
    def source(self) -> str | None:
        """Who answered."""
        return self.fetched.source if self.fetched else None

    @property
    def report(self) -> Failed:
        """What the worker would write."""
        assert self.error is not None
        return failed(build_registry()[_CLAIM.flow], _CLAIM, self.error)

    @property
    def per_source(self) -> list[tuple[str, int]]:
        """(source, status) as the row's result tells them."""
        sources = json.loads(self.report.result or '{"sources": []}')["sources"]
        return [(one["source"], one["status"]) for one in sources]

    def told(self) -> str:
        """All that error and report can be made to say."""
        if self.error is None:
            return ""
        errors = [self.error, *(outcome.error for outcome in self.error.outcomes)]
        texts = ["".join(traceback.format_exception(one)) + f"{one!r} {vars(one)}" for one in errors]
        return "\n".join([*texts, repr(self.report)])


@dataclass
class Rig:
    """One database with credentials of every source, used by many fetches one after the other."""

    sandbox: Sandbox
    database: Database
    redis_url: str

    @classmethod
    async def seeded(cls, sandbox: Sandbox, database: Database, redis_url: str) -> Rig:
        """Store the credentials once."""
        rig = cls(sandbox, database, redis_url)
        async with database.sessions.begin() as session:
            await session.execute(text("truncate credential restart identity"))
        manager = rig.manager()
        for source, credentials in sandbox.credentials.items():
            for one in credentials[:EACH]:
                await manager.insert_creds(source, one.credentials, handle=one.handle)
        return rig

    def manager(self) -> CredentialManager:
        """As a process that has just started has it."""
        return CredentialManager(self.database.sessions, Vault.from_ring(RING))

    async def reset(self) -> None:
        """Every credential usable and without a past."""
        async with self.database.sessions.begin() as session:
            await session.execute(_RESET)

    async def run(self, sql: str) -> None:
        """Change the credential table."""
        async with self.database.sessions.begin() as session:
            await session.execute(text(sql))

    async def fetch(self, function: str, timeouts: Timeouts = PATIENT) -> Ended:
        """Ask for the subject with a crawler of its own."""
        async with self._crawler(timeouts) as crawler:
            asked = asked_of(self.sandbox.universe, function)
            try:
                return Ended(fetched=await crawler.fetch(FUNCTIONS[function], asked))
            except ProviderError as error:
                return Ended(error=error)

    async def states(self) -> dict[str, list[Mapping[str, Any]]]:
        """source -> its rows, oldest first."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        async with self.database.sessions() as session:
            for row in (await session.execute(_STATES)).mappings():
                found.setdefault(row["source"], []).append(dict(row))
        return found

    @property
    def secrets(self) -> list[str]:
        """What must show nowhere."""
        names = ("X-RapidAPI-Key", "token", "x-access-key", "Authorization")
        rows = [one.credentials for credentials in self.sandbox.credentials.values() for one in credentials]
        return [row[name] for row in rows for name in names if name in row]

    @asynccontextmanager
    async def _crawler(self, timeouts: Timeouts) -> AsyncIterator[Crawler]:
        options = HttpOptions(timeouts=timeouts, sandbox_url=self.sandbox.url, max_body_bytes=LARGEST)
        http, limiter = HttpClient(options), RateLimiter(redis_client(self.redis_url))
        try:
            yield Crawler(TABLE, self.manager(), http, limiter, max_wait_s=20.0)
        finally:
            await http.aclose()
            await limiter.aclose()


def subject(universe: Universe) -> Creator:
    """An account that every source covers, with reels; so has the stranger that answers come about by mistake."""
    for who in map(universe.creator, range(universe.size)):
        if who.kind is Kind.BUSINESS and who.trait is Trait.PLAIN and reels_of(universe, who):
            around = universe.others(who.index, 5, "stranger")
            strangers = [one for one in around if one.kind in OPEN_KINDS and posts_of(universe, one)]
            if strangers and reels_of(universe, strangers[0]):
                return who
    raise LookupError("the universe has no fitting account")


def asked_of(universe: Universe, function: str) -> Asked:
    """The question about the subject that belongs to a function."""
    who = subject(universe)
    if function.startswith("fetch_hashtag"):
        return Asked(hashtag="fitness")
    if "_post_" in function and "_story_" not in function:
        return Asked(shortcode=posts_of(universe, who)[0].shortcode)
    return Asked(handle=who.handle) if function.endswith("_handle") else Asked(profile_id=str(who.pk))
