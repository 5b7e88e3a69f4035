"""Rows and audit rows as the JSON that the statements take. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from core.models.logs import PostLog, ProfileLog, key_values
from utils.json_safe import json_safe, json_text, plain_text, safe_text


def rows_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a JSON array; times with their offset, where ``json_safe`` would give them the form of events."""
    text = plain_text(rows, _ROWS.encode)
    if text is None:
        text = json_text(json_safe([{name: _timed(value) for name, value in row.items()} for row in rows]))
    return text


def audit_text(logs: Sequence[ProfileLog | PostLog]) -> str:
    """Audit rows of profiles or of posts as a JSON array."""
    return safe_text([_audit(log) for log in logs])


def _audit(log: ProfileLog | PostLog) -> dict[str, Any]:
    row = {
        "profile_id": log.profile_id,
        "platform": log.platform.value,
        "dimensions": key_values(log.dimensions),
        "metrics": key_values(log.metrics),
        "source": log.source,
        "timestamp": log.timestamp.isoformat(),
    }
    return row if isinstance(log, ProfileLog) else {**row, "platform_post_id": log.shortcode}


def _timed(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _only_times(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


_ROWS = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_only_times)
