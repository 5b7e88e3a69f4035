"""Runs one task: its name becomes a coroutine, its params a model, its error a rule for what happens next."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from core.client.errors import MediaError
from core.crawler.errors import ChainFailed, ProviderError, Retry, retry_rule
from core.flows.registry import ASSET_FLOWS, Flow, Registry
from core.models.params import MAX_PARAMS_BYTES, Params, describe
from core.queue.queue import NO_DATA, Claim, Done, Failed
from core.runtime import FlowContext
from utils.json_safe import json_safe, json_text, safe_text
from utils.redact import redact_text

FlowFunction = Callable[[Any, FlowContext], Awaitable[Any]]

DEFAULT_LATER_S = 30.0
"""Pause before a task meets an unavailable source again, when nothing says how long."""

_LONGEST = 4000


class BadTask(Exception):
    """A task that cannot run as it was sent; the text names the field and the fix."""

    def __init__(self, message: str, code: str = "BAD_INPUT") -> None:
        super().__init__(message)
        self.code = code


EXPECTED = (BadTask, ProviderError, MediaError)
"""Errors that say what happened in their text; to log where from would cost more than most tasks do."""


@cache
def resolve(target: str) -> FlowFunction:
    """The coroutine function behind ``package.module:function``."""
    module, _, name = target.partition(":")
    function: FlowFunction = getattr(importlib.import_module(module), name)
    return function


def built_flow(registry: Registry, name: str) -> Flow:
    """The flow of that name.

    Raises:
        BadTask: there is none, or it is not built yet (code NOT_BUILT).
    """
    flow = registry.get(name)
    if flow is None:
        raise BadTask(f"flow: there is no flow {name[:100]!r}; see docs/flows.md for the names", "UNKNOWN_FLOW")
    if flow.target is None:
        raise BadTask(f"flow: {name} is not built yet", "NOT_BUILT")
    return flow


def read_params(flow: Flow, raw: Any) -> Params:
    """The params of a task as the flow's model.

    Raises:
        BadTask: too large, not an object, or a field is wrong; every wrong field is named.
    """
    if not isinstance(raw, dict):
        raise BadTask(f"params: must be a JSON object, is {type(raw).__name__}")
    try:
        params: Params = flow.params.__pydantic_validator__.validate_python(raw)  # model_validate, without its options
    except ValidationError as error:
        raise BadTask(describe(error)) from error
    return params


def claimed_params(flow: Flow, claim: Claim) -> Params:
    """The params of a claimed row; csv flows are told the task's id.

    Raises:
        BadTask: as ``read_params``, or the row names another platform than the flow's.
    """
    platform, text = claim.platform, claim.params or ""
    if platform != flow.platform and (platform or "").upper() != flow.platform and flow.name not in ASSET_FLOWS:
        raise BadTask(f"platform: {flow.name} is a flow of {flow.platform}")
    size = len(text) if text.isascii() else len(text.encode())
    if not 0 < size <= MAX_PARAMS_BYTES:
        raise BadTask(f"params: at most {MAX_PARAMS_BYTES} bytes of JSON, got {size}")
    try:
        raw = from_json(text)
    except (ValueError, RecursionError) as error:
        raise BadTask("params: nested too deeply, or a number has too many digits") from error
    if flow.params.csv and isinstance(raw, dict):
        raw["scrape_id"] = claim.id
    return read_params(flow, raw)


def done(flow: Flow, claim: Claim, result: Any) -> Done:
    """The report of a flow that returned. Callers of csv flows read the result as text in ``data``."""
    text = None if result is None else safe_text(result)
    return Done(claim, json_safe(str(result)) if flow.params.csv else NO_DATA, text)


def failed(flow: Flow | None, claim: Claim, error: BaseException) -> Failed:
    """The report of a flow that raised."""
    max_retries = flow.max_retries if flow else 1
    if isinstance(error, BadTask):
        return Failed(claim, str(error)[:_LONGEST], None, error.code, Retry.NEVER.name, 0, max_retries)
    if isinstance(error, ProviderError):
        details = [outcome.as_result() for outcome in error.outcomes]
        result = json_text(json_safe({"sources": details})) if details else None
        rule, delay_s = retry_rule(error), error.retry_after_s or DEFAULT_LATER_S
        code = error.reason if isinstance(error, ChainFailed) else error.word
        return Failed(claim, _clean(str(error)), result, code.upper(), rule.name, delay_s, max_retries)
    if isinstance(error, MediaError):
        delay_s = error.retry_after_s or DEFAULT_LATER_S
        return Failed(claim, _clean(error.message), None, error.code, error.retry.name, delay_s, max_retries)
    text = _clean(str(error)) or type(error).__name__
    return Failed(claim, text, None, type(error).__name__, Retry.BACKOFF.name, 0, max_retries)


def timed_out(claim: Claim, limit_s: float) -> Failed:
    """The report of a task that was cancelled at its time limit."""
    return Failed(claim, f"timed out: cancelled after {limit_s:g} s", None, "TIMEOUT", Retry.NEVER.name, 0, 1)


def _clean(text: str) -> str:
    """Without secrets, and without what the database cannot store."""
    return str(json_safe(redact_text(text)))[:_LONGEST]
