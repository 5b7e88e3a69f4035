"""The bench's flows with task events taken out of the worker's statement: the queue core alone."""

from core.queue import statements
from scripts.bench.flows import FLOWS


def _without_events(statement: str) -> str:
    """The statement without its ``said`` part.

    Raises:
        ValueError: the part is not where it was: mend this module.
    """
    head, comma, rest = statement.partition(",\nsaid as (")
    _, bracket, tail = rest.partition(")\nselect (select")
    if not comma or not bracket:
        raise ValueError("the worker's statement has changed: mend scripts/bench/flows_core.py")
    return f"{head}\nselect (select{tail}"


statements.STEP = _without_events(statements.STEP)
statements.STEP_OLDEST_FIRST = _without_events(statements.STEP_OLDEST_FIRST)

__all__ = ["FLOWS"]
