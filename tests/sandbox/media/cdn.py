"""The CDN: serves the addresses of dialects/urls.py, signed and for a time, and YouTube's, which are not signed."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tests.sandbox import wire
from tests.sandbox.dialects.urls import signature_of, signed_with
from tests.sandbox.faults import FaultIn, FaultKind, Faults, Target
from tests.sandbox.hosts.base import HTML, Answer
from tests.sandbox.media.bodies import CONTENT_TYPES, file_of
from tests.sandbox.stats import Outcome, Stats

SOURCE = "cdn"
SIGNED = ("cdninstagram.com", "fbcdn.net")
UNSIGNED = ("ytimg.com", "ggpht.com", "googleusercontent.com")
MODIFIED = b"Thu, 09 May 2024 10:00:00 GMT"
HANG_S = 3600.0
_FORM = re.compile(rb"(?:^|&)stp=dst-(jpg|webp|png|gif)")
_SIDE = re.compile(rb"[_=]s(\d{2,4})(?:x\d+)?(?=&|_|$)")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request as the CDN reads it. ``subject`` is the last part of the file name: Instagram's pk."""

    path: str
    query: bytes
    headers: Mapping[bytes, bytes]
    function: str
    subject: str

    @property
    def form(self) -> str:
        """The kind of file that the address asks for."""
        if self.function == "video":
            return "mp4"
        found = _FORM.search(self.query)
        return found[1].decode() if found else "jpg"


class Cdn:
    """Answers by file name; nothing is kept."""

    def __init__(self, faults: Faults, stats: Stats) -> None:
        self._faults = faults
        self._stats = stats

    @staticmethod
    def serves(host: str) -> bool:
        """Whether this is the name of one of its hosts."""
        return host.partition(":")[0].endswith((*SIGNED, *UNSIGNED))

    async def __call__(self, scope: wire.Scope, receive: wire.Receive, send: wire.Send) -> None:
        wanted, era = _wanted(scope), self._stats.era
        fault = self._faults.pick(Target(SOURCE, wanted.function, "", wanted.subject)) if self._faults.active else None
        kind = fault.kind if fault else None
        if kind in (FaultKind.RESET, FaultKind.HANG):
            self._count(wanted, str(kind), fault, era)
            if kind is FaultKind.HANG:
                await wire.hang(receive, _seconds(fault, HANG_S))
            wire.reset(send)
            return
        if kind is FaultKind.SLOW:
            await asyncio.sleep(_seconds(fault, 1.0))
        answer = self._answer(wanted, fault)
        self._count(wanted, str(answer.status), fault, era)
        await self._send(answer, fault, receive, send)

    async def _send(self, answer: Answer, fault: FaultIn | None, receive: wire.Receive, send: wire.Send) -> None:
        kind = fault.kind if fault else None
        if kind is FaultKind.HALF_BODY:
            await wire.send_half(send, answer)
        elif kind is FaultKind.STALL:
            await wire.send_and_stall(send, answer)
            await wire.hang(receive, _seconds(fault, HANG_S))
            wire.reset(send)
        elif kind in (FaultKind.NO_LENGTH, FaultKind.NO_LENGTH_HALF):
            wire.send_until_closed(send, answer, half=kind is FaultKind.NO_LENGTH_HALF)
        elif kind is FaultKind.HUGE_BODY:
            await wire.send_huge(send, answer, answer.body)
        else:
            await wire.send_answer(send, answer)

    def _answer(self, wanted: Wanted, fault: FaultIn | None) -> Answer:
        injected = None if fault is None else _injected(fault, wanted)
        if injected is not None:
            return injected
        refused = _refused(wanted)
        if refused is not None:
            return refused
        form = wanted.form
        if fault is not None and fault.kind is FaultKind.WRONG_TYPE:
            form = "png" if form == "webp" else "webp"
        body = file_of(wanted.subject, form, _side(wanted.query))
        etag = b'"%s"' % hashlib.md5(body).hexdigest().encode()
        headers = ((b"etag", etag), (b"last-modified", MODIFIED), (b"cache-control", b"max-age=1209600, no-transform"))
        if wanted.headers.get(b"if-none-match") == etag:
            return Answer(304, b"", headers)
        return Answer(200, body, headers, CONTENT_TYPES[wanted.form].encode())

    def _count(self, wanted: Wanted, status: str, fault: FaultIn | None, era: int) -> None:
        self._stats.count(Outcome(SOURCE, wanted.function, status, "", fault.kind.value if fault else ""), era)


def _wanted(scope: wire.Scope) -> Wanted:
    path = scope["raw_path"].decode("latin-1")
    stem = path.rpartition("/")[2].partition(".")[0].removesuffix("_n")
    function = "video" if path.endswith(".mp4") else "image"
    return Wanted(path, scope["query_string"], dict(scope["headers"]), function, stem.rpartition("_")[2])


def _refused(wanted: Wanted) -> Answer | None:
    """Signed hosts check the signature over the bytes that came, then the time."""
    host = wanted.headers.get(b"host", b"").decode("latin-1").partition(":")[0]
    if not host.endswith(SIGNED):
        return None
    signature, ends = signed_with(wanted.query)
    if ends is None or signature != signature_of(wanted.path.encode("latin-1"), wanted.query):
        return _text(403, b"URL signature mismatch")
    return _text(403, b"URL signature expired") if ends < time.time() else None


def _injected(fault: FaultIn, wanted: Wanted) -> Answer | None:
    match fault.kind:
        case FaultKind.EXPIRED:
            return _text(403, b"URL signature expired")
        case FaultKind.FORBIDDEN:
            return _text(fault.status or 403, b"Forbidden")
        case FaultKind.NOT_FOUND:
            return _text(fault.status or 404, b"Not Found")
        case FaultKind.SERVER_ERROR:
            return _text(fault.status or 500, b"Internal Server Error")
        case FaultKind.RATE_LIMIT:
            return replace(_text(429, b"Too Many Requests"), headers=((b"retry-after", b"%d" % _seconds(fault, 1.0)),))
        case FaultKind.HTML:
            return Answer(200, HTML, content_type=CONTENT_TYPES[wanted.form].encode())
        case FaultKind.ERROR_IN_200:
            return Answer.of({"error": fault.message or "Bad URL hash"})
        case FaultKind.EMPTY:
            return Answer(200, b"", content_type=CONTENT_TYPES[wanted.form].encode())
        case FaultKind.REDIRECT:
            location = (fault.location or "").encode("latin-1")
            return replace(_text(fault.status or 302, b""), headers=((b"location", location),))
    return None


def _text(status: int, body: bytes) -> Answer:
    return Answer(status, body, content_type=b"text/plain")


def _side(query: bytes) -> int:
    found = _SIDE.search(query)
    return min(max(int(found[1]), 16), 1080) if found else 640


def _seconds(fault: FaultIn | None, default: float) -> float:
    return default if fault is None or fault.seconds is None else fault.seconds
