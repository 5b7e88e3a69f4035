"""One source's recorded answers, judged and read by its own class, and its calls as they arrive at a server."""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from core.crawler.offline import read_answer
from core.crawler.provider import Asked, Credential, Payload, Provider
from tests.support.instagram import FETCHED, SAMPLES
from tests.support.raw_server import Seen, always, http, raw_server
from utils.request import HttpClient, HttpOptions


@dataclass(frozen=True)
class Source:
    """A provider class and the folder of its recordings."""

    kind: type[Provider]

    def body(self, file: str) -> Any:
        """The decoded body of a recording, a copy of one's own."""
        return json.loads((SAMPLES / self.kind.source / f"{file}.json").read_text(encoding="utf-8"))

    def files(self) -> list[str]:
        """The names of all recordings."""
        return sorted(path.stem for path in (SAMPLES / self.kind.source).glob("*.json"))

    def parse(self, function: str, data: Any, **asked: Any) -> Any:
        """What the parser makes of ``data``, unjudged."""
        return self.kind.parsers[function](Payload(self.kind.source, function, Asked(**asked), data, FETCHED))

    def read(self, file: str, **asked: Any) -> Any:
        """A recording, read; the function is the first part of its name."""
        return self.parse(file.partition(".")[0], self.body(file), **asked)

    def answer(self, function: str, data: Any, status: int = 200, **asked: Any) -> Any:
        """A body with a status, judged and read as the crawler would."""
        return read_answer(self.kind, function, Asked(**asked), body=json.dumps(data).encode(), status=status)

    async def call(self, function: str, asked: Asked, answer: Any, keys: dict[str, str]) -> tuple[Payload, Seen]:
        """Ask a server that gives ``answer``: the payload, and the request as it arrived."""
        async with (
            raw_server(always(http(200, json.dumps(answer).encode()))) as server,
            aclosing(HttpClient(HttpOptions(sandbox_url=server.url))) as client,
        ):
            provider = self.kind(Credential(7, self.kind.source, None, keys), client)
            payload = await getattr(provider, function)(asked)
        return payload, server.seen[0]
