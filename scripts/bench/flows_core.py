"""The bench's flows with task events taken out of the worker's statement: the queue core alone."""

from core.queue import statements
from scripts.bench.flows import FLOWS

# Whole rows are handed on for the sake of their events.
_ID, _CLAIM = "t.id", "t.id, t.flow, t.platform, t.params, t.retry_count, t.picked_at, t.created_at"


def _without_events(statement: str) -> str:
    """The statement without its ``said`` part, and without what only that part reads.

    Raises:
        ValueError: it is written otherwise than it was: mend this module.
    """
    head, comma, rest = statement.partition(",\nsaid as (")
    _, bracket, tail = rest.partition(")\nselect (select")
    done, whole, took = head.partition("returning t.*")
    if not (comma and bracket and whole) or took.count("returning t.*") != 1:
        raise ValueError("the worker's statement has changed: mend scripts/bench/flows_core.py")
    return f"{done}returning {_ID}{took.replace('t.*', _CLAIM)}\nselect (select{tail}"


statements.STEP = _without_events(statements.STEP)
statements.STEP_OLDEST_FIRST = _without_events(statements.STEP_OLDEST_FIRST)

__all__ = ["FLOWS"]
