"""What worker processes of the pipeline spend their CPU time on (BEAT_EXTRA_FLOWS=scripts.bench.shares).

Wraps the stages of a refresh where they begin; each one's time is without that of the stages within it. SIGUSR1
sets all to zero; a process writes its seconds to BENCH_SHARES/<pid> at its end. Costs some percent: never on in a run
that is compared.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from functools import wraps
from pathlib import Path
from typing import Any

from core.amqp import outbox
from core.flows.registry import Flow
from core.runtime import Runtime
from credentials.manager import CredentialManager
from instagram.functions.retriever.crawler import INSTAGRAM
from instagram.tasks import ingestion, processing, second_opinion
from utils.rate_limit import RateLimiter
from utils.request import HttpClient, Response

VARIABLE = "BENCH_SHARES"
STAGES = ("HTTP", "parse", "keywords", "SQL", "events", "credentials and limits")
FLOWS: tuple[Flow, ...] = ()

_spent: dict[str, float] = {}
_here = threading.local()


class _Within:
    """Time goes to a stage of this thread while the block runs, and to the one around it before and after."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._around: str | None = None

    def __enter__(self) -> None:
        self._around = getattr(_here, "stage", None)
        self._switch(self._stage)

    def __exit__(self, *_: object) -> None:
        self._switch(self._around)

    def _switch(self, stage: str | None) -> None:
        now = time.thread_time()
        if (before := getattr(_here, "stage", None)) is not None:
            _spent[before] = _spent.get(before, 0.0) + now - _here.since
        _here.stage, _here.since = stage, now


class _Steps:
    """A coroutine whose every step is within the stage; between its steps others run."""

    def __init__(self, stage: str, inner: Any) -> None:
        self._stage = stage
        self._inner = inner

    def __await__(self) -> Generator[Any, Any, Any]:
        sent: Any = None
        failed: BaseException | None = None
        while True:
            try:
                with _Within(self._stage):
                    waits_for = self._inner.send(sent) if failed is None else self._inner.throw(failed)
            except StopIteration as end:
                return end.value
            sent, failed = None, None
            try:
                sent = yield waits_for
            except BaseException as error:  # noqa: BLE001  handed on to the coroutine
                failed = error


def _stepwise(stage: str, function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @wraps(function)
    async def metered(*args: Any, **options: Any) -> Any:
        return await _Steps(stage, function(*args, **options))

    return metered


def _whole(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def metered(*args: Any, **options: Any) -> Any:
        with _Within(stage):
            return function(*args, **options)

    return metered


def _install() -> None:
    asynchronous: tuple[tuple[str, Any, str], ...] = (
        ("HTTP", HttpClient, "request"),
        ("SQL", second_opinion, "upsert_profile_plainly"),
        ("SQL", second_opinion, "upsert_profile"),
        ("credentials and limits", CredentialManager, "pick"),
        ("credentials and limits", RateLimiter, "acquire"),
    )
    plain: tuple[tuple[str, Any, str], ...] = (
        ("parse", Response, "json"),
        ("keywords", ingestion, "keywords"),
        ("events", processing, "profile_log_event"),
        ("events", processing, "post_log_event"),
        ("events", outbox, "columns_of"),
    )
    for stage, owner, name in asynchronous:
        setattr(owner, name, _stepwise(stage, getattr(owner, name)))
    for stage, owner, name in plain:
        setattr(owner, name, _whole(stage, getattr(owner, name)))
    parsers = {provider: provider.parsers for provider in INSTAGRAM.providers.values()}
    for provider, table in parsers.items():
        provider.parsers = {name: _whole("parse", parser) for name, parser in table.items()}
    signal.signal(signal.SIGUSR1, lambda *_: _spent.clear())
    Runtime.aclose = _aclose_and_say(Runtime.aclose)  # type: ignore[method-assign]


def _aclose_and_say(aclose: Callable[[Runtime], Awaitable[None]]) -> Any:
    async def closed(self: Runtime) -> None:
        await aclose(self)
        if folder := os.environ.get(VARIABLE):
            text = json.dumps(dict(_spent))
            Path(folder, str(os.getpid())).write_text(text, encoding="ascii")  # noqa: ASYNC240  the process ends here

    return closed


def total(folder: Path) -> dict[str, float]:
    """CPU seconds per stage of all workers that have ended."""
    spent = dict.fromkeys(STAGES, 0.0)
    for file in folder.iterdir():
        for stage, seconds in json.loads(file.read_text(encoding="ascii")).items():
            spent[stage] += seconds
    return spent


if os.environ.get(VARIABLE):
    _install()
