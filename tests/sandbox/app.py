"""The sandbox application: data requests on a short path of plain ASGI, control requests to FastAPI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI

from tests.sandbox import wire
from tests.sandbox.cache import AnswerCache
from tests.sandbox.credentials import SandboxCredential
from tests.sandbox.faults import BODY_FAULTS, PROVIDER_ERRORS, FaultIn, FaultKind, Faults, Target
from tests.sandbox.hosts import all_hosts
from tests.sandbox.hosts.base import Answer, Asked, Call, Host, Refusal
from tests.sandbox.limits import Limits
from tests.sandbox.media.cdn import Cdn
from tests.sandbox.spoil import spoiled
from tests.sandbox.stats import Outcome, Stats
from tests.sandbox.universe import Universe

CONTROL = "/_sandbox"
HANG_S = 3600.0


@dataclass(frozen=True)
class Understood:
    """A request after routing: ``asked_for`` is already an answer when the request means nothing."""

    host: Host
    asked: Asked
    credential: SandboxCredential | None
    asked_for: Call | Answer
    era: int

    @property
    def label(self) -> str:
        """Label of the credential, empty for none."""
        return self.credential.label if self.credential else ""

    @property
    def function(self) -> str:
        """Function name, ``unknown`` for a path that means nothing."""
        return self.asked_for.function if isinstance(self.asked_for, Call) else "unknown"

    @property
    def subject(self) -> str:
        """Handle, id or shortcode asked about."""
        return self.asked_for.subject if isinstance(self.asked_for, Call) else ""


class Sandbox:
    """State of one running sandbox; the universe itself has none."""

    def __init__(self, universe: Universe, limit_factor: float = 1.0) -> None:
        self.universe = universe
        self.hosts = all_hosts(universe)
        self.limits = Limits(limit_factor)
        self.faults = Faults(universe.seed)
        self.stats = Stats()
        self.cache = AnswerCache()
        self.cdn = Cdn(self.faults, self.stats)
        self.control: FastAPI | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: wire.Receive, send: wire.Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(CONTROL):
            assert self.control is not None
            await self.control(scope, receive, send)
        else:
            await self._data(scope, receive, send)

    async def _data(self, scope: MutableMapping[str, Any], receive: wire.Receive, send: wire.Send) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        name = headers.get(b"x-provider-host", b"").decode("latin-1").lower()
        if not name and self.cdn.serves(headers.get(b"host", b"").decode("latin-1").lower()):
            await self.cdn(scope, receive, send)
            return
        host = self.hosts.get(name)
        if host is None:
            self.stats.count(Outcome("unknown", "unknown", "421", "", ""), self.stats.era)
            await wire.send_answer(send, self._misdirected(name))
            return
        era = self.stats.era
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        body = await wire.body_of(receive) if scope["method"] != "GET" else b""
        asked = Asked(scope["path"], query, headers, scope["method"], body)
        credential = host.identify(asked)
        what = Understood(host, asked, credential, host.route(asked, credential), era)
        fault = None
        if self.faults.active:
            fault = self.faults.pick(Target(host.source, what.function, what.label, what.subject))
        await self._respond(what, fault, receive, send)

    async def _respond(self, what: Understood, fault: FaultIn | None, receive: wire.Receive, send: wire.Send) -> None:
        kind = fault.kind if fault else None
        if kind is FaultKind.RESET or kind is FaultKind.HANG:
            self._count(what, kind.value, fault)
            if kind is FaultKind.HANG:
                await wire.hang(receive, HANG_S if fault is None or fault.seconds is None else fault.seconds)
            wire.reset(send)
            return
        if fault is not None and kind is FaultKind.SLOW:
            await asyncio.sleep(1.0 if fault.seconds is None else fault.seconds)
        answer = self._answer(what, fault)
        self._count(what, str(answer.status), fault)
        if kind is FaultKind.HALF_BODY:
            await wire.send_half(send, answer)
        elif kind is FaultKind.HUGE_BODY:
            await wire.send_huge(send, answer)
        else:
            await wire.send_answer(send, answer)

    def _answer(self, what: Understood, fault: FaultIn | None) -> Answer:
        """The provider's own order: key, limit, then the question. An injected error comes before all three."""
        if fault is not None and fault.kind in PROVIDER_ERRORS:
            return self._injected(what, fault)
        refused = what.host.refuse(what.asked, what.credential)
        if refused is not None:
            return refused
        window = self.limits.window(what.host.source, what.host.limit, what.label)
        wait_s = window.take(time.monotonic())
        if wait_s:
            own = what.label if what.host.limit.by_credential else ""
            return what.host.error(Refusal("rate_limit", wait_s, own))
        found = self._content(what, fault)
        headers = (*found.headers, *what.host.ok_headers(window.used, window.allowed))
        return Answer(found.status, found.body, headers, found.content_type)

    def _content(self, what: Understood, fault: FaultIn | None) -> Answer:
        if isinstance(what.asked_for, Answer):
            return what.asked_for
        call = what.asked_for
        if fault is not None and fault.kind is FaultKind.WRONG_USER:
            call = what.host.about_someone_else(call)
        if fault is not None and fault.kind is FaultKind.HTML:
            return what.host.html()
        answer = self.cache.get(what.host, call)
        if fault is not None and fault.kind in BODY_FAULTS:
            return spoiled(answer, fault.kind, what.host.mandatory.get(call.function, ()))
        return answer

    def _injected(self, what: Understood, fault: FaultIn) -> Answer:
        wait_s = 1.0 if fault.seconds is None else fault.seconds
        refusal = Refusal(fault.kind.value, wait_s, "", fault.status, fault.message, what.subject, fault.code)
        return what.host.error(refusal)

    def _count(self, what: Understood, status: str, fault: FaultIn | None) -> None:
        kind = fault.kind.value if fault else ""
        self.stats.count(Outcome(what.host.source, what.function, status, what.label, kind), what.era)

    def _misdirected(self, name: str) -> Answer:
        told = f"X-Provider-Host {name!r} is no host of this sandbox" if name else "X-Provider-Host is missing"
        return Answer.of({"error": "misdirected request", "detail": told, "known_hosts": sorted(self.hosts)}, 421)
