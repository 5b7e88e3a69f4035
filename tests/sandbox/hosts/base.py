"""What every provider host has: credentials, a limit, routes, and bodies for errors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

from tests.sandbox.credentials import SandboxCredential, sandbox_credentials
from tests.sandbox.posts import Post, by_graph_id, by_media_pk, by_shortcode, posts_of
from tests.sandbox.templates import encode
from tests.sandbox.universe import OPEN_KINDS, Creator, Universe

_FIND: Mapping[str, Callable[[Universe, str], Post | None]] = {
    "shortcode": by_shortcode,
    "media": by_graph_id,
    "media_pk": by_media_pk,
}
HeaderList = tuple[tuple[bytes, bytes], ...]
HTML = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"


class Asked(NamedTuple):
    """A request as the host sees it: decoded query, header names in lower case."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[bytes, bytes]
    method: str = "GET"
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """A complete response."""

    status: int
    body: bytes
    headers: HeaderList = ()
    content_type: bytes = b"application/json; charset=utf-8"

    @classmethod
    def of(cls, body: object, status: int = 200) -> Answer:
        """JSON body."""
        return cls(status, encode(body))


@dataclass(frozen=True)
class Call:
    """A request understood: equal calls have equal answers, so this is the cache key."""

    function: str
    by: str  # handle, pk, fbid, shortcode, media (Graph id), media_pk, tag
    subject: str
    cursor: str = ""
    size: int = 0
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostLimit:
    """``count`` requests in any ``per_s`` seconds, for the whole source or for each credential."""

    count: int
    per_s: float
    by_credential: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why a request over the limit, or hit by an injected error, gets no data."""

    kind: str
    retry_after_s: float = 1.0
    credential: str = ""
    status: int | None = None
    message: str | None = None
    subject: str = field(default="nobody")
    code: int | None = None


class Host(ABC):
    """One provider host. ``render`` must be a pure function of the call."""

    host: ClassVar[str]
    source: ClassVar[str]
    limit: ClassVar[HostLimit]
    mandatory: ClassVar[Mapping[str, tuple[str, ...]]]
    """function -> path of a key without which its answer is worthless (``*``: any element or value)."""

    def __init__(self, universe: Universe) -> None:
        self.universe = universe
        self.credentials = sandbox_credentials(universe)[self.source]

    @abstractmethod
    def identify(self, asked: Asked) -> SandboxCredential | None:
        """Whose credential the request carries; None: nobody's."""

    @abstractmethod
    def refuse(self, asked: Asked, credential: SandboxCredential | None) -> Answer | None:
        """The answer to a request that this credential does not allow; None: go on."""

    @abstractmethod
    def route(self, asked: Asked, credential: SandboxCredential | None) -> Call | Answer:
        """What is asked for, or the answer to a request that means nothing here."""

    @abstractmethod
    def render(self, call: Call) -> Answer:
        """The answer."""

    @abstractmethod
    def error(self, refusal: Refusal) -> Answer:
        """The provider's form of a limit or an injected error; ``refusal.kind`` is one of faults.PROVIDER_ERRORS."""

    def html(self) -> Answer:
        """A web page where data should be."""
        return Answer(200, HTML, content_type=b"text/html; charset=utf-8")

    def clear(self) -> None:  # noqa: B027 - most hosts remember nothing
        """Forget what was asked."""

    def ok_headers(self, used: int, allowed: int) -> HeaderList:  # noqa: ARG002
        """Headers of an answer within the limit."""
        return ()

    def about_someone_else(self, call: Call) -> Call:
        """The same question about another creator."""
        owner = self._owner(call)
        other = next(iter(self._strangers(owner)), owner)
        if other is None:
            return call
        post = next(iter(posts_of(self.universe, other)), None)
        subjects = {"handle": other.handle, "pk": str(other.pk), "fbid": str(other.fbid)}
        if post is not None:
            subjects.update(shortcode=post.shortcode, media=str(post.graph_id), media_pk=str(post.pk))
        return replace(call, subject=subjects.get(call.by, call.subject), cursor="")

    def _owner(self, call: Call) -> Creator | None:
        universe, subject = self.universe, call.subject
        if call.by in _FIND:
            post = _FIND[call.by](universe, subject)
            return universe.creator(post.index) if post else None
        if call.by == "handle":
            return universe.by_handle(subject)
        return universe.by_fbid(subject) if call.by == "fbid" else universe.by_pk(subject)

    def _strangers(self, owner: Creator | None) -> list[Creator]:
        around = self.universe.others(owner.index if owner else 0, 5, "stranger")
        return [who for who in around if who.kind in OPEN_KINDS and posts_of(self.universe, who)] or around
