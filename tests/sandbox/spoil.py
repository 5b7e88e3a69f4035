"""Answers that are broken in their content."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from tests.sandbox.faults import FaultKind
from tests.sandbox.hosts.base import Answer
from tests.sandbox.templates import edit, encode


def spoiled(answer: Answer, kind: FaultKind, mandatory: tuple[str, ...]) -> Answer:
    """The same answer empty, cut, or with its mandatory key renamed or of another type."""
    if kind is FaultKind.EMPTY:
        return replace(answer, status=200, body=b"")
    if kind is FaultKind.TRUNCATED_JSON:
        return replace(answer, body=answer.body[: len(answer.body) * 2 // 3])
    body = json.loads(answer.body)
    change = _rename if kind is FaultKind.CHANGED_KEY else _retype
    if not mandatory or not edit(body, mandatory, change):
        return answer
    return replace(answer, body=encode(body))


def _rename(container: Any, key: str) -> None:
    container[f"{key}_v2"] = container.pop(key)


def _retype(container: Any, key: str) -> None:
    """An object where a scalar or list was, a text where an object was."""
    old = container[key]
    container[key] = "unavailable" if isinstance(old, dict) else {"value": old}
